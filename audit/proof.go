package audit

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// proofStart is the first line of a proof in the form of c2sp.org/tlog-proof.
const proofStart = "c2sp.org/tlog-proof@v1\n"

// maxProof bounds the text of a proof, which holds a leaf in base64.
const maxProof = maxLeaf/3*4 + maxCheckpoint + 16<<10

// Prove returns a proof that the journal in dir holds event number seq, in the
// form of c2sp.org/tlog-proof with the event's exact bytes as extra data. Whoever
// has the public key can check it without the journal: see [CheckProof].
func Prove(ctx context.Context, dir string, seq uint64) (string, error) {
	signed, err := ReadCheckpoint(dir)
	if err != nil {
		return "", fmt.Errorf("journal %s: there is no checkpoint to prove by: %w", dir, err)
	}
	c, err := ReadUnsigned(signed)
	if err != nil {
		return "", fmt.Errorf("journal %s: %w", dir, err)
	}
	if seq >= c.Size {
		return "", fmt.Errorf("journal %s: the checkpoint covers the events before %d", dir, c.Size)
	}
	leaf, err := readLeaf(ctx, dir, seq)
	if err != nil {
		return "", err
	}
	// The reader holds the tiles against the root.
	head := tlog.Tree{N: int64(c.Size), Hash: tlog.Hash(c.Root)}
	proof, err := tlog.ProveRecord(head.N, int64(seq), tlog.TileHashReader(head, tiles{dir}))
	if err == nil {
		err = tlog.CheckRecord(proof, head.N, head.Hash, int64(seq), tlog.RecordHash(leaf))
	}
	if err != nil {
		return "", fmt.Errorf("journal %s: event %d: %w", dir, seq, err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%sextra %s\nindex %d\n", proofStart, base64.StdEncoding.EncodeToString(leaf), seq)
	for _, h := range proof {
		fmt.Fprintf(&b, "%s\n", base64.StdEncoding.EncodeToString(h[:]))
	}
	fmt.Fprintf(&b, "\n%s", signed)
	return b.String(), nil
}

// CheckProof checks what [Prove] returned, and returns the event and the
// checkpoint by which it is proven. One of keys has to have signed that.
func CheckProof(proof string, keys ...note.Verifier) (Event, Checkpoint, error) {
	e, c, err := checkProof(proof, keys)
	if err != nil {
		return Event{}, Checkpoint{}, fmt.Errorf("proof: %w", err)
	}
	return e, c, nil
}

var errProof = errors.New("not in the form of c2sp.org/tlog-proof")

func checkProof(text string, keys []note.Verifier) (e Event, c Checkpoint, err error) {
	if len(text) > maxProof {
		return e, c, fmt.Errorf("%d bytes, more than %d", len(text), maxProof)
	}
	text, ok := strings.CutPrefix(text, proofStart)
	head, signed, whole := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	if !ok || !whole || len(lines) < 2 {
		return e, c, errProof
	}
	extra, ok := strings.CutPrefix(lines[0], "extra ")
	if !ok {
		return e, c, errors.New("it does not hold the event")
	}
	leaf, err := base64.StdEncoding.DecodeString(extra)
	if err != nil {
		return e, c, errProof
	}
	index, ok := strings.CutPrefix(lines[1], "index ")
	seq, err := strconv.ParseUint(index, 10, 63)
	if !ok || err != nil || strconv.FormatUint(seq, 10) != index {
		return e, c, errProof
	}
	if len(lines)-2 > 63 { // more than a tree has levels
		return e, c, errProof
	}
	var hashes tlog.RecordProof
	for _, l := range lines[2:] {
		h, err := tlog.ParseHash(l)
		if err != nil {
			return e, c, errProof
		}
		hashes = append(hashes, h)
	}
	if c, err = ParseCheckpoint([]byte(signed), keys...); err != nil {
		return e, c, err
	}
	if err := tlog.CheckRecord(hashes, int64(c.Size), tlog.Hash(c.Root), int64(seq), tlog.RecordHash(leaf)); err != nil {
		return e, c, err
	}
	if e, err = ParseEvent(leaf); err != nil {
		return e, c, err
	}
	if e.Seq != seq {
		return e, c, fmt.Errorf("event %d at the place of %d", e.Seq, seq)
	}
	return e, c, nil
}

// ProveConsistency returns the hashes by which [tlog.CheckTree] shows, without
// the journal, that the events which older covers are the first of those which
// newer covers. The tiles of the journal in dir have to be those of newer.
func ProveConsistency(dir string, older, newer Checkpoint) (tlog.TreeProof, error) {
	if older.Origin != newer.Origin || older.Size > newer.Size || older.Size == 0 {
		return nil, errors.New("consistency: want an older and a newer checkpoint of one journal")
	}
	p, err := ConsistencyProof(dir, older.Size, newer)
	if err != nil {
		return nil, err
	}
	if err := tlog.CheckTree(p, int64(newer.Size), tlog.Hash(newer.Root), int64(older.Size), tlog.Hash(older.Root)); err != nil {
		return nil, fmt.Errorf("journal %s: %w", dir, err)
	}
	return p, nil
}

// ConsistencyProof is [ProveConsistency] for whoever does not know the older
// root, and has somebody check the proof who does: a witness.
func ConsistencyProof(dir string, older uint64, newer Checkpoint) (tlog.TreeProof, error) {
	if older == 0 || older > newer.Size {
		return nil, fmt.Errorf("consistency: there is no proof from %d events to %d", older, newer.Size)
	}
	head := tlog.Tree{N: int64(newer.Size), Hash: tlog.Hash(newer.Root)}
	p, err := tlog.ProveTree(head.N, int64(older), tlog.TileHashReader(head, tiles{dir}))
	if err != nil {
		return nil, fmt.Errorf("journal %s: %w", dir, err)
	}
	return p, nil
}

// readLeaf returns the exact bytes of leaf number seq.
func readLeaf(ctx context.Context, dir string, seq uint64) (leaf []byte, err error) {
	segs, err := segments(dir)
	if err != nil {
		return nil, err
	}
	i, err := segmentOf(segs, seq)
	if err != nil {
		return nil, err
	}
	if i < 0 {
		return nil, fmt.Errorf("journal %s: event %d is missing", dir, seq)
	}
	found := errors.New("found")
	_, err = walk(segs[i:min(i+1, len(segs))], func(f *frame) error {
		if f.head.seq == seq {
			leaf = append([]byte{}, f.leaf...)
			return found
		}
		return ctx.Err()
	}, func(Damage) error { return nil })
	if err == nil {
		err = fmt.Errorf("journal %s: event %d is missing", dir, seq)
	}
	if !errors.Is(err, found) {
		return nil, err
	}
	return leaf, nil
}
