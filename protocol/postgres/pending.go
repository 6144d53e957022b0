package postgres

import (
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/pgcopy"
	"github.com/sallyport-dev/gateway/protocol/internal/pgsql"
)

// A run is one operation while it passes: asked for on the client's side,
// answered on the target's.
type run struct {
	op   protocol.Operation
	stmt *pgsql.Statement // nil for function calls and the like
	next *run             // the next statement of the same Query

	basis   basis
	chained bool    // it is one of several of a Query
	portal  portal  // that its Bind opens
	cursor  *portal // that it reads from by name

	committed  atomic.Bool  // its record survives a crash: results may be released
	bytesIn    atomic.Int64 // COPY data from the client
	sent       bool         // under session.mu: it is under way
	tapped     bool         // its messages are shown to taps
	unsure     bool         // under session.mu: the tracker counts it
	changes    bool         // under session.mu: it is one of session.changers
	gave       *statement   // under session.mu: what a name of SQL means by it
	gavePortal *portal

	// The target's side only.
	tag       string // what the target said, while more may follow
	lasting   bool   // it has completed, and is one of back.lasting
	took      time.Duration
	proven    bool // the target has read it as it was decided about
	announced bool // the taps know the columns of the current result
	rows      protocol.RowFunc
	sampling  *protocol.Sampling // nil: rows are not held
	copied    *pgcopy.Rewriter   // shows the rows of a COPY to rows
	bytes     protocol.BytesFunc
	count     int64 // rows
	out       int64 // bytes of rows and COPY data
	copyIn    bool  // the target has asked for COPY data
	copyOut   bool  // it has announced some
	touched   bool  // is in the list for the next commit
}

func (r *run) x() *protocol.Exchange { return r.op.Exchange() }

// looksAtRows reports whether a step looks at the rows of r's result. Those of what
// should have none end the session without a description.
func (r *run) looksAtRows() bool { return r.op.Shape&protocol.Rows != 0 && r.x().WantsRows() }

// opens reports whether r may leave locks, or a transaction open, until
// something later ends it.
func (r *run) opens() bool {
	return !r.op.Pure || r.stmt != nil && r.stmt.Effect.Has(pgsql.TxBegin)
}

// unread reports whether the target may see more statements in the text of r, the last
// of a Query, than the analysis did.
func (r *run) unread() bool { return r.next == nil && r.op.Access.Has(protocol.Opaque) }

// maxArgs is for how many arguments memory is kept.
const maxArgs = 16

// maxOver is how many runs a session keeps for the next: as many as a client that
// prepares each statement needs at once.
const maxOver = 2

// blank returns a run to fill: one that is over, whose memory is warm, or a new
// one.
func (c *session) blank() *run {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.over) > 0 && c.ended == nil {
		r := c.over[len(c.over)-1]
		c.over = c.over[:len(c.over)-1]
		if r.portal.pending == 0 { // else a request found it just before it was over
			return r
		}
	}
	return &run{}
}

// spend notes that r is over, so that it can be used again as soon as what it
// gave is released. It is for runs that nothing refers to any more but what the
// client's side has at hand. The caller holds mu.
func (bk *back) spend(r *run) {
	if r != nil && !r.chained && r.op.Pure && r.stmt != nil && r.stmt.Effect.Flags == 0 && len(r.op.Grants()) == 0 && r.portal.pending == 0 {
		bk.spent = append(bk.spent, r)
	}
}

// end ends the operation with what has been counted so far, unless that is for the end
// of its transaction to say.
func (r *run) end(out protocol.Outcome) {
	if r.lasting {
		return
	}
	if out.Rows == 0 {
		out.Rows = r.count
	}
	out.Bytes = r.out
	out.BytesIn = r.bytesIn.Load()
	r.x().End(out)
}

// statement is a prepared statement, of the extended protocol or of SQL
// PREPARE, which share their names.
type statement struct {
	name string
	parsed

	rewritten string           // the same text, if it is not what the client sent
	stmt      *pgsql.Statement // nil: empty query
	oids      []byte           // parameter types as the client gave them, 4 bytes each

	params []uint32          // parameter types as the target described them
	cols   []protocol.Column // as described, formats unknown; nil before

	meaning meaning[statement]
}

