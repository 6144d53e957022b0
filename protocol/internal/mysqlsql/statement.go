package mysqlsql

import (
	"strconv"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// A Script is the analysis of one text. It is immutable and shared between
// callers; a Script without statements is an empty query.
type Script struct {
	Statements []Statement

	named     bool         // names were looked up
	literal   bool         // it holds for this text only, not for others of its shape
	remembers bool         // it holds for the session's memory as it is
	catalog   *sql.Catalog // names were looked up in this; nil: there was none
}

// A Statement is what is known of one statement before it runs.
type Statement struct {
	// Verb is the command in lower case: "select", "create table". What does
	// not parse is protocol.Unknown.
	Verb protocol.Verb

	// Access holds every class of effect the statement may have. A statement
	// that calls a function which is not known to be harmless has Execute.
	Access protocol.Access

	// Pure is set only where it is proven that the statement changes nothing.
	Pure bool

	// Bounded is false for an UPDATE or DELETE without a condition, or with one
	// that names no column or compares a column with itself, and for TRUNCATE.
	Bounded bool

	Objects []protocol.Object

	// Reads are the base columns that the result, or what is written, may
	// depend on, conditions included. ReadsKnown says that the list is complete.
	Reads      []protocol.ColumnRef
	ReadsKnown bool

	// Returned are those of Reads that are proven to go into the result and into
	// conditions only, and not into what a change writes.
	Returned []protocol.ColumnRef

	// Inferred are the columns of whose values the statement tells without showing
	// them. InferredKnown says that the list is complete.
	Inferred      []protocol.Inference
	InferredKnown bool

	// Numbers is Inferred if one of the arguments is no text; nil: the same.
	Numbers []protocol.Inference

	// Writes are the columns that are written; "*" stands for whole rows.
	Writes []protocol.ColumnRef

	// Columns are the result's columns as far as they can be predicted; nil
	// where even their number cannot.
	Columns []protocol.Column

	// Fingerprint is equal for statements that differ only in literals.
	Fingerprint string

	// Why says why the statement is Opaque, for people.
	Why string

	Shape protocol.Shape

	// Behind is the text that runs, of a statement that was prepared in SQL.
	Behind string

	SetsState bool // it may change what a text means: sql_mode, the database, character sets
	Changes   bool // it may change definitions
	Many      bool // it may have any number of results
	Kill      *Kill

	effects *effects // on the session's Memory; nil: none
}

// A Kill is what a KILL is about.
type Kill struct {
	ID    uint64
	Query bool // the statement, not the connection
}

// WithKills returns a text with other ids behind KILL, nil if that cannot be read.
func WithKills(text []byte, mode string, ids map[uint64]uint64) []byte {
	m, ok := modeOf(mode)
	if !ok {
		return nil
	}
	list, ok := tokens(string(text), escaping(m), quoting(m))
	if !ok {
		return nil
	}
	var out []byte
	done := 0
	for i := range list {
		if !list[i].is("KILL") || i > 0 && !list[i-1].symbol(';') {
			continue
		}
		for i++; i < len(list) && list[i].is("HARD", "SOFT", "CONNECTION", "QUERY"); i++ {
			continue
		}
		if i >= len(list) || list[i].kind != kindNumber {
			return nil
		}
		id, err := strconv.ParseUint(list[i].text, 10, 64)
		if other, ok := ids[id]; ok && err == nil {
			out = strconv.AppendUint(append(out, text[done:list[i].from]...), other, 10)
			done = list[i].to
		}
	}
	return append(out, text[done:]...)
}

// Unclear is what is known of a statement that cannot be analysed, for the
// reason why.
func Unclear(why string) *Statement {
	s := opaque(why)
	return &s
}

// Use is what USE does.
func Use(database string) *Statement {
	return &Statement{Verb: "use", Access: protocol.Control, Bounded: true, ReadsKnown: true, InferredKnown: true, SetsState: true, Fingerprint: "use",
		Objects: []protocol.Object{{Kind: "database", Name: database, Access: protocol.Control}}}
}

// Reset is what COM_RESET_CONNECTION does.
func Reset() *Statement {
	return &Statement{Verb: "reset connection", Access: protocol.Control, Bounded: true, ReadsKnown: true, InferredKnown: true, SetsState: true,
		Fingerprint: "reset connection"}
}

// ShowColumns is what COM_FIELD_LIST does.
func ShowColumns(database, table string) *Statement {
	return &Statement{Verb: "show columns", Access: protocol.Read, Pure: true, Bounded: true, ReadsKnown: true, InferredKnown: true, Fingerprint: "show columns",
		Objects: []protocol.Object{{Kind: "table", Name: database + "." + table, Access: protocol.Read}}}
}

// ServerStatus is what COM_STATISTICS does.
func ServerStatus() *Statement {
	return &Statement{Verb: "show status", Access: protocol.Read, Pure: true, Bounded: true, ReadsKnown: true, InferredKnown: true, Fingerprint: "show status"}
}
