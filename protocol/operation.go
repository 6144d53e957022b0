package protocol

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Verb is what an operation does, in the protocol's own lower-case word.
// Connectors document theirs; SQL connectors use the statement's command
// ("select", "drop table"), Connect opens every session.
type Verb string

// Verbs that are shared by all connectors.
const (
	Connect Verb = "connect" // the first operation of every session
	Cancel  Verb = "cancel"  // interrupt another operation of the session
	Recheck Verb = "recheck" // whether an open session may go on, after a reload
	Unknown Verb = "unknown" // could not be analysed
)

// Access says what an operation may do to the target, as a set of bits. The
// zero Access counts as Opaque: assume the worst.
type Access uint16

// The access classes.
const (
	Read    Access = 1 << iota // reads data
	Write                      // changes data
	Schema                     // changes definitions
	Admin                      // changes privileges, roles or the server itself
	Execute                    // runs code whose effect is not visible here
	Control                    // transaction control and session settings only
	Opaque                     // could not be analysed
)

var accessNames = []string{"read", "write", "schema", "admin", "execute", "control", "opaque"}

// Has reports whether a contains any of the classes in b.
func (a Access) Has(b Access) bool { return a.worst()&b != 0 }

func (a Access) worst() Access {
	if a == 0 {
		return Opaque
	}
	return a
}

// Names returns the names of the classes that a contains.
func (a Access) Names() []string {
	a = a.worst()
	var out []string
	for i, n := range accessNames {
		if a&(1<<i) != 0 {
			out = append(out, n)
		}
	}
	return out
}

// String returns the names joined by "+".
func (a Access) String() string { return strings.Join(a.Names(), "+") }

// A Shape says how the result of an operation can be shown to steps. A result that
// comes in another shape is not shown to the client either, see [Exchange].
type Shape uint8

// The shapes. An operation may combine several.
const (
	Rows  Shape = 1 << iota // rows of typed columns
	Docs                    // documents
	Bytes                   // byte streams
)

// An Object is something an operation touches.
type Object struct {
	Kind   string // "table", "view", "function", "schema", "database" ...
	Name   string // fully qualified where the protocol has qualification
	Access Access
}

// A Terminal is what a person sits at, as the client describes it when the
// operation is asked for. [Operation.OnResize] tells of changes.
type Terminal struct {
	Type          string // "xterm-256color"
	Columns, Rows int    // 0: not said
}

// An Arg is one argument of a prepared execution.
type Arg struct {
	Text string // the value as text; hexadecimal with prefix \x if it has no text form
	Null bool
	Type string // the target's type name, when known
}

// A Lift is a column of a result that is not masked although a rule says so.
type Lift struct {
	Column string      // its label
	From   []ColumnRef // the masked columns that it comes from
	Rule   string      // of the mask
}

