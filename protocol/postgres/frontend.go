package postgres

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgproto3/v2"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/pgsql"
	"github.com/sallyport-dev/gateway/protocol/internal/serve"
	"github.com/sallyport-dev/gateway/protocol/internal/wire"
)

// front reads the client. Chunks are forwarded as they came, in one write; what
// is refused or put in is cut into the stretch.
type front struct {
	c *session
	r *wire.Reader

	start, i int         // Buffered()[start:i] is decided and not yet sent
	out      wire.Buffer // sent before that stretch
	need     int         // what Buffered must reach for progress
	pass     int         // bytes of a CopyData message that are still to come

	ops  []*protocol.Operation // decided since the last flush
	runs []*run

	segment  uint64        // Syncs sent; written under session.mu
	skipped  atomic.Uint64 // set by back: 1 + the segment that the target skips
	unsynced atomic.Bool   // extended messages since the last Sync, or what else ended their transaction
	busy     atomic.Bool   // something was read that may not be in the queue yet
	changed  bool          // something since the last Sync may hold locks until then
	full     bool          // too much was prepared when it was last looked at
	dropping bool          // a message was refused: the target skips to the next Sync
	copyRun  *run          // what CopyData belongs to
	bind     [][]byte
	parsed   parsed      // by the last Parse
	unparsed unparsed    // the Parse that a Bind waits with
	state    pgsql.State // of analyze; kept so that it is not made anew
	ended    int64       // changes of definitions that had before then
	version  int64       // of the catalog then, or an older one
	at       time.Time   // of then
}

// unparsed is a Parse that is decided about with the Bind behind it.
type unparsed struct {
	stmt *statement // nil: none
	msg  parseMsg
	n    int  // bytes of the message
	run  *run // of the Bind
}

func (f *front) init(c *session) {
	f.c = c
	f.r = wire.NewReader(c.client)
}

func (f *front) loop() error {
	for {
		if err := f.chunk(); err != nil {
			if errors.Is(err, serve.ErrGoodbye) {
				_ = f.flush()
			}
			return f.explain(err)
		}
		if err := f.flush(); err != nil {
			return f.explain(err)
		}
		f.r.Discard(f.i)
		f.start, f.i = 0, 0
		f.busy.Store(false)
		if f.c.draining.Load() {
			f.c.drain()
		}
		if err := f.r.Fill(f.need); err != nil {
			return err
		}
		f.busy.Store(true)
	}
}

// explain tells the client why the session ends, where the client may know.
func (f *front) explain(err error) error {
	var e *protocol.Fault
	if errors.As(err, &e) && e.Side != protocol.SideTarget {
		f.c.farewell(err)
	}
	return err
}

// clientMessages are the types of what a client sends once it has logged in.
var clientMessages = []byte{msgQuery, msgParse, msgBind, msgExecute, msgDescribe, msgClose, msgFunctionCall, msgFlush, msgSync, msgCopyData, msgCopyDone, msgCopyFail, msgTerminate}

// chunk handles every message that has been read whole.
func (f *front) chunk() error {
	for {
		b := f.r.Buffered()
		if f.pass > 0 {
			n := min(f.pass, len(b)-f.i)
			f.i += n
			if f.pass -= n; f.pass > 0 {
				f.need = 0
				return nil
			}
		}
		if len(b)-f.i < wire.HeaderLen {
			f.need = len(b) - f.i + 1
			return nil
		}
		limit := f.c.limit
		if b[f.i] == msgCopyData {
			limit = 1 << 30 // streamed; PostgreSQL's own limit
		}
		typ, n, err := wire.Frame(b[f.i:], limit)
		if err != nil {
			return &protocol.Fault{Side: protocol.SideClient, Code: codeLimitExceeded, Err: err,
				Msg: fmt.Sprintf("a message is malformed or longer than this gateway looks at, %d bytes", limit)}
		}
		if typ == msgCopyData && f.copyRun != nil && !f.dropped(typ) {
			f.copyRun.bytesIn.Add(int64(n - wire.HeaderLen))
			f.pass = n
			continue
		}
		if f.i+n > len(b) {
			f.need = n
			return nil
		}
		if err := f.message(typ, b[f.i:f.i+n]); err != nil {
			return err
		}
	}
}

// dropped reports whether the target would ignore a message of type typ, so
// that there is nothing to decide.
func (f *front) dropped(typ byte) bool {
	if typ == msgSync || typ == msgTerminate {
		return false
	}
	return f.dropping || f.skipping()
}

func (f *front) message(typ byte, frame []byte) error {
	if bytes.IndexByte(clientMessages, typ) < 0 {
		return &protocol.Fault{Side: protocol.SideClient, Code: codeProtocolViolation, Msg: "invalid frontend message type " + strconv.Itoa(int(typ))}
	}
	if f.dropped(typ) {
		f.drop(len(frame))
		return nil
	}
	if err := f.room(); err != nil {
		return err
	}
	if f.copyRun != nil {
		if err := f.afterCopy(typ); err != nil {
			return err
		}
		if f.dropped(typ) { // the COPY has failed, and the pipeline with it
			f.drop(len(frame))
			return nil
		}
	}
	body := frame[wire.HeaderLen:]
	switch typ {
	case msgQuery:
		return f.commits(f.query(frame, body))
	case msgParse:
		return f.parse(frame, body)
	case msgBind:
		return f.bindMessage(frame, body)
	case msgExecute:
		return f.execute(frame, body)
	case msgDescribe:
		return f.describe(frame, body)
	case msgClose:
		return f.close(frame, body)
	case msgFunctionCall:
		return f.commits(f.functionCall(frame, body))
	case msgFlush:
		switch {
		case len(body) == 0:
			f.keep(len(frame))
		case f.copyRun != nil: // among COPY data the target does not look at it
			f.replace(len(frame), encode(&pgproto3.Flush{}))
		default:
			return f.malformed(msgFlush, frame, errLong)
		}
		return nil
	case msgSync:
		f.sync(len(frame))
		return nil
	case msgCopyData: // nothing copies: the target would ignore it
		f.drop(len(frame))
		return nil
	case msgCopyDone, msgCopyFail:
		if f.copyRun == nil {
			f.drop(len(frame))
			return nil
		}
		if !f.copyRun.unread() { // else it may hold another
			f.copyRun = nextCopy(f.copyRun.next)
		}
		f.c.mu.Lock()
		if f.c.q.len() > 0 { // else the COPY has failed before
			f.c.q.push(entry{kind: entryCopyEnd})
		}
		f.c.copying = nil
		f.c.mu.Unlock()
		f.keep(len(frame))
		return nil
	}
	f.keep(len(frame)) // Terminate
	return serve.ErrGoodbye
}

