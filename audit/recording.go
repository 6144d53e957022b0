package audit

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// A Recording is a chunk of a recording's file.
type Recording struct {
	File   string `json:"file"` // <session>/<number>.cast
	From   int64  `json:"from"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // of these bytes, as they are in the file
	Last   bool   `json:"last,omitempty"`
}

// How large a chunk becomes, and how old.
const (
	maxChunk    = 1 << 20
	maxChunkAge = 5 * time.Second
)

// A recordingLog hashes a recording into a journal. Its recording's lock guards it.
type recordingLog struct {
	cast   *Asciicast
	j      *Journal
	event  Event // of each chunk, but for what is its own
	sealer *sealer
	lines  uint64

	sum   hash.Hash
	chunk Recording
	timer *time.Timer
	done  bool
}

func newRecordingLog(a *Asciicast, j *Journal, op *protocol.Operation) *recordingLog {
	s := op.Session
	e := Event{Kind: RecordingChunk, Session: s.ID, Command: op.ID, Target: &Target{Name: Text(s.Resource.Name), Protocol: Text(s.Resource.Protocol)}}
	if id := s.Identity; id != nil {
		e.Identity = &Identity{Issuer: Text(id.Issuer), Subject: Text(id.Subject), Kind: Text(id.Kind)}
	}
	l := &recordingLog{cast: a, j: j, event: e, sealer: j.session(s).sealer, sum: sha256.New()}
	l.chunk.File = fmt.Sprintf("%s/%d.cast", s.ID, op.ID)
	l.timer = time.AfterFunc(time.Hour, l.late)
	l.timer.Stop()
	return l
}

// seal returns line as it is written: if the session is sealed, as one line of
// base64 that fits at its place only.
func (l *recordingLog) seal(line []byte) []byte {
	if l.sealer == nil {
		return line
	}
	b := l.sealer.aead.Seal(nil, nil, line, []byte(recordingPlace(l.event.Session, l.event.Command, l.lines)))
	l.lines++
	return append(base64.StdEncoding.AppendEncode(nil, b), '\n')
}

func recordingPlace(session string, command, line uint64) string {
	return fmt.Sprintf("%s/%d/recording/%d", session, command, line)
}

// add notes a line that was written.
func (l *recordingLog) add(line []byte) error {
	l.sum.Write(line)
	if l.chunk.Size == 0 {
		l.timer.Reset(maxChunkAge)
	}
	if l.chunk.Size += int64(len(line)); l.chunk.Size < maxChunk {
		return nil
	}
	return l.flush(false)
}

// flush records the chunk, whose bytes are on stable storage then.
func (l *recordingLog) flush(last bool) error {
	l.timer.Stop()
	if l.chunk.Size == 0 && !last {
		return nil
	}
	if err := l.cast.f.Sync(); err != nil {
		return err
	}
	c := l.chunk
	c.SHA256, c.Last = hex.EncodeToString(l.sum.Sum(nil)), last
	e := l.event
	e.Recording = &c
	l.j.mu.Lock()
	err := l.j.room()
	if err == nil {
		err = l.j.appendEvent(e)
	}
	l.j.mu.Unlock()
	if err != nil {
		return err
	}
	l.sum.Reset()
	l.chunk.From, l.chunk.Size = c.From+c.Size, 0
	return nil
}

// late records a chunk to which nothing was added for a while.
func (l *recordingLog) late() {
	l.cast.mu.Lock()
	defer l.cast.mu.Unlock()
	if l.done || l.cast.err != nil {
		return
	}
	l.cast.err = l.flush(false) // the next who adds something is told
}

func (l *recordingLog) close() error {
	l.done = true
	return l.flush(true)
}

// A RecordingReport is what [VerifyRecordings] found.
type RecordingReport struct {
	Whole   int      // recordings that are there to their end
	Open    int      // that have no end yet, or whose gateway crashed: what is there is as it was recorded
	Missing []string // of which there is no file: moved away, or removed
	Damages []Damage // what is not as it was recorded
}

// VerifyRecordings checks the recordings in dir against the journal in
// journalDir: each chunk that it knows, and that nothing is behind the last one
// but what a crash has left. A bad file does not keep others from being checked;
// the error is about the journal. Verify the journal first.
func VerifyRecordings(ctx context.Context, journalDir, dir string) (r RecordingReport, err error) {
	type state struct {
		next            int64
		closed, bad, no bool
	}
	files := map[string]*state{}
	err = Tail(ctx, journalDir, 0, false, func(e Event) error {
		c := e.Recording
		if c == nil {
			return nil
		}
		s := files[c.File]
		if s == nil {
			s = &state{}
			files[c.File] = s
		}
		if s.bad || s.no {
			return nil
		}
		what := ""
		switch err := checkChunk(dir, c); {
		case errors.Is(err, fs.ErrNotExist):
			s.no = true
			r.Missing = append(r.Missing, c.File)
		case err != nil:
			what = err.Error()
		case c.From != s.next:
			what = fmt.Sprintf("a chunk begins at %d, the one before it ends at %d", c.From, s.next)
		}
		if what != "" {
			s.bad = true
			r.Damages = append(r.Damages, Damage{File: c.File, Offset: c.From, What: what})
		}
		s.next, s.closed = c.From+c.Size, c.Last
		return nil
	})
	for name, s := range files {
		switch {
		case s.bad || s.no:
		case !s.closed:
			r.Open++
		default:
			if st, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name))); err != nil || st.Size() != s.next {
				r.Damages = append(r.Damages, Damage{File: name, Offset: s.next, What: "there are bytes behind the end"})
				continue
			}
			r.Whole++
		}
	}
	return r, err
}

func checkChunk(dir string, c *Recording) error {
	if !filepath.IsLocal(filepath.FromSlash(c.File)) || c.From < 0 || c.Size < 0 {
		return errors.New("the chunk is of no recording")
	}
	f, err := os.Open(filepath.Join(dir, filepath.FromSlash(c.File)))
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, io.NewSectionReader(f, c.From, c.Size))
	switch {
	case err != nil:
		return err
	case n < c.Size:
		return fmt.Errorf("%d bytes are missing", c.Size-n)
	case hex.EncodeToString(h.Sum(nil)) != c.SHA256:
		return errors.New("it is not what was recorded")
	}
	return nil
}

// maxLine bounds a line of a sealed recording.
const maxLine = 64 << 20

// Recording copies a sealed recording, as it is in its file, from r to w in the
// clear. What a crash has left behind the last whole line is left out.
func (u *Unsealer) Recording(w io.Writer, r io.Reader, session string, command uint64) error {
	s, err := u.sealer(session)
	if err != nil {
		return err
	}
	lines := bufio.NewReaderSize(r, 64<<10)
	for n := uint64(0); ; n++ {
		line, err := readLine(lines)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		b, err := base64.StdEncoding.DecodeString(line)
		if err == nil {
			b, err = s.aead.Open(nil, nil, b, []byte(recordingPlace(session, command, n)))
		}
		if err != nil {
			return fmt.Errorf("recording of session %s: line %d: %w", session, n+1, err)
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
}

// readLine returns the next whole line without its end.
func readLine(r *bufio.Reader) (string, error) {
	var b bytes.Buffer
	for {
		part, err := r.ReadSlice('\n')
		b.Write(part)
		if err == nil {
			return strings.TrimSuffix(b.String(), "\n"), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return "", err
		}
		if b.Len() > maxLine {
			return "", errors.New("a line that is too long")
		}
	}
}