// An Operation is one thing that a client asks of a target. The connector
// fills it, the steps read it, decide and register taps. Once decided it does
// not change, except for its result.
//
// Hooks see an Operation one after the other, never at once. It must not be
// kept after its Ended event: connectors use its memory again.
type Operation struct {
	Session *SessionInfo
	ID      uint64 // counts from 1 within the session, set by Session

	Verb Verb
	Text string // exactly as the client sent it; steps never change it
	Args []Arg

	// Behind is the text that a name in Text stands for and that runs: of the
	// prepared statement that it executes, of the cursor that it fetches from.
	// It is empty where Text says it all and where the name is not known.
	Behind string

	Access Access // every class of effect that it may have
	Pure   bool   // proven to change nothing, and so its record may overlap the target's work

	// Bounded says that what is changed or removed of what there is already is
	// limited by a condition, as far as its text shows: not how many rows meet
	// the condition, nor what code that runs does. What is not analysed, an
	// UPDATE or DELETE without a condition, or with one that is always true, and
	// a TRUNCATE are not bounded. What only reads or adds is.
	Bounded bool

	Objects    []Object
	Reads      []ColumnRef // base columns read, conditions included; complete if ReadsKnown
	ReadsKnown bool        // Reads is proven complete
	Returned   []ColumnRef // of Reads, those proven to go into the result and conditions only, and not into what a change writes
	Writes     []ColumnRef // base columns changed, as far as known

	// Inferred are the base columns of whose values the operation tells without
	// showing them, such as by a condition: each with every way in which it does.
	// What the target's own constraints, triggers and policies tell is not among
	// them. InferredKnown says that the list is proven complete.
	Inferred      []Inference
	InferredKnown bool

	Columns     []Column // predicted columns of the result, with their sources; nil if unknown
	Fingerprint string   // equal for statements that differ only in literals; "" if there is none
	Why         string   // why the operation is Opaque, for people

	Shape Shape

	// Terminal is the terminal that its streams belong to; nil if there is none.
	Terminal *Terminal

	// Unmask is why the client asks to see values in the clear that steps mask, in
	// its own words; "" if it does not. It is read from Text, so that whoever
	// approves Text approves it.
	Unmask string

	// Lifts are the columns that come in the clear although a step masks them, if
	// the operation runs: it is held until people have allowed that. They are part
	// of Digest. Hooks add them while the operation is decided.
	Lifts []Lift

	// State is the session state that changes the meaning of Text, such as
	// search_path and role. It is part of Digest.
	State string

	// Raw is what Digest covers beside Text: the exact argument bytes. It is
	// valid only while the operation is decided.
	Raw [][]byte

	// Detail is the connector's own analysis. Steps that know the connector
	// may look into it.
	Detail any

	// Prepare says that the operation is only being prepared and nothing runs
	// yet. What a step would hold is let through, and held when it runs.
	Prepare bool

	// RunsEarly says, with Prepare, that preparing it may run code all the same,
	// as where literals are read by code that somebody has defined. What a step
	// would hold is then held.
	RunsEarly bool

	// MayRestrict says that the connector can run the operation under the target's
	// restricted login, see [Operation.Restrict].
	MayRestrict bool

	InTx   bool // holding would keep the locks of an open transaction
	NoWait bool // the caller cannot wait: a hold is a refusal

	Risk    int      // 0 to 100, set by risk steps
	RiskWhy []string // what raised Risk

	rewritten string
	hidden    []func(ColumnRef) bool
	start     time.Time
	decided   bool
	began     bool
	ended     atomic.Bool
	decision  Decision
	grants    []Decision

	rows    []func([]Column) (RowFunc, error)
	samples []func([]Column) (SampleFunc, error)
	bytes   []func(Stream) (BytesFunc, error)
	docs    []func(kind string) (DocFunc, error)
	texts   []TextFunc
	sizes   []func(columns, rows int) error
	ends    []func(Outcome) error

	result Result
	x      Exchange

	prev, next *Operation // the session's list of open operations
}

// OnRows registers a tap on the rows of the result. f is called once for each
// result with its columns and returns the function that sees the rows; a nil
// RowFunc leaves this result alone, and if all do, the raw bytes are
// forwarded. f must not change the columns. ErrShape means that the result has
// no rows that can be shown: a step that must see them denies.
func (op *Operation) OnRows(f func([]Column) (RowFunc, error)) error {
	if op.decided {
		return ErrDecided
	}
	if op.Shape&Rows == 0 {
		return ErrShape
	}
	op.rows = append(op.rows, f)
	return nil
}

// OnSample registers f to be called for each result of rows, after the functions that
// OnRows has registered; it returns what looks at the first rows before they see any,
// or nil. The connector holds these rows meanwhile: see [Exchange.Sample]. It is for
// steps that decide about a column by more than one of its values, and does nothing
// where no step looks at the rows. ErrShape is as for OnRows.
func (op *Operation) OnSample(f func([]Column) (SampleFunc, error)) error {
	if op.decided {
		return ErrDecided
	}
	if op.Shape&Rows == 0 {
		return ErrShape
	}
	op.samples = append(op.samples, f)
	return nil
}

// OnBytes registers a tap on the byte streams of the operation. f is called once
// for each stream; a nil BytesFunc leaves it alone. ErrShape means that there
// are none that can be shown: a step that must see them denies.
func (op *Operation) OnBytes(f func(Stream) (BytesFunc, error)) error {
	if op.decided {
		return ErrDecided
	}
	if op.Shape&Bytes == 0 {
		return ErrShape
	}
	op.bytes = append(op.bytes, f)
	return nil
}

