package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// oldKeys returns the public keys that signed before.
func (o *Options) oldKeys() (keys []note.Verifier, err error) {
	for line := range strings.Lines(o.OldKeys) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		k, err := ParseKey(line)
		if err != nil {
			return nil, fmt.Errorf("old keys: %w", err)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// retiredFile is where the last checkpoint of a key is kept when another takes
// over.
func retiredFile(hash uint32) string { return fmt.Sprintf("%s.%08x", checkpointFile, hash) }

var isRetired = regexp.MustCompile(`^checkpoint\.[0-9a-f]{8}$`)

// retire keeps the newest checkpoint, if it was signed by one of the old keys and
// not by n's, before another is put in its place.
func (n *notary) retire(old []note.Verifier) error {
	if _, err := ParseCheckpoint(n.newest, n.key); err == nil {
		return nil
	}
	for _, k := range old {
		if _, err := ParseCheckpoint(n.newest, k); err == nil {
			return n.replace(filepath.Join(n.dir, retiredFile(k.KeyHash())), n.newest)
		}
	}
	return nil
}

// retired adds the last checkpoints of keys that were changed to what has to be
// met. Those of keys that are not trusted say nothing.
func (v *verifier) retired() error {
	entries, err := os.ReadDir(v.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !isRetired.MatchString(e.Name()) {
			continue
		}
		for _, k := range v.Keys {
			if e.Name() != retiredFile(k.KeyHash()) {
				continue
			}
			b, err := readAtMost(filepath.Join(v.dir, e.Name()), maxCheckpoint)
			var c Checkpoint
			if err == nil {
				c, err = ParseCheckpoint(b, k)
			}
			if err != nil {
				v.damages = append(v.damages, Damage{File: e.Name(), What: err.Error()})
				continue
			}
			v.known = append(v.known, c)
			v.survey.roots[c.Size] = tlog.Hash{}
		}
	}
	return nil
}
