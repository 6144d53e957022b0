package httpproxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// everything is a description with a message that has a field of each kind.
func everything(t testing.TB) *descriptors {
	t.Helper()
	field := func(name string, n int32, kind descriptorpb.FieldDescriptorProto_Type, repeated bool, of string) *descriptorpb.FieldDescriptorProto {
		f := &descriptorpb.FieldDescriptorProto{Name: &name, Number: &n, Type: &kind, Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()}
		if repeated {
			f.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
		}
		if of != "" {
			f.TypeName = &of
		}
		return f
	}
	entry := func(name string, key descriptorpb.FieldDescriptorProto_Type) *descriptorpb.DescriptorProto {
		return &descriptorpb.DescriptorProto{Name: &name, Options: &descriptorpb.MessageOptions{MapEntry: proto.Bool(true)}, Field: []*descriptorpb.FieldDescriptorProto{
			field("key", 1, key, false, ""), field("value", 2, descriptorpb.FieldDescriptorProto_TYPE_STRING, false, "")}}
	}
	m := &descriptorpb.DescriptorProto{Name: proto.String("All")}
	for n := range descriptorpb.FieldDescriptorProto_Type_name {
		switch kind := descriptorpb.FieldDescriptorProto_Type(n); kind {
		case descriptorpb.FieldDescriptorProto_TYPE_GROUP, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE, descriptorpb.FieldDescriptorProto_TYPE_ENUM:
		default:
			name := strings.ToLower(strings.TrimPrefix(kind.String(), "TYPE_"))
			m.Field = append(m.Field, field("one_"+name, n, kind, false, ""), field("many_"+name, 100+n, kind, true, ""))
		}
	}
	m.Field = append(m.Field,
		field("one_enum", 50, descriptorpb.FieldDescriptorProto_TYPE_ENUM, false, ".all.Color"),
		field("all", 51, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE, false, ".all.All"),
		field("alls", 52, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE, true, ".all.All"),
		field("names", 53, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE, true, ".all.All.NamesEntry"),
		field("numbers", 54, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE, true, ".all.All.NumbersEntry"),
		field("any", 55, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE, false, ".google.protobuf.Any"))
	m.NestedType = []*descriptorpb.DescriptorProto{entry("NamesEntry", descriptorpb.FieldDescriptorProto_TYPE_STRING), entry("NumbersEntry", descriptorpb.FieldDescriptorProto_TYPE_INT32)}
	file := &descriptorpb.FileDescriptorProto{Name: proto.String("all.proto"), Package: proto.String("all"), Syntax: proto.String("proto3"),
		Dependency:  []string{"google/protobuf/any.proto", "google/protobuf/wrappers.proto"},
		MessageType: []*descriptorpb.DescriptorProto{m},
		EnumType: []*descriptorpb.EnumDescriptorProto{{Name: proto.String("Color"), Value: []*descriptorpb.EnumValueDescriptorProto{
			{Name: proto.String("NONE"), Number: proto.Int32(0)}, {Name: proto.String("RED"), Number: proto.Int32(7)}}}},
		Service: []*descriptorpb.ServiceDescriptorProto{{Name: proto.String("S"), Method: []*descriptorpb.MethodDescriptorProto{
			{Name: proto.String("Get"), InputType: proto.String(".all.All"), OutputType: proto.String(".all.All")}}}}}
	b, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{
		protodesc.ToFileDescriptorProto(anypb.File_google_protobuf_any_proto), protodesc.ToFileDescriptorProto(wrapperspb.File_google_protobuf_wrappers_proto), file}})
	require.NoError(t, err)
	d, err := parseDescriptors(b)
	require.NoError(t, err)
	return d
}

