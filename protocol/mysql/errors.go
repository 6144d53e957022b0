package mysql

import (
	"errors"
	"strconv"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/serve"
)

// Error numbers that the gateway itself answers with. What programs know them
// by is in MySQL's "Server Error Message Reference".
const (
	codeAccessDenied   = mysql.ER_ACCESS_DENIED_ERROR
	codeUnknownDB      = mysql.ER_BAD_DB_ERROR
	codeUnknownCommand = mysql.ER_UNKNOWN_COM_ERROR
	codeShutdown       = mysql.ER_SERVER_SHUTDOWN
	codeNoThread       = mysql.ER_NO_SUCH_THREAD
	codeUnknown        = mysql.ER_UNKNOWN_ERROR
	codeNotAllowed     = mysql.ER_NOT_ALLOWED_COMMAND
	codeTooLarge       = mysql.ER_NET_PACKET_TOO_LARGE
	codeOutOfOrder     = mysql.ER_NET_PACKETS_OUT_OF_ORDER
	codeRefused        = mysql.ER_SPECIFIC_ACCESS_DENIED_ERROR
	codeNotSupported   = mysql.ER_NOT_SUPPORTED_YET
	codeNoStatement    = mysql.ER_UNKNOWN_STMT_HANDLER
	codeInterrupted    = mysql.ER_QUERY_INTERRUPTED
	codeMalformed      = mysql.ER_MALFORMED_PACKET
	codeManyStatements = mysql.ER_MAX_PREPARED_STMT_COUNT_REACHED
	codeNeedsTLS       = 3159 // ER_SECURE_TRANSPORT_REQUIRED
	codeCannotConnect  = 1429 // ER_CONNECT_TO_FOREIGN_DATA_SOURCE
)

func fault(side protocol.Side, code uint16, msg string, err error) *protocol.Fault {
	return &protocol.Fault{Side: side, Code: strconv.Itoa(int(code)), Msg: msg, Err: err}
}

// report is an ERR packet: of the gateway's own, or the target's.
type report struct {
	code  uint16
	state string // SQLSTATE; empty: that of the code
	msg   string
}

// append appends the payload. In the first answer of a connection, before the
// client has said what it understands, there is no SQLSTATE.
func (r report) append(b []byte, early bool) []byte {
	b = appendUint(append(b, packetERR), 2, uint64(r.code))
	if !early {
		state := r.state
		if state == "" {
			if state = mysql.MySQLState[r.code]; state == "" {
				state = mysql.DEFAULT_MYSQL_STATE
			}
		}
		b = append(append(b, '#'), state...)
	}
	return append(b, r.msg...)
}

// decodeReport reads the payload of an ERR packet.
func decodeReport(b []byte) (report, error) {
	c := cursor{b: b}
	if c.u8() != packetERR {
		return report{}, errMalformed
	}
	r := report{code: c.u16()}
	if len(c.b) > 0 && c.b[0] == '#' {
		c.take(1)
		r.state = string(c.take(5))
	}
	r.msg = string(c.rest())
	if c.bad {
		return report{}, errMalformed
	}
	return r, nil
}

// refusal returns what the client reads when err keeps something from running.
// There is one line for it all: the protocol has no place for a hint.
func refusal(err error) report {
	r := report{code: codeRefused, msg: protocol.Reason(err)}
	var d *protocol.DeniedError
	var f *protocol.Fault
	switch {
	case errors.As(err, &d):
		if d.Rule != "" {
			r.msg += " (rule " + d.Rule + ")"
		}
		if d.Ticket != "" {
			r.msg += " (request " + d.Ticket + ")"
		}
		if d.Hint != "" {
			r.msg += "; " + d.Hint
		}
	case errors.As(err, &f):
		r.msg = f.Msg
		if f.Hint != "" {
			r.msg += "; " + f.Hint
		}
		n, _ := strconv.ParseUint(f.Code, 10, 16) // the gateway's own
		r.code = uint16(n)
	case errors.Is(err, protocol.ErrFixed):
		r.code, r.msg = codeNotSupported, "this statement would have to be rewritten, which cannot be done in this form; send it by itself, or prepare it again"
	case errors.Is(err, serve.ErrCancelled), errors.Is(err, protocol.ErrClientGone):
		r.code, r.msg = codeInterrupted, "the statement was held for approval and has been withdrawn; it did not run"
	default:
		r.code = codeUnknown
	}
	return r
}