// OnDocs registers a tap on the documents of the operation. f is called once for
// each document with its kind, the media type or the object's kind; a nil
// DocFunc leaves it alone. ErrShape means that there are none that can be shown:
// a step that must see them denies.
func (op *Operation) OnDocs(f func(kind string) (DocFunc, error)) error {
	if op.decided {
		return ErrDecided
	}
	if op.Shape&Docs == 0 {
		return ErrShape
	}
	op.docs = append(op.docs, f)
	return nil
}

// OnText registers a tap on the messages that come back beside the result.
// Taps of the Connect operation see the messages that belong to no operation.
func (op *Operation) OnText(f TextFunc) error {
	if op.decided {
		return ErrDecided
	}
	op.texts = append(op.texts, f)
	return nil
}

// Tapped reports whether a step has registered a tap on the result or on messages.
func (op *Operation) Tapped() bool {
	return len(op.rows) > 0 || len(op.bytes) > 0 || len(op.docs) > 0 || len(op.texts) > 0
}

// OnResize registers f to be told when the size of the operation's terminal
// changes, in order with nothing: it may be called while a BytesFunc runs. An
// error ends the operation with a failure. ErrShape means that there is no
// terminal.
func (op *Operation) OnResize(f func(columns, rows int) error) error {
	if op.decided {
		return ErrDecided
	}
	if op.Terminal == nil {
		return ErrShape
	}
	op.sizes = append(op.sizes, f)
	return nil
}

// OnEnd registers f to run when the operation has ended, or at once after it
// was refused; the last registered runs first, on any goroutine. Use it to
// release what a hook acquired. An error stands in the outcome that is recorded,
// and ends the session; of what was refused, which has done nothing, it counts
// for nothing. A panic is such an error, and ends the session in any case.
func (op *Operation) OnEnd(f func(Outcome) error) { op.ends = append(op.ends, f) }

// Rewrite asks that text is sent in place of Text. Both are kept. The
// connector refuses the operation if it cannot honour the rewrite, as for one
// of several statements or for one that was prepared without it, and if text
// does more than the operation says: a step whose text reads, writes or touches
// more adds that to the operation's facts, and stands before the steps that
// decide by them.
func (op *Operation) Rewrite(text string) error {
	if op.decided {
		return ErrDecided
	}
	if op.rewritten != "" && op.rewritten != text {
		return ErrFixed
	}
	op.rewritten = text
	return nil
}

// Rewritten returns what a step asked to be sent instead of Text, or "".
func (op *Operation) Rewritten() string { return op.rewritten }

// Restrict asks that the operation runs under the target's restricted login, an
// account that may read less, so that the target itself says what it may see: a way
// for what cannot be analysed. hidden says of a base column that it must not be
// seen; the connector refuses the operation where that account may read one, or
// something made of one. ErrFixed says that there is no such login for this
// operation, see MayRestrict.
func (op *Operation) Restrict(hidden func(ColumnRef) bool) error {
	switch {
	case op.decided:
		return ErrDecided
	case !op.MayRestrict:
		return ErrFixed
	}
	op.hidden = append(op.hidden, hidden)
	return nil
}

// Restricted reports whether a step has asked for the restricted login.
func (op *Operation) Restricted() bool { return len(op.hidden) > 0 }

// Hides reports whether a step has said that the column must not be seen under
// the restricted login.
func (op *Operation) Hides(c ColumnRef) bool {
	for _, f := range op.hidden {
		if f(c) {
			return true
		}
	}
	return false
}

// AddRisk raises the operation's risk by score, up to 100 in all, and says why.
// Hooks call it while the operation is decided.
func (op *Operation) AddRisk(score int, why string) {
	op.Risk = min(op.Risk+score, 100)
	op.RiskWhy = append(op.RiskWhy, why)
}

// Decide fixes what was decided; grants are the approvals that ended holds.
// Only an [Engine] calls it, once. After a refusal the functions registered
// with OnEnd run at once.
func (op *Operation) Decide(d Decision, grants []Decision) {
	op.decided = true
	op.decision, op.grants = d, grants
	if d.Effect == AllowEffect {
		return
	}
	err := op.runEnds(Outcome{Status: StatusDenied})
	op.ends = nil
	if p := (*PanicError)(nil); errors.As(err, &p) && op.x.s != nil {
		op.x.s.Terminate(p)
	}
}

