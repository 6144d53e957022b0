package postgres

import (
	"errors"
	"strings"

	"github.com/jackc/pgproto3/v2"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/serve"
)

// SQLSTATE codes that the gateway itself answers with (PostgreSQL
// documentation, appendix A).
const (
	codeProtocolViolation   = "08P01"
	codeConnectionFailure   = "08006"
	codeCannotConnect       = "08001"
	codeFeatureNotSupported = "0A000"
	codeInvalidAuth         = "28000"
	codeInvalidPassword     = "28P01"
	codePrivilege           = "42501"
	codeConfigurationLimit  = "53400"
	codeLimitExceeded       = "54000"
	codeCanceled            = "57014"
	codeAdminShutdown       = "57P01"
	codeIOError             = "58030"
	codeInternal            = "XX000"
)

// report is an ErrorResponse or NoticeResponse of the gateway's own.
type report struct {
	severity, code, msg, detail, hint string
}

func (r report) append(dst []byte, typ byte) []byte {
	e := pgproto3.ErrorResponse{Severity: r.severity, SeverityUnlocalized: r.severity, Code: r.code,
		Message: noNUL(r.msg), Detail: noNUL(r.detail), Hint: noNUL(r.hint)}
	if typ == msgNoticeResponse {
		return append(dst, encode((*pgproto3.NoticeResponse)(&e))...)
	}
	return append(dst, encode(&e)...)
}

// noNUL returns s without the NULs that would end a field early.
func noNUL(s string) string { return strings.ReplaceAll(s, "\x00", "") }

// appendText appends s without the NULs that would end a field early.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if s[i] != 0 {
			b = append(b, s[i])
		}
	}
	return b
}

// refusal returns what the client reads when err keeps something from running.
func refusal(err error) report {
	r := report{severity: "ERROR", code: codePrivilege, msg: protocol.Reason(err)}
	var d *protocol.DeniedError
	var e *protocol.Fault
	switch {
	case errors.As(err, &d):
		if d.Rule != "" {
			r.detail = "Refused by rule " + d.Rule + "."
		} else if d.Step != "" {
			r.detail = "Refused by " + d.Step + "."
		}
		if d.Ticket != "" {
			r.detail += " Request " + d.Ticket + "."
		}
		r.hint = d.Hint
	case errors.As(err, &e):
		r.code, r.msg, r.hint = e.Code, e.Msg, e.Hint
	case errors.Is(err, protocol.ErrFixed):
		r.code, r.msg = codeFeatureNotSupported, "this statement would have to be rewritten, which cannot be done in this form"
		r.hint = "send it by itself, or prepare it again"
	case errors.Is(err, serve.ErrCancelled), errors.Is(err, protocol.ErrClientGone):
		r.code, r.msg = codeCanceled, "canceling statement due to user request"
		r.detail = "The statement was held for approval and has been withdrawn; it did not run."
	default:
		r.code = codeIOError
	}
	return r
}

// fatal returns the last message of a connection that ends because of err.
func fatal(err error) report {
	r := refusal(err)
	r.severity = "FATAL"
	return r
}

// field is one field of an ErrorResponse or NoticeResponse.
type field struct {
	code byte
	val  string
}

func decodeFields(body []byte) ([]field, error) {
	c := cursor{b: body}
	var fs []field
	for {
		code := c.u8()
		if c.bad {
			return nil, errMalformed
		}
		if code == 0 {
			return fs, c.done()
		}
		fs = append(fs, field{code, string(c.str())})
	}
}

// sqlstate returns the code of an ErrorResponse without decoding the rest.
func sqlstate(body []byte) string {
	c := cursor{b: body}
	for {
		code := c.u8()
		if code == 0 || c.bad {
			return ""
		}
		v := c.str()
		if code == 'C' {
			return string(v)
		}
	}
}

// static reports whether an error is one of syntax or names that the target found
// when it parsed the client's text: it says where in that text, and no function,
// portal or internal query is around it.
func static(fs []field) bool {
	found := false
	for _, f := range fs {
		switch f.code {
		case 'P':
			found = true
		case 'W', 'p', 'q':
			return false
		case 'C':
			if !strings.HasPrefix(f.val, "42") {
				return false
			}
		}
	}
	return found
}

// withheld returns an error or notice without what it says, unless that is only about
// the client's own text.
func withheld(frame []byte) ([]byte, error) {
	fs, err := decodeFields(frame[5:])
	if err != nil {
		return nil, err
	}
	if frame[0] == msgErrorResponse && static(fs) {
		return frame, nil
	}
	return appendMessage(nil, frame[0], func(b []byte) []byte {
		for _, f := range fs {
			switch f.code {
			case 'M':
				f.val = "the text of this message is withheld, since it may be about something else than what was decided about"
			case 'S', 'V', 'C':
			default:
				continue
			}
			b = append(appendText(append(b, f.code), f.val), 0)
		}
		return append(b, 0)
	}), nil
}

// rewriteFields shows an error or notice to the taps of x and returns the
// message that the client gets.
func rewriteFields(x *protocol.Exchange, kind protocol.MessageKind, frame []byte) ([]byte, error) {
	fs, err := decodeFields(frame[5:])
	if err != nil {
		return nil, err
	}
	m := protocol.Message{Kind: kind, Names: map[string]string{}}
	at := map[byte]*string{'C': &m.Code, 'M': &m.Text, 'D': &m.Detail, 'H': &m.Hint, 'W': &m.Where, 'q': &m.Query}
	names := map[byte]string{'s': "schema", 't': "table", 'c': "column", 'd': "type", 'n': "constraint"}
	for _, f := range fs {
		if p := at[f.code]; p != nil {
			*p = f.val
		} else if n := names[f.code]; n != "" {
			m.Names[n] = f.val
		}
	}
	m.Static = kind == protocol.ErrorMessage && static(fs)
	if err := x.Text(&m); err != nil {
		return nil, err
	}
	// Positions (P, p) are kept: they count characters of text that the client
	// sent itself, but for p when the internal query is withheld.
	return appendMessage(nil, frame[0], func(b []byte) []byte {
		for _, f := range fs {
			v := f.val
			if p := at[f.code]; p != nil {
				v = *p
			} else if n := names[f.code]; n != "" {
				v = m.Names[n]
			} else if f.code == 'p' && m.Query == "" {
				v = ""
			}
			if v == "" && f.code != 'M' {
				continue
			}
			b = append(b, f.code)
			b = appendText(b, v)
			b = append(b, 0)
		}
		return append(b, 0)
	}), nil
}
