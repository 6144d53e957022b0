package ssh

import (
	"strings"
	"sync"
	"time"

	"github.com/hinshun/vt10x"

	"github.com/sallyport-dev/gateway/protocol"
)

// Line is the verb of a line that is typed into a shell, as far as the screen
// shows it. Its Text is what stands there when Enter is pressed.
const Line protocol.Verb = "line"

const (
	// maxScreen bounds a screen's rows and columns: what is beyond is not seen.
	maxScreen = 512
	// maxLine bounds a typed line in rows of the screen.
	maxLine = 64
	// echoQuiet is how long nothing has to come before the echo of what was typed
	// counts as complete, echoTime how long that is waited for.
	echoQuiet = 20 * time.Millisecond
	echoTime  = 500 * time.Millisecond
	// interrupt is what Ctrl-C sends: a shell forgets the line.
	interrupt = 3
)

// Lines follow what a person sees and types on a terminal, so that a line is asked
// about before the Enter behind it is sent. This is an aid: a program may show
// something else than it reads, and what runs may come from elsewhere.
type lines struct {
	c *channel

	mu     sync.Mutex
	screen vt10x.Terminal
	tabs   tabs
	part   []byte // the begin of a character
	last   time.Time
	typing bool
	prompt string // what stood before the line when it was begun

	sent bool // something was typed and its echo is not waited for yet; input side only
}

func newLines(c *channel, t *protocol.Terminal) *lines {
	l := &lines{c: c}
	l.reset(t.Columns, t.Rows)
	return l
}

// reset begins with an empty screen. A size that is not said is that of most.
func (l *lines) reset(columns, rows int) {
	if columns <= 0 || rows <= 0 {
		columns, rows = 80, 24
	}
	l.screen = vt10x.New(vt10x.WithSize(min(columns, maxScreen), min(rows, maxScreen)))
}

func (l *lines) resize(columns, rows int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.guard(func() {
		if columns > 0 && rows > 0 {
			l.screen.Resize(min(columns, maxScreen), min(rows, maxScreen))
		}
	})
}

// guard runs f. Where the emulation does not know what to do, the screen is empty
// from there on. The caller holds mu.
func (l *lines) guard(f func()) error {
	columns, rows := l.screen.Size()
	err := protocol.Guard(func() error { f(); return nil })
	if err != nil {
		l.reset(columns, rows)
	}
	return err
}

// output follows what the client gets to see.
func (l *lines) output(b []byte) {
	if len(b) == 0 { // a pause
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = time.Now()
	b = l.tabs.takeOut(append(l.part, b...))
	n := 0
	_ = l.guard(func() { n, _ = l.screen.Write(b) })
	l.part = nil
	if n < len(b) && len(b)-n < 4 {
		l.part = append(l.part, b[n:]...)
	}
}

// row returns a row of the screen without the blanks behind it, and whether it is
// full. The caller holds mu.
func (l *lines) row(y int) (string, bool) {
	columns, _ := l.screen.Size()
	var b strings.Builder
	full := false
	for x := range columns {
		r := l.screen.Cell(x, y).Char
		if r == 0 {
			r = ' '
		}
		full = r != ' '
		b.WriteRune(r)
	}
	return strings.TrimRight(b.String(), " "), full
}

// begin notes where a line begins that is typed now.
func (l *lines) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.typing {
		return
	}
	l.typing, l.prompt = true, ""
	_ = l.guard(func() {
		cur := l.screen.Cursor()
		text, _ := l.row(cur.Y)
		if r := []rune(text + strings.Repeat(" ", max(0, cur.X))); len(r) >= cur.X {
			l.prompt = string(r[:cur.X])
		}
	})
}

// end returns the line that was typed, "" for one that the screen does not show,
// such as a password, and for what is typed into a program of the whole screen.
func (l *lines) end() (line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.typing = false
	_ = l.guard(func() {
		if l.screen.Mode()&vt10x.ModeAltScreen != 0 {
			return
		}
		_, rows := l.screen.Size()
		cur := l.screen.Cursor().Y
		first := cur
		for y := cur; y >= 0 && y > cur-maxLine && l.prompt != ""; y-- {
			if text, _ := l.row(y); strings.HasPrefix(text+" ", l.prompt) {
				first = y
				break
			}
		}
		var b strings.Builder
		for y := first; y < rows; y++ {
			text, full := l.row(y)
			if y == first {
				text = strings.TrimPrefix(text+" ", l.prompt)
				text = strings.TrimSuffix(text, " ")
			}
			if full {
				b.WriteString(text)
			} else {
				b.WriteString(text)
				if y >= cur {
					break
				}
			}
		}
		line = strings.TrimSpace(b.String())
	})
	return line
}

// echo waits until what was typed stands on the screen, as far as one can tell.
func (l *lines) echo() {
	if !l.sent {
		return
	}
	l.sent = false
	begin := time.Now()
	for time.Since(begin) < echoTime {
		l.mu.Lock()
		last := l.last
		l.mu.Unlock()
		switch quiet := time.Since(last); {
		case last.Before(begin) && time.Since(begin) >= 5*echoQuiet: // no echo: a password
			return
		case !last.Before(begin) && quiet >= echoQuiet:
			return
		}
		select {
		case <-time.After(echoQuiet / 4):
		case <-l.c.ctx.Done():
			return
		}
	}
}

// input is a tap on what is typed: it asks about each line and returns what the
// target gets. What comes before an Enter is sent first, so that its echo shows.
func (l *lines) input(b []byte, _ bool) ([]byte, error) {
	out := make([]byte, 0, len(b))
	for _, ch := range b {
		if ch != '\r' && ch != '\n' {
			if len(out) == 0 || !l.sent {
				l.begin()
			}
			l.sent = true
			out = append(out, ch)
			continue
		}
		if len(out) > 0 {
			n, err := l.c.target.Write(out)
			l.c.bytesIn.Add(int64(n))
			if err != nil {
				return nil, nil // the target is gone, which is noticed elsewhere
			}
			out = out[:0]
		}
		l.echo()
		if text := l.end(); text != "" && !l.ask(text) {
			out = append(out, interrupt)
			continue
		}
		out = append(out, ch)
	}
	return out, nil
}

// ask asks about a line. A refusal is told on the terminal.
func (l *lines) ask(text string) bool {
	if len(text) > maxText {
		text = text[:maxText]
	}
	op := analyze(text)
	op.Verb, op.NoWait, op.State = Line, true, "typed into a shell" // nobody could take a line back that is held
	op.Access |= protocol.Execute
	x, err := l.c.s.ps.Begin(l.c.asking, op)
	if err == nil && op.Rewritten() != "" {
		err = protocol.ErrFixed
		x.End(protocol.Outcome{Status: protocol.StatusError, Err: err})
	}
	if err != nil {
		l.c.s.note(err)
		_, _ = l.c.stderr.Write([]byte("\r\n" + refusal(err, "\r\n")))
		return false
	}
	x.End(protocol.Outcome{Status: protocol.StatusOK, Tag: "typed"}) // what came of it is in the shell's own streams
	return true
}

// taps puts l behind the taps of a terminal: it sees what the client sees.
func (l *lines) taps(t *taps) {
	in, out := t.in, t.out
	t.in = func(b []byte, last bool) ([]byte, error) {
		if in != nil {
			var err error
			if b, err = in(b, last); err != nil {
				return nil, err
			}
		}
		return l.input(b, last)
	}
	t.out = func(b []byte, last bool) ([]byte, error) {
		if out != nil {
			var err error
			if b, err = out(b, last); err != nil {
				return nil, err
			}
		}
		l.output(b)
		return b, nil
	}
}
