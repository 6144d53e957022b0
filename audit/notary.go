package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// signEvery is how long an event waits for a checkpoint at most.
const signEvery = time.Second

// A notary builds the tree over a journal's events, beside the writing, and
// signs what is on stable storage.
type notary struct {
	dir    string
	disk   disk
	origin string // of the checkpoints
	key    Signer

	signTime, maxUnsigned time.Duration
	asked                 atomic.Bool  // the signer has not answered
	unsigned              atomic.Int64 // since when nothing was signed that should be, Unix ns; 0: all is

	timer *time.Timer
	armed atomic.Bool

	mu      sync.Mutex  // guards waiting
	waiting []tlog.Hash // of the events behind the tree, in order

	work    sync.Mutex // held while tiles are written and signed
	tree    tree
	open    []file          // full tiles that may not be on stable storage yet
	dirs    map[string]bool // that they are in
	partial []string        // the partial tiles of the newest checkpoint
	newest  []byte          // the newest checkpoint
	size    uint64          // of it
}

// newNotary goes on behind the newest checkpoint in dir. What it was signed for
// has to be what found is about.
func newNotary(dir string, o Options, found *found) (*notary, error) {
	key, err := o.signer()
	if err != nil {
		return nil, err
	}
	old, err := o.oldKeys()
	if err != nil {
		return nil, err
	}
	n := &notary{dir: dir, disk: o.disk, key: key, dirs: map[string]bool{}, origin: key.Name() + "/" + found.origin,
		signTime: signTime, maxUnsigned: maxUnsigned}
	var c Checkpoint
	switch n.newest, err = ReadCheckpoint(dir); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		if c, err = ParseCheckpoint(n.newest, append(old, key)...); err == nil && c.Journal() != found.origin {
			err = fmt.Errorf("the checkpoint is of journal %q, this is %q", c.Origin, n.origin)
		}
		if err != nil {
			return nil, fmt.Errorf("%w; if the key was changed, the public half of the old one has to be among the old keys", err)
		}
		if err := n.retire(old); err != nil {
			return nil, err
		}
	}
	n.size = c.Size
	for l := 0; c.Size>>(tileHeight*l) > 0; l++ {
		hashes := c.Size >> (tileHeight * l)
		if w := int(hashes % tileWidth); w > 0 {
			n.partial = append(n.partial, tilePath(dir, tlog.Tile{H: tileHeight, L: l, N: int64(hashes / tileWidth), W: w}))
		}
	}
	var damages []Damage
	if c.Size > found.next {
		damages = append(damages, Damage{Segment: found.segment + 1,
			What: fmt.Sprintf("events %d to %d, which the checkpoint covers, are missing", found.next, c.Size-1)})
	}
	met, err := n.resume(min(c.Size, found.next)&^(tileWidth-1), found.next, c)
	if err == nil && !met { // tiles that a power failure has spoiled are made anew
		if met, err = n.resume(0, found.next, c); err == nil && !met {
			damages = append(damages, Damage{File: checkpointFile, Segment: found.segment + 1,
				What: fmt.Sprintf("the events are not those that the checkpoint of size %d was signed for", c.Size)})
		}
	}
	if err != nil {
		return nil, err
	}
	if len(damages) > 0 && !o.AcceptGap {
		return nil, &DamageError{dir, damages}
	}
	found.gaps = append(found.gaps, damages...)
	found.next = max(found.next, c.Size)
	return n, n.settle()
}

// resume makes the tree of the events before next, of those before start from
// the tiles, and reports whether it meets c.
func (n *notary) resume(start, next uint64, c Checkpoint) (met bool, err error) {
	s := survey{dir: n.dir, roots: map[uint64]tlog.Hash{c.Size: {}}}
	if s.tree, err = treeAt(n.dir, start); err != nil {
		return false, nil // a tile is missing
	}
	s.tree.full = n.write
	s.look()
	segs, err := segments(n.dir)
	if err != nil {
		return false, err
	}
	from, err := segmentOf(segs, start)
	if err != nil {
		return false, err
	}
	if _, err = walk(segs[max(from, 0):], s.add, func(Damage) error { return nil }); err == nil {
		err = s.lost(max(next, c.Size))
	}
	n.tree = s.tree
	return c.Size == 0 || s.roots[c.Size] == tlog.Hash(c.Root), err
}

// take adds the hashes of events that were written.
func (n *notary) take(hashes []tlog.Hash) {
	n.mu.Lock()
	n.waiting = append(n.waiting, hashes...)
	n.mu.Unlock()
	if n.armed.CompareAndSwap(false, true) {
		n.timer.Reset(signEvery)
	}
}

func (n *notary) stop() {
	if n != nil {
		n.timer.Stop()
	}
}

