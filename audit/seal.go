package audit

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"filippo.io/age"

	"github.com/sallyport-dev/gateway/protocol"
)

// What is sealed of a session stands in its events as ciphertext, under a key of
// the session's own. That key is kept below "sealed" in the journal's directory,
// encrypted with age to the recipients that the journal was given; the gateway
// itself cannot read it again. Without the file nobody can: removing it erases
// what was sealed, and leaves every event, chain and proof as it was.
const sealedDir = "sealed"

// Errors about what is sealed.
var (
	// ErrErased says that the key to what is sealed is gone.
	ErrErased = errors.New("audit: it was erased")
	// ErrLegalHold says that what was to be erased has to be kept.
	ErrLegalHold = errors.New("audit: it is on legal hold")

	errOpen    = errors.New("it is open")
	errNotHeld = errors.New("it is not on legal hold")
)

// sealedFile is where the key of a session is. An id is made by the gateway; one
// that cannot be a file's name has none.
func sealedFile(dir, session, suffix string) (string, error) {
	if session == "" || len(session) > 200 || strings.ContainsAny(session, "/\\\x00") || session[0] == '.' {
		return "", fmt.Errorf("session %q has no name for a file", session)
	}
	return filepath.Join(dir, sealedDir, session+suffix), nil
}

// A sealer seals the values of one session.
type sealer struct {
	aead    cipher.AEAD
	commits []byte // the key of the commitments
}

// newSealer derives what a session needs from its key.
func newSealer(key []byte) (*sealer, error) {
	enc, err := hkdf.Key(sha256.New, key, nil, "sallyport audit seal v1", 32)
	if err != nil {
		return nil, err
	}
	commits, err := hkdf.Key(sha256.New, key, nil, "sallyport audit commit v1", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(enc)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &sealer{aead, commits}, nil
}

// commit binds a sealed value to its text: whoever is shown the key and a text
// can tell that it is what was recorded, and no other text fits.
func (s *sealer) commit(place, text string) []byte {
	h := hmac.New(sha256.New, s.commits)
	h.Write([]byte(place))
	h.Write([]byte{0})
	h.Write([]byte(text))
	return h.Sum(nil)
}

// append appends text as a sealed value. place says where it stands, so that it
// fits nowhere else.
func (s *sealer) append(dst []byte, place, text string) []byte {
	dst = append(dst, `{"sealed":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, s.aead.Seal(nil, nil, []byte(text), []byte(place)))
	dst = append(dst, `","commit":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, s.commit(place, text))
	return append(dst, `"}`...)
}

func (s *sealer) open(place string, v *Value) (string, error) {
	b, err := s.aead.Open(nil, nil, v.Sealed, []byte(place))
	if err != nil {
		return "", err
	}
	if !hmac.Equal(s.commit(place, string(b)), v.Commit) {
		return "", errors.New("what was sealed is not what was recorded")
	}
	return string(b), nil
}

// seal makes the key of session and keeps it, durably, before anything is
// sealed with it.
func (j *Journal) seal(session string) (*sealer, error) {
	recipients, err := age.ParseRecipients(strings.NewReader(j.opts.SealTo))
	if err != nil {
		return nil, fmt.Errorf("seal to: %w", err)
	}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	path, err := sealedFile(j.dir, session, ".age")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w, err := age.Encrypt(&b, recipients...)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(key); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	f, err := j.opts.disk.create(path) // never over another
	if err != nil {
		return nil, err
	}
	n, err := f.Write(b.Bytes())
	if err == nil && n < b.Len() {
		err = io.ErrShortWrite
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = j.opts.disk.syncDir(filepath.Dir(path))
	}
	if err != nil {
		return nil, err
	}
	return newSealer(key)
}

// openSealed makes the folder of the keys.
func (j *Journal) openSealed() error {
	if j.opts.SealTo == "" {
		return nil
	}
	if _, err := age.ParseRecipients(strings.NewReader(j.opts.SealTo)); err != nil {
		return fmt.Errorf("seal to: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(j.dir, sealedDir), 0o700); err != nil {
		return err
	}
	return j.opts.disk.syncDir(j.dir)
}

// An Unsealer opens what is sealed in a journal, with the private keys that it
// was sealed to. It may be used by many goroutines at once.
type Unsealer struct {
	dir  string
	keys []age.Identity

	mu   sync.Mutex
	last map[string]*sealer // a few sessions
}

// NewUnsealer returns an unsealer for the journal in dir.
func NewUnsealer(dir string, keys ...age.Identity) *Unsealer {
	return &Unsealer{dir: dir, keys: keys, last: map[string]*sealer{}}
}

// maxKeys bounds the keys that an unsealer remembers.
const maxKeys = 64

// Open replaces what is sealed in e by its text. [ErrErased] says that it was
// erased; e then stays as it is.
func (u *Unsealer) Open(e *Event) error {
	values := e.values()
	if !values.sealed() {
		return nil
	}
	s, err := u.sealer(e.Session)
	if err != nil {
		return fmt.Errorf("event %d: %w", e.Seq, err)
	}
	texts := make([]string, len(values))
	for i, v := range values {
		if v.value == nil || v.value.Sealed == nil {
			continue
		}
		if texts[i], err = s.open(sealPlace(e.Session, e.Command, v.name), v.value); err != nil {
			return fmt.Errorf("event %d: %s: %w", e.Seq, v.name, err)
		}
	}
	for i, v := range values {
		if v.value != nil && v.value.Sealed != nil {
			*v.value = Value{Text: Text(texts[i])}
		}
	}
	return nil
}

func (u *Unsealer) sealer(session string) (*sealer, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if s := u.last[session]; s != nil {
		return s, nil
	}
	path, err := sealedFile(u.dir, session, ".age")
	if err != nil {
		return nil, err
	}
	b, err := readAtMost(path, 64<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("session %s: %w", session, ErrErased)
	}
	if err != nil {
		return nil, err
	}
	r, err := age.Decrypt(bytes.NewReader(b), u.keys...)
	if err != nil {
		return nil, fmt.Errorf("session %s: %w", session, err)
	}
	key, err := io.ReadAll(io.LimitReader(r, 64))
	if err != nil || len(key) != 32 {
		return nil, fmt.Errorf("session %s: its key cannot be read: %w", session, errors.Join(err, errLeaf))
	}
	s, err := newSealer(key)
	if err != nil {
		return nil, err
	}
	if len(u.last) >= maxKeys {
		clear(u.last)
	}
	u.last[session] = s
	return s, nil
}

// sealPlace says where in a journal a value stands.
func sealPlace(session string, command uint64, name string) string {
	return fmt.Sprintf("%s/%d/%s", session, command, name)
}

type namedValue struct {
	name  string
	value *Value
}

type namedValues []namedValue

// values returns e's values that may be sealed.
func (e *Event) values() namedValues {
	a := e.Action
	if a == nil {
		return nil
	}
	vs := namedValues{{"text", a.Text}, {"behind", a.Behind}, {"rewritten", a.Rewritten}}
	for i := range a.Args {
		vs = append(vs, namedValue{fmt.Sprint("args/", i), a.Args[i].Value})
	}
	return vs
}

func (vs namedValues) sealed() bool {
	for _, v := range vs {
		if v.value != nil && v.value.Sealed != nil {
			return true
		}
	}
	return false
}

// Erase makes what is sealed of a session unreadable for good, and records who
// did so and why: first the record, durably, then the key. Copies of the key
// that somebody made elsewhere are not reached. A session that is open, or on
// legal hold, is refused.
func (j *Journal) Erase(ctx context.Context, session string, who *protocol.Identity, why string) error {
	path, err := sealedFile(j.dir, session, ".age")
	if err != nil {
		return err
	}
	hold, err := sealedFile(j.dir, session, ".hold")
	if err != nil {
		return err
	}
	j.holds.Lock()
	defer j.holds.Unlock()
	if _, err := os.Stat(hold); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("session %s: %w", session, ErrLegalHold), err)
	}
	if _, err := os.Stat(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("session %s: %w", session, ErrErased)
		}
		return err
	}
	open := false
	j.sessions.Range(func(k, _ any) bool {
		open = k.(*protocol.SessionInfo).ID == session
		return !open
	})
	if open {
		return fmt.Errorf("session %s: %w", session, errOpen)
	}
	if err := j.note(ctx, SealErased, session, who, why); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	return j.opts.disk.syncDir(filepath.Dir(path))
}