// afterCopy waits until it is known whether the target reads COPY data when a
// request comes that has no place among them. If it does, the target would take
// the request for an error in the data and answer something else than was
// asked, so the session ends. If not, nothing copies any more.
func (f *front) afterCopy(typ byte) error {
	switch typ {
	case msgCopyData, msgCopyDone, msgCopyFail, msgFlush, msgSync, msgTerminate:
		return nil
	}
	copying := false
	err := f.await(func() bool {
		copying = f.c.copying != nil
		return copying
	})
	if err == nil && copying {
		err = &protocol.Fault{Side: protocol.SideClient, Code: codeProtocolViolation,
			Msg: fmt.Sprintf("unexpected message type 0x%02X during COPY from stdin", typ)}
	}
	f.copyRun = nil
	return err
}

// commits notes that a Query or FunctionCall, unless err keeps it from being sent, ends
// the transaction of the pipeline that it stands in, as a Sync would.
func (f *front) commits(err error) error {
	if err == nil {
		f.changed = false
		f.unsynced.Store(false)
	}
	return err
}

// skipping reports whether the target skips what is sent up to the next Sync. It is for
// front, or for whoever holds session.mu.
func (f *front) skipping() bool { return f.skipped.Load() == f.segment+1 }

// keep forwards the next n bytes as they are.
func (f *front) keep(n int) { f.i += n }

// cut moves the decided stretch to out, so that something can follow it that is
// not in the buffer.
func (f *front) cut() {
	if f.start < f.i {
		f.out.Append(f.r.Buffered()[f.start:f.i])
	}
	f.start = f.i
}

// drop forwards nothing in place of the next n bytes.
func (f *front) drop(n int) {
	f.cut()
	f.i += n
	f.start = f.i
}

// replace forwards b in place of the next n bytes.
func (f *front) replace(n int, b []byte) {
	f.cut()
	f.out.Append(b)
	f.i += n
	f.start = f.i
}

// insert forwards b before the next bytes.
func (f *front) insert(b []byte) {
	f.cut()
	f.out.Append(b)
}

// flush makes the records of what was decided safe and sends it.
func (f *front) flush() error {
	stretch := f.r.Buffered()[f.start:f.i]
	if len(stretch) == 0 && len(f.out.B) == 0 {
		return nil
	}
	if len(f.ops) > 0 {
		if err := f.c.ps.Commit(f.c.ps.Context(), protocol.BeforeSend, f.ops); err != nil {
			for _, r := range f.runs {
				r.end(protocol.Outcome{Status: protocol.StatusError, Err: err})
			}
			f.forget()
			return &protocol.Fault{Side: protocol.SideGateway, Code: codeIOError, Msg: "the audit record cannot be written, so nothing may run", Err: err}
		}
	}
	b := stretch
	if len(f.out.B) > 0 {
		f.out.Append(stretch)
		b = f.out.B
	}
	_, err := f.c.running().conn.Write(b)
	f.out.Reset()
	f.start = f.i
	if err != nil {
		return &protocol.Fault{Side: protocol.SideTarget, Code: codeConnectionFailure, Msg: "the target closed the connection", Err: err}
	}
	f.forget()
	return nil
}

func (f *front) forget() {
	clear(f.ops)
	clear(f.runs)
	f.ops, f.runs = f.ops[:0], f.runs[:0]
}

func (f *front) push(e entry) {
	f.c.mu.Lock()
	f.c.q.push(e)
	f.c.mu.Unlock()
}

// room waits while too many answers are outstanding.
func (f *front) room() error {
	c := f.c
	c.mu.Lock()
	full := c.q.len() >= maxPending
	c.mu.Unlock()
	if !full {
		return nil
	}
	if err := f.flush(); err != nil {
		return err
	}
	return c.wait(func() bool { return c.q.len() < maxPending })
}

// wait waits until done, which is called with mu held, is true or the session
// has ended, and returns why it has.
func (c *session) wait(done func() bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !done() && c.ended == nil && !terminates(c.front.r.Buffered()[c.front.i:]) {
		c.lookout.Start()
		defer c.lookout.Stop()
	}
	for !done() && c.ended == nil {
		c.changed.Wait()
	}
	if c.gone {
		return errGone
	}
	return c.ended
}

// await sends what was decided and waits until enough, which is called with mu
// held, is true, or the target has answered everything or skips the rest of the
// pipeline.
func (f *front) await(enough func() bool) error {
	if f.unsynced.Load() {
		f.insert(encode(&pgproto3.Flush{}))
	}
	if err := f.flush(); err != nil {
		return err
	}
	return f.c.wait(func() bool {
		return enough != nil && enough() || f.c.q.len() == 0 || f.skipping()
	})
}
