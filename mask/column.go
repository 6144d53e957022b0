package mask

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport-dev/gateway/mask/detect"
)

// sampled is how many values of a column are looked at to tell whether all of
// it is of one kind.
const sampled = 64

// A Column masks what detectors find in the values of one column. If one of its
// first 64 values is, as a whole, such a value, then every later one is masked as
// a whole, whether it is found or not: a column of card numbers has some that
// somebody mistyped. With [Column.Sample] that holds for the values before it as
// well. It is for one goroutine at a time.
type Column struct {
	typ   Type
	texts *Texts
	field detect.Field
	docs  *Documents
	buf   []byte // the value as text
	walk  []byte // what it was made of

	seen  int
	rule  *Rule // whose values the column holds
	whole Func
	hides bool           // whole shows nothing that other rules hide
	funcs map[*Rule]Func // nil: of what no single rule is about
}

// Column returns the masker of a column's values of that type by the rules' Detect
// and Custom, or nil if there is nothing that could be found in them. name is what
// the column is called; masked is as in [Set.Texts].
func (s *Set) Column(name string, typ Type, masked func(rule, what string)) *Column {
	if s.detector == nil {
		return nil
	}
	c := &Column{typ: typ, texts: s.Texts(masked), funcs: map[*Rule]Func{}}
	c.field = s.detector.Field(name)
	kind := typ.Kind
	if kind == Array { // as of its elements
		kind = Postgres(typ.Elem, "", false).Kind
	}
	switch kind {
	case Bool, Int2, Float4, Time, TimeTZ, Interval, UUID, Range:
		return nil
	case Int4, OID, Date, Timestamp, TimestampTZ: // so few digits are nobody's without a name that says so
		if c.field == (detect.Field{}) && !s.detector.HasCustom() {
			return nil
		}
	case Inet, CIDR, MAC, MAC8:
		if typ.Encoding == PostgresBinary {
			return nil
		}
	}
	if typ.Kind == JSON || typ.Kind == JSONB {
		c.docs = s.Documents(masked)
		c.docs.called = c.field
	}
	return c
}

// Sample looks at one of the first values before any is masked; nil is NULL. whole
// says that by now all of them will be masked as a whole: the next need not be
// sampled.
func (c *Column) Sample(in []byte) (whole bool) {
	if c.whole == nil && in != nil && c.docs == nil {
		c.look(in)
	}
	return c.whole != nil
}

// look finds what is in a value, and settles the column if that is all of it. Values
// that are documents hold others.
func (c *Column) look(in []byte) (text []byte, rule *Rule, all bool) {
	text = c.text(in)
	if bytes.IndexByte(text, 0) >= 0 { // as in UTF-16
		c.buf = slices.DeleteFunc(append(c.buf[:0], text...), func(b byte) bool { return b == 0 })
		text = c.buf
	}
	t := c.texts
	t.found = t.set.detector.Find(t.found[:0], text, c.field)
	if len(t.found) == 0 {
		return text, nil, false
	}
	first := &t.found[0]
	rule = t.rule(first)
	if all = first.Start == 0 && len(bytes.TrimRight(text[first.End:], " ")) == 0; all && c.seen <= sampled && c.whole == nil {
		c.rule, c.whole, c.hides = rule, c.bind(rule), t.set.hides(rule)
	}
	return text, rule, all
}

// Mask returns what takes the place of a value, and whether it is another one. dst,
// a buffer of length 0, is as for a [Func]; nil is NULL.
func (c *Column) Mask(dst, in []byte) (out []byte, changed bool) {
	if c.whole != nil {
		return c.settled(dst, in), true
	}
	c.seen++
	if c.docs != nil {
		return c.document(dst, in)
	}
	t := c.texts
	text, rule, all := c.look(in)
	switch {
	case rule == nil:
		return nil, false
	case (c.typ.Kind == Text || c.typ.Kind == Padded) && !all && len(text) == len(in):
		return t.fill(dst, text), true
	case t.masked != nil:
		t.masked(rule.Name, string(t.found[0].Kind))
	}
	if !t.only(rule) {
		rule = nil
	}
	return c.bind(rule)(dst, in), true
}