// parsed is a text of a statement.
type parsed struct {
	text    []byte  // of SQL PREPARE: the whole command
	source  string  // text as the client sent it
	reading reading // of text
}

// maxParsed bounds the text that is remembered because the next Parse may be of
// the same: clients that prepare for each execution send one again and again.
const maxParsed = 64 << 10

// portal is a portal of the extended protocol or a cursor of SQL.
type portal struct {
	name      string
	run       *run // the operation of its Bind; nil for an empty query
	stmt      *pgsql.Statement
	source    string         // the text that opened it, as operations show it
	args      []protocol.Arg // and of a cursor of SQL what with; of others the run has them
	described bool           // a Describe is under way or answered
	hold      bool           // outlives its transaction
	cols      []protocol.Column
	pending   int // messages about it whose answers are outstanding
	meaning   meaning[portal]
}

// bytes is about the memory that s takes.
func (s *statement) bytes() int {
	n := statementSize + len(s.text) + len(s.source) + len(s.oids)
	if s.stmt != nil {
		n += s.stmt.Bytes()
	}
	return n
}

// bytes is about the memory that p takes beside its statement.
func (p *portal) bytes() int {
	n := portalSize + columnSize*len(p.cols)
	if p.run == nil {
		n += len(p.source)
	}
	for _, a := range p.arguments() {
		n += 64 + len(a.Text)
	}
	return n
}

// arguments returns what p was opened with.
func (p *portal) arguments() []protocol.Arg {
	if p.run != nil {
		return p.run.op.Args
	}
	return p.args
}

// Kinds of entry that are no message type.
const (
	entryProbe    = 1 // a question of the gateway's own; everything up to ReadyForQuery is its answer
	entryDescribe = 2 // a Describe that the gateway put in; the answer is not the client's
	entryCopyEnd  = 3 // CopyDone or CopyFail; has no answer
)

// An entry is one message whose answer is outstanding.
type entry struct {
	kind    byte       // the message's type, or one of the above
	run     *run       // Query: the statement whose result comes now
	vain    bool       // what was sent in the message's place cannot succeed
	refused *report    // and this is why; nil: the target says it
	missing []byte     // the name that it is to say it of
	stmt    *statement // Parse, Describe and Close of a statement
	portal  *portal    // Bind, Execute, Describe and Close of a portal
	early   bool       // Parse and Bind: the tracker counts it
}

// queue is the entries in the order in which the target answers them.
type queue struct {
	items []entry
	head  int
}

func (q *queue) len() int { return len(q.items) - q.head }

func (q *queue) push(e entry) {
	if e.portal != nil {
		e.portal.pending++
	}
	q.items = append(q.items, e)
}

func (q *queue) first() *entry {
	if q.head == len(q.items) {
		return nil
	}
	return &q.items[q.head]
}

func (q *queue) pop() {
	q.items[q.head] = entry{}
	q.head++
	switch {
	case q.head == len(q.items):
		q.items, q.head = q.items[:0], 0
	case q.head >= 64 && q.head*2 >= len(q.items):
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
}

// dropSyncs removes the Syncs behind the head that the target ignores because
// it is reading COPY data: those before the client's CopyDone or CopyFail. It
// returns their number and whether that end has been sent yet.
func (q *queue) dropSyncs() (n int, ended bool) {
	kept := q.items[:q.head+1]
	rest := q.items[q.head+1:]
	for i, e := range rest {
		if e.kind == entryCopyEnd {
			ended = true
			kept = append(kept, rest[i:]...)
			break
		}
		if e.kind == msgSync {
			n++
			continue
		}
		kept = append(kept, e)
	}
	clear(q.items[len(kept):])
	q.items = kept
	return n, ended
}

// dropCopyEnd removes the first end of COPY data behind the head: the COPY that
// it ended is complete, another may follow in the same Query.
func (q *queue) dropCopyEnd() {
	for i := q.head + 1; i < len(q.items); i++ {
		if q.items[i].kind == entryCopyEnd {
			q.items = append(q.items[:i], q.items[i+1:]...)
			return
		}
	}
}
