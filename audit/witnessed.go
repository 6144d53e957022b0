package audit

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// WitnessedFile is the file of a journal's directory that holds the newest
// checkpoint which enough witnesses have cosigned, as a signed note. Package
// witness gets them to do that.
const WitnessedFile = "checkpoint.witnessed"

// ReadWitnessed returns the newest checkpoint in dir that witnesses have cosigned.
func ReadWitnessed(dir string) ([]byte, error) {
	return readAtMost(filepath.Join(dir, WitnessedFile), maxCheckpoint)
}

// WriteWitnessed puts signed, a checkpoint with cosignatures, in the place of the
// one that dir has, durably.
func WriteWitnessed(dir string, signed []byte) error {
	f, err := os.CreateTemp(dir, WitnessedFile+".*.new")
	if err != nil {
		return err
	}
	if _, err = f.Write(signed); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, WitnessedFile))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return realDisk{}.syncDir(dir)
}

// A Witnessed says what witnesses have seen of a journal.
type Witnessed struct {
	Checkpoint
	By []string  // the names of those that have cosigned it
	At time.Time // the latest time that one of them says: their own clocks
}

// ParseWitnessed returns what signed says, if one of keys has signed it and at
// least quorum of witnesses have cosigned it. A witness counts once.
func ParseWitnessed(signed []byte, keys, witnesses []note.Verifier, quorum int) (w Witnessed, err error) {
	if w.Checkpoint, err = ParseCheckpoint(signed, keys...); err != nil {
		return w, err
	}
	n, err := note.Open(signed, note.VerifierList(witnesses...))
	var none *note.UnverifiedNoteError
	if err != nil && !errors.As(err, &none) {
		return w, fmt.Errorf("checkpoint: %w", err)
	}
	if n != nil {
		for _, s := range n.Sigs {
			w.By = append(w.By, s.Name)
			if t, ok := cosigned(s); ok && t.After(w.At) {
				w.At = t
			}
		}
	}
	if len(w.By) < quorum {
		return w, fmt.Errorf("checkpoint: of size %d has %d witnesses, want %d", w.Size, len(w.By), quorum)
	}
	return w, nil
}

// cosigned returns the time in a cosignature: behind the four bytes that name the
// key, eight of seconds (c2sp.org/tlog-cosignature).
func cosigned(s note.Signature) (time.Time, bool) {
	b, err := base64.StdEncoding.DecodeString(s.Base64)
	if err != nil || len(b) < 4+8+64 {
		return time.Time{}, false
	}
	return time.Unix(int64(binary.BigEndian.Uint64(b[4:])&(1<<63-1)), 0).UTC(), true
}

// quorum is how many witnesses v wants.
func (t *Trust) quorum() int {
	if t.Quorum > 0 {
		return t.Quorum
	}
	return len(t.Witnesses)
}

// witnessed reads what witnesses have seen, which is to be met like any other
// known checkpoint.
func (v *verifier) witnessed() error {
	switch {
	case len(v.Witnesses) == 0 && v.Quorum > 0:
		return errors.New("a quorum, and no witnesses")
	case len(v.Witnesses) == 0:
		return nil
	case len(v.Keys) == 0:
		return errors.New("witnesses say nothing without the public key of the journal")
	case v.quorum() > len(v.Witnesses):
		return fmt.Errorf("a quorum of %d, and %d witnesses", v.Quorum, len(v.Witnesses))
	}
	signed, err := ReadWitnessed(v.dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.New("no witness has seen this journal")
	}
	var w Witnessed
	if err == nil {
		w, err = ParseWitnessed(signed, v.Keys, v.Witnesses, v.quorum())
	}
	if err != nil {
		return v.damaged(Damage{File: WitnessedFile, What: err.Error()})
	}
	v.rep.Witnessed = &w
	v.known = append(v.known, w.Checkpoint)
	v.survey.roots[w.Size] = tlog.Hash{}
	return nil
}
