package audit

import (
	"errors"
	"fmt"
	"time"
)

// Version is the version of the event format. It rises with every new kind or
// field, because a reader that skips what it does not know shows evidence
// incompletely. Readers accept every version up to their own.
const Version = 1

// A Kind says what an [Event] is about. The list is closed.
type Kind string

// The kinds of event. An approval's outcome is no kind of its own: it stands in
// the grants or the refusal of command.decided, beside what it decided.
const (
	LoginRefused      Kind = "login.refused"      // nobody vouched for a login; no session
	SessionOpened     Kind = "session.opened"     // the Connect operation was allowed
	SessionClosed     Kind = "session.closed"     // the Connect operation ended
	ApprovalRequested Kind = "approval.requested" // an operation is held
	CommandDecided    Kind = "command.decided"    // an operation, or a Connect, was allowed or refused
	CommandCompleted  Kind = "command.completed"  // an allowed operation ended; see Journal.Postpone
	CommandUnknown    Kind = "command.unknown"    // a crash hid how an allowed operation ended
	RecordingChunk    Kind = "recording.chunk"    // what was recorded of an operation's streams
	JournalOpened     Kind = "audit.opened"       // a process took the journal over; all before is settled
	JournalClosed     Kind = "audit.closed"       // a process left it with no session open
	JournalSegment    Kind = "audit.segment"      // the first leaf of each segment
	JournalGap        Kind = "audit.gap"          // damage that the operator chose to go on behind
	JournalRead       Kind = "audit.read"         // somebody asked what the journal holds
	SessionTerminated Kind = "session.terminated" // somebody ended a session, which has its own session.closed
	SealErased        Kind = "audit.erased"       // what was sealed of a session cannot be read any more
	SealHeld          Kind = "audit.held"         // what is sealed of a session must not be erased
	SealReleased      Kind = "audit.released"     // it may be
)

var kinds = map[Kind]bool{LoginRefused: true, SessionOpened: true, SessionClosed: true, ApprovalRequested: true,
	CommandDecided: true, CommandCompleted: true, CommandUnknown: true, RecordingChunk: true, JournalOpened: true, JournalClosed: true,
	JournalSegment: true, JournalGap: true, JournalRead: true,
	SessionTerminated: true, SealErased: true, SealHeld: true, SealReleased: true}

// An Event is one leaf of a journal, decoded. Session and Command together
// name an operation: they are the same on its approval.requested,
// command.decided and command.completed. Decision says what was decided; that
// is on command.decided or, for what changes nothing and ended soon, on
// command.completed.
type Event struct {
	V       int       `json:"v"`
	Seq     uint64    `json:"seq"`  // the leaf's number in the journal
	Time    time.Time `json:"time"` // UTC; a decision has the time at which it was asked for, so Seq is the order
	Kind    Kind      `json:"kind"`
	Command uint64    `json:"command,omitempty"` // the operation's number in its session; Connect is one too

	// The session, on each of its events: who (issuer, subject, kind and whom
	// for), with which tool and at which target. What opens, closes, holds or
	// refuses a session, and requests for approval, say the rest too: names,
	// groups, account, addresses, labels.
	Session  string    `json:"session,omitempty"`
	Identity *Identity `json:"identity,omitempty"`
	Target   *Target   `json:"target,omitempty"`
	User     Text      `json:"user,omitempty"`     // the account the client asked for
	Database Text      `json:"database,omitempty"` // or the namespace
	Remote   Text      `json:"remote,omitempty"`
	TLS      bool      `json:"tls,omitempty"`
	Tool     *Tool     `json:"tool,omitempty"`

	Action   *Action   `json:"action,omitempty"`
	Decision *Decision `json:"decision,omitempty"`
	Result   *Result   `json:"result,omitempty"`
	Error    Text      `json:"error,omitempty"` // what failed in the gateway, for its operator
	Journal  *About    `json:"journal,omitempty"`

	Recording *Recording `json:"recording,omitempty"`
}

