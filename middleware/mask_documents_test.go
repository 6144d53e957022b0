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
	require.Equal(t, []string{"**.email"}, op.Result().Masked)

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
