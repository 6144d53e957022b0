package audit

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"sync"
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

// How large a chunk becomes, and how old; and how many may wait for the disk.
const (
	maxChunk    = 1 << 20
	maxChunkAge = 5 * time.Second
	maxBehind   = 8
)

// A recordingLog makes a recording durable chunk by chunk, and hashes the chunks
// into a journal, while the recording goes on: whoever adds something waits for
// the disk only where maxBehind chunks do. The recording's lock guards it.
type recordingLog struct {
	cast   *Asciicast
	j      *Journal // nil: the recording is made durable only
	event  Event    // of each chunk, but for what is its own
	sealer *sealer
	lines  uint64
	sync   func() error // of the recording's file

	sum   hash.Hash
	chunk Recording
	timer *time.Timer

	behind  []Recording // that are not in the journal yet
	writing bool        // there is a goroutine that puts them there
	changed *sync.Cond  // one of both has
}

func newRecordingLog(a *Asciicast, j *Journal, op *protocol.Operation) *recordingLog {
	l := &recordingLog{cast: a, j: j, sync: a.f.Sync, changed: sync.NewCond(&a.mu)}
	l.timer = time.AfterFunc(time.Hour, l.late)
	l.timer.Stop()
	if j == nil {
		return l
	}
	s := op.Session
	l.event = Event{Kind: RecordingChunk, Session: s.ID, Command: op.ID, Target: &Target{Name: Text(s.Resource.Name), Protocol: Text(s.Resource.Protocol)}}
	if id := s.Identity; id != nil {
		l.event.Identity = &Identity{Issuer: Text(id.Issuer), Subject: Text(id.Subject), Kind: Text(id.Kind)}
	}
	l.sealer, l.sum = j.session(s).sealer, sha256.New()
	l.chunk.File = fmt.Sprintf("%s/%d.cast", s.ID, op.ID)
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
func (l *recordingLog) add(line []byte) {
	if l.sum != nil {
		l.sum.Write(line)
	}
	if l.chunk.Size == 0 {
		l.timer.Reset(maxChunkAge)
	}
	if l.chunk.Size += int64(len(line)); l.chunk.Size >= maxChunk {
		l.end(false)
	}
}

// end ends the chunk.
func (l *recordingLog) end(last bool) {
	l.timer.Stop()
	if l.chunk.Size == 0 && !last {
		return
	}
	c := l.chunk
	l.chunk.From, l.chunk.Size = c.From+c.Size, 0
	if c.Last = last; l.sum != nil {
		c.SHA256 = hex.EncodeToString(l.sum.Sum(nil))
		l.sum.Reset()
	}
	if l.behind = append(l.behind, c); !l.writing {
		l.writing = true
		go l.write()
	}
}

// wait returns when another chunk may wait for the disk.
func (l *recordingLog) wait() {
	for len(l.behind) >= maxBehind && l.writing {
		l.changed.Wait()
	}
}

// write records chunks until none is left, or one cannot be: whoever adds
// something next is told.
func (l *recordingLog) write() {
	l.cast.mu.Lock()
	defer l.cast.mu.Unlock()
	for len(l.behind) > 0 && l.cast.failed == nil {
		chunks := l.behind
		l.cast.mu.Unlock()
		err := protocol.Guard(func() error { return l.record(chunks) })
		l.cast.mu.Lock()
		if l.behind = l.behind[len(chunks):]; err != nil {
			l.cast.failed = err
		}
		l.changed.Broadcast()
	}
	l.writing = false
	l.changed.Broadcast()
}

// record puts chunks into the journal, whose bytes are on stable storage then.
func (l *recordingLog) record(chunks []Recording) error {
	if err := l.sync(); err != nil || l.j == nil {
		return err
	}
	l.j.mu.Lock()
	defer l.j.mu.Unlock()
	for _, c := range chunks {
		e := l.event
		e.Recording = &c
		if err := l.j.room(); err != nil {
			return err
		}
		if err := l.j.appendEvent(e); err != nil {
			return err
		}
	}
	return nil
}

// late ends a chunk to which nothing was added for a while.
func (l *recordingLog) late() {
	l.cast.mu.Lock()
	defer l.cast.mu.Unlock()
	if !l.cast.closed && l.cast.failed == nil {
		l.end(false)
	}
}

// close ends the last chunk, and returns when all are recorded.
func (l *recordingLog) close() {
	if l.cast.failed == nil {
		l.end(true)
	}
	l.timer.Stop()
	for l.writing {
		l.changed.Wait()
	}
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
