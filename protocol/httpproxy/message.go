package httpproxy

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// A message of Protocol Buffers is shown to steps as JSON, in a form of its own
// from which each value finds its way back: members have the names of the .proto
// file; numbers of all sizes are numbers, and those that JSON does not have are
// strings; bytes are a string, as they are if they are UTF-8, else in base64; an
// enum's value is its name; a google.protobuf.Any has its type_url, and as value
// the message in it. Fields that are not there are left out.

// appendMessage appends m as JSON.
func (d *descriptors) appendMessage(b []byte, m protoreflect.Message) ([]byte, error) {
	if len(m.GetUnknown()) > 0 {
		return nil, errUndescribed
	}
	b = append(b, '{')
	for i, f := range present(m) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, memberName(f)), ':')
		v := m.Get(f)
		var err error
		switch {
		case isAnyValue(f):
			inner, ierr := d.inAny(m)
			if ierr != nil {
				return nil, ierr
			}
			b, err = d.appendMessage(b, inner)
		case f.IsMap():
			b = append(b, '{')
			for j, k := range mapKeys(v.Map()) {
				if j > 0 {
					b = append(b, ',')
				}
				b = append(appendString(b, k.String()), ':')
				if b, err = d.appendValue(b, f.MapValue(), v.Map().Get(k)); err != nil {
					return nil, err
				}
			}
			b = append(b, '}')
		case f.IsList():
			b = append(b, '[')
			for j := range v.List().Len() {
				if j > 0 {
					b = append(b, ',')
				}
				if b, err = d.appendValue(b, f, v.List().Get(j)); err != nil {
					return nil, err
				}
			}
			b = append(b, ']')
		default:
			b, err = d.appendValue(b, f, v)
		}
		if err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func (d *descriptors) appendValue(b []byte, f protoreflect.FieldDescriptor, v protoreflect.Value) ([]byte, error) {
	switch f.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return d.appendMessage(b, v.Message())
	case protoreflect.BoolKind:
		return strconv.AppendBool(b, v.Bool()), nil
	case protoreflect.StringKind:
		return appendString(b, v.String()), nil
	case protoreflect.BytesKind:
		if utf8.Valid(v.Bytes()) {
			return appendString(b, string(v.Bytes())), nil
		}
		return appendString(b, base64.StdEncoding.EncodeToString(v.Bytes())), nil
	case protoreflect.EnumKind:
		if e := f.Enum().Values().ByNumber(v.Enum()); e != nil {
			return appendString(b, string(e.Name())), nil
		}
		return strconv.AppendInt(b, int64(v.Enum()), 10), nil
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		x := v.Float()
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return appendString(b, fmt.Sprint(x)), nil
		}
		return strconv.AppendFloat(b, x, 'g', -1, map[bool]int{true: 32, false: 64}[f.Kind() == protoreflect.FloatKind]), nil
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.Fixed32Kind, protoreflect.Fixed64Kind:
		return strconv.AppendUint(b, v.Uint(), 10), nil
	}
	return strconv.AppendInt(b, v.Int(), 10), nil
}

func appendString(b []byte, s string) []byte {
	text, _ := json.Marshal(s) // a string can be written
	return append(b, text...)
}

// present returns the fields that m has, by number.
func present(m protoreflect.Message) (fields []protoreflect.FieldDescriptor) {
	m.Range(func(f protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		fields = append(fields, f)
		return true
	})
	slices.SortFunc(fields, func(a, b protoreflect.FieldDescriptor) int { return int(a.Number()) - int(b.Number()) })
	return fields
}

// memberName is what a field is called: an extension's has brackets, as in JSON of
// Protocol Buffers.
func memberName(f protoreflect.FieldDescriptor) string {
	if f.IsExtension() {
		return "[" + string(f.FullName()) + "]"
	}
	return string(f.Name())
}

func mapKeys(m protoreflect.Map) (keys []protoreflect.MapKey) {
	m.Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, k)
		return true
	})
	slices.SortFunc(keys, func(a, b protoreflect.MapKey) int { return bytes.Compare([]byte(a.String()), []byte(b.String())) })
	return keys
}

// isAnyValue reports whether f holds a message that is only known by its name.
func isAnyValue(f protoreflect.FieldDescriptor) bool {
	return f.FullName() == "google.protobuf.Any.value"
}

// inAny returns the message in a google.protobuf.Any.
func (d *descriptors) inAny(m protoreflect.Message) (*dynamicpb.Message, error) {
	fields := m.Descriptor().Fields()
	url, value := fields.ByName("type_url"), fields.ByName("value")
	if url == nil || value == nil || url.Kind() != protoreflect.StringKind || value.Kind() != protoreflect.BytesKind {
		return nil, errUndescribed
	}
	t := d.any(m.Get(url).String())
	if t == nil {
		return nil, errUndescribed
	}
	return d.message(t, m.Get(value).Bytes())
}

// rewrite returns message b of a type with what f makes of its JSON.
func (d *descriptors) rewrite(t protoreflect.MessageDescriptor, b []byte, limit int64, f func([]byte) ([]byte, error)) ([]byte, error) {
	m, err := d.message(t, b)
	if err != nil {
		return nil, err
	}
	doc, err := d.appendMessage(nil, m)
	if err != nil {
		return nil, err
	}
	if int64(len(doc)) > 4*limit { // long names of short values
		return nil, errLarge
	}
	out, err := f(bytes.Clone(doc)) // which may be written to
	if err != nil {
		return nil, err
	}
	if bytes.Equal(out, doc) {
		return b, nil
	}
	v, err := parseValue(out)
	if err != nil {
		return nil, err
	}
	if err := d.setMessage(m, v); err != nil {
		return nil, err
	}
	return proto.MarshalOptions{AllowPartial: true, Deterministic: true}.Marshal(m)
}
