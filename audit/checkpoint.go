package audit

import (
	"crypto/ed25519"
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

// journal returns the id of the journal that c is of.
func (c *Checkpoint) journal() string { return c.Origin[strings.LastIndexByte(c.Origin, '/')+1:] }

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
	k, err := parsePrivate(private)
	if err != nil {
		return "", err
	}
	return k.public, nil
}

type signingKey struct {
	note.Signer
	note.Verifier
	public string
}

// parsePrivate reads a private key. Its errors do not tell of the key.
func parsePrivate(private protocol.Secret) (*signingKey, error) {
	skey := strings.TrimSpace(private.Reveal())
	s, err := note.NewSigner(skey)
	if err != nil {
		return nil, errors.New("key: not a private key as NewKey makes it")
	}
	parts := strings.SplitN(skey, "+", 5) // base64 may hold the sign that parts them
	seed, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(seed) != 1+ed25519.SeedSize {
		return nil, errors.New("key: not an Ed25519 key")
	}
	public, err := note.NewEd25519VerifierKey(s.Name(), ed25519.NewKeyFromSeed(seed[1:]).Public().(ed25519.PublicKey))
	if err != nil {
		return nil, err
	}
	v, err := note.NewVerifier(public)
	if err != nil {
		return nil, err
	}
	return &signingKey{s, v, public}, nil
}

// Name returns the key's name, which both halves have.
func (k *signingKey) Name() string { return k.Signer.Name() }

// KeyHash returns the key's number, which both halves have.
func (k *signingKey) KeyHash() uint32 { return k.Signer.KeyHash() }

func (k *signingKey) sign(c *Checkpoint) ([]byte, error) {
	return note.Sign(&note.Note{Text: c.text()}, k.Signer)
}
