package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A Resumed says what a verification did not read again, because one that was
// interrupted had done so, and nothing has changed since.
type Resumed struct {
	Since    time.Time // when that began to read
	Segments int
	Events   uint64
	Chunks   int // of recordings, that were not compared with their files again
}

// saveEvery is how much work an interruption undoes at most, beside a segment. Of
// the time, a twentieth goes into saving at most.
const saveEvery = time.Second

// maxResume bounds the file of a verification that was interrupted.
const maxResume = 256 << 20

// resumeVersion is that of what the file holds.
const resumeVersion = 2

// A stopped is how far a verification had got: what it knew behind a segment.
type stopped struct {
	Version int       `json:"version"`
	Trust   string    `json:"trust"` // a hash of what it was to be held against
	Since   time.Time `json:"since"`
	Read    []stamp   `json:"read"` // the segments

	// The walk.
	Frames    uint64 `json:"frames"`
	Seq       uint64 `json:"seq"`
	Chain     string `json:"chain"`
	Kind      Kind   `json:"kind"`
	Origin    string `json:"origin"`
	OpenSince uint64 `json:"open_since"`
	Linked    bool   `json:"linked"`

	// What was found.
	First   uint64          `json:"first"`
	Kinds   map[Kind]uint64 `json:"kinds"`
	Bytes   int64           `json:"bytes"`
	Damages []Damage        `json:"damages,omitempty"`
	Gaps    [][2]int64      `json:"gaps,omitempty"`  // segment, offset
	Heads   []uint64        `json:"heads,omitempty"` // sizes of those that are not met yet

	// The tree.
	Size  uint64               `json:"size"`
	Edge  [][]tlog.Hash        `json:"edge,omitempty"`
	Roots map[uint64]tlog.Hash `json:"roots,omitempty"`

	// The recordings.
	Files  []stoppedFile  `json:"files,omitempty"`
	Chunks []stoppedChunk `json:"chunks,omitempty"`
}

// fresh is how young a file's times may not be: what is changed in the moment in
// which they are looked at need not have others.
const fresh = 2 * time.Second

// A stamp tells a file from what it is when something was changed. The zero stamp
// tells nothing.
type stamp struct {
	Number   uint64 `json:"number,omitempty"` // of a segment
	Size     int64  `json:"size,omitempty"`
	Modified int64  `json:"modified,omitempty"` // ns
	Changed  int64  `json:"changed,omitempty"`  // the same as the system says it: nobody can set it
	File     uint64 `json:"file,omitempty"`     // the system's number of the file
	Archived string `json:"archived,omitempty"`
}

// stampOf returns the stamp of a file, or none if it is too young, unless any says
// that it may be.
func stampOf(st fs.FileInfo, any bool) stamp {
	s := stamp{Size: st.Size(), Modified: st.ModTime().UnixNano()}
	s.Changed, s.File = changedAt(st)
	if !any && time.Since(time.Unix(0, max(s.Modified, s.Changed))) < fresh {
		return stamp{}
	}
	return s
}

// stampAll looks at the segments, before they are read.
func (v *verifier) stampAll(segs []segment) error {
	if v.Resume == "" {
		return nil
	}
	for _, s := range segs {
		at := s.archived.stamp()
		if s.fetch == nil {
			st, err := os.Stat(s.path)
			if err != nil {
				return err
			}
			at = stampOf(st, v.often)
		}
		if at == (stamp{}) {
			at.Changed = time.Now().UnixNano() // it will not be this when it is looked at again
		}
		at.Number = s.number
		v.stamps = append(v.stamps, at)
	}
	return nil
}

