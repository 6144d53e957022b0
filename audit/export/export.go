// Package export sends the events of a journal elsewhere: to a file, a syslog
// server, a webhook, to objects in a folder or a bucket; packages below it to an
// OTLP collector and to Parquet files.
//
// An [Exporter] reads the journal beside its writing and keeps in a file how far
// its [Sink] has got, so nobody waits for a sink, and a sink that is dead for a
// day gets everything afterwards. What it costs until then is the disk that the
// journal takes anyway, and at most two batches of memory. Events go at least
// once and in order; their number, with the journal's id, tells doubles.
//
// Statements, arguments and what stands behind them are left out unless
// [Exporter.Texts] says otherwise: they hold the data that the target keeps. An
// event that is larger than most sinks take is cut, and says so in its field
// "error"; the journal has the whole of it.
package export

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sallyport-dev/gateway/audit"
)

// A Sink takes events.
type Sink interface {
	// Send returns nil when the events are where they belong. After an error
	// all of them are sent again, unless it is a [RejectedError]. Origin is the
	// journal's id.
	Send(ctx context.Context, origin string, events []audit.Event) error
}

// A RejectedError says that a sink will never take these events, however often
// they are sent. They are sent in halves, down to single ones, and what is then
// rejected is kept in the file of rejected ones, and the next follow. When that
// file is full ([Exporter.MaxRejected]), they are tried again until somebody has
// looked at it.
type RejectedError struct {
	Err error

	// Some says that the sink has taken others of the same batch, which one
	// cannot tell: all are kept, and none is sent again.
	Some bool
}

// Error tells why.
func (e *RejectedError) Error() string { return "rejected: " + e.Err.Error() }

// Unwrap returns why.
func (e *RejectedError) Unwrap() error { return e.Err }

// A RetryError says that a sink is not to be asked again before some time has
// passed: what HTTP calls Retry-After.
type RetryError struct {
	Err   error
	After time.Duration
}

// Error tells why.
func (e *RetryError) Error() string { return e.Err.Error() }

// Unwrap returns why.
func (e *RetryError) Unwrap() error { return e.Err }

// An Exporter sends one journal's events to one sink.
type Exporter struct {
	Dir  string // of the journal
	Sink Sink

	// Cursor is the file that keeps how far the sink has got. Rejected events
	// are kept beside it, in Cursor + ".rejected".
	Cursor string

	Texts bool // sends statements and arguments as well
	Batch int  // events that are sent at once, at most: 100 if 0
	Bytes int  // about so many bytes of them, at most: 2 MiB if 0

	// Every is how long a batch waits to become full. 0 sends what is there,
	// after some milliseconds; a sink that makes a file of each batch wants minutes.
	Every time.Duration

	// MaxRejected bounds the file of rejected events, in bytes: 64 MiB if 0.
	MaxRejected int64

	// Progress, if not nil, is told the number of the next event, after each batch.
	Progress func(next uint64)

	Logger *slog.Logger // nil: slog.Default()

	wait  func(ctx context.Context, d time.Duration) error // nil: the clock's
	fsync func(dir string, from uint64) error              // nil: audit.Fsync
}

// A position is what a cursor file holds.
type position struct {
	Origin string `json:"origin"`
	Next   uint64 `json:"next"` // the number of the next event
}

// Run sends what the journal holds and the sink has not got. At the end it
// returns nil, or, if follow is true, waits for more until ctx ends. A sink that
// fails is tried again, less and less often, until ctx ends.
func (x *Exporter) Run(ctx context.Context, follow bool) error {
	if x.Batch <= 0 {
		x.Batch = 100
	}
	if x.Bytes <= 0 {
		x.Bytes = 2 << 20
	}
	if x.MaxRejected <= 0 {
		x.MaxRejected = 64 << 20
	}
	if x.Logger == nil {
		x.Logger = slog.Default()
	}
	if x.wait == nil {
		x.wait = wait
	}
	if x.fsync == nil {
		x.fsync = audit.Fsync
	}
	for {
		at, err := x.position()
		if err == nil {
			err = x.within(ctx, at)
		}
		if err != nil {
			return fmt.Errorf("export: %w", err)
		}
		err = x.batches(ctx, at.Next, follow, func(events []audit.Event) error { return x.send(ctx, &at, events) })
		var damage *audit.DamageError
		if errors.As(err, &damage) && damage.Damages[0].Next > at.Next {
			x.Logger.Error("export: events that cannot be read are left out", "from", at.Next, "next", damage.Damages[0].Next, "error", err)
			at.Next = damage.Damages[0].Next
			if err := x.keep(at); err != nil {
				return fmt.Errorf("export: %w", err)
			}
			continue
		}
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("export: %w", err)
		}
		return err
	}
}

