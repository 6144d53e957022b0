package mask

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport-dev/gateway/mask/detect"
)

// Elements masks each element of an array by itself, in as many dimensions as it
// has, and shows how many there are. NULL elements stay NULL. An array that is not
// well formed is hidden whole, and so is a value of any other type.
func Elements(with Transform) Transform {
	return transformOf("elements("+Describe(with)+")", func(t Type) (Func, error) {
		if with == nil {
			return nil, errors.New("elements: no transform")
		}
		elem := Postgres(t.Elem, "", t.Encoding == PostgresBinary)
		f, err := with.Bind(elem)
		if err != nil {
			return nil, err
		}
		if t.Kind != Array || t.Elem == 0 {
			return constant(t.redacted()), nil
		}
		empty := t.zero()
		var buf []byte
		masked := func(in []byte) []byte {
			out := f(buf[:0], in)
			if out != nil {
				buf = out
			}
			return out
		}
		return func(dst, in []byte) []byte {
			var ok bool
			if t.Encoding == PostgresBinary {
				dst, ok = binaryArray(dst, in, masked)
			} else {
				dst, ok = textArray(dst, in, masked)
			}
			if !ok {
				return append(dst[:0], empty...)
			}
			return dst
		}, nil
	})
}

// binaryArray appends the array in: the number of dimensions, whether there are
// NULLs, the elements' type, each dimension's length and lower bound, and the
// elements with their lengths.
func binaryArray(dst, in []byte, f func([]byte) []byte) ([]byte, bool) {
	be := binary.BigEndian
	if len(in) < 12 {
		return dst, false
	}
	dims := be.Uint32(in)
	if dims > 6 || len(in) < 12+8*int(dims) {
		return dst, false
	}
	n := uint64(min(dims, 1))
	for i := range int(dims) {
		if n *= uint64(be.Uint32(in[12+8*i:])); n > uint64(len(in)) {
			return dst, false
		}
	}
	head := 12 + 8*int(dims)
	dst = append(dst, in[:head]...)
	in = in[head:]
	for range n {
		if len(in) < 4 {
			return dst, false
		}
		size := int32(be.Uint32(in))
		in = in[4:]
		var out []byte
		if size >= 0 {
			if int(size) > len(in) {
				return dst, false
			}
			out = f(in[:size:size])
			in = in[size:]
		} else if size != -1 {
			return dst, false
		}
		if out == nil {
			be.PutUint32(dst[4:], 1)
			dst = be.AppendUint32(dst, 1<<32-1)
			continue
		}
		dst = append(be.AppendUint32(dst, uint32(len(out))), out...)
	}
	return dst, len(in) == 0
}

// textArray appends the array in, as PostgreSQL prints it: {a,"b c",NULL,{d}},
// perhaps behind its bounds and an equals sign.
func textArray(dst, in []byte, f func([]byte) []byte) ([]byte, bool) {
	if len(in) > 0 && in[0] == '[' {
		end := bytes.IndexByte(in, '=')
		if end < 0 || end > 256 {
			return dst, false
		}
		dst = append(dst, in[:end+1]...)
		in = in[end+1:]
	}
	var value []byte
	depth, after := 0, false // after an element
	for i := 0; i < len(in); {
		c := in[i]
		switch {
		case c == '{' && !after && (depth > 0 || i == 0):
			if depth++; depth > 6 {
				return dst, false
			}
			dst = append(dst, c)
			i++
			continue
		case c == '}' && depth > 0:
			depth--
			dst = append(dst, c)
			after = true
			if i++; depth == 0 {
				return dst, i == len(in)
			}
			continue
		case c == ',' && after && depth > 0:
			dst = append(dst, c)
			after = false
			i++
			continue
		case after || depth == 0:
			return dst, false
		}
		value = value[:0]
		quoted := c == '"'
		if quoted {
			i++
		}
		for ; i < len(in); i++ {
			c := in[i]
			if quoted && c == '"' || !quoted && (c == ',' || c == '}') {
				break
			}
			if c == '\\' {
				if i++; i == len(in) {
					return dst, false
				}
				c = in[i]
			}
			value = append(value, c)
		}
		if quoted {
			i++ // the quote; that it is there shows at the end
		}
		after = true
		if !quoted && bytes.EqualFold(value, []byte("NULL")) {
			dst = append(dst, "NULL"...)
			continue
		}
		if value == nil {
			value = []byte{}
		}
		out := f(value)
		if out == nil {
			dst = append(dst, "NULL"...)
			continue
		}
		dst = append(dst, '"')
		for _, c := range out {
			if c == '"' || c == '\\' {
				dst = append(dst, '\\')
			}
			dst = append(dst, c)
		}
		dst = append(dst, '"')
	}
	return dst, false
}