// An Identity is who stands behind a session.
type Identity struct {
	Issuer     Text      `json:"iss"`
	Subject    Text      `json:"sub"`
	Name       Text      `json:"name,omitempty"`
	Email      Text      `json:"email,omitempty"`
	Kind       Text      `json:"kind,omitempty"`
	Groups     []Text    `json:"groups,omitempty"`
	Method     Text      `json:"method,omitempty"`
	OnBehalfOf *Identity `json:"on_behalf_of,omitempty"`
}

// A Target is what a session was opened to.
type Target struct {
	Name     Text            `json:"name"`
	Protocol Text            `json:"protocol,omitempty"`
	Addr     Text            `json:"addr,omitempty"`
	Labels   map[string]Text `json:"labels,omitempty"`
}

// A Tool is the client program. Trust is "claimed" or "attested".
type Tool struct {
	Name    Text   `json:"name,omitempty"`
	Version Text   `json:"version,omitempty"`
	Raw     Text   `json:"raw,omitempty"`
	Source  Text   `json:"source,omitempty"`
	Trust   string `json:"trust"`
}

// Called returns what t is called: its name, or what it said of itself. A nil
// Tool is called nothing.
func (t *Tool) Called() Text {
	switch {
	case t == nil:
		return ""
	case t.Name != "":
		return t.Name
	}
	return t.Raw
}

// An Action is what was asked for. The fields behind Access are on the events
// with a Decision only.
type Action struct {
	Verb        Text        `json:"verb"`
	Access      []string    `json:"access"`
	Objects     []Object    `json:"objects,omitempty"`
	Reads       []ColumnRef `json:"reads,omitempty"`
	ReadsKnown  bool        `json:"reads_known,omitempty"` // Reads is proven complete
	Writes      []ColumnRef `json:"writes,omitempty"`
	Fingerprint Text        `json:"fingerprint,omitempty"`
	Text        *Value      `json:"text,omitempty"`      // exactly as the client sent it
	Behind      *Value      `json:"behind,omitempty"`    // what a name in it stands for
	Rewritten   *Value      `json:"rewritten,omitempty"` // what was sent in its place
	Args        []Arg       `json:"args,omitempty"`
	Lifts       []Lift      `json:"lifts,omitempty"`  // what is shown in the clear, if it was allowed
	State       Text        `json:"state,omitempty"`  // session state that changes the text's meaning
	Digest      string      `json:"digest,omitempty"` // what an approval is bound to, in hexadecimal
	Risk        int         `json:"risk,omitempty"`
	RiskWhy     []Text      `json:"risk_why,omitempty"`
	Pure        bool        `json:"pure,omitempty"`
	Bounded     bool        `json:"bounded,omitempty"`
	Prepare     bool        `json:"prepare,omitempty"` // nothing ran: a statement was prepared
	InTx        bool        `json:"in_tx,omitempty"`
	Restricted  bool        `json:"restricted,omitempty"` // ran under the target's restricted login
	Why         Text        `json:"why,omitempty"`        // why it could not be analysed
}

// An Object is something that an operation touches.
type Object struct {
	Kind   Text     `json:"kind"`
	Name   Text     `json:"name"`
	Access []string `json:"access"`
}

// A Lift is a column of a result that a mask is lifted from, by the approvals in the
// Decision.
type Lift struct {
	Column Text        `json:"column"`
	From   []ColumnRef `json:"from,omitempty"`
	Rule   Text        `json:"rule"` // of the mask
}

// A ColumnRef is schema, table and column.
type ColumnRef [3]Text

// String returns c with dots between its parts.
func (c ColumnRef) String() string { return string(c[0] + "." + c[1] + "." + c[2]) }

// An Arg is one argument of a prepared execution. Value is nil for NULL.
type Arg struct {
	Type  Text   `json:"type,omitempty"`
	Value *Value `json:"value"`
}