// maxOpenTiles bounds the tiles that are made durable together.
const maxOpenTiles = 128

// write writes a tile. A full one is on stable storage behind the next settle;
// a partial one need not be, because it can be made again from the events.
func (n *notary) write(t tlog.Tile, hashes []tlog.Hash) error {
	path := tilePath(n.dir, t)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := n.put(path, appendHashes(nil, hashes))
	if err != nil {
		return err
	}
	if t.W < tileWidth {
		n.partial = append(n.partial, path)
		return f.Close()
	}
	n.open = append(n.open, f)
	for d := filepath.Dir(path); len(d) >= len(n.dir); d = filepath.Dir(d) {
		n.dirs[d] = true
	}
	if len(n.open) < maxOpenTiles {
		return nil
	}
	return n.settle()
}

// put writes a file anew, whatever a crash has left there, and leaves it open.
func (n *notary) put(path string, b []byte) (file, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := n.disk.create(path)
	if err != nil {
		return nil, err
	}
	k, err := f.Write(b)
	if err == nil && k < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if s, ok := f.(*stream); ok {
		push(s.File, 0, 0, s.size) // so that one fsync finds the others' bytes done
	}
	return f, nil
}

// settle makes the full tiles durable.
func (n *notary) settle() (err error) {
	for _, f := range n.open {
		if err == nil {
			err = f.Sync()
		}
		err = errors.Join(err, f.Close())
	}
	n.open = n.open[:0]
	for d := range n.dirs {
		if err == nil {
			err = n.disk.syncDir(d)
		}
	}
	clear(n.dirs)
	return err
}

// publish signs the first size events, which are on stable storage, unless that
// was done, and returns the newest checkpoint.
func (n *notary) publish(size uint64) ([]byte, error) {
	n.work.Lock()
	defer n.work.Unlock()
	if size <= n.size && n.newest != nil {
		return n.newest, nil
	}
	n.mu.Lock()
	k := int(size - n.tree.size)
	hashes := slices.Clone(n.waiting[:k])
	n.waiting = append(n.waiting[:0], n.waiting[k:]...)
	n.mu.Unlock()
	for _, h := range hashes {
		if err := n.tree.add(h); err != nil {
			return nil, err
		}
	}
	if err := n.settle(); err != nil {
		return nil, err
	}
	before := n.partial
	n.partial = nil
	if err := n.tree.partial(n.write); err != nil {
		return nil, err
	}
	c := Checkpoint{n.origin, size, n.tree.root()}
	signed, err := n.sign(&c)
	if err != nil {
		n.partial = append(before, n.partial...) // the newest checkpoint stays as it is
		return nil, err
	}
	if err := n.replace(filepath.Join(n.dir, checkpointFile), signed); err != nil {
		return nil, err
	}
	for _, p := range before {
		if !slices.Contains(n.partial, p) {
			_ = os.Remove(p)
			_ = os.Remove(filepath.Dir(p)) // if it is empty
		}
	}
	n.newest, n.size = signed, size
	return signed, nil
}

// replace puts b in the place of a file, durably, so that the file is there
// before or after at any moment.
func (n *notary) replace(path string, b []byte) error {
	f, err := n.put(path+".new", b)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return n.disk.syncDir(n.dir)
}

// Checkpoint returns a checkpoint over all that has been recorded, as a signed
// note, and makes one if the newest is older. One is made each second while
// events are recorded, and the newest is the file "checkpoint" of the journal's
// directory. It is an error if the journal has no key.
func (j *Journal) Checkpoint(ctx context.Context) ([]byte, error) {
	if j.notary == nil {
		return nil, fmt.Errorf("journal %s: it has no key to sign with", j.dir)
	}
	if err := j.Sync(ctx, j.End()); err != nil {
		return nil, err
	}
	signed, err := j.notary.publish(j.durable.Load().size)
	var unsigned *unsignedError
	if errors.As(err, &unsigned) {
		if j.notary.armed.CompareAndSwap(false, true) { // it is asked again
			j.notary.timer.Reset(signEvery)
		}
		return nil, fmt.Errorf("journal %s: checkpoint: %w", j.dir, err)
	}
	if err != nil {
		// What cannot be proven is not to be relied on.
		return nil, j.fail(fmt.Errorf("journal %s: checkpoint: %w", j.dir, err))
	}
	return signed, nil
}

// notarize signs what was added.
func (j *Journal) notarize() {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return
	}
	j.tasks.Add(1)
	j.mu.Unlock()
	defer j.tasks.Done()
	j.notary.armed.Store(false)
	_, _ = j.Checkpoint(context.Background()) // a failure stays in j.failure
}
