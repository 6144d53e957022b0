package audit

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/sallyport-dev/gateway/protocol"
)

// A Signer signs checkpoints, with a key that need not be on this machine: in an
// HSM, or in a key management service. [NewSigner] makes one of a crypto.Signer,
// which the libraries for those have. It also knows its own public half.
//
// Sign may take its time and may fail: events go on being recorded, and it is
// asked again each second. After a minute without a signature new operations are
// refused ([ErrUnsigned]) until there is one. It is called by one goroutine at a
// time; what has not answered within ten seconds counts as failed.
type Signer interface {
	note.Signer
	note.Verifier
}

// NewSigner returns a signer with an Ed25519 key that is elsewhere. The name is
// that of the gateway, as in [NewKey]. The public half, for everybody who is to
// verify, is what [SignerKey] returns.
func NewSigner(name string, key crypto.Signer) (Signer, error) {
	pub, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("signer: the key is a %T, and has to be one of Ed25519", key.Public())
	}
	public, err := note.NewEd25519VerifierKey(name, pub)
	if err != nil {
		return nil, fmt.Errorf("signer: %w", err)
	}
	v, err := note.NewVerifier(public)
	if err != nil {
		return nil, fmt.Errorf("signer: name %q: %w", name, err)
	}
	return &signer{v, key, public}, nil
}

// SignerKey returns the public half of a signer of [NewSigner], as [NewKey]
// returns that of a key.
func SignerKey(s Signer) (string, error) {
	k, ok := s.(*signer)
	if !ok {
		return "", fmt.Errorf("signer: %T is not one of NewSigner", s)
	}
	return k.public, nil
}

type signer struct {
	note.Verifier
	key    crypto.Signer
	public string
}

// Sign implements [note.Signer].
func (s *signer) Sign(msg []byte) ([]byte, error) {
	return s.key.Sign(rand.Reader, msg, crypto.Hash(0))
}

// ed25519Of reads a private key as [NewKey] makes it. Its errors do not tell of
// the key.
func ed25519Of(private protocol.Secret) (*signer, error) {
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
	k, err := NewSigner(s.Name(), ed25519.NewKeyFromSeed(seed[1:]))
	if err != nil {
		return nil, err
	}
	return k.(*signer), nil
}

// signer returns what signs, or nil.
func (o *Options) signer() (Signer, error) {
	switch {
	case o.Signer != nil && !o.Key.Empty():
		return nil, errors.New("key: there is a signer as well")
	case o.Signer != nil:
		return o.Signer, nil
	case !o.Key.Empty():
		return ed25519Of(o.Key)
	}
	return nil, nil
}

const (
	// signTime is how long a signer has for an answer.
	signTime = 10 * time.Second
	// maxUnsigned is how long new operations go on without a signature.
	maxUnsigned = time.Minute
)

// An unsignedError says that a signer did not sign.
type unsignedError struct{ error }

// Unwrap returns what the signer said.
func (e *unsignedError) Unwrap() error { return e.error }

// sign has c signed, and sees that it was by the key.
func (n *notary) sign(c *Checkpoint) ([]byte, error) {
	signed, err := n.ask(c)
	if err == nil {
		_, err = ParseCheckpoint(signed, n.key)
	}
	if err != nil {
		n.unsigned.CompareAndSwap(0, time.Now().UnixNano())
		return nil, &unsignedError{fmt.Errorf("the signer %s: %w", n.key.Name(), err)}
	}
	n.unsigned.Store(0)
	return signed, nil
}

func (n *notary) ask(c *Checkpoint) ([]byte, error) {
	if n.asked.Swap(true) {
		return nil, errors.New("it has not answered yet")
	}
	type answer struct {
		signed []byte
		err    error
	}
	done := make(chan answer, 1)
	go func() {
		var a answer
		defer func() {
			if v := recover(); v != nil {
				a.err = fmt.Errorf("panic: %v", v)
			}
			n.asked.Store(false)
			done <- a
		}()
		a.signed, a.err = note.Sign(&note.Note{Text: c.text()}, n.key)
	}()
	t := time.NewTimer(n.signTime)
	defer t.Stop()
	select {
	case a := <-done:
		return a.signed, a.err
	case <-t.C:
		return nil, fmt.Errorf("no answer within %s", n.signTime)
	}
}

// admit refuses when nothing was signed for too long.
func (n *notary) admit() error {
	if n == nil {
		return nil
	}
	since := n.unsigned.Load()
	if since == 0 {
		return nil
	}
	if d := time.Since(time.Unix(0, since)); d > n.maxUnsigned {
		return fmt.Errorf("%w: %s has not signed for %s", ErrUnsigned, n.key.Name(), d.Round(time.Second))
	}
	return nil
}