// A Decision is what was decided. Effect is "allow", "deny" or, on
// approval.requested, "hold".
type Decision struct {
	Effect string     `json:"effect"`
	By     Text       `json:"by,omitempty"` // the step
	Rule   Text       `json:"rule,omitempty"`
	Reason Text       `json:"reason,omitempty"`
	Ticket Text       `json:"ticket,omitempty"`
	Policy Text       `json:"policy,omitempty"` // tells the rules from those before and behind them: see [Detail]
	Until  *time.Time `json:"until,omitempty"`  // when a hold ends by itself
	Grants []Grant    `json:"grants,omitempty"`
}

// A Grant is an approval that ended a hold.
type Grant struct {
	By     Text `json:"by,omitempty"` // who approved
	Rule   Text `json:"rule,omitempty"`
	Reason Text `json:"reason,omitempty"`
	Ticket Text `json:"ticket,omitempty"`
}

// A Result is how an operation ended. It holds no value that came back.
type Result struct {
	Status   string `json:"status"`
	Code     Text   `json:"code,omitempty"`
	Tag      Text   `json:"tag,omitempty"`
	Rows     int64  `json:"rows,omitempty"`
	Bytes    int64  `json:"bytes,omitempty"`
	BytesIn  int64  `json:"bytes_in,omitempty"`
	Duration int64  `json:"duration_us,omitempty"`
	Columns  []Text `json:"columns,omitempty"`
	Masked   []Text `json:"masked,omitempty"` // columns of which values were hidden, or what was found in text

	// MaskedValues is how many values each of Masked hid, NULLs apart: of a column, all
	// other rows came in the clear.
	MaskedValues []int64 `json:"masked_values,omitempty"`

	Error Text `json:"error,omitempty"`
}

// An About is what a journal says about itself.
type About struct {
	Origin    string `json:"origin,omitempty"`     // the journal's random id
	Segment   uint64 `json:"segment,omitempty"`    // audit.segment: its number; audit.gap: where the damage is
	OpenSince uint64 `json:"open_since,omitempty"` // audit.segment: no open session began in an earlier segment

	Cut     int64  `json:"cut,omitempty"` // audit.opened: bytes of an unfinished write that were cut off
	CutHash string `json:"cut_sha256,omitempty"`
	Offset  int64  `json:"offset,omitempty"`  // audit.gap: where in the segment
	Skipped int64  `json:"skipped,omitempty"` // audit.gap: bytes that cannot be read
	What    Text   `json:"what,omitempty"`    // audit.gap: what is wrong; audit.opened: what was lost; audit.read: the question
	Session string `json:"session,omitempty"` // session.terminated: which; audit.erased, held, released: whose sealed values

	Prev string `json:"prev,omitempty"` // audit.segment: the chain before it; stays the last field
}

// ParseEvent decodes one leaf. It refuses versions, kinds and fields that it
// does not know.
func ParseEvent(leaf []byte) (Event, error) {
	if len(leaf) > maxLeaf {
		return Event{}, fmt.Errorf("event: %d bytes, more than %d", len(leaf), maxLeaf)
	}
	h, err := parseHead(leaf)
	if err != nil {
		return Event{}, err
	}
	var e Event
	if err := strictly(leaf, &e); err != nil {
		return Event{}, fmt.Errorf("event %d: %w", h.seq, err)
	}
	switch {
	case e.V != Version:
		return Event{}, fmt.Errorf("event %d: version %d, want %d", e.Seq, e.V, Version)
	case !kinds[e.Kind]:
		return Event{}, fmt.Errorf("event %d: unknown kind %q", e.Seq, e.Kind)
	case e.Seq != h.seq, e.Kind != h.kind, e.Command != h.command:
		return Event{}, errors.New("event: a field stands twice")
	}
	return e, nil
}
