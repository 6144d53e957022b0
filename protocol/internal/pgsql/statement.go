package pgsql

import (
	"slices"
	"strings"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/pgcopy"
)

// A Script is the analysis of one text. It is immutable and shared between
// callers; a Script without statements is an empty query.
type Script struct {
	Statements []Statement

	// Where the statements are: between which semicolons, counted from the
	// beginning, which is the same in every text of the shape; or at which
	// offsets, where the analysis is of one exact text.
	between [][2]int
	offsets [][2]int
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

	// Bounded is false for an UPDATE or DELETE, in MERGE too, without a
	// condition, or with one that names no column or compares a column with
	// itself, and for TRUNCATE.
	Bounded bool

	Objects []protocol.Object

	// Reads are the base columns that the result, or what is written, may
	// depend on, conditions included. ReadsKnown says that the list is complete.
	Reads      []protocol.ColumnRef
	ReadsKnown bool

	// Returned are those of Reads that are proven to go into the result and into
	// conditions only, and not into what a change of data writes.
	Returned []protocol.ColumnRef

	// Inferred are the columns of whose values the statement tells without showing
	// them. InferredKnown says that the list is complete.
	Inferred      []protocol.Inference
	InferredKnown bool

	// Writes are the columns that are written; "*" stands for whole rows.
	Writes []protocol.ColumnRef

	// Columns are the result's columns as far as they can be predicted; nil
	// where even their number cannot.
	Columns []protocol.Column

	// ArgsKnown is set where the arguments of an EXECUTE are known to read
	// nothing. What else they do is part of the statement's facts.
	ArgsKnown bool

	// Resolved says that the facts depend on what names mean, so on the catalog,
	// the search_path and temporary objects. Where it is not set they are the
	// same in every State that reads the text alike.
	Resolved bool

	// Fingerprint is equal for statements that differ only in literals.
	Fingerprint string

	// Why says why the statement is Opaque, for people.
	Why string

	Shape  protocol.Shape
	Effect Effect

	// Copy says how the rows of a COPY TO STDOUT are written; Shape then has both
	// Rows and Bytes. It is nil of anything else, and where that is not certain.
	Copy *pgcopy.Format

	// Inner is the statement within PREPARE, DECLARE, EXPLAIN, COPY (query) and
	// CREATE TABLE AS. What it does is already part of the outer statement's
	// facts, except for PREPARE, which runs nothing.
	Inner *Statement
}

// OnlyTemp reports whether all that s makes or changes is temporary, which other sessions
// do not see: no definition is another one by it.
func (s *Statement) OnlyTemp() bool {
	return s.Effect.Has(CreatesTemp) && !s.Effect.Has(RunsCode) && !s.Access.Has(protocol.Opaque|protocol.Execute) &&
		!slices.ContainsFunc(s.Objects, func(o protocol.Object) bool {
			schema, _, _ := strings.Cut(o.Name, ".")
			return o.Access != protocol.Read && !isTemp(schema)
		})
}