// fill gives m something in each field.
func fill(t testing.TB, m *dynamicpb.Message, depth int) {
	t.Helper()
	value := func(f protoreflect.FieldDescriptor) protoreflect.Value {
		switch f.Kind() {
		case protoreflect.StringKind:
			return protoreflect.ValueOfString("ann@example.com")
		case protoreflect.BytesKind:
			return protoreflect.ValueOfBytes([]byte("\xff\x00ann"))
		case protoreflect.BoolKind:
			return protoreflect.ValueOfBool(true)
		case protoreflect.EnumKind:
			return protoreflect.ValueOfEnum(7)
		case protoreflect.FloatKind:
			return protoreflect.ValueOfFloat32(0.1)
		case protoreflect.DoubleKind:
			return protoreflect.ValueOfFloat64(math.Inf(-1))
		case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
			return protoreflect.ValueOfUint32(math.MaxUint32)
		case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
			return protoreflect.ValueOfUint64(math.MaxUint64)
		case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
			return protoreflect.ValueOfInt32(math.MinInt32)
		}
		return protoreflect.ValueOfInt64(math.MinInt64)
	}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case f.IsMap() && f.MapKey().Kind() == protoreflect.StringKind:
			m.Mutable(f).Map().Set(protoreflect.ValueOfString("ann@example.com").MapKey(), protoreflect.ValueOfString("a"))
			m.Mutable(f).Map().Set(protoreflect.ValueOfString("b").MapKey(), protoreflect.ValueOfString("bob@example.com"))
		case f.IsMap():
			m.Mutable(f).Map().Set(protoreflect.ValueOfInt32(5).MapKey(), protoreflect.ValueOfString("ann@example.com"))
		case f.Name() == "any":
			a, err := anypb.New(wrapperspb.String("ann@example.com"))
			require.NoError(t, err)
			b, err := proto.Marshal(a)
			require.NoError(t, err)
			require.NoError(t, proto.Unmarshal(b, m.Mutable(f).Message().Interface()))
		case f.Message() != nil && depth == 0:
		case f.Message() != nil && f.IsList():
			fill(t, m.Mutable(f).List().AppendMutable().Message().(*dynamicpb.Message), depth-1)
		case f.Message() != nil:
			fill(t, m.Mutable(f).Message().(*dynamicpb.Message), depth-1)
		case f.IsList():
			m.Mutable(f).List().Append(value(f))
			m.Mutable(f).List().Append(m.Mutable(f).List().NewElement())
		default:
			m.Set(f, value(f))
		}
	}
}

var mail = regexp.MustCompile(`[a-z]+@example\.com`)

