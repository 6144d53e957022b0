package audit

import (
	"crypto/sha256"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// A tile holds what is known of the tree below one node: 256 hashes side by
// side, eight levels above the hashes of the tiles below it.
const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
)

// A tree is the right edge of a Merkle tree of RFC 6962, which is all that has
// to be known to add leaves to it and to tell its root: of each level of tiles
// the one that is not full. The zero tree is empty.
type tree struct {
	size uint64
	edge [][]tlog.Hash // by level of tiles; each shorter than a tile

	// full takes each tile that has become full; it may not keep the hashes.
	full func(t tlog.Tile, hashes []tlog.Hash) error
}

// add adds a leaf, of which h is the hash.
func (t *tree) add(h tlog.Hash) error {
	t.size++
	for l := 0; ; l++ {
		if l == len(t.edge) {
			t.edge = append(t.edge, make([]tlog.Hash, 0, tileWidth))
		}
		t.edge[l] = append(t.edge[l], h)
		if len(t.edge[l]) < tileWidth {
			return nil
		}
		if t.full != nil {
			n := int64(t.size>>(tileHeight*(l+1))) - 1
			if err := t.full(tlog.Tile{H: tileHeight, L: l, N: n, W: tileWidth}, t.edge[l]); err != nil {
				return err
			}
		}
		h = subtree(t.edge[l])
		t.edge[l] = t.edge[l][:0]
	}
}

// partial calls f with each tile of the edge.
func (t *tree) partial(f func(tlog.Tile, []tlog.Hash) error) error {
	for l, hashes := range t.edge {
		if len(hashes) == 0 {
			continue
		}
		n := int64(t.size >> (tileHeight * (l + 1)))
		if err := f(tlog.Tile{H: tileHeight, L: l, N: n, W: len(hashes)}, hashes); err != nil {
			return err
		}
	}
	return nil
}

// subtree returns the root above hashes, of which there are a power of two, at
// most a tile's.
func subtree(hashes []tlog.Hash) tlog.Hash {
	var up [tileWidth / 2]tlog.Hash
	for len(hashes) > 1 {
		n := len(hashes) / 2
		for i := range n {
			up[i] = tlog.NodeHash(hashes[2*i], hashes[2*i+1])
		}
		hashes = up[:n]
	}
	return hashes[0]
}

// root returns the tree's root.
func (t *tree) root() tlog.Hash {
	if t.size == 0 {
		return tlog.Hash(sha256.Sum256(nil))
	}
	var root tlog.Hash
	some := false
	for _, hashes := range t.edge { // from the right to the left
		for end := len(hashes); end > 0; {
			n := end & -end
			left := subtree(hashes[end-n : end])
			if end -= n; some {
				left = tlog.NodeHash(left, root)
			}
			root, some = left, true
		}
	}
	return root
}

// maxLost bounds the leaves in a row that cannot be read and that a tree is
// still built over.
const maxLost = 1 << 24

// A survey builds the tree over the events that a walk meets.
type survey struct {
	dir   string
	tree  tree
	roots map[uint64]tlog.Hash // by the sizes that are asked for; the zero hash until the tree had it
}

// look notes the root if it is asked for.
func (s *survey) look() {
	if _, asked := s.roots[s.tree.size]; asked {
		s.roots[s.tree.size] = s.tree.root()
	}
}

// add adds f, and before it what could not be read. A frame that is not behind
// the others is left out: the walk calls it a damage.
func (s *survey) add(f *frame) error {
	if f.head.seq < s.tree.size {
		return nil
	}
	if err := s.lost(f.head.seq); err != nil {
		return err
	}
	err := s.tree.add(f.hash)
	s.look()
	return err
}

// lost adds the events before number seq that could not be read. The tiles tell
// their hashes; where they do not, it is the zero hash, which no event has, so
// that no checkpoint is met over it.
func (s *survey) lost(seq uint64) error {
	if seq > s.tree.size+maxLost {
		return fmt.Errorf("%d events in a row are missing", seq-s.tree.size)
	}
	for s.tree.size < seq {
		h, _ := leafHash(s.dir, s.tree.size)
		if err := s.tree.add(h); err != nil {
			return err
		}
		s.look()
	}
	return nil
}
