package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/sallyport-dev/gateway/protocol"
)

// An Asciicast is a recording of one operation's streams in a file, in the
// format asciicast v3 that asciinema and other players know. What was added is
// in the kernel when the method that added it returns, but for the begin of a
// character, which waits for its rest. It is safe for use by many goroutines.
//
// The events are "o" output, "i" input, "r" a resize, "m" a note and "x" the exit
// status, as the format has them; and three of its own, which players leave out: "e"
// for the error stream of a command without a terminal, "O" and "I" for output and
// input that are no text, in base64: without a terminal, what has a NUL in it. Texts
// are UTF-8: a run of bytes that are not becomes the replacement character.
type Asciicast struct {
	mu    sync.Mutex
	f     *os.File
	log   *recordingLog
	last  time.Time
	left  int64             // bytes that may still be added
	parts map[string][]byte // of each code: the begin of a character whose rest is to come
	line  []byte            // memory for the next
	full  bool
	shown bool // on a terminal

	failed error // what ended it before its end
	closed bool
}

// CreateAsciicast makes the recording of op, named after its session and number:
// dir/<session>/<number>.cast. max bounds the bytes that are recorded; what is
// beyond is noted, and left out. A recording that is there already is an error.
// It is made durable while it grows, in chunks of 1 MiB or 5 seconds, for which
// nobody waits until more than 8 MiB are behind; a disk that fails ends it.
//
// If j is not nil, what is recorded is hashed into it, chunk by chunk, as
// recording.chunk events, each behind its bytes: see [Trust.Recordings]. If j seals what clients send in
// op's session, it seals the recording too: see [Unsealer.Recording]. A journal
// that fails ends the recording.
func CreateAsciicast(dir string, op *protocol.Operation, max int64, j *Journal) (*Asciicast, error) {
	dir = filepath.Join(dir, op.Session.ID)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, strconv.FormatUint(op.ID, 10)+".cast"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	type term struct {
		Columns int    `json:"cols"`
		Rows    int    `json:"rows"`
		Type    string `json:"type,omitempty"`
	}
	head := struct {
		Version   int    `json:"version"`
		Term      term   `json:"term"`
		Timestamp int64  `json:"timestamp"`
		Title     string `json:"title"`
		Command   string `json:"command,omitempty"`
	}{3, term{80, 24, ""}, op.Started().Unix(), op.Session.Identity.Subject + " at " + op.Session.Resource.Name, op.Text}
	if t := op.Terminal; t != nil {
		head.Term.Type = t.Type
		if t.Columns > 0 && t.Rows > 0 {
			head.Term.Columns, head.Term.Rows = t.Columns, t.Rows
		}
	}
	a := &Asciicast{f: f, last: time.Now(), left: max, parts: map[string][]byte{}, shown: op.Terminal != nil}
	a.log = newRecordingLog(a, j, op)
	line, err := json.Marshal(head)
	if err == nil {
		err = a.write(append(line, '\n'))
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return a, nil
}

// Output adds what the target sent; errors says that it was on the error stream.
func (a *Asciicast) Output(b []byte, errors bool) error {
	if errors {
		return a.add("e", b)
	}
	return a.add("o", b)
}

// Input adds what the client sent.
func (a *Asciicast) Input(b []byte) error { return a.add("i", b) }

// Bytes adds what went over a connection that nobody reads as a text, as it is; in
// says that the client sent it.
func (a *Asciicast) Bytes(b []byte, in bool) error {
	defer a.lock()()
	if ok, err := a.takes(len(b)); !ok {
		return err
	}
	code := "O"
	if in {
		code = "I"
	}
	return a.event(code, b)
}

// Resize notes a new size of the terminal.
func (a *Asciicast) Resize(columns, rows int) error {
	defer a.lock()()
	size := fmt.Appendf(nil, "%dx%d", columns, rows)
	if ok, err := a.takes(len(size)); !ok {
		return err
	}
	return a.event("r", size)
}

// lock locks a for whoever adds something, and returns what unlocks it.
func (a *Asciicast) lock() (unlock func()) {
	a.mu.Lock()
	a.log.wait()
	return a.mu.Unlock
}

// err returns why nothing can be added. The caller holds mu.
func (a *Asciicast) err() error {
	if a.failed == nil && a.closed {
		return os.ErrClosed
	}
	return a.failed
}

func (a *Asciicast) add(code string, b []byte) error {
	defer a.lock()()
	if ok, err := a.takes(len(b)); !ok {
		return err
	}
	part := a.parts[code]
	if len(part) > 0 {
		b = append(part, b...)
		part = b // has grown
	}
	if code != "e" && !a.shown && bytes.IndexByte(b, 0) >= 0 {
		a.parts[code] = part[:0]
		return a.event(map[string]string{"o": "O", "i": "I"}[code], b)
	}
	n := whole(b)
	err := a.err()
	if n > 0 {
		err = a.event(code, b[:n])
	}
	a.parts[code] = append(part[:0], b[n:]...)
	return err
}

// takes reports whether n more bytes are to be recorded, and counts them.
func (a *Asciicast) takes(n int) (bool, error) {
	if a.full || n == 0 {
		return false, a.err()
	}
	if int64(n) > a.left {
		a.full = true
		return false, a.event("m", []byte("the recording ends here: it has reached its limit"))
	}
	a.left -= int64(n)
	return true, nil
}

// whole returns how many bytes of b come before a character that is not there as
// a whole.
func whole(b []byte) int {
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if c := b[len(b)-i]; utf8.RuneStart(c) {
			if !utf8.FullRune(b[len(b)-i:]) {
				return len(b) - i
			}
			break
		}
	}
	return len(b)
}

// event writes one line; data of the codes "O" and "I" in base64. The caller holds
// mu.
func (a *Asciicast) event(code string, data []byte) error {
	if err := a.err(); err != nil {
		return err
	}
	now := time.Now()
	line := strconv.AppendFloat(append(a.line[:0], '['), now.Sub(a.last).Seconds(), 'f', 6, 64)
	line = append(append(append(line, `, "`...), code...), `", `...)
	if code == "O" || code == "I" {
		line = append(base64.StdEncoding.AppendEncode(append(line, '"'), data), '"')
	} else {
		line = appendReadable(line, data)
	}
	a.line = append(line, ']', '\n')
	if a.failed = a.write(a.line); a.failed == nil {
		a.last = now
	}
	return a.failed
}

// write writes one line. The caller holds mu, or is the only one.
func (a *Asciicast) write(line []byte) error {
	line = a.log.seal(line)
	_, err := a.f.Write(line)
	if err == nil {
		a.log.add(line)
	}
	return err
}

// Close ends the recording with how the operation ended and makes it durable.
// Whatever is added afterwards is an error.
func (a *Asciicast) Close(out protocol.Outcome) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return os.ErrClosed
	}
	for _, code := range []string{"o", "e", "i"} {
		if b := a.parts[code]; len(b) > 0 {
			_ = a.event(code, b) // is remembered
		}
	}
	status := out.Code
	if status == "" {
		status = string(out.Status)
	}
	_ = a.event("x", []byte(status)) // as well
	a.closed = true
	a.log.close()
	err := a.failed
	if cerr := a.f.Close(); err == nil {
		err = cerr
	}
	return err
}
