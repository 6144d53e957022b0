package middleware

import (
	"strings"

	"github.com/sallyport-dev/gateway/protocol"
)

// withheld stands in the hint of a message whose text was replaced.
const withheld = "details are withheld, because masked columns may be in them"

// messages returns the tap on the messages of op.
//
// Strict is for an operation that reads or changes masked columns, or may:
// every error and notice loses its text, also one about names, since
// email::regclass puts a value into "relation ... does not exist". While it is
// only prepared nothing reads a row, so its errors are the statement's own and
// help to write a better one, as do those that the connector says are found
// before anything is read. Otherwise,
// and for messages that belong to no operation, an error or notice loses its
// text if it comes from inside a function or trigger, which may speak of any
// table, or if it quotes a row of a table with masked columns, as a deferred
// constraint does when a transaction is committed.
//
// Code and Names are kept always: programs act on them.
//
// The payload of a notification is another session's choice and is replaced
// always. Reported settings are kept if the server lets them have only values
// of its own; application_name is kept if it is what the client called itself
// when it connected; others can be set to anything, by set_config(name,
// column, false) too, and lose their value. TimeZone is one that drivers need,
// and is kept except where strict.
func (m *masking) messages(op *protocol.Operation, strict bool) protocol.TextFunc {
	tool := ""
	if op.Session != nil {
		tool = op.Session.Tool.Raw
	}
	return func(msg *protocol.Message) error {
		switch msg.Kind {
		case protocol.NotificationMessage:
			msg.Text = "***"
			forget(msg)
		case protocol.ParameterMessage:
			if !keepSetting(msg, tool, strict) {
				msg.Text = ""
			}
			forget(msg)
		case protocol.NoticeMessage:
			if strict || m.quotes(msg) {
				msg.Text = "a notice was withheld"
				forget(msg)
				msg.Hint = withheld
			}
		default:
			if !msg.Static && (strict || m.quotes(msg)) {
				msg.Text = sentence(msg.Code)
				forget(msg)
				msg.Hint = withheld
			}
		}
		return nil
	}
}

func forget(msg *protocol.Message) { msg.Detail, msg.Hint, msg.Where, msg.Query = "", "", "", "" }

// quotes reports whether a message of an operation on other tables may quote a
// masked value all the same.
func (m *masking) quotes(msg *protocol.Message) bool {
	if msg.Query != "" {
		return true
	}
	// COPY's own context says which line of the client's data was wrong.
	if msg.Where != "" && (!strings.HasPrefix(msg.Where, "COPY ") || strings.ContainsRune(msg.Where, '\n')) {
		return true
	}
	schema, table := msg.Names["schema"], msg.Names["table"]
	if table == "" {
		return strings.HasPrefix(msg.Code, "23") && msg.Detail != ""
	}
	return m.set.Table(schema, table)
}

// keepSetting reports whether the value of a reported setting is shown. The
// setting's name is the message's Code.
func keepSetting(msg *protocol.Message, tool string, strict bool) bool {
	switch strings.ToLower(msg.Code) {
	case "server_version", "server_encoding", "client_encoding", "integer_datetimes", "standard_conforming_strings",
		"datestyle", "intervalstyle", "is_superuser", "in_hot_standby", "default_transaction_read_only",
		"session_authorization":
		return true
	case "timezone", "scram_iterations":
		return !strict
	case "application_name":
		return msg.Text == tool
	}
	return false
}

// sentence says in general what the error with that SQLSTATE is.
func sentence(code string) string {
	switch code {
	case "23502":
		return "a column that must have a value was given none"
	case "23503":
		return "a foreign key constraint was violated"
	case "23505":
		return "a value exists already and must be unique"
	case "23514":
		return "a check constraint was violated"
	case "40001":
		return "the transaction could not be serialized; try again"
	case "40P01":
		return "a deadlock was resolved by ending this transaction; try again"
	case "42501":
		return "permission was denied by the database"
	case "42601":
		return "the statement has a syntax error"
	case "42703", "42883", "42P01", "42704", "3F000":
		return "the statement names something that does not exist"
	case "57014":
		return "the statement was cancelled"
	case "25P02":
		return "the transaction has failed; roll it back"
	}
	class := code
	if len(class) > 2 {
		class = class[:2]
	}
	switch class {
	case "08":
		return "a connection failed"
	case "0A":
		return "the database does not support this"
	case "21":
		return "a subquery returned more than one row or column"
	case "22":
		return "a value does not fit its type or function"
	case "23":
		return "an integrity constraint was violated"
	case "25":
		return "the transaction's state does not permit this"
	case "28":
		return "the database refused the authorization"
	case "40":
		return "the transaction was rolled back; try again"
	case "42":
		return "the statement has an error in its syntax, names or types"
	case "53":
		return "the database is short of resources"
	case "54":
		return "the statement exceeds a limit of the database"
	case "55":
		return "an object is not in the state that this needs"
	case "57":
		return "the database's operator intervened"
	case "58", "XX":
		return "the database failed"
	case "P0":
		return "a function raised an error"
	}
	return "the statement failed"
}