// runEnds runs what OnEnd has registered, all of it, and returns what failed.
func (op *Operation) runEnds(out Outcome) (failed error) {
	for i := len(op.ends) - 1; i >= 0; i-- {
		if err := Guard(func() error { return op.ends[i](out) }); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// Decision returns what was decided. It is the zero Decision before.
func (op *Operation) Decision() Decision { return op.decision }

// Grants returns the decisions that ended the operation's holds, one for each
// approval.
func (op *Operation) Grants() []Decision { return op.grants }

// Started returns when the operation was asked for.
func (op *Operation) Started() time.Time { return op.start }

// Result returns what has come back so far. It is complete in the Ended event.
func (op *Operation) Result() *Result { return &op.result }

// Digest binds a decision to what will run: identity, target, account, verb,
// the exact text, what the names in it stand for, the argument bytes, the
// session state that changes their meaning, and what is shown in the clear. Fields are length-prefixed, so no
// two operations share an encoding.
func (op *Operation) Digest() [32]byte {
	h := sha256.New()
	var n [8]byte
	put := func(s string) {
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	count := func(c int) {
		binary.BigEndian.PutUint64(n[:], uint64(c))
		h.Write(n[:])
	}
	put("sallyport/operation/v1")
	if s := op.Session; s != nil {
		depth := 0
		for id := s.Identity; id != nil; id = id.OnBehalfOf {
			depth++
		}
		count(depth)
		for id := s.Identity; id != nil; id = id.OnBehalfOf {
			put(id.Issuer)
			put(id.Subject)
		}
		put(s.Resource.Name)
		put(s.Resource.Protocol)
		put(s.Resource.Addr)
		put(s.User)
		put(s.Database)
		put(s.ID)
	}
	put(string(op.Verb))
	put(op.Text)
	put(op.Behind)
	put(op.rewritten)
	put(op.State)
	count(len(op.Raw))
	for _, a := range op.Raw {
		if a == nil {
			put("null")
			continue
		}
		put("value")
		put(string(a))
	}
	if len(op.Lifts) > 0 {
		count(len(op.Lifts))
		for i := range op.Lifts {
			l := &op.Lifts[i]
			put(l.Column)
			put(l.Rule)
			count(len(l.From))
			for _, c := range l.From {
				put(c.Schema)
				put(c.Table)
				put(c.Column)
			}
		}
	}
	var d [32]byte
	h.Sum(d[:0])
	return d
}

// A Status says how an operation ended.
type Status string

// The statuses.
const (
	StatusOK        Status = "ok"
	StatusFailed    Status = "failed"    // the target reported an error
	StatusDenied    Status = "denied"    // policy refused it; nothing was sent
	StatusWithdrawn Status = "withdrawn" // the client left or cancelled while it was held
	StatusSkipped   Status = "skipped"   // the target never ran it: an earlier one failed
	StatusCancelled Status = "cancelled" // interrupted on request
	StatusError     Status = "error"     // the gateway failed
	StatusUnknown   Status = "unknown"   // the session broke before an answer came
)

// An Outcome is how an operation ended.
type Outcome struct {
	Status   Status
	Code     string        // SQLSTATE, exit status ...
	Tag      string        // what the target said: "UPDATE 3"
	Rows     int64         // rows returned or changed
	Bytes    int64         // bytes of result that went to the client
	BytesIn  int64         // bytes of data that came from the client (COPY)
	Err      error         // why the gateway failed, for the operator
	Duration time.Duration // since the operation was asked for, waiting for approval included
}

// A Result is what is known about the data that came back.
type Result struct {
	Columns []Column  // of the last result; shared, read only
	Masked  []*Masked // what steps masked

	mu sync.Mutex // Masked, until the end
}

// A Masked is a column whose values steps mask, or a kind of what they find in text.
type Masked struct {
	Label  string
	Values atomic.Int64 // how many were; NULLs that stay NULL are none
}

// MarkMasked notes that a step masks what is named label in this result: a column, or
// what is found in text. Tap factories and taps call it, also several at once, and
// count the values that they hide; the record and the review show it.
func (op *Operation) MarkMasked(label string) *Masked {
	r := &op.result
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.Masked {
		if m.Label == label {
			return m
		}
	}
	m := &Masked{Label: label}
	r.Masked = append(r.Masked, m)
	return m
}

// Labels returns what stands for each of Masked.
func (r *Result) Labels() []string {
	var out []string
	for _, m := range r.Masked {
		out = append(out, m.Label)
	}
	return out
}
