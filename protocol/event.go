package protocol

import "time"

// An EventKind says what happened.
type EventKind uint8

// The kinds of event, in the order in which an operation meets them.
const (
	// LoginRefused: nobody vouched for the login; there is no session.
	LoginRefused EventKind = iota
	// Asked: the steps are about to be asked about the operation.
	Asked
	// Held: the operation waits for a decision; Decision has the ticket.
	Held
	// Decided: the operation is allowed or refused; Decision says which. An
	// error from an Event hook refuses an allowed operation.
	Decided
	// Ended: an allowed operation is over; Outcome says how. Refused ones have
	// no Ended.
	Ended
)

// String returns the kind's name in lower case.
func (k EventKind) String() string {
	switch k {
	case LoginRefused:
		return "login refused"
	case Asked:
		return "asked"
	case Held:
		return "held"
	case Decided:
		return "decided"
	}
	return "ended"
}

// An Event tells every step what happened. It and what it points to are valid
// during the call only.
type Event struct {
	Kind     EventKind
	Time     time.Time
	Login    *Login       // LoginRefused only; has no proof any more
	Session  *SessionInfo // nil for LoginRefused
	Op       *Operation   // nil for LoginRefused
	Decision Decision     // Held, Decided
	Outcome  Outcome      // Ended
	Err      error        // LoginRefused, and Decided after a failure: for the operator
}