// settled masks a value of a column of which all values are masked as a whole: by the
// rule of its first such value, but by its own if that is another one. Who asks may
// choose which value comes first, and with it a rule that shows more.
func (c *Column) settled(dst, in []byte) []byte {
	rule := c.rule
	if !c.hides {
		if _, own, all := c.look(in); own != nil && !c.texts.only(rule) {
			if rule = nil; all {
				rule = own
			}
		}
	}
	if c.texts.masked != nil {
		named := rule
		if rule == nil {
			named = c.rule
		}
		c.texts.masked(named.Name, "")
	}
	if rule == c.rule {
		return c.whole(dst, in)
	}
	return c.bind(rule)(dst, in)
}

// bind returns what masks whole values by a rule; nil hides them.
func (c *Column) bind(r *Rule) Func {
	f := c.funcs[r]
	if f == nil {
		with := Redact()
		if r != nil {
			with = r.Transform
		}
		var err error
		if f, err = with.Bind(c.typ); err != nil {
			f = constant(nil)
		}
		c.funcs[r] = f
	}
	return f
}

// document masks a value that is a document. One that is not well formed is
// masked whole.
func (c *Column) document(dst, in []byte) ([]byte, bool) {
	doc := in
	version := c.typ.Kind == JSONB && c.typ.Encoding == PostgresBinary
	if version {
		if len(in) == 0 || in[0] != 1 {
			return nil, true
		}
		doc = in[1:]
	}
	out, err := c.docs.JSON(doc)
	switch {
	case err != nil:
		return append(dst, c.typ.redacted()...), true
	case bytes.Equal(out, doc):
		return nil, false
	case version:
		dst = append(dst, 1)
	}
	return append(dst, out...), true
}

// text returns a value as text, if its type has one that detectors know, and
// else as it is.
func (c *Column) text(in []byte) []byte {
	switch k := c.typ.Kind; {
	case c.typ.Encoding == PostgresBinary:
		switch k {
		case Int4, Int8, OID, Float8, Date, Timestamp, TimestampTZ, Numeric, Array, TSVector, Unknown:
		default:
			return in
		}
	case k == Float8, k == Timestamp, k == TimestampTZ, k == Bytes, k == Array && c.typ.Elem == byteaOID:
	default:
		return in
	}
	c.buf = c.appendText(c.buf[:0], c.typ, in, 0)
	return c.buf
}

const byteaOID = 17

// maxNested bounds how deep arrays and records are looked into.
const maxNested = 8

