package audit

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/sallyport-dev/gateway/protocol"
)

// A Checkpoint says what the first Size events of a journal are: Root is the
// root of the Merkle tree of RFC 6962 over them. Signed by the journal's key
// and kept elsewhere, it proves later that none of them was changed or removed,
// to whoever has the public key.
type Checkpoint struct {
	Origin string // name of the key, a slash, and the journal's random id
	Size   uint64
	Root   [32]byte
}

// checkpointFile is the newest checkpoint, as a signed note.
const checkpointFile = "checkpoint"

// maxCheckpoint bounds a signed note; cosignatures of witnesses have room.
const maxCheckpoint = 64 << 10

// text is the body of the note, in the form of c2sp.org/tlog-checkpoint.
func (c *Checkpoint) text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, base64.StdEncoding.EncodeToString(c.Root[:]))
}

// Journal returns the id of the journal that c is of.
func (c *Checkpoint) Journal() string { return c.Origin[strings.LastIndexByte(c.Origin, '/')+1:] }

func parseCheckpoint(text string) (c Checkpoint, err error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 4 || lines[len(lines)-1] != "" || lines[0] == "" {
		return c, errors.New("checkpoint: not in the form of c2sp.org/tlog-checkpoint")
	}
	c.Origin = lines[0]
	c.Size, err = strconv.ParseUint(lines[1], 10, 63)
	if err != nil || strconv.FormatUint(c.Size, 10) != lines[1] {
		return c, errors.New("checkpoint: the size is not a number")
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != len(c.Root) || base64.StdEncoding.EncodeToString(root) != lines[2] {
		return c, errors.New("checkpoint: the root is not a hash")
	}
	copy(c.Root[:], root)
	return c, nil
}

// ParseCheckpoint returns what signed, a signed note, says, if one of keys has
// signed it. Signatures of others may stand beside it.
func ParseCheckpoint(signed []byte, keys ...note.Verifier) (Checkpoint, error) {
	if len(signed) > maxCheckpoint {
		return Checkpoint{}, fmt.Errorf("checkpoint: %d bytes, more than %d", len(signed), maxCheckpoint)
	}
	n, err := note.Open(signed, note.VerifierList(keys...))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	c, err := parseCheckpoint(n.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	for _, s := range n.Sigs {
		if strings.HasPrefix(c.Origin, s.Name+"/") {
			return c, nil
		}
	}
	return Checkpoint{}, fmt.Errorf("checkpoint: of %q, and signed with the key of another", c.Origin)
}

// ReadUnsigned returns what a signed note says, whoever has signed it: for
// somebody who has checked that before.
func ReadUnsigned(signed []byte) (Checkpoint, error) {
	text, _, ok := strings.Cut(string(signed), "\n\n")
	if !ok || len(signed) > maxCheckpoint {
		return Checkpoint{}, errors.New("checkpoint: not a signed note")
	}
	return parseCheckpoint(text + "\n")
}

// ReadCheckpoint returns the newest checkpoint of the journal in dir, as a
// signed note. It is one of the files of the directory; keep copies elsewhere.
func ReadCheckpoint(dir string) ([]byte, error) {
	return readAtMost(filepath.Join(dir, checkpointFile), maxCheckpoint)
}

// NewKey makes a key for checkpoints, an Ed25519 key in the form of package
// note. The name says whose it is, such as "gateway.example.com"; the public
// half is for everybody who is to verify.
func NewKey(name string) (private protocol.Secret, public string, err error) {
	skey, vkey, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		return protocol.Secret{}, "", err
	}
	return protocol.NewSecret(skey), vkey, nil
}

// ParseKey returns the public half of a key as [NewKey] returns it.
func ParseKey(public string) (note.Verifier, error) {
	v, err := note.NewVerifier(strings.TrimSpace(public))
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", public, err)
	}
	return v, nil
}

// PublicKey returns the public half of private.
func PublicKey(private protocol.Secret) (string, error) {
	k, err := ed25519Of(private)
	if err != nil {
		return "", err
	}
	return k.public, nil
}