// Hold keeps what is sealed of a session from being erased until [Journal.Release],
// and records who asked for it and why.
func (j *Journal) Hold(ctx context.Context, session string, who *protocol.Identity, why string) error {
	path, err := sealedFile(j.dir, session, ".hold")
	if err != nil {
		return err
	}
	j.holds.Lock()
	defer j.holds.Unlock()
	key := strings.TrimSuffix(path, ".hold") + ".age"
	if _, err := os.Stat(key); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("session %s: %w, or nothing of it was ever sealed", session, ErrErased)
	} else if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := j.opts.disk.syncDir(filepath.Dir(path)); err != nil {
		return err
	}
	return j.note(ctx, SealHeld, session, who, why)
}

// Release ends a legal hold.
func (j *Journal) Release(ctx context.Context, session string, who *protocol.Identity, why string) error {
	path, err := sealedFile(j.dir, session, ".hold")
	if err != nil {
		return err
	}
	j.holds.Lock()
	defer j.holds.Unlock()
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("session %s: %w", session, errNotHeld)
	} else if err != nil {
		return err
	}
	if err := j.note(ctx, SealReleased, session, who, why); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	return j.opts.disk.syncDir(filepath.Dir(path))
}

// note records what somebody did to the journal, durably.
func (j *Journal) note(ctx context.Context, kind Kind, session string, who *protocol.Identity, why string) error {
	return j.own(ctx, Event{Kind: kind, Identity: identityOf(who), Journal: &About{Session: session, What: Text(why)}})
}

// own records an event of the journal's own that somebody caused, durably.
func (j *Journal) own(ctx context.Context, e Event) error {
	if err := j.admit(&protocol.Event{Kind: protocol.Decided, Decision: protocol.Decision{Effect: protocol.AllowEffect}}); err != nil {
		return err
	}
	j.mu.Lock()
	err := j.room()
	if err == nil {
		err = j.appendEvent(e)
	}
	p := Position(j.next)
	j.mu.Unlock()
	if err != nil {
		return err
	}
	return j.Sync(ctx, p)
}

// sealedJSON is a sealed value in JSON.
type sealedJSON struct {
	Sealed *[]byte `json:"sealed"`
	Commit []byte  `json:"commit"`
}

func (v *Value) unmarshalSealed(b []byte) error {
	var s sealedJSON
	if err := strictly(b, &s); err != nil {
		return err
	}
	if s.Sealed == nil || len(*s.Sealed) == 0 || len(s.Commit) != sha256.Size {
		return errors.New("a sealed value that is none")
	}
	*v = Value{Sealed: *s.Sealed, Commit: s.Commit}
	return nil
}

func (v *Value) marshalSealed() ([]byte, error) {
	return json.Marshal(sealedJSON{&v.Sealed, v.Commit})
}
