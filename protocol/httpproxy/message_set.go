package httpproxy

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// A jsonValue is a value of JSON whose members have kept their order.
type jsonValue struct {
	scalar  any // string, json.Number, bool, or nil for null and for the others
	members []jsonMember
	items   []jsonValue
	kind    byte // '{', '[' or 0
}

type jsonMember struct {
	name  string
	value jsonValue
}

var errShape = errors.New("what a step made of a message has another form")

// parseValue reads one JSON document.
func parseValue(doc []byte) (*jsonValue, error) {
	if !json.Valid(doc) { // which bounds how deep it is, too
		return nil, errShape
	}
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.UseNumber()
	return nextValue(dec)
}

func nextValue(dec *json.Decoder) (*jsonValue, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, errShape
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return &jsonValue{scalar: token}, nil
	}
	v := &jsonValue{kind: byte(delim)}
	for dec.More() {
		var name string
		if delim == '{' {
			token, err := dec.Token()
			if err != nil {
				return nil, errShape
			}
			name, _ = token.(string)
		}
		item, err := nextValue(dec)
		if err != nil {
			return nil, err
		}
		if delim == '{' {
			v.members = append(v.members, jsonMember{name, *item})
		} else {
			v.items = append(v.items, *item)
		}
	}
	_, err = dec.Token()
	return v, err
}

// setMessage gives m the values that stand in v. A value that its field cannot have
// is none: what a step has taken away must not come back. Members may be missing,
// but there are no others.
func (d *descriptors) setMessage(m protoreflect.Message, v *jsonValue) error {
	if v.kind != '{' {
		return errShape
	}
	found := 0
	for _, f := range present(m) {
		var to *jsonValue
		for i := range v.members {
			if v.members[i].name == memberName(f) {
				if to != nil { // of two, which one counts?
					return errShape
				}
				to = &v.members[i].value
				found++
			}
		}
		if to == nil || to.kind == 0 && to.scalar == nil {
			m.Clear(f)
			continue
		}
		if err := d.setField(m, f, to); err != nil {
			return err
		}
	}
	if found != len(v.members) {
		return errShape
	}
	return nil
}

func (d *descriptors) setField(m protoreflect.Message, f protoreflect.FieldDescriptor, to *jsonValue) error {
	switch {
	case isAnyValue(f):
		inner, err := d.inAny(m)
		if err != nil { // its type was changed
			return errShape
		}
		if err := d.setMessage(inner, to); err != nil {
			return err
		}
		b, err := proto.MarshalOptions{AllowPartial: true, Deterministic: true}.Marshal(inner)
		if err != nil {
			return err
		}
		m.Set(f, protoreflect.ValueOfBytes(b))
	case f.IsMap():
		return d.setMap(m.Mutable(f).Map(), f, to)
	case f.IsList():
		list := m.Mutable(f).List()
		if to.kind != '[' || len(to.items) != list.Len() {
			return errShape
		}
		for i := range to.items {
			if f.Message() != nil {
				if to.items[i].kind == 0 && to.items[i].scalar == nil {
					list.Set(i, list.NewElement())
				} else if err := d.setMessage(list.Get(i).Message(), &to.items[i]); err != nil {
					return err
				}
				continue
			}
			x, ok := scalar(f, list.Get(i), &to.items[i])
			if !ok {
				x = list.NewElement()
			}
			list.Set(i, x)
		}
	case f.Message() != nil:
		return d.setMessage(m.Mutable(f).Message(), to)
	default:
		x, ok := scalar(f, m.Get(f), to)
		if !ok {
			m.Clear(f)
			return nil
		}
		m.Set(f, x)
	}
	return nil
}

// setMap gives a map the entries that stand in to. One whose key was changed is the
// one that stood at its place.
func (d *descriptors) setMap(m protoreflect.Map, f protoreflect.FieldDescriptor, to *jsonValue) error {
	keys := mapKeys(m)
	if to.kind != '{' || len(to.members) != len(keys) {
		return errShape
	}
	at := make(map[string]int, len(keys))
	values := make([]protoreflect.Value, len(keys))
	for i, k := range keys {
		at[k.String()], values[i] = i, m.Get(k)
		m.Clear(k)
	}
	for i := range to.members {
		name, item := to.members[i].name, &to.members[i].value
		from, ok := at[name]
		k := protoreflect.ValueOfString(name).MapKey()
		switch {
		case ok:
			k = keys[from]
		case f.MapKey().Kind() != protoreflect.StringKind:
			continue // no key that can be shown
		default:
			from = i
		}
		v := values[from]
		if f.MapValue().Message() != nil {
			if item.kind == 0 && item.scalar == nil {
				v = m.NewValue()
			} else if err := d.setMessage(v.Message(), item); err != nil {
				return err
			}
		} else if x, ok := scalar(f.MapValue(), v, item); ok {
			v = x
		} else {
			v = m.NewValue()
		}
		m.Set(k, v)
	}
	return nil
}

// scalar returns what stands in to as a value of f, which was old, or false: it
// cannot be one.
func scalar(f protoreflect.FieldDescriptor, old protoreflect.Value, to *jsonValue) (v protoreflect.Value, ok bool) {
	text, isString := to.scalar.(string)
	number, isNumber := to.scalar.(json.Number)
	switch f.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(text), isString
	case protoreflect.BytesKind:
		if utf8.Valid(old.Bytes()) {
			return protoreflect.ValueOfBytes([]byte(text)), isString
		}
		b, err := base64.StdEncoding.DecodeString(text)
		return protoreflect.ValueOfBytes(b), isString && err == nil
	case protoreflect.BoolKind:
		b, isBool := to.scalar.(bool)
		return protoreflect.ValueOfBool(b), isBool
	case protoreflect.EnumKind:
		if e := f.Enum().Values().ByName(protoreflect.Name(text)); isString && e != nil {
			return protoreflect.ValueOfEnum(e.Number()), true
		}
		n, err := strconv.ParseInt(string(number), 10, 32)
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(n)), isNumber && err == nil
	case protoreflect.FloatKind:
		x, err := strconv.ParseFloat(string(number)+text, 32)
		return protoreflect.ValueOfFloat32(float32(x)), (isNumber || isString && isOdd(x)) && err == nil
	case protoreflect.DoubleKind:
		x, err := strconv.ParseFloat(string(number)+text, 64)
		return protoreflect.ValueOfFloat64(x), (isNumber || isString && isOdd(x)) && err == nil
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		n, err := strconv.ParseUint(string(number), 10, 32)
		return protoreflect.ValueOfUint32(uint32(n)), err == nil
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		n, err := strconv.ParseUint(string(number), 10, 64)
		return protoreflect.ValueOfUint64(n), err == nil
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		n, err := strconv.ParseInt(string(number), 10, 32)
		return protoreflect.ValueOfInt32(int32(n)), err == nil
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		n, err := strconv.ParseInt(string(number), 10, 64)
		return protoreflect.ValueOfInt64(n), err == nil
	}
	return v, false
}

// isOdd reports whether x is a number that JSON does not have.
func isOdd(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) }
