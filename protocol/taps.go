package protocol

import "time"

// A RowFunc sees one row of a result and may replace values in place: a nil
// element is NULL, any other element the value in the column's own format
// ([Column.Binary]). The row and its bytes are valid only during the call;
// replacing an element leaves the new slice with the callee, valid until its
// next call. It is called by one goroutine at a time. An error ends the result
// with a failure; no part of the row is shown.
type RowFunc func(row [][]byte) error

// A SampleFunc sees the first rows of a result before any of them is shown to a
// [RowFunc], and so before any is released, in order to learn what the columns hold. It
// changes nothing: neither row, which is valid only during the call and is as the
// target sent it, nor what becomes of it. enough says that it needs to see no more.
type SampleFunc func(row [][]byte) (enough bool)

// What is held of a result while it is sampled: no more rows and bytes, and no longer.
const (
	SampleRows  = 64
	SampleBytes = 64 << 10
	SampleTime  = 20 * time.Millisecond
)

// A BytesFunc sees a byte stream in chunks and returns what takes the chunk's
// place, which may be nothing. It may hold bytes back and return them later;
// last says that the stream ends with this chunk, which may be empty. An empty
// chunk that is not the last says that nothing has come for a while: somebody may be
// waiting for what is held back, such as a prompt. It comes once in each pause, from
// connectors whose streams people sit at. chunk is
// valid only during the call, the returned slice until the next call. It is
// called by one goroutine at a time; the streams of one operation may be
// different goroutines'. An error ends the operation with a failure; nothing of
// the chunk is shown.
type BytesFunc func(chunk []byte, last bool) ([]byte, error)

// A DocFunc sees one document (a JSON body, a Kubernetes object) and returns
// what takes its place. doc is valid only during the call, the returned slice
// until the next call. It is called by one goroutine at a time. An error ends
// the operation with a failure; nothing of the document is shown.
type DocFunc func(doc []byte) ([]byte, error)

// A TextFunc sees a [Message] on its way to the client and may change it in
// place; the message is valid only during the call. It is called by one
// goroutine at a time. An error keeps the message from the client and ends the
// operation, or the session if it was about none, with a failure.
type TextFunc func(m *Message) error

// A Stream names one byte stream of an operation.
type Stream struct {
	Name string // "copy", "stdin", "stdout", "stderr", "pty", "forward"
	In   bool   // from the client to the target
	Kind string // the media type of what is in it, "text/html", as its sender says; empty: nobody said
}

// A MessageKind says what sort of side message a [Message] is.
type MessageKind uint8

// The kinds of message.
const (
	ErrorMessage        MessageKind = iota // an operation failed
	NoticeMessage                          // a warning or notice
	NotificationMessage                    // asynchronous, from another session
	ParameterMessage                       // a reported setting
)

// A Message is text that the target sends beside results and that may carry
// data: an error, a notice, a notification, a reported setting. What a protocol
// does not have is empty, and what a tap empties is left out.
type Message struct {
	Kind MessageKind

	// Code is an error's or a notice's SQLSTATE or exit code, the channel of a
	// notification, the name of a setting. Programs act on it.
	Code string

	Text   string // primary text; a notification's payload, a setting's value
	Detail string
	Hint   string
	Where  string // context, such as a call stack
	Query  string // internal query text

	// Static says that the texts are made of the operation's own text and of
	// names: the target found an error in it before it read any data.
	Static bool

	// Names are the "schema", "table", "column", "type" and "constraint" that an
	// error or notice is about, as the target named them; they are not data. nil
	// if there are none.
	Names map[string]string
}

// An Edge says how a result column depends on a base column. The zero Edge is
// unknown, the worst.
type Edge uint8

// The kinds of edge.
const (
	EdgeUnknown   Edge = iota
	EdgeIdentity       // the value itself
	EdgeTransform      // computed from the value
	EdgeAggregate      // computed from many values
	EdgeOpaque         // through something that cannot be looked into
	EdgeMember         // what lies at Path in the value, as JSON or as its text
	EdgeNull           // computed from nothing but whether there is a value
)

// A Source is a base column that a result column depends on.
type Source struct {
	ColumnRef
	Edge Edge

	// Path says that of the column's value, a JSON document, only what lies there
	// counts: a JSON Pointer (RFC 6901) of names of members, such as
	// "/address/street". Elements of an array lie where the array does. Empty is the
	// whole value.
	Path string
}

// A ColumnRef names a base column. Column "*" means the whole row.
type ColumnRef struct{ Schema, Table, Column string }

// String returns schema.table.column.
func (c ColumnRef) String() string { return c.Schema + "." + c.Table + "." + c.Column }

// A Column describes one column of a result.
type Column struct {
	Name     string // label as the client sees it
	Type     uint32 // the protocol's own type number: PostgreSQL's OID
	TypeName string // "text", when known
	Binary   bool   // values are in the type's binary format

	// Known says that Sources is complete. The zero Column is not known: it
	// may hold anything.
	Known   bool
	Sources []Source
}
