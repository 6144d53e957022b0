package ssh

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport-dev/gateway/protocol"
)

var (
	errDrained = &protocol.DeniedError{Step: "gateway", Reason: "the gateway is shutting down", Hint: "connect again"}
	errGone    = fmt.Errorf("%w: the channel was closed", protocol.ErrClientGone)
)

// refusal returns the lines that a person reads when err keeps something from
// running. nl ends a line: a terminal in raw mode needs a carriage return.
func refusal(err error, nl string) string {
	var d *protocol.DeniedError
	var e *protocol.Fault
	msg, more := protocol.Reason(err), ""
	switch {
	case errors.As(err, &d):
		switch {
		case d.Rule != "":
			more = " (rule " + d.Rule + ")"
		case d.Step != "":
			more = " (" + d.Step + ")"
		}
		if d.Ticket != "" {
			more += ", request " + d.Ticket
		}
		if d.Hint != "" {
			more += nl + "sallyport: " + d.Hint
		}
	case errors.As(err, &e):
		msg = e.Msg
	case errors.Is(err, protocol.ErrFixed):
		msg = "this would have to be rewritten, which cannot be done in this form"
	case errors.Is(err, protocol.ErrClientGone):
		msg = "withdrawn; it did not run"
	}
	return "sallyport: " + printable(msg+more, nl) + nl
}

// note tells the operator why, where the client hears only that something failed.
func (s *session) note(err error) {
	if strings.Contains(refusal(err, "\n"), protocol.FixedReason) {
		s.srv.log.Warn("what a client asked for failed", "session", s.ps.Info().ID, "err", err)
	}
}

// printable returns s without what a terminal would obey, but for the line
// breaks nl.
func printable(s, nl string) string {
	lines := strings.Split(s, nl)
	for i, l := range lines {
		lines[i] = strings.Map(func(r rune) rune {
			if r < ' ' || r >= 0x7f && r < 0xa0 {
				return ' '
			}
			return r
		}, l)
	}
	return strings.Join(lines, nl)
}
