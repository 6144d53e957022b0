package audit

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/sallyport-dev/gateway/protocol"
)

// A distant key is a crypto.Signer as a library for an HSM or KMS has it: it
// answers from elsewhere, late, or not.
type distant struct {
	key    ed25519.PrivateKey
	broken atomic.Bool
	hangs  atomic.Pointer[chan struct{}]
	asked  atomic.Int64
}

func (d *distant) Public() crypto.PublicKey { return d.key.Public() }

func (d *distant) Sign(_ io.Reader, msg []byte, o crypto.SignerOpts) ([]byte, error) {
	d.asked.Add(1)
	if c := d.hangs.Load(); c != nil {
		<-*c
	}
	if d.broken.Load() {
		return nil, errors.New("the token is not there")
	}
	return d.key.Sign(nil, msg, o)
}

func newDistant(t *testing.T) (*distant, Signer, note.Verifier) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	d := &distant{key: key}
	s, err := NewSigner("gateway.example.com", d)
	require.NoError(t, err)
	public, err := SignerKey(s)
	require.NoError(t, err)
	v, err := ParseKey(public)
	require.NoError(t, err)
	return d, s, v
}

func TestSigner(t *testing.T) {
	d, s, public := newDistant(t)
	dir := t.TempDir()
	j := openTest(t, dir, Options{Signer: s})
	a := newActor(t, j, "s1")
	a.allow(a.connect())
	require.NoError(t, j.Close())
	rep, err := Trust{Keys: []note.Verifier{public}}.Verify(t.Context(), dir)
	require.NoError(t, err)
	require.Zero(t, rep.Unsigned())
	require.GreaterOrEqual(t, d.asked.Load(), int64(2))

	d.broken.Store(true)
	_, err = Open(dir, Options{Signer: s})
	require.ErrorContains(t, err, "the token is not there", "a gateway without its key does not start")
	key, _ := newTestKey(t)
	_, err = Open(t.TempDir(), Options{Signer: s, Key: key})
	require.Error(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	_, err = NewSigner("gateway.example.com", rsaKey)
	require.ErrorContains(t, err, "Ed25519")
	_, err = NewSigner("a name", d)
	require.Error(t, err)
}

// While the key is away events are recorded, for a while; then nothing new is
// let through, until it is back.
func TestSignerThatFails(t *testing.T) {
	d, s, public := newDistant(t)
	dir := t.TempDir()
	j := openTest(t, dir, Options{Signer: s})
	a := newActor(t, j, "s1")
	p := a.connect()
	d.broken.Store(true)
	_, err := j.Checkpoint(t.Context())
	require.ErrorContains(t, err, "the token is not there")
	require.NoError(t, j.Sync(t.Context(), a.allow(p)), "it goes on")
	j.notary.unsigned.Store(time.Now().Add(-maxUnsigned - time.Second).UnixNano()) // a minute later
	_, err = j.Record(typical(a.s), Detail{})
	require.ErrorIs(t, err, ErrUnsigned)
	d.broken.Store(false)
	signed, err := j.Checkpoint(t.Context())
	require.NoError(t, err)
	c, err := ParseCheckpoint(signed, public)
	require.NoError(t, err)
	require.EqualValues(t, j.End(), c.Size)
	_, err = j.Record(typical(a.s), Detail{})
	require.NoError(t, err)
	require.NoError(t, j.Close())
	_, err = Trust{Keys: []note.Verifier{public}}.Verify(t.Context(), dir)
	require.NoError(t, err)
}

// A failed signature is asked for again by itself.
func TestSignerIsAskedAgain(t *testing.T) {
	d, s, public := newDistant(t)
	dir := t.TempDir()
	j := openTest(t, dir, Options{Signer: s})
	a := newActor(t, j, "s1")
	d.broken.Store(true)
	p := a.allow(a.connect())
	before := d.asked.Load()
	require.Eventually(t, func() bool { return d.asked.Load() > before+1 }, time.Minute, pollEvery)
	d.broken.Store(false)
	require.Eventually(t, func() bool {
		c, err := ParseCheckpoint(must(ReadCheckpoint(dir)), public)
		return err == nil && c.Size >= uint64(p)
	}, time.Minute, pollEvery)
}

// A key that hangs holds neither events nor the end.
func TestSignerThatHangs(t *testing.T) {
	d, s, _ := newDistant(t)
	j := openTest(t, t.TempDir(), Options{Signer: s})
	j.notary.signTime = time.Millisecond
	hang := make(chan struct{})
	defer close(hang)
	d.hangs.Store(&hang)
	a := newActor(t, j, "s1")
	a.connect()
	require.NoError(t, j.Sync(t.Context(), j.End()))
	_, err := j.Checkpoint(t.Context())
	require.ErrorContains(t, err, "no answer")
	_, err = j.Checkpoint(t.Context())
	require.ErrorContains(t, err, "not answered yet", "questions do not pile up")
	require.NoError(t, j.Sync(t.Context(), j.End()))
	require.Error(t, j.Close())
}

// A signer whose key is not the one it says has signed nothing.
func TestSignerWithAnotherKey(t *testing.T) {
	_, s, _ := newDistant(t)
	other, _, _ := newDistant(t)
	s.(*signer).key = other
	_, err := Open(t.TempDir(), Options{Signer: s})
	require.ErrorContains(t, err, "the signer gateway.example.com")
}

// A key is changed: what the old one signed is held against the journal, at the
// change and for whoever verifies.
func TestKeyRotation(t *testing.T) {
	dir := t.TempDir()
	oldKey, oldPublic := newTestKey(t)
	signed(t, dir, oldKey, 30)
	last := must(ReadCheckpoint(dir))
	old := must(PublicKey(oldKey))
	_, s, public := newDistant(t)
	_, err := Open(dir, Options{Signer: s})
	require.ErrorContains(t, err, "old keys")

	j := openTest(t, dir, Options{Signer: s, OldKeys: "\n" + old + "\n"})
	require.NoError(t, j.Close())
	kept := filepath.Join(dir, retiredFile(oldPublic.KeyHash()))
	require.Equal(t, last, must(os.ReadFile(kept)))
	both := Trust{Keys: []note.Verifier{oldPublic, public}}
	rep, err := both.Verify(t.Context(), dir)
	require.NoError(t, err)
	require.Zero(t, rep.Unsigned())
	_, err = Trust{Keys: []note.Verifier{public}}.Verify(t.Context(), dir)
	require.NoError(t, err, "who knows the new key only verifies by that")
	_, err = Trust{Keys: []note.Verifier{oldPublic}}.Verify(t.Context(), dir)
	require.Error(t, err)

	// Again, and back on the way: the checkpoint is the new key's by now.
	j = openTest(t, dir, Options{Signer: s, OldKeys: old})
	require.NoError(t, j.Close())
	require.Equal(t, last, must(os.ReadFile(kept)))

	// Whoever has the new key cannot rewrite what the old one signed.
	b := must(os.ReadFile(kept))
	require.NoError(t, os.WriteFile(kept, []byte(strings.Replace(string(b), "\n", "x\n", 1)), 0o600))
	_, err = both.Verify(t.Context(), dir)
	var damage *DamageError
	require.ErrorAs(t, err, &damage)

	// Nor does a change go over a journal that is not what the old one signed.
	other := t.TempDir()
	signed(t, other, oldKey, 3)
	spoiled := must(os.ReadFile(filepath.Join(other, checkpointFile)))
	require.NoError(t, os.WriteFile(filepath.Join(dir, checkpointFile), spoiled, 0o600))
	_, err = Open(dir, Options{Signer: s, OldKeys: old})
	require.ErrorContains(t, err, "the checkpoint is of journal")
	_, err = Open(dir, Options{Signer: s, OldKeys: "nonsense"})
	require.ErrorContains(t, err, "old keys")
}

func TestOptionsWithSigners(t *testing.T) {
	_, s, _ := newDistant(t)
	_, other, _ := newDistant(t)
	require.True(t, Options{Signer: s}.same(Options{Signer: s}))
	require.False(t, Options{Signer: s}.same(Options{Signer: other}))
	require.False(t, Options{Signer: s}.same(Options{Key: protocol.NewSecret("x")}))
	require.False(t, Options{}.same(Options{Signer: s}))
}
