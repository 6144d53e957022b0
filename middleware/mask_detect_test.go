package middleware_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/middleware/middlewaretest"
	"github.com/sallyport-dev/gateway/protocol"
)

func detecting() mask.Rule {
	return mask.Rule{Name: "found", Detect: []string{"*"}, Transform: mask.Redact()}
}

func TestMaskDetectsInRows(t *testing.T) {
	cols := []protocol.Column{col("note", "is public.orders.note"), col("x", "is public.orders.ssn"), col("id", "is public.orders.id"), {Name: "y", Type: textOID}}
	in := bytesOf("write to ada@example.com", "536904399", "536904399", "4111111111111111")
	for name, c := range map[string]struct {
		step middleware.Step
		want [][]byte
	}{
		"only what is found":      {middleware.Mask(detecting()), bytesOf("write to ***", "***", "536904399", "***")},
		"beside rules on columns": {middleware.Mask(append(maskRules(), detecting())...), bytesOf("write to ***", "***", "536904399", "***")},
		"only rules on columns":   {middleware.Mask(maskRules()...), bytesOf("write to ada@example.com", "536904399", "536904399", "***")}, // y is not known
	} {
		op := sel("public.orders.note", "public.orders.ssn", "public.orders.id")
		if name == "only rules on columns" {
			op.ReadsKnown = false
		}
		rows, err := middlewaretest.Rows(c.step, op, cols, [][][]byte{in, {nil, nil, nil, nil}})
		require.NoError(t, err, name)
		require.Equal(t, [][][]byte{c.want, {nil, nil, nil, nil}}, rows, name)
		if name == "only what is found" {
			require.Equal(t, []string{"note", "x", "y"}, op.Result().Labels())
			for _, m := range op.Result().Masked {
				require.EqualValues(t, 1, m.Values.Load(), m.Label)
			}
		}
	}
}

// What a client calls a column, and what else it puts into it, hides nothing of what it
// is called where it comes from.
func TestMaskDetectsByNamesOfSources(t *testing.T) {
	many := []string{}
	for i := range 20 {
		many = append(many, "of public.orders.c"+strings.Repeat("x", i))
	}
	cols := []protocol.Column{col(strings.Repeat("x", 256), "is public.orders.ssn"), col("x", append(many, "of public.orders.ssn")...), col("version", "is public.orders.host")}
	rows, err := middlewaretest.Rows(middleware.Mask(detecting()), sel("public.orders.ssn"), cols, [][][]byte{bytesOf("536904399", "536904399", "10.0.0.1")})
	require.NoError(t, err)
	require.Equal(t, [][][]byte{bytesOf("***", "***", "***")}, rows)
}

// A column is masked whole or not at all: the rows before the one in which something
// is found are not shown first.
func TestMaskSamplesColumns(t *testing.T) {
	cols := []protocol.Column{col("card", "is public.orders.card"), col("note", "is public.orders.note"), col("mail", "is public.customers.email")}
	in := [][][]byte{bytesOf("4111 1111 1111 1112", "a", "NULL"), bytesOf("NULL", "ada@example.com is ill", "x"), bytesOf("4111 1111 1111 1111", "b", "ada@example.com")}
	want := [][][]byte{bytesOf("***", "a", "NULL"), bytesOf("NULL", "*** is ill", "***"), bytesOf("***", "b", "***@example.com")}
	step := middleware.Mask(append(maskRules(), detecting())...)
	op := sel("public.orders.card", "public.customers.email")
	rows, err := middlewaretest.Rows(step, op, cols, in)
	require.NoError(t, err)
	require.Equal(t, want, rows)

	// Where nothing is to be looked for nothing is held.
	x, err := middlewaretest.Ask(middleware.Mask(maskRules()...), sel("public.customers.email"))
	require.NoError(t, err)
	_, err = x.Rows([]protocol.Column{cols[2]})
	require.NoError(t, err)
	require.Nil(t, x.Sample())

	// In shadow it counts the same.
	var counted map[string]int
	shadow := middleware.MaskWith(middleware.MaskConfig{Rules: []mask.Rule{detecting()},
		Shadow: func(_ *protocol.Operation, masked map[string]int, _ string) { counted = masked }})
	rows, err = middlewaretest.Rows(shadow, sel("public.orders.card"), cols[:1], [][][]byte{in[0][:1], in[2][:1]})
	require.NoError(t, err)
	require.Equal(t, [][][]byte{in[0][:1], in[2][:1]}, rows)
	require.Equal(t, map[string]int{"found": 2}, counted)
}