// Record masks fields of values of a composite type, counted from 1, and shows all
// others. In the text form the fields' types are not known: with has to make text
// that is a value of such a type. What is not one record with at least that many
// fields becomes NULL, and so does a value of any type that is known.
func Record(fields map[int]Transform) Transform {
	return transformOf(describeRecord(fields), func(t Type) (Func, error) {
		last := 0
		for i, f := range fields {
			if i < 1 || i > 1600 || f == nil {
				return nil, errors.New("record: a field is a number from 1 on, with a transform")
			}
			last = max(last, i)
			for e := range encodings {
				if _, err := f.Bind(Type{Kind: Text, Encoding: e}); err != nil {
					return nil, fmt.Errorf("record: field %d: %w", i, err)
				}
			}
		}
		if last == 0 {
			return nil, errors.New("record: no fields")
		}
		if t.Kind != Unknown {
			return constant(nil), nil
		}
		funcs := map[fieldType]Func{}
		var buf []byte
		// masked returns the value in the place of field i's; nil is NULL.
		masked := func(i int, typ Type, in []byte) []byte {
			with := fields[i]
			if with == nil {
				return in
			}
			f := funcs[fieldType{i, typ}]
			if f == nil {
				var err error
				if f, err = with.Bind(typ); err != nil {
					return nil
				}
				funcs[fieldType{i, typ}] = f
			}
			out := f(buf[:0], in)
			if out != nil {
				buf = out
			}
			return out
		}
		return func(dst, in []byte) []byte {
			n, ok := 0, false
			if t.Encoding == PostgresBinary {
				dst, n, ok = binaryRecord(dst, in, masked)
			} else {
				dst, n, ok = textRecord(dst, in, masked)
			}
			if !ok || n < last {
				return nil
			}
			return dst
		}, nil
	})
}

type fieldType struct {
	field int
	typ   Type
}

// binaryRecord appends the record in: the number of fields, and for each its type,
// its length and its value.
func binaryRecord(dst, in []byte, f func(int, Type, []byte) []byte) ([]byte, int, bool) {
	be := binary.BigEndian
	if len(in) < 4 {
		return dst, 0, false
	}
	n := be.Uint32(in)
	if n > 1600 {
		return dst, 0, false
	}
	dst, in = append(dst, in[:4]...), in[4:]
	for i := range int(n) {
		if len(in) < 8 {
			return dst, 0, false
		}
		oid, size := be.Uint32(in), int32(be.Uint32(in[4:]))
		dst = append(dst, in[:4]...)
		in = in[8:]
		var out []byte
		if size >= 0 {
			if int(size) > len(in) {
				return dst, 0, false
			}
			out = f(i+1, Postgres(oid, "", true), in[:size:size])
			in = in[size:]
		} else if size != -1 {
			return dst, 0, false
		}
		if out == nil {
			dst = be.AppendUint32(dst, 1<<32-1)
			continue
		}
		dst = append(be.AppendUint32(dst, uint32(len(out))), out...)
	}
	return dst, int(n), len(in) == 0
}

// textRecord appends the record in, as PostgreSQL prints it: (a,"b ""c""",), where
// nothing is NULL.
func textRecord(dst, in []byte, f func(int, Type, []byte) []byte) ([]byte, int, bool) {
	if len(in) < 2 || in[0] != '(' {
		return dst, 0, false
	}
	dst = append(dst, '(')
	var value []byte
	n := 0
	for i := 1; i < len(in); i++ {
		value = value[:0]
		null, quoted := true, false
		for ; i < len(in); i++ {
			c := in[i]
			if !quoted && (c == ',' || c == ')') {
				break
			}
			null = false
			switch {
			case c == '"' && quoted && i+1 < len(in) && in[i+1] == '"':
				i++
			case c == '"':
				quoted = !quoted
				continue
			case c == '\\':
				if i++; i == len(in) {
					return dst, 0, false
				}
				c = in[i]
			}
			value = append(value, c)
		}
		if i == len(in) {
			return dst, 0, false
		}
		n++
		if !null {
			if value == nil {
				value = []byte{}
			}
			if out := f(n, Type{Kind: Text}, value); out != nil {
				dst = append(dst, '"')
				for _, c := range out {
					if c == '"' || c == '\\' {
						dst = append(dst, c)
					}
					dst = append(dst, c)
				}
				dst = append(dst, '"')
			}
		}
		dst = append(dst, in[i])
		if in[i] == ')' {
			return dst, n, i == len(in)-1
		}
	}
	return dst, 0, false
}

// Found masks what detectors find in text, kinds being as in [detect.Config], and
// shows the rest: for columns of free text. In JSON documents strings and numbers
// are masked. A value of any type but text, json and jsonb is hidden whole.
func Found(with Transform, kinds ...string) Transform {
	name := "found(" + strings.Join(kinds, ", ") + ": " + Describe(with) + ")"
	if len(kinds) == 0 {
		name = "found(any kind: " + Describe(with) + ")"
		for _, k := range detect.Default() {
			kinds = append(kinds, string(k))
		}
	}
	set, err := Compile(Rule{Name: "found", Detect: kinds, Transform: with})
	return transformOf(name, func(t Type) (Func, error) {
		if err != nil {
			return nil, fmt.Errorf("found: %w", err)
		}
		switch t.Kind {
		case Text, JSON, JSONB:
		default:
			return constant(t.redacted()), nil
		}
		if t.Kind == Text {
			texts := set.Texts(nil)
			return func(dst, in []byte) []byte {
				if out := texts.Mask(dst, in, detect.Field{}); out != nil {
					return out
				}
				return append(notNil(dst), in...)
			}, nil
		}
		col := set.Column("", t, nil)
		return func(dst, in []byte) []byte {
			if out, changed := col.Mask(dst, in); changed {
				return out
			}
			return append(dst, in...)
		}, nil
	})
}

// notNil returns a buffer that stays a value when nothing is appended.
func notNil(dst []byte) []byte {
	if dst == nil {
		return []byte{}
	}
	return dst
}
