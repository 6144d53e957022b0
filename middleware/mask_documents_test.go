package middleware_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/middleware/middlewaretest"
	"github.com/sallyport-dev/gateway/protocol"
)

func TestMaskDocuments(t *testing.T) {
	step := middleware.MaskWith(middleware.MaskConfig{PassKinds: []string{"image/*"},
		Rules: []mask.Rule{{Name: "mail", Fields: []string{"**.email"}, Transform: mask.Redact()}}})
	op := &protocol.Operation{Access: protocol.Write, Shape: protocol.Docs | protocol.Bytes}
	x, err := middlewaretest.Ask(step, op)
	require.NoError(t, err)
	defer x.End(protocol.Outcome{Status: protocol.StatusOK})
	show := func(kind, doc string) (string, error) {
		f, err := x.Docs(kind)
		if err != nil || f == nil {
			return doc, err
		}
		out, err := f([]byte(doc))
		return string(out), err
	}
	for kind, want := range map[string]string{"application/json": `{"email":"***"}`, "application/vnd.x+json": `{"email":"***"}`, "image/png": `{"email":"a@b"}`} {
		got, err := show(kind, `{"email":"a@b"}`)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for kind, doc := range map[string]string{"text/html": "a@b", "application/json": `{"email":"a@b"`, "": "{}"} {
		_, err := show(kind, doc)
		var denied *protocol.DeniedError
		require.ErrorAs(t, err, &denied)
		require.NotContains(t, denied.Error(), "a@b")
	}
	require.Equal(t, []string{"**.email"}, op.Result().Labels())

	columns := middleware.Mask(mask.Rule{Name: "c", Columns: []string{"*.*.email"}, Transform: mask.Redact()})
	for what, c := range map[string]struct {
		step middleware.Step
		op   *protocol.Operation
	}{
		"what could not be analysed":           {step, &protocol.Operation{Access: protocol.Opaque, Shape: protocol.Docs}},
		"a stream that is no document":         {step, &protocol.Operation{Access: protocol.Read, Shape: protocol.Bytes}},
		"a document, with rules about columns": {columns, &protocol.Operation{Access: protocol.Read, Shape: protocol.Docs}},
	} {
		_, err := middlewaretest.Ask(c.step, c.op)
		var denied *protocol.DeniedError
		require.ErrorAs(t, err, &denied, what)
	}
}

// Under detectors a text is masked as a stream where its connector shows it as
// one, and as a whole where it does not; an event is always a document.
func TestMaskTextsAsStreams(t *testing.T) {
	step := middleware.MaskWith(middleware.MaskConfig{Rules: []mask.Rule{{Name: "mail", Detect: []string{"email"}, Transform: mask.Redact()}}, PassKinds: []string{"text/css"}})
	op := &protocol.Operation{Access: protocol.Read, Shape: protocol.Docs | protocol.Bytes}
	x, err := middlewaretest.Ask(step, op)
	require.NoError(t, err)
	defer x.End(protocol.Outcome{Status: protocol.StatusOK})
	stream := func(s protocol.Stream, chunks ...string) string {
		f, err := x.Bytes(s)
		require.NoError(t, err)
		out := ""
		for i, c := range chunks {
			b := []byte(c)
			if f != nil {
				b, err = f(b, i == len(chunks)-1)
				require.NoError(t, err)
			}
			out += string(b)
		}
		return out
	}
	for _, kind := range []string{"text/plain", "text/html", "application/xml", "application/atom+xml", "text/css"} {
		f, err := x.Docs(kind)
		require.NoError(t, err)
		require.Nil(t, f, kind)
		want := map[bool]string{false: "one\nto *** and\n", true: "one\nto ann@example.com and\n"}[kind == "text/css"]
		require.Equal(t, want, stream(protocol.Stream{Name: "response", Kind: kind}, "one\nto ann@exa", "mple.com and", "\n", ""))
	}
	require.Equal(t, []string{"email"}, op.Result().Labels())
	for _, s := range []protocol.Stream{{Name: "request", In: true, Kind: "text/plain"}, {Name: "response", Kind: "text/event-stream"}, {Name: "response", Kind: "text/json"}, {Name: "response"}} {
		require.Equal(t, "ann@example.com", stream(s, "ann@example.com"))
	}
	for _, kind := range []string{"text/event-stream", "application/json"} {
		f, err := x.Docs(kind)
		require.NoError(t, err)
		out, err := f([]byte(`"ann@example.com"`))
		require.NoError(t, err)
		require.Equal(t, `"***"`, string(out))
	}

	x, err = middlewaretest.Ask(step, &protocol.Operation{Access: protocol.Read, Shape: protocol.Docs})
	require.NoError(t, err)
	defer x.End(protocol.Outcome{Status: protocol.StatusOK})
	f, err := x.Docs("text/plain")
	require.NoError(t, err)
	out, err := f([]byte("to ann@example.com"))
	require.NoError(t, err)
	require.Equal(t, "to ***", string(out))
}