// The text of a message is looked at also where nothing else is to be hidden.
func TestMaskDetectsInMessages(t *testing.T) {
	msg := protocol.Message{Code: "P0001", Text: "no such customer: ada@example.com", Detail: "ssn 536-90-4399"}
	for _, step := range []middleware.Step{middleware.Mask(detecting()), middleware.Mask(append(maskRules(), detecting())...)} {
		for _, op := range []*protocol.Operation{sel("public.orders.id"), {Verb: protocol.Connect, Access: protocol.Control}} {
			got, err := middlewaretest.Text(step, op, msg)
			require.NoError(t, err)
			require.Equal(t, protocol.Message{Code: "P0001", Text: "no such customer: ***", Detail: "ssn ***"}, got)
		}
	}
}

func TestMaskDetectsInStreams(t *testing.T) {
	x, err := middlewaretest.Ask(middleware.Mask(detecting()), &protocol.Operation{Verb: "shell", Access: protocol.Execute | protocol.Opaque, Shape: protocol.Bytes})
	require.NoError(t, err)
	in, err := x.Bytes(protocol.Stream{Name: "stdin", In: true})
	require.NoError(t, err)
	require.Nil(t, in, "what the client sends is the client's")
	f, err := x.Bytes(protocol.Stream{Name: "stdout"})
	require.NoError(t, err)
	var out string
	for _, c := range []struct {
		chunk string
		last  bool
	}{{"card 4111 1111", false}, {" 1111 1111\n$ ", false}, {"", false}, {"\x1b[1mada@exam", false}, {"ple.com", true}} {
		got, err := f([]byte(c.chunk), c.last)
		require.NoError(t, err)
		if c.chunk == "" {
			require.Equal(t, "$ ", string(got), "an empty chunk asks for what is held back")
		}
		out += string(got)
	}
	require.Equal(t, "card ***\n$ \x1b[1m***", out)
}

func TestMaskDetectsInDocuments(t *testing.T) {
	x, err := middlewaretest.Ask(middleware.Mask(detecting()), &protocol.Operation{Access: protocol.Read, Shape: protocol.Docs})
	require.NoError(t, err)
	for kind, c := range map[string][2]string{
		"application/json": {`{"ssn":"536904399","note":"ada@example.com"}`, `{"ssn":"***","note":"***"}`},
		"text/html":        {"<p>ada@example.com</p>", "<p>***</p>"},
		"text/csv":         {"a,b\nada@example.com,1\n", "a,b\n***,1\n"},
	} {
		f, err := x.Docs(kind)
		require.NoError(t, err)
		got, err := f([]byte(c[0]))
		require.NoError(t, err)
		require.Equal(t, c[1], string(got), kind)
	}
	var denied *protocol.DeniedError
	_, err = x.Docs("application/octet-stream")
	require.ErrorAs(t, err, &denied)
}

// What nobody can look into is refused, unless it is let pass by name.
func TestMaskDetectsNothingUnseen(t *testing.T) {
	pass := middleware.MaskWith(middleware.MaskConfig{Rules: []mask.Rule{detecting()}, PassKinds: []string{"scp", "open"}})
	for _, c := range []struct {
		verb     protocol.Verb
		access   protocol.Access
		shape    protocol.Shape
		ok, pass bool
	}{
		{"copy", protocol.Read, protocol.Bytes, false, false},
		{"copy", protocol.Read, protocol.Bytes | protocol.Rows, true, true},
		{"copy", protocol.Write, protocol.Bytes, true, true},
		{"scp", protocol.Read | protocol.Execute, protocol.Bytes, false, true},
		{"forward", protocol.Opaque, protocol.Bytes, false, false},
		{"open", protocol.Read, 0, false, true},
		{"open", protocol.Write, 0, true, true},
		{"subsystem", protocol.Control, 0, true, true},
		{"subsystem", protocol.Opaque, protocol.Bytes, false, false},
		{"list", protocol.Read, 0, true, true},
	} {
		_, err := middlewaretest.Ask(middleware.Mask(detecting()), &protocol.Operation{Verb: c.verb, Access: c.access, Shape: c.shape})
		require.Equal(t, c.ok, err == nil, "%s", c.verb)
		_, err = middlewaretest.Ask(pass, &protocol.Operation{Verb: c.verb, Access: c.access, Shape: c.shape})
		require.Equal(t, c.pass, err == nil, "%s, let pass", c.verb)
	}
}