// TestMessagesAsDocuments: what steps make of a message's JSON is in the message,
// and nothing else has changed.
func TestMessagesAsDocuments(t *testing.T) {
	d := everything(t)
	typ := d.output("/all.S/Get")
	require.NotNil(t, typ)
	for _, path := range []string{"/all.S/Put", "/all.All/Get", "/all.T/Get", "", "/", "/all.S"} {
		require.Nil(t, d.output(path), path)
	}
	m := dynamicpb.NewMessage(typ)
	fill(t, m, 2)
	b, err := proto.Marshal(m)
	require.NoError(t, err)
	rewrite := func(b []byte, f func(string) string) (*dynamicpb.Message, error) {
		out, err := d.rewrite(typ, b, 1<<20, func(doc []byte) ([]byte, error) { return []byte(f(string(doc))), nil })
		if err != nil {
			return nil, err
		}
		got := dynamicpb.NewMessage(typ)
		return got, proto.Unmarshal(out, got)
	}
	var doc string
	got, err := rewrite(b, func(s string) string { doc = s; return s + " " }) // nothing, and yet to be read
	require.NoError(t, err)
	require.True(t, proto.Equal(m, got))
	for _, want := range []string{`"one_uint64":18446744073709551615`, `"one_enum":"RED"`, `"names":{"ann@example.com":"a","b":"bob@example.com"}`, `"numbers":{"5":"ann@example.com"}`,
		`"one_float":0.1`, `"one_double":"-Inf"`, `"any":{"type_url":"type.googleapis.com/google.protobuf.StringValue","value":{"value":"ann@example.com"}}`} {
		require.Contains(t, doc, want)
	}
	got, err = rewrite(b, func(s string) string { return mail.ReplaceAllString(s, "***") })
	require.NoError(t, err)
	require.NotContains(t, got.String(), "@example.com")
	shown, err := d.appendMessage(nil, got)
	require.NoError(t, err)
	require.Equal(t, mail.ReplaceAllString(doc, "***"), string(shown))

	// What a field cannot be is not what it was.
	for _, c := range []string{`"***"`, `true`, `-1`, `1e99`, `"***"`, `null`, `0.5`} {
		values := regexp.MustCompile(`"(one_[a-z0-9]+)":(?:"[^"]*"|[^,}\[{]+)`)
		got, err = rewrite(b, func(s string) string { return values.ReplaceAllString(s, `"$1":`+c) })
		require.NoError(t, err)
		fields := typ.Fields()
		for i := range fields.Len() {
			if f := fields.Get(i); strings.HasPrefix(string(f.Name()), "one_") && f.Name() != "one_bool" { // which has only two values
				require.False(t, got.Has(f) && got.Get(f).Equal(m.Get(f)), "%s: %s", c, f.Name())
			}
		}
	}
	one := regexp.MustCompile(`"alls":.*$`)
	for name, f := range map[string]func(string) string{
		"another member":  func(s string) string { return `{"new":1,` + s[1:] },
		"twice":           func(s string) string { return `{"one_bool":true,` + s[1:] },
		"no document":     func(string) string { return `{` },
		"two documents":   func(s string) string { return s + s },
		"not an object":   func(string) string { return `[]` },
		"a list for one":  func(s string) string { return one.ReplaceAllString(s, `"alls":{}}`) },
		"a shorter list":  func(s string) string { return one.ReplaceAllString(s, `"alls":[]}`) },
		"an unknown type": func(s string) string { return strings.ReplaceAll(s, "StringValue", "StringVal") },
	} {
		_, err = rewrite(b, f)
		require.Error(t, err, name)
	}
	// A member that a step leaves out is none any more.
	got, err = rewrite(b, func(string) string { return `{}` })
	require.NoError(t, err)
	require.Zero(t, proto.Size(got))
}

// TestMessagesThatAreNotShown: what is not described is refused, and what would
// take much memory is found before.
func TestMessagesThatAreNotShown(t *testing.T) {
	d := everything(t)
	typ := d.output("/all.S/Get")
	leave := func(b []byte) error {
		_, err := d.rewrite(typ, b, 8<<20, func(doc []byte) ([]byte, error) { return doc, nil })
		return err
	}
	text := func(n protowire.Number, s string) []byte {
		return protowire.AppendString(protowire.AppendTag(nil, n, protowire.BytesType), s)
	}
	anyOf := func(url, value string) []byte { return text(55, string(text(1, url))+string(text(2, value))) }
	require.NoError(t, leave(anyOf("x/google.protobuf.StringValue", string(text(1, "ann")))))
	var deepest []byte
	for range 200 {
		deepest = text(51, string(deepest))
	}
	nested := "x"
	for range 1000 {
		nested = string(text(1, "x/google.protobuf.Any")) + string(text(2, nested))
	}
	for name, c := range map[string]struct {
		b   []byte
		err error
	}{
		"an unknown field":            {text(99, "ann"), errUndescribed},
		"within another":              {text(51, string(text(99, "ann"))), errUndescribed},
		"in an entry":                 {text(53, string(text(3, "ann"))), errUndescribed},
		"of another wire type":        {protowire.AppendVarint(protowire.AppendTag(nil, 9, protowire.VarintType), 1), errUndescribed},
		"a group":                     {append(append(protowire.AppendTag(nil, 9, protowire.StartGroupType), text(1, "ann")...), protowire.AppendTag(nil, 9, protowire.EndGroupType)...), errUndescribed},
		"an any of nobody":            {anyOf("x/y.Z", "ann"), errUndescribed},
		"an any without a type":       {anyOf("", "ann"), errUndescribed},
		"an any with unknown fields":  {anyOf("x/google.protobuf.StringValue", string(text(2, "ann"))), errUndescribed},
		"any in any":                  {anyOf("x/google.protobuf.Any", nested), errValues},
		"deep":                        {deepest, errValues},
		"many empty ones":             {[]byte(strings.Repeat(string(text(52, "")), maxValues+1)), errValues},
		"many small numbers":          {text(105, strings.Repeat("\x01", maxValues)), errValues},
		"a length that is not true":   {[]byte("\x4a\xff\xff\xff\xff\x0fann"), errMessage},
		"a varint without end":        {[]byte(strings.Repeat("\xff", 20)), errMessage},
		"a text that is not in UTF-8": {text(9, "\xff"), errMessage},
	} {
		require.ErrorIs(t, leave(c.b), c.err, name)
	}
	_, err := d.rewrite(typ, text(9, strings.Repeat("x", 5000)), 1000, func(doc []byte) ([]byte, error) { return doc, nil })
	require.ErrorIs(t, err, errLarge)
	_, err = d.rewrite(typ, text(9, "ann"), 1000, func(doc []byte) ([]byte, error) { // in place
		copy(doc, strings.ReplaceAll(string(doc), "ann", "***"))
		return doc, nil
	})
	require.NoError(t, err)
	for _, bad := range []string{"", "x", "\x0a\x00"} {
		_, err := parseDescriptors([]byte(bad))
		require.Error(t, err)
	}
}

