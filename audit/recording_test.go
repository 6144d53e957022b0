package audit

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
)

// recordShell lets s1 record a shell in dir, with n lines of output, and end it if
// told so.
func recordShell(t *testing.T, j *Journal, dir string, d Detail, n int, end bool) *Asciicast {
	t.Helper()
	a := newActor(t, j, "s1")
	c := a.op(protocol.Connect, "")
	c.Decide(protocol.Allow("x"), nil)
	_, err := j.Record(&protocol.Event{Kind: protocol.Decided, Session: a.s, Op: c, Decision: protocol.Allow("x")}, d)
	require.NoError(t, err)
	cast, err := CreateAsciicast(dir, a.op("shell", ""), 64<<20, j)
	require.NoError(t, err)
	for range n {
		require.NoError(t, cast.Output([]byte(strings.Repeat("secret ", 50)+"\r\n"), false))
	}
	if end {
		require.NoError(t, cast.Close(protocol.Outcome{Status: protocol.StatusOK, Code: "0"}))
	}
	return cast
}

// settle waits until the journal has all chunks that have ended.
func settle(a *Asciicast) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.log.writing {
		a.log.changed.Wait()
	}
}

func TestRecordingsAreInTheJournal(t *testing.T) {
	jdir, dir := t.TempDir(), t.TempDir()
	j := openTest(t, jdir, Options{})
	recordShell(t, j, dir, Detail{}, 8000, true) // nearly three chunks
	require.NoError(t, j.Close())
	var chunks []*Recording
	for _, e := range events(t, jdir) {
		if e.Kind == RecordingChunk {
			require.Equal(t, "s1", e.Session)
			require.EqualValues(t, "u-17", e.Identity.Subject)
			chunks = append(chunks, e.Recording)
		}
	}
	require.Len(t, chunks, 3)
	require.True(t, chunks[2].Last)
	told := uint64(0)
	rep, err := Trust{Recordings: dir, Progress: func(n uint64) { told = n }}.Verify(t.Context(), jdir)
	require.Positive(t, told)
	require.NoError(t, err)
	require.Equal(t, &RecordingReport{Whole: 1}, rep.Recordings)

	path := filepath.Join(dir, "s1", "2.cast")
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	for name, bad := range map[string][]byte{
		"a bit":    append(append(bytes.Clone(good[:1<<20]), good[1<<20]^1), good[1<<20+1:]...),
		"cut":      good[:len(good)-1],
		"longer":   append(bytes.Clone(good), "[0, \"o\", \"forged\"]\n"...),
		"nothing":  {},
		"replaced": bytes.Repeat([]byte("x"), len(good)),
	} {
		require.NoError(t, os.WriteFile(path, bad, 0o600))
		r, bad := verifyRecordings(t, jdir, dir)
		require.Len(t, r.Damages, 1, name)
		require.Equal(t, r.Damages, bad)
		require.Zero(t, r.Whole)
	}
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "s1", "3.cast"), good, 0o600))
	r, bad := verifyRecordings(t, jdir, dir)
	require.Empty(t, bad)
	require.Equal(t, RecordingReport{Missing: []string{"s1/2.cast"}, Unknown: []string{"s1/3.cast"}}, r)
}

// verifyRecordings returns what is found, and the damages that the error names.
func verifyRecordings(t *testing.T, jdir, dir string) (RecordingReport, []Damage) {
	t.Helper()
	rep, err := Trust{Recordings: dir}.Verify(t.Context(), jdir)
	var d *DamageError
	if errors.As(err, &d) {
		return *rep.Recordings, d.Damages
	}
	require.NoError(t, err)
	return *rep.Recordings, nil
}

// A crash leaves what was recorded until then, as it was recorded.
func TestRecordingAfterACrash(t *testing.T) {
	jdir, dir := t.TempDir(), t.TempDir()
	j := openTest(t, jdir, Options{})
	cast := recordShell(t, j, dir, Detail{}, 10, false)
	cast.log.late() // five seconds without a word
	settle(cast)
	require.NoError(t, cast.Output([]byte("more"), false))
	require.NoError(t, j.Sync(t.Context(), j.End()))
	crash(j)
	require.NoError(t, openTest(t, jdir, Options{}).Close())
	r, _ := verifyRecordings(t, jdir, dir)
	require.Equal(t, RecordingReport{Open: 1}, r)
	path := filepath.Join(dir, "s1", "2.cast")
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	b[100] ^= 1
	require.NoError(t, os.WriteFile(path, b, 0o600))
	r, _ = verifyRecordings(t, jdir, dir)
	require.Len(t, r.Damages, 1)
}