// position reads the cursor, and sees that it is of this journal.
func (x *Exporter) position() (at position, err error) {
	for e, err := range audit.Events(x.Dir) {
		if err == nil && e.Journal != nil {
			at.Origin = e.Journal.Origin
		}
		break
	}
	b, err := os.ReadFile(x.Cursor)
	if errors.Is(err, fs.ErrNotExist) {
		return at, nil
	}
	if err != nil {
		return at, err
	}
	var was position
	if err := json.Unmarshal(b, &was); err != nil {
		return at, fmt.Errorf("cursor %s: %w", x.Cursor, err)
	}
	if at.Origin == "" && was.Next > 0 {
		return at, fmt.Errorf("cursor %s: it is of journal %q, and in %s there is none", x.Cursor, was.Origin, x.Dir)
	}
	if was.Origin != "" && was.Origin != at.Origin {
		return at, fmt.Errorf("cursor %s: it is of journal %q, this is %q: remove it to send all of this one", x.Cursor, was.Origin, at.Origin)
	}
	at.Next = was.Next
	return at, nil
}

// within sees that the journal has what was sent: one that was put back to an earlier
// state gives the numbers of what it has lost to other events, which would be left out.
func (x *Exporter) within(ctx context.Context, at position) error {
	for tries := 0; at.Next > 0; tries++ {
		end, err := audit.End(x.Dir)
		if err != nil || at.Next <= end {
			return err
		}
		if tries == 5 { // what is on its way to a segment may be missed once
			return fmt.Errorf("cursor %s: the sink has had all before event %d, and the journal ends before %d: it is an older state of it; remove the cursor to send all", x.Cursor, at.Next, end)
		}
		if err := x.wait(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// Next returns the number of the first event of the journal with that id that the
// exporter whose cursor is in file has not sent: what an archive must not take away yet.
func Next(file, origin string) (uint64, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	var at position
	if err := json.Unmarshal(b, &at); err != nil {
		return 0, fmt.Errorf("cursor %s: %w", file, err)
	}
	if at.Origin != origin {
		return 0, fmt.Errorf("cursor %s: it is of journal %q, not of %q", file, at.Origin, origin)
	}
	return at.Next, nil
}

// keep writes the cursor, durably.
func (x *Exporter) keep(at position) error {
	b, err := json.Marshal(at)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(x.Cursor+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(append(b, '\n')); err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), x.Cursor); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(x.Cursor))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// The first and the longest pause before a sink is tried again.
const (
	firstPause = time.Second
	maxPause   = time.Minute

	// maxRetryAfter bounds what a sink may ask for.
	maxRetryAfter = 15 * time.Minute
)

func (x *Exporter) send(ctx context.Context, at *position, events []audit.Event) error {
	if at.Origin == "" && events[0].Journal != nil {
		at.Origin = events[0].Journal.Origin
	}
	if err := x.fsync(x.Dir, events[0].Seq); err != nil {
		return err
	}
	if err := x.deliver(ctx, at.Origin, events); err != nil {
		return err
	}
	at.Next = events[len(events)-1].Seq + 1
	if err := x.keep(*at); err != nil {
		return err
	}
	if x.Progress != nil {
		x.Progress(at.Next)
	}
	return nil
}

// deliver returns when events are where they belong, or among the rejected ones.
func (x *Exporter) deliver(ctx context.Context, origin string, events []audit.Event) error {
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		err := x.Sink.Send(ctx, origin, events)
		var rejected *RejectedError
		if errors.As(err, &rejected) {
			if n := len(events) / 2; n > 0 && !rejected.Some {
				if err := x.deliver(ctx, origin, events[:n]); err != nil {
					return err
				}
				return x.deliver(ctx, origin, events[n:])
			}
			x.Logger.Error("export: the sink does not take these events; they are kept", "from", events[0].Seq, "events", len(events), "file", x.Cursor+".rejected", "error", err)
			err = x.reject(events)
		}
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		// Somewhat apart from other exporters, which may have failed at once.
		again := pause/2 + rand.N(pause)
		var retry *RetryError
		if errors.As(err, &retry) {
			again = max(again, min(retry.After, maxRetryAfter))
		}
		x.Logger.Warn("export: the sink failed", "next", events[0].Seq, "lag", time.Since(events[0].Time).Round(time.Second), "again_in", again, "error", err)
		if err := x.wait(ctx, again); err != nil {
			return err
		}
	}
}

// reject keeps events for somebody to look at.
func (x *Exporter) reject(events []audit.Event) error {
	f, err := OpenLines(x.Cursor + ".rejected")
	if err != nil {
		return err
	}
	if st, err := f.Stat(); err != nil || st.Size() >= x.MaxRejected {
		return errors.Join(err, f.Close(), fmt.Errorf("%s is full: look at what was rejected, and move the file away", f.Name()))
	}
	if err = writeLines(f, events, JSON, ""); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// A Format turns an event of the journal with that id into what a sink sends.
type Format func(origin string, e *audit.Event) ([]byte, error)

// JSON is the event as the journal has it.
func JSON(_ string, e *audit.Event) ([]byte, error) { return json.Marshal(e) }

// Lines is a sink that writes one line for each event, such as NDJSON. If w has a
// method Sync, an event is sent when that has returned. A pipe or a terminal has
// nothing to sync, and nobody says what was read of it: there an event counts as sent
// when it is in the pipe, and what is in it is lost with its reader (64 KiB on Linux,
// unless it was made larger). What must not be lost goes to a file, or to a sink that
// answers. A write that hangs, as to a pipe that nobody reads, holds [Exporter.Run] also
// when its context has ended.
//
// A line that could be written in part only is ended, and written again as a whole.
func Lines(w io.Writer, f Format) Sink { return &lines{w: w, format: f} }

// OpenLines opens a file for [Lines], or makes it, for its owner only. If its last
// line has no end, because whoever wrote it died meanwhile, that is ended first.
func OpenLines(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	cut := false
	if err == nil && st.Mode().IsRegular() && st.Size() > 0 {
		cut, err = endsWithin(path, st.Size())
	}
	if err == nil && cut {
		_, err = f.WriteString("\n")
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// endsWithin reports whether the last byte of a file of that size ends no line.
func endsWithin(path string, size int64) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var last [1]byte
	_, err = f.ReadAt(last[:], size-1)
	return last[0] != '\n', err
}

type lines struct {
	w      io.Writer
	format Format
	cut    bool // the last line that was written has no end
}

// Send implements [Sink].
func (l *lines) Send(_ context.Context, origin string, events []audit.Event) error {
	b, err := appendLines(nil, events, l.format, origin)
	if err != nil {
		return err
	}
	if l.cut {
		b = append([]byte{'\n'}, b...)
	}
	n, err := l.w.Write(b)
	if n = min(n, len(b)); n > 0 {
		l.cut = b[n-1] != '\n'
	}
	if err != nil {
		return err
	}
	if s, ok := l.w.(interface{ Sync() error }); ok {
		if err := s.Sync(); !errors.Is(err, syscall.EINVAL) { // a pipe or a terminal has nothing to sync
			return err
		}
	}
	return nil
}

func writeLines(w io.Writer, events []audit.Event, f Format, origin string) error {
	b, err := appendLines(nil, events, f, origin)
	if err == nil {
		_, err = w.Write(b)
	}
	return err
}

func appendLines(b []byte, events []audit.Event, f Format, origin string) ([]byte, error) {
	for i := range events {
		line, err := f(origin, &events[i])
		if err != nil {
			return nil, &RejectedError{Err: err}
		}
		b = append(append(b, line...), '\n')
	}
	return b, nil
}