// FuzzMessage: whatever a target sends, a message that is looked at is described
// as a whole, has no text that a step has taken out, and stays what it is if none
// was.
func FuzzMessage(f *testing.F) {
	d := everything(f)
	typ := d.output("/all.S/Get")
	m := dynamicpb.NewMessage(typ)
	fill(f, m, 1)
	b, err := proto.Marshal(m)
	require.NoError(f, err)
	f.Add(b)
	f.Add([]byte("\xba\x03\x2a\x0a\x22x/google.protobuf.StringValue\x12\x02\x0a\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var doc string
		same, err := d.rewrite(typ, b, 1<<20, func(in []byte) ([]byte, error) { doc = string(in); return append(in, ' '), nil })
		var r *refusal
		if err != nil {
			require.True(t, errors.As(err, &r) || errors.Is(err, errValues) || errors.Is(err, errMessage) || errors.Is(err, errLarge), err)
			return
		}
		m, got := dynamicpb.NewMessage(typ), dynamicpb.NewMessage(typ)
		require.NoError(t, proto.Unmarshal(b, m))
		require.NoError(t, proto.Unmarshal(same, got))
		shown, err := d.appendMessage(nil, got)
		require.NoError(t, err)
		require.Equal(t, doc, string(shown))
		got = dynamicpb.NewMessage(typ)
		none, err := d.rewrite(typ, b, 1<<20, func(in []byte) ([]byte, error) {
			var v any
			dec := json.NewDecoder(bytes.NewReader(in))
			dec.UseNumber()
			require.NoError(t, dec.Decode(&v))
			return json.Marshal(hidden(v))
		})
		if errors.Is(err, errShape) { // such as the type of an Any
			return
		}
		require.NoError(t, err)
		require.NoError(t, proto.Unmarshal(none, got))
		shown, err = d.appendMessage(nil, got)
		require.NoError(t, err)
		require.Empty(t, regexp.MustCompile(`:"[^*]|\["[^*]|,"[^"]*"[,\]]`).FindString(strings.ReplaceAll(string(shown), `,"***"`, "")))
	})
}

// hidden is v with *** in the place of each string.
func hidden(v any) any {
	switch v := v.(type) {
	case string:
		return "***"
	case []any:
		for i := range v {
			v[i] = hidden(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = hidden(v[k])
		}
	}
	return v
}