// asked is a hash of what t knows, which what was found depends on.
func (t *Trust) asked() string {
	names := func(keys []note.Verifier) (list []string) {
		for _, k := range keys {
			list = append(list, fmt.Sprintf("%s+%08x", k.Name(), k.KeyHash()))
		}
		return list
	}
	b, err := json.Marshal([]any{t.Heads, names(t.Keys), t.Checkpoints, names(t.Witnesses), t.Quorum, t.Apart, t.Archive != nil, t.Recordings, t.ArchivedRecordings})
	if err != nil {
		return ""
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// takeUp goes on where a verification was interrupted, and returns how many of
// segs it had read. It begins anew if anything is not as it was then.
func (v *verifier) takeUp(ctx context.Context, w *walker, segs []segment) (done int, err error) {
	if v.Resume == "" {
		return 0, nil
	}
	for _, dir := range []string{v.dir, v.Recordings} {
		if err := apartFrom(v.Resume, dir); err != nil {
			return 0, err
		}
	}
	s, err := readStopped(v.Resume)
	if err != nil || s == nil || s.Version != resumeVersion || s.Trust == "" || s.Trust != v.asked() {
		return 0, err
	}
	if v.recordings != nil {
		for _, c := range s.Chunks {
			v.recordings.read[c.Recording] = c.Stamp // whatever the journal is now
		}
		if len(s.Chunks) > 0 {
			v.since = s.Since
		}
	}
	if !v.unchanged(s, segs) {
		return 0, nil
	}
	v.since, v.read = s.Since, len(s.Read)
	v.stopped = *s
	v.stopped.Files, v.stopped.Chunks = nil, nil
	v.at, v.rep.Resumed = s.Seq, &Resumed{Since: s.Since, Segments: len(s.Read), Events: s.Seq + 1}
	if v.recordings != nil {
		if err := v.recordings.takeUp(ctx, s); err != nil {
			return 0, err
		}
	}
	v.rep.First, v.rep.Kinds, v.rep.Bytes = s.First, maps.Clone(s.Kinds), s.Bytes
	v.damages = append(v.damages, s.Damages...)
	for _, g := range s.Gaps {
		v.gaps[place{uint64(g[0]), g[1]}] = true
	}
	for size := range v.heads {
		if !slices.Contains(s.Heads, size) {
			delete(v.heads, size)
		}
	}
	if v.survey != nil {
		v.survey.tree.size, v.survey.tree.edge = s.Size, cloneEdge(s.Edge)
		for size := range v.survey.roots {
			v.survey.roots[size] = s.Roots[size]
		}
	}
	w.tail = tail{frames: s.Frames, seq: s.Seq, kind: s.Kind, origin: s.Origin, segment: s.Read[len(s.Read)-1].Number, since: s.OpenSince}
	_, _ = hex.Decode(w.chain[:], []byte(s.Chain)) // unchanged has seen that it can
	w.linked = s.Linked
	return len(s.Read), nil
}

// unchanged reports whether s is of this journal, asked the same, and everything
// that it has read is as it was.
func (v *verifier) unchanged(s *stopped, segs []segment) bool {
	chain, err := hex.DecodeString(s.Chain)
	if err != nil || len(chain) != sha256.Size || len(s.Read) == 0 || len(s.Read) >= len(segs) || s.Kinds == nil || s.Frames == 0 {
		return false
	}
	if !slices.Equal(v.stamps[:len(s.Read)], s.Read) || v.recordings != nil && !v.recordings.unchanged(s) {
		return false
	}
	if v.survey == nil {
		return true
	}
	c := v.rep.Checkpoint
	if c == nil || s.Size != s.Seq+1 {
		return false
	}
	for _, known := range v.known { // of what was behind it then, the root is still to come
		if _, had := s.Roots[known.Size]; known.Size <= s.Size && !had && !(v.Apart && known.Size <= s.First) {
			return false
		}
	}
	return v.tilesMeet(s, c.Size)
}

// tilesMeet reports whether the full tiles of the first s.Size events are those of
// the tree that s has the edge of: they are small, and read again.
func (v *verifier) tilesMeet(s *stopped, covered uint64) bool {
	from, to := s.First/tileWidth, s.Size/tileWidth
	if to*tileWidth > covered {
		return false // nothing promises the last of them
	}
	above, err := treeAt(v.dir, from*tileWidth)
	if err != nil {
		return false
	}
	t := tree{size: from, full: func(t tlog.Tile, hashes []tlog.Hash) error {
		t.L++
		b, err := readTile(v.dir, t)
		if err == nil && string(b) != string(appendHashes(nil, hashes)) {
			err = errors.New("not the tile of those below it")
		}
		return err
	}}
	if len(above.edge) > 1 {
		t.edge = above.edge[1:]
	}
	for n := from; n < to; n++ {
		b, err := readTile(v.dir, tlog.Tile{H: tileHeight, L: 0, N: int64(n), W: tileWidth})
		if err != nil {
			return false
		}
		hashes := make([]tlog.Hash, tileWidth)
		for i := range hashes {
			copy(hashes[i][:], b[i*tlog.HashSize:])
		}
		if t.add(subtree(hashes)) != nil {
			return false
		}
	}
	edge := s.Edge
	if len(edge) > 0 {
		edge = edge[1:]
	}
	return slices.EqualFunc(trim(t.edge), trim(edge), slices.Equal)
}

// trim leaves out levels at the top that have nothing.
func trim(edge [][]tlog.Hash) [][]tlog.Hash {
	for len(edge) > 0 && len(edge[len(edge)-1]) == 0 {
		edge = edge[:len(edge)-1]
	}
	return edge
}

// stop notes how far the walk has got, behind a segment.
func (v *verifier) stop(w *walker) error {
	v.read++
	if v.Resume == "" {
		return nil
	}
	v.stopped = stopped{Since: v.since, Read: v.stamps[:v.read], Frames: w.frames, Seq: w.seq, Chain: w.chain.String(), Kind: w.kind,
		Origin: w.origin, OpenSince: w.tail.since, Linked: w.linked, First: v.rep.First, Kinds: maps.Clone(v.rep.Kinds), Bytes: v.rep.Bytes, Damages: v.damages[v.before:]}
	for g := range v.gaps {
		v.stopped.Gaps = append(v.stopped.Gaps, [2]int64{int64(g.segment), g.offset})
	}
	for size := range v.heads {
		v.stopped.Heads = append(v.stopped.Heads, size)
	}
	if t := v.survey; t != nil {
		v.stopped.Size, v.stopped.Edge, v.stopped.Roots = t.tree.size, cloneEdge(t.tree.edge), map[uint64]tlog.Hash{}
		for size, root := range t.roots {
			if size <= t.tree.size && root != (tlog.Hash{}) {
				v.stopped.Roots[size] = root
			}
		}
	}
	if v.recordings != nil {
		v.recordings.settle()
	}
	return v.save()
}

func cloneEdge(edge [][]tlog.Hash) (c [][]tlog.Hash) {
	for _, level := range edge {
		c = append(c, slices.Clone(level))
	}
	return c
}

// save writes down how far the verification has got, now and then.
func (v *verifier) save() error {
	if v.Resume == "" || time.Since(v.saved) < v.pause && !v.often {
		return nil
	}
	begin := time.Now()
	out := v.stopped
	out.Version, out.Trust, out.Since = resumeVersion, v.asked(), v.since
	if v.recordings != nil {
		v.recordings.stop(&out)
	}
	err := writeStopped(v.Resume, &out)
	v.saved, v.pause = time.Now(), max(saveEvery, 20*time.Since(begin))
	return err
}

// apartFrom is an error if the file is inside of a directory of the journal or its
// recordings, where those who are to be held to them write.
func apartFrom(file, dir string) error {
	if dir == "" {
		return nil
	}
	real := func(path string) string {
		if abs, err := filepath.Abs(path); err == nil {
			path = abs
		}
		if linked, err := filepath.EvalSymlinks(path); err == nil {
			path = linked
		}
		return path
	}
	in, err := filepath.Rel(real(dir), real(filepath.Dir(file)))
	if err == nil && in != ".." && !strings.HasPrefix(in, ".."+string(filepath.Separator)) {
		return fmt.Errorf("%s is in the journal's directory or among its recordings: what is to be trusted has to be elsewhere", file)
	}
	return nil
}

// readStopped returns what a file has, or nil if there is none or it cannot be
// understood. It is an error if another than its owner, who asks, could have
// written it: it would be believed.
func readStopped(file string) (*stopped, error) {
	st, err := os.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || othersWrite(st) {
		return nil, fmt.Errorf("%s could have been written by others: it is not taken up; remove it", file)
	}
	b, err := readAtMost(file, maxResume)
	if err != nil {
		return nil, err
	}
	var s stopped
	if strictly(b, &s) != nil {
		return nil, nil
	}
	return &s, nil
}

func writeStopped(file string, s *stopped) error {
	b, err := json.Marshal(s)
	if err != nil || len(b) > maxResume { // what was written before is behind, and true
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*.new") // for its owner only
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// over removes the file: what was verified to its end is verified anew the next
// time.
func (v *verifier) over() error {
	if v.Resume == "" {
		return nil
	}
	if err := os.Remove(v.Resume); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// interrupted returns ctx's cause if it has ended.
func interrupted(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}