func TestSealedRecording(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	jdir, dir := t.TempDir(), t.TempDir()
	j := openTest(t, jdir, Options{SealTo: id.Recipient().String()})
	recordShell(t, j, dir, Detail{Seal: true}, 20, true)
	path := filepath.Join(dir, "s1", "2.cast")
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NotContains(t, string(b), "secret")
	u := NewUnsealer(jdir, id)
	var clear bytes.Buffer
	require.NoError(t, u.Recording(&clear, bytes.NewReader(b), "s1", 2))
	require.Equal(t, 22, strings.Count(clear.String(), "\n"))
	require.Contains(t, clear.String(), `{"version":3,`)
	require.Contains(t, clear.String(), "secret secret")

	// A prefix plays; two lines that changed their places do not.
	clear.Reset()
	require.NoError(t, u.Recording(&clear, bytes.NewReader(b[:len(b)-5]), "s1", 2))
	require.Equal(t, 21, strings.Count(clear.String(), "\n"))
	lines := bytes.SplitAfter(b, []byte("\n"))
	lines[3], lines[4] = lines[4], lines[3]
	require.Error(t, u.Recording(&clear, bytes.NewReader(bytes.Join(lines, nil)), "s1", 2))
	require.Error(t, u.Recording(&clear, bytes.NewReader(b), "s1", 3))

	require.NoError(t, j.Sync(t.Context(), j.End()))
	r, _ := verifyRecordings(t, jdir, dir)
	require.Equal(t, 1, r.Whole, "what is hashed is what is in the file: no key is needed")
	require.NoError(t, os.Remove(filepath.Join(jdir, sealedDir, "s1.age")))
	require.ErrorIs(t, NewUnsealer(jdir, id).Recording(&clear, bytes.NewReader(b), "s1", 2), ErrErased)
}

// What the journal does not take is not recorded, and its operation ends.
func TestRecordingNeedsItsJournal(t *testing.T) {
	d := &faultyDisk{}
	j := openTest(t, t.TempDir(), Options{disk: d})
	cast := recordShell(t, j, t.TempDir(), Detail{}, 1, false)
	d.fail(func([]byte) (int, error) { return 0, syscall.EIO })
	require.Error(t, j.Flush(t.Context(), j.End()))
	cast.log.late()
	settle(cast)
	require.ErrorIs(t, cast.Output([]byte("x"), false), syscall.EIO)
	require.ErrorIs(t, cast.Close(protocol.Outcome{}), syscall.EIO)
}

// TestRecordingDoesNotWaitForTheDisk: whoever adds something goes on while the disk
// works, as far as is bounded; the journal has no chunk that is not durable.
func TestRecordingDoesNotWaitForTheDisk(t *testing.T) {
	jdir, dir := t.TempDir(), t.TempDir()
	j := openTest(t, jdir, Options{})
	cast := recordShell(t, j, dir, Detail{}, 0, false)
	began, release := make(chan struct{}, 100), make(chan error)
	sync := cast.log.sync
	cast.log.sync = func() error {
		began <- struct{}{}
		if err := <-release; err != nil {
			return err
		}
		return sync()
	}
	mib := bytes.Repeat([]byte("x"), 1<<20)
	for range maxBehind {
		require.NoError(t, cast.Output(mib, false))
	}
	<-began
	more := make(chan error)
	go func() { more <- cast.Output(mib, false) }()
	require.NoError(t, j.Flush(t.Context(), j.End()))
	for _, e := range events(t, jdir) {
		require.NotEqual(t, RecordingChunk, e.Kind, "its bytes are not durable")
	}
	select {
	case err := <-more:
		require.Fail(t, "more than may be behind", "%v", err)
	default:
	}
	release <- nil
	require.NoError(t, <-more)
	<-began
	go close(release)
	require.NoError(t, cast.Close(protocol.Outcome{Status: protocol.StatusOK}))
	require.ErrorIs(t, cast.Close(protocol.Outcome{}), os.ErrClosed)
	require.NoError(t, j.Close())
	r, _ := verifyRecordings(t, jdir, dir)
	require.Equal(t, RecordingReport{Whole: 1}, r)
}

// A disk that fails ends the recording, also one that no journal knows of.
func TestRecordingNeedsItsDisk(t *testing.T) {
	for name, j := range map[string]*Journal{"journal": openTest(t, t.TempDir(), Options{}), "none": nil} {
		op := &protocol.Operation{ID: 2, Session: &protocol.SessionInfo{ID: "s1", Identity: &protocol.Identity{Subject: "alice"}}}
		cast, err := CreateAsciicast(t.TempDir(), op, 64<<20, j)
		require.NoError(t, err)
		failed := make(chan struct{})
		cast.log.sync = func() error { defer close(failed); return syscall.EIO }
		require.NoError(t, cast.Output(bytes.Repeat([]byte("x"), 1<<20), false), name)
		<-failed
		require.ErrorIs(t, cast.Close(protocol.Outcome{}), syscall.EIO, name)
		require.Error(t, cast.Output([]byte("x"), false), name)
	}
}
