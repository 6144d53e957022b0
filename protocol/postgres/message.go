package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Message types that a client sends (PostgreSQL documentation, 55.7 "Message
// Formats").
const (
	msgBind         = 'B'
	msgClose        = 'C'
	msgDescribe     = 'D'
	msgExecute      = 'E'
	msgFunctionCall = 'F'
	msgFlush        = 'H'
	msgParse        = 'P'
	msgPassword     = 'p' // also SASL and GSS responses
	msgQuery        = 'Q'
	msgSync         = 'S'
	msgTerminate    = 'X'
	msgCopyData     = 'd' // both ways
	msgCopyDone     = 'c' // both ways
	msgCopyFail     = 'f'
)

// Message types that a server sends.
const (
	msgAuthentication       = 'R'
	msgBackendKeyData       = 'K'
	msgBindComplete         = '2'
	msgCloseComplete        = '3'
	msgCommandComplete      = 'C'
	msgCopyInResponse       = 'G'
	msgCopyOutResponse      = 'H'
	msgCopyBothResponse     = 'W'
	msgDataRow              = 'D'
	msgEmptyQueryResponse   = 'I'
	msgErrorResponse        = 'E'
	msgFunctionCallResponse = 'V'
	msgNegotiateVersion     = 'v'
	msgNoData               = 'n'
	msgNoticeResponse       = 'N'
	msgNotification         = 'A'
	msgParameterDescription = 't'
	msgParameterStatus      = 'S'
	msgParseComplete        = '1'
	msgPortalSuspended      = 's'
	msgReadyForQuery        = 'Z'
	msgRowDescription       = 'T'
)

var errMalformed = errors.New("malformed message")

// What is wrong with a message, in PostgreSQL's words (pqformat.c).
var (
	errString = fmt.Errorf("%w: invalid string in message", errMalformed)
	errShort  = fmt.Errorf("%w: insufficient data left in message", errMalformed)
	errLong   = fmt.Errorf("%w: invalid message format", errMalformed)
	errKind   = fmt.Errorf("%w: invalid message subtype", errMalformed)
)

// cursor reads a message body and remembers the first fault.
type cursor struct {
	b    []byte
	bad  bool
	text bool // it was a string without an end
}

func (c *cursor) str() []byte {
	i := bytes.IndexByte(c.b, 0)
	if i < 0 {
		c.text = c.text || !c.bad
		c.bad = true
		return nil
	}
	s := c.b[:i]
	c.b = c.b[i+1:]
	return s
}

func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.bad = true
		return nil
	}
	s := c.b[:n:n]
	c.b = c.b[n:]
	return s
}

func (c *cursor) u8() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) u16() int {
	if b := c.take(2); b != nil {
		return int(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if b := c.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// value reads a length-prefixed value; nil is NULL. Only -1 means NULL: any
// other negative length is malformed.
func (c *cursor) value() []byte {
	n := int32(c.u32())
	if n == -1 || c.bad {
		return nil
	}
	v := c.take(int(n))
	if v == nil && !c.bad {
		v = []byte{}
	}
	return v
}

func (c *cursor) done() error {
	switch {
	case c.text:
		return errString
	case c.bad:
		return errShort
	case len(c.b) != 0:
		return errLong
	}
	return nil
}

// parseMsg is a Parse message. Its slices point into the body.
type parseMsg struct {
	name, query []byte
	types       []byte // 4 bytes each
}

func decodeParse(body []byte) (m parseMsg, err error) {
	c := cursor{b: body}
	m.name, m.query = c.str(), c.str()
	m.types = c.take(4 * c.u16())
	return m, c.done()
}

// bindMsg is a Bind message. Its slices point into the body.
type bindMsg struct {
	portal, stmt  []byte
	formats       []byte // 2 bytes each
	params        [][]byte
	resultFormats []byte // 2 bytes each
}

// decodeBind decodes body; params is reused for the parameters.
func decodeBind(body []byte, params [][]byte) (m bindMsg, err error) {
	c := cursor{b: body}
	m.portal, m.stmt = c.str(), c.str()
	m.formats = c.take(2 * c.u16())
	n := c.u16()
	if n*4 > len(c.b) && !c.bad {
		return m, errShort
	}
	m.params = params[:0]
	for range n {
		m.params = append(m.params, c.value())
	}
	m.resultFormats = c.take(2 * c.u16())
	return m, c.done()
}

// format returns the format code that list gives for column i: none means
// text, one applies to all (55.2.3 "Extended Query").
func format(list []byte, i int) int16 {
	switch len(list) {
	case 0:
		return 0
	case 2:
		i = 0
	}
	if 2*i+2 > len(list) {
		return 0
	}
	return int16(binary.BigEndian.Uint16(list[2*i:]))
}

// namedMsg is a Describe or Close message: a kind, 'S' or 'P', and a name.
type namedMsg struct {
	kind byte
	name []byte
}

func decodeNamed(body []byte) (m namedMsg, err error) {
	c := cursor{b: body}
	m.kind, m.name = c.u8(), c.str()
	if err := c.done(); err != nil || m.kind == 'S' || m.kind == 'P' {
		return m, err
	}
	return m, errKind
}

type executeMsg struct {
	portal []byte
	rows   uint32
}

func decodeExecute(body []byte) (m executeMsg, err error) {
	c := cursor{b: body}
	m.portal, m.rows = c.str(), c.u32()
	return m, c.done()
}

type functionCallMsg struct {
	function uint32
	args     [][]byte
}

func decodeFunctionCall(body []byte) (m functionCallMsg, err error) {
	c := cursor{b: body}
	m.function = c.u32()
	c.take(2 * c.u16())
	n := c.u16()
	if n*4 > len(c.b) {
		return m, errShort
	}
	for range n {
		m.args = append(m.args, c.value())
	}
	c.u16()
	return m, c.done()
}

// decodeRow splits the body of a DataRow; row is reused.
func decodeRow(body []byte, row [][]byte) ([][]byte, error) {
	if len(body) < 2 {
		return nil, errMalformed
	}
	n, b := int(binary.BigEndian.Uint16(body)), body[2:]
	if n*4 > len(b) {
		return nil, errMalformed
	}
	row = slices.Grow(row[:0], n)[:n]
	for i := range row { // written out, because it is done for each value that is masked
		if len(b) < 4 {
			return nil, errMalformed
		}
		size := int(int32(binary.BigEndian.Uint32(b)))
		b = b[4:]
		switch {
		case size == -1:
			row[i] = nil
			continue
		case size < 0 || size > len(b):
			return nil, errMalformed
		}
		row[i] = b[:size:size]
		b = b[size:]
	}
	if len(b) > 0 {
		return nil, errMalformed
	}
	return row, nil
}

// encode returns messages of the gateway's own making as they go over the wire.
// They are small: only a message over 1 GiB could not be encoded.
func encode(msgs ...interface {
	Encode(dst []byte) ([]byte, error)
}) []byte {
	var b []byte
	for _, m := range msgs {
		var err error
		if b, err = m.Encode(b); err != nil {
			panic(err)
		}
	}
	return b
}

// appendMessage appends a message of type typ; fill appends its body.
func appendMessage(dst []byte, typ byte, fill func([]byte) []byte) []byte {
	at := len(dst)
	dst = append(dst, typ, 0, 0, 0, 0)
	dst = fill(dst)
	binary.BigEndian.PutUint32(dst[at+1:], uint32(len(dst)-at-1))
	return dst
}
