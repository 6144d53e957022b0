package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/gateway/audit"
)

const playHelp = `
Plays what a step recordings has kept: a file in the format asciicast, version 2
or 3, or all recordings of a session, whose id is given as a whole or by its last
digits, as 'gateway tail' shows them. Of a session without recordings, such as one
of a database, the journal is played: what was asked for, when, what was decided and
what came of it; -statements plays that of any session. The error stream of a command without a
terminal goes to standard error. With -follow what is recorded is shown while it
is, of a session also the recordings that are still to come, until the command is
interrupted. Sealed recordings are played with -identity. Recordings that have gone
to a store ('audit archive') are played from there with -store. ` + storeHelp + `

What would make the terminal answer or change its settings (titles, clipboard,
questions) is left out, since whoever was recorded may have meant the viewer. With
-raw nothing is, and what was no text comes out byte for byte.

When it is interrupted it says with which -recording and -from it goes on there.
`

// maxEvent bounds a line of a recording: a chunk of 32 KiB of which each byte is
// escaped is a sixteenth of it.
const maxEvent = 4 << 20

// followEvery is how often a recording is looked at for more.
const followEvery = 200 * time.Millisecond

// A player plays one recording after the other.
type player struct {
	out, errs io.Writer
	speed     float64
	idle      time.Duration // longest pause
	from      time.Duration // how far into a recording pauses begin
	follow    bool
	unseal    *audit.Unsealer // nil: what is played is in the clear

	at time.Duration // how far into the recording it is
}

func (p *program) play(ctx context.Context, fs *flag.FlagSet, args []string) error {
	path := fs.String("config", defaultConfig, "the configuration `file` that names the directory of the recordings")
	dir := fs.String("dir", "", "the `directory` of the recordings")
	speed := fs.Float64("speed", 1, "play so many `times` as fast")
	idle := fs.Duration("idle", 0, "make no pause longer than this, such as 2s; 0 keeps all")
	begin := fs.Duration("from", 0, "show the first so much, such as 10m, without pauses; of a session, of the first recording that is played")
	number := fs.Int("recording", 1, "of a session, begin with the recording of this `number`")
	follow := fs.Bool("follow", false, "show what is there at once, and then what comes until the end")
	raw := fs.Bool("raw", false, "leave out nothing")
	statements := fs.Bool("statements", false, "play the journal of a session, not its recordings")
	identity := identityFlag(fs)
	journal := fs.String("journal", "", "the `directory` of the journal; by default that of the configuration")
	from := fs.String("store", "", "where the recordings are that are not here: dir:PATH or s3://BUCKET/PREFIX")
	rest, err := parse(fs, args, 1, 1)
	if err != nil {
		return err
	}
	if *number < 1 {
		return usagef("-recording must be 1 or more")
	}
	if *speed <= 0 || math.IsInf(*speed, 0) || math.IsNaN(*speed) || *idle < 0 {
		return usagef("-speed must be more than 0, and -idle not less")
	}
	pl := &player{out: p.stdout, errs: p.stderr, speed: *speed, idle: *idle, from: *begin, follow: *follow}
	if !*raw {
		pl.out, pl.errs = &tame{w: p.stdout}, &tame{w: p.stderr}
	}
	sh := &shelf{dir: *dir, config: *path}
	if *from != "" {
		if sh.store, err = storeOf(ctx, *from, *journal, *path); err != nil {
			return err
		}
	}
	casts, err := sh.casts(ctx, rest[0])
	if !isFile(rest[0]) && (*statements || errors.Is(err, errNoRecording)) {
		if *journal == "" {
			if *journal, err = stepDir(*path, "record"); err != nil {
				return fmt.Errorf("%w (name the journal with -journal)", err)
			}
		}
		lost := ""
		switch {
		case *statements:
		case sh.store != nil:
			lost = "neither in the folder nor in the store"
		default:
			lost = "not in the folder: it was moved to a store, from which -store plays it, or removed"
		}
		return p.playJournal(ctx, pl, *journal, rest[0], *identity, lost)
	}
	if err != nil {
		return err
	}
	whole := !isFile(rest[0]) // of a session, of which more may come
	if *identity != "" {
		if *journal == "" {
			if *journal, err = stepDir(*path, "record"); err != nil {
				return fmt.Errorf("%w (name the journal with -journal)", err)
			}
		}
		if pl.unseal, err = newUnsealer(*identity, *journal); err != nil {
			return err
		}
	}
	for i := *number - 1; ; i++ {
		for whole && *follow && i == len(casts) {
			if err := pause(ctx); err != nil {
				return nil // whoever watched has seen enough
			}
			if casts, err = sh.casts(ctx, rest[0]); err != nil {
				return err
			}
		}
		if i >= len(casts) {
			return nil
		}
		if len(casts) > 1 {
			if _, err := fmt.Fprintf(p.stderr, "%s[recording %d of %d: %s]\n", strings.Repeat("\n", min(i, 1)), i+1, len(casts), casts[i].name); err != nil {
				return err
			}
		}
		if err := pl.play(ctx, casts[i]); err != nil {
			if *follow && errors.Is(err, context.Canceled) {
				return nil
			}
			if ctx.Err() != nil {
				_, _ = fmt.Fprintf(p.stderr, "\n[interrupted: -recording %d -from %s goes on here]\n", i+1, pl.at.Truncate(time.Millisecond))
			}
			return err
		}
		pl.from = 0 // the next one is played from its begin
	}
}