// appendText appends a value of type t as text, if it has one that detectors know, and
// else as it is. What it is made of has a line each.
func (c *Column) appendText(dst []byte, t Type, in []byte, depth int) []byte {
	start := len(dst)
	var walk []byte
	if depth == 0 {
		walk = c.walk[:0]
		defer func() { c.walk = walk[:0] }()
	}
	part := func(t Type, v []byte) []byte {
		dst = append(c.appendText(dst, t, v, depth+1), '\n')
		return v
	}
	be := binary.BigEndian
	whole := true
	switch k := t.Kind; {
	case t.Encoding != PostgresBinary:
		switch {
		case k == Float8 && depth == 0:
			dst = appendFloat(dst, in)
		case k == Timestamp || k == TimestampTZ: // its day may be somebody's
			dst = append(dst, in[:min(len(in), len(time.DateOnly))]...)
		case k == Bytes && bytes.HasPrefix(in, []byte(`\x`)):
			var err error
			dst, err = hex.AppendDecode(dst, in[2:])
			whole = err == nil
		case k == Array && t.Elem == byteaOID && depth == 0:
			walk, whole = textArray(walk, in, func(v []byte) []byte { return part(Type{Kind: Bytes}, v) })
		default:
			whole = false
		}
	case k == Int4 && len(in) == 4:
		dst = strconv.AppendInt(dst, int64(int32(be.Uint32(in))), 10)
	case k == OID && len(in) == 4:
		dst = strconv.AppendUint(dst, uint64(be.Uint32(in)), 10)
	case k == Int8 && len(in) == 8:
		dst = strconv.AppendInt(dst, int64(be.Uint64(in)), 10)
	case k == Float8 && len(in) == 8:
		dst = appendWholeFloat(dst, math.Float64frombits(be.Uint64(in)))
	case k == Date && len(in) == 4:
		day := int64(int32(be.Uint32(in))) + daysTo2000
		dst = time.Unix(day*86400, 0).UTC().AppendFormat(dst, time.DateOnly)
	case k == Timestamp, k == TimestampTZ:
		if y, m, d, ok := t.day(in); ok {
			dst = time.Date(y, m, d, 0, 0, 0, 0, time.UTC).AppendFormat(dst, time.DateOnly)
		}
	case k == Numeric:
		dst = appendNumeric(dst, in)
	case k == Array && depth < maxNested:
		elem := Postgres(t.Elem, "", true)
		walk, whole = binaryArray(walk, in, func(v []byte) []byte { return part(elem, v) })
	case k == Unknown && depth < maxNested: // perhaps a composite
		walk, _, whole = binaryRecord(walk, in, func(_ int, t Type, v []byte) []byte { return part(t, v) })
	case k == TSVector:
		dst, whole = appendLexemes(dst, in)
	default:
		whole = false
	}
	if !whole {
		return append(dst[:start], in...)
	}
	return dst
}

// appendFloat appends the digits of a floating-point number that is a whole one, however
// it is printed: a column of numbers of which some are missing often has this type.
func appendFloat(dst, in []byte) []byte {
	switch {
	case bytes.IndexByte(in, 'e') >= 0 || bytes.IndexByte(in, 'E') >= 0:
		v, err := strconv.ParseFloat(string(in), 64)
		if err != nil {
			return dst
		}
		return appendWholeFloat(dst, v)
	case bytes.IndexByte(in, '.') >= 0:
		return dst
	}
	return append(dst, in...)
}

func appendWholeFloat(dst []byte, v float64) []byte {
	if v != math.Trunc(v) || math.Abs(v) >= 1e19 { // no number that is somebody's is longer
		return dst
	}
	return strconv.AppendFloat(dst, v, 'f', -1, 64)
}

// appendLexemes appends the words of a text search document in PostgreSQL's binary
// form: their number, and for each its text, a zero byte, the number of its positions,
// and these.
func appendLexemes(dst, in []byte) ([]byte, bool) {
	be := binary.BigEndian
	if len(in) < 4 {
		return dst, false
	}
	n := be.Uint32(in)
	for in = in[4:]; n > 0; n-- {
		end := bytes.IndexByte(in, 0)
		if end < 0 || len(in) < end+3 {
			return dst, false
		}
		dst = append(append(dst, in[:end]...), '\n')
		in = in[end+1:]
		positions := 2 * int(be.Uint16(in))
		if len(in) < 2+positions {
			return dst, false
		}
		in = in[2+positions:]
	}
	return dst, len(in) == 0
}

// appendNumeric appends the whole part of a number in PostgreSQL's binary form
// that has no other: identifiers have none.
func appendNumeric(dst, in []byte) []byte {
	be := binary.BigEndian
	if len(in) < 8 {
		return dst
	}
	n, weight := int(be.Uint16(in)), int(int16(be.Uint16(in[2:])))
	if len(in) != 8+2*n || weight < 0 || weight > 16 || n > weight+1 || be.Uint16(in[4:]) != 0 {
		return dst
	}
	for i := range weight + 1 {
		group := uint16(0)
		if i < n {
			group = be.Uint16(in[8+2*i:])
		}
		if group > 9999 {
			return dst
		}
		if i > 0 {
			for limit := uint16(1000); limit > group && limit > 1; limit /= 10 {
				dst = append(dst, '0')
			}
		}
		dst = strconv.AppendUint(dst, uint64(group), 10)
	}
	return dst
}
