package audit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// tilePath is where tile t of the journal in dir is: the layout of
// c2sp.org/tlog-tiles, in which the height is always eight and not named.
func tilePath(dir string, t tlog.Tile) string {
	name := strings.TrimPrefix(t.Path(), fmt.Sprintf("tile/%d/", tileHeight))
	return filepath.Join(dir, "tile", filepath.FromSlash(name))
}

// readTile returns the hashes of t. A partial tile is the beginning of every
// longer one at its place.
func readTile(dir string, t tlog.Tile) ([]byte, error) {
	want := t.W * tlog.HashSize
	whole := t
	whole.W = tileWidth
	paths := []string{tilePath(dir, t)}
	if t.W < tileWidth {
		paths = append(paths, tilePath(dir, whole))
		longer, _ := os.ReadDir(tilePath(dir, whole) + ".p")
		for _, e := range longer {
			if w, err := strconv.Atoi(e.Name()); err == nil && w > t.W {
				paths = append(paths, filepath.Join(tilePath(dir, whole)+".p", e.Name()))
			}
		}
	}
	for _, p := range paths {
		b, err := readAtMost(p, tileWidth*tlog.HashSize)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && len(b) < want {
			err = fmt.Errorf("tile %s: %d bytes, want %d", p, len(b), want)
		}
		if err != nil {
			return nil, err
		}
		return b[:want], nil
	}
	return nil, fmt.Errorf("tile %s: %w", paths[0], fs.ErrNotExist)
}

// readAtMost returns what a file has, which may not be more than limit.
func readAtMost(path string, limit int64) ([]byte, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		return nil, fmt.Errorf("%s: more than %d bytes", path, limit)
	}
	return b, err
}

// openFile opens what is a file, and nothing else: a pipe or a device that somebody
// has put there would be waited for, or have no end.
func openFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file", path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// leafHash returns the hash of leaf number seq as the tiles have it.
func leafHash(dir string, seq uint64) (h tlog.Hash, err error) {
	i := int(seq % tileWidth)
	b, err := readTile(dir, tlog.Tile{H: tileHeight, L: 0, N: int64(seq / tileWidth), W: i + 1})
	if err == nil {
		copy(h[:], b[i*tlog.HashSize:])
	}
	return h, err
}

func appendHashes(dst []byte, hashes []tlog.Hash) []byte {
	for i := range hashes {
		dst = append(dst, hashes[i][:]...)
	}
	return dst
}

// treeAt returns the tree of the first size leaves, a multiple of a tile's
// width, as the full tiles in dir have it. Whoever uses it compares a root.
func treeAt(dir string, size uint64) (t tree, err error) {
	t.size = size
	for l := 0; size>>(tileHeight*l) > 0; l++ {
		n := size >> (tileHeight * l) // hashes of this level
		hashes := make([]tlog.Hash, 0, tileWidth)
		for i := n &^ (tileWidth - 1); l > 0 && i < n; i++ {
			b, err := readTile(dir, tlog.Tile{H: tileHeight, L: l - 1, N: int64(i), W: tileWidth})
			if err != nil {
				return t, err
			}
			below := make([]tlog.Hash, tileWidth)
			for k := range below {
				copy(below[k][:], b[k*tlog.HashSize:])
			}
			hashes = append(hashes, subtree(below))
		}
		t.edge = append(t.edge, hashes)
	}
	return t, nil
}

// tiles reads the tiles of a journal for package tlog.
type tiles struct{ dir string }

// Height implements [tlog.TileReader].
func (tiles) Height() int { return tileHeight }

// ReadTiles implements [tlog.TileReader].
func (r tiles) ReadTiles(ts []tlog.Tile) (data [][]byte, err error) {
	for _, t := range ts {
		b, err := readTile(r.dir, t)
		if err != nil {
			return nil, err
		}
		data = append(data, b)
	}
	return data, nil
}

// SaveTiles implements [tlog.TileReader].
func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}