// isFile reports whether arg names a recording's file, not a session.
func isFile(arg string) bool {
	return strings.ContainsRune(arg, os.PathSeparator) || strings.HasSuffix(arg, ".cast")
}

// play plays one recording.
func (pl *player) play(ctx context.Context, c cast) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f, err := pl.open(ctx, c)
	if err != nil {
		return err
	}
	defer f.Close()
	r := &lineReader{r: bufio.NewReaderSize(f, 64<<10)}
	line, err := r.next()
	if err != nil {
		return fmt.Errorf("%s: %w", c.name, noEOF(err))
	}
	var head struct{ Version int }
	if json.Unmarshal(line, &head) != nil || head.Version != 2 && head.Version != 3 {
		return fmt.Errorf("%s: this is no asciicast of version 2 or 3", c.name)
	}
	var at float64 // of the event before, in version 2
	pl.at = 0
	for n := 2; ; n++ {
		line, err := r.next()
		if err == io.EOF {
			return nil // the gateway was killed meanwhile, or still records
		}
		if err != nil {
			return fmt.Errorf("%s: line %d: %w", c.name, n, err)
		}
		if len(line) == 0 || line[0] == '#' { // a comment
			continue
		}
		var seconds float64
		var code, data string
		event := []any{&seconds, &code, &data}
		if err := json.Unmarshal(line, &event); err != nil || len(event) != 3 {
			return fmt.Errorf("%s: line %d: this is no event", c.name, n)
		}
		if head.Version == 2 {
			seconds, at = seconds-at, seconds
		}
		if err := pl.pass(ctx, seconds); err != nil {
			return err
		}
		switch code {
		case "o":
			_, err = io.WriteString(pl.out, data)
		case "O": // no text
			var b []byte
			if b, err = base64.StdEncoding.DecodeString(data); err != nil {
				return fmt.Errorf("%s: line %d: %w", c.name, n, err)
			}
			_, err = pl.out.Write(b)
		case "e":
			_, err = io.WriteString(pl.errs, data)
		case "m":
			_, err = fmt.Fprintf(pl.errs, "\n[%s]\n", oneLine(data, 200))
		case "x":
			_, err = fmt.Fprintf(pl.errs, "\n[ended: %s]\n", oneLine(data, 40))
			return err
		}
		if err != nil {
			return err
		}
	}
}

// open returns what is in a recording, in the clear. One that is followed has no
// end but that of ctx.
func (pl *player) open(ctx context.Context, c cast) (io.ReadCloser, error) {
	f, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	if pl.follow && !c.stored { // where nothing is added any more
		f = growing{ctx, f}
	}
	if pl.unseal == nil {
		return f, nil
	}
	session, command, err := recordingOf(c.name)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(errors.Join(pl.unseal.Recording(w, f, session, command), f.Close())) }()
	return r, nil
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// pass makes the pause before an event, unless that is before -from.
func (pl *player) pass(ctx context.Context, seconds float64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	at := pl.at + time.Duration(min(max(seconds, 0), math.MaxInt32)*float64(time.Second))
	if at > pl.from {
		if err := pl.wait(ctx, min(seconds, (at-pl.from).Seconds())); err != nil {
			return err
		}
	}
	pl.at = at
	return nil
}

// wait makes the pause before an event.
func (pl *player) wait(ctx context.Context, seconds float64) error {
	if pl.follow || seconds <= 0 {
		return ctx.Err()
	}
	if pl.idle > 0 {
		seconds = min(seconds, pl.idle.Seconds())
	}
	seconds = min(seconds/pl.speed, float64(math.MaxInt32)) // in a Duration
	t := time.NewTimer(time.Duration(seconds * float64(time.Second)))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// growing is a file to which more is added: reading waits at its end.
type growing struct {
	ctx context.Context
	f   io.ReadCloser
}

func (g growing) Close() error { return g.f.Close() }

func (g growing) Read(b []byte) (int, error) {
	for {
		n, err := g.f.Read(b)
		if n > 0 || err != io.EOF {
			return n, err
		}
		if err := pause(g.ctx); err != nil {
			return 0, err
		}
	}
}

// pause waits until it is worth looking again.
func pause(ctx context.Context) error {
	t := time.NewTimer(followEvery)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// A lineReader reads lines from what grows.
type lineReader struct {
	r    *bufio.Reader
	part []byte
}

// next returns a line without its end, valid until the next call, and io.EOF for
// one that is not there as a whole.
func (l *lineReader) next() ([]byte, error) {
	if n := len(l.part); n > 0 && l.part[n-1] == '\n' {
		l.part = l.part[:0]
	}
	for {
		b, err := l.r.ReadSlice('\n')
		if l.part = append(l.part, b...); len(l.part) > maxEvent {
			return nil, errors.New("the line is too long")
		}
		switch err {
		case nil:
			return l.part[:len(l.part)-1], nil
		case bufio.ErrBufferFull:
		default:
			return nil, err
		}
	}
}

// A tame passes text for a terminal on, without what makes the terminal answer or
// change anything but what it shows.
type tame struct {
	w     io.Writer
	state tameState
	seq   []byte
}

type tameState uint8

const (
	tameText   tameState = iota
	tameEscape           // behind ESC
	tameCSI              // a control sequence, kept until it is known which
	tameString           // a control string, which is left out
	tameEnd              // behind an ESC in it
)

// maxCSI bounds a control sequence: a longer one is none that terminals know.
const maxCSI = 256

// What changes only what is shown: escapes (the cursor, scrolling, tab stops and
// character sets), finals of control sequences, and the modes that sequences may set.
const (
	shownEscapes = "78DEHMNOno|}~()*+-./#"
	shownFinals  = "@ABCDEFGHIJKLMPSTXZ`abdefgmrsu"
)

var (
	shownModes   = []string{"4"}
	shownPrivate = []string{"5", "6", "7", "12", "25", "47", "69", "1047", "1048", "1049", "2026"}
)

// shows reports whether a control sequence does nothing but change what is shown. All
// that have something between the numbers and the final, and all private ones but
// modes, ask or set something.
func shows(seq []byte) bool {
	args, final := string(seq[2:len(seq)-1]), seq[len(seq)-1]
	args, private := strings.CutPrefix(args, "?")
	if strings.Trim(args, "0123456789;:") != "" {
		return false
	}
	modes := shownModes
	switch {
	case final != 'h' && final != 'l':
		return strings.IndexByte(shownFinals, final) >= 0 && (!private || final == 'J' || final == 'K') && (final != 'T' || !strings.Contains(args, ";"))
	case private:
		modes = shownPrivate
	}
	for m := range strings.SplitSeq(args, ";") {
		if !slices.Contains(modes, m) {
			return false
		}
	}
	return true
}

// Write implements io.Writer.
func (t *tame) Write(b []byte) (int, error) {
	out := make([]byte, 0, len(b))
	for _, r := range string(b) {
		c := byte(0x7f)
		if r < 0x80 {
			c = byte(r)
		}
		switch t.state {
		case tameText:
			switch {
			case r == 0x1b:
				t.state = tameEscape
			case r == 0x05 || r >= 0x80 && r < 0xa0: // a question, and what stands for ESC and a letter
			default:
				out = append(out, string(r)...)
			}
		case tameEscape:
			switch {
			case c == '[':
				t.state, t.seq = tameCSI, append(t.seq[:0], "\x1b["...)
			case strings.IndexByte("]PX^_", c) >= 0:
				t.state = tameString
			default:
				t.state = tameText
				switch {
				case strings.IndexByte(shownEscapes, c) >= 0:
					out = append(out, 0x1b, c)
				case r >= 0xa0: // a letter
					out = append(out, string(r)...)
				}
			}
		case tameCSI:
			t.seq = append(t.seq, c)
			switch {
			case c >= 0x40 && c <= 0x7e:
				if t.state = tameText; shows(t.seq) {
					out = append(out, t.seq...)
				}
			case c < 0x20 || c == 0x7f || len(t.seq) > maxCSI:
				t.state = tameText
			}
		case tameString:
			switch r {
			case 0x07, 0x9c, 0x18, 0x1a:
				t.state = tameText
			case 0x1b:
				t.state = tameEnd
			}
		case tameEnd:
			if t.state = tameString; c == '\\' {
				t.state = tameText
			}
		}
	}
	if _, err := t.w.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}
