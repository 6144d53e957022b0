package protocol_test

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
)

// Operations that differ in a fact have other facts, and what a connector does
// with its memory afterwards changes nothing.
func TestFacts(t *testing.T) {
	column := protocol.ColumnRef{Schema: "s", Table: "t", Column: "c"}
	make := func() *protocol.Operation {
		return &protocol.Operation{Verb: "select", Access: protocol.Read, Fingerprint: "f", Reads: []protocol.ColumnRef{column},
			Returned: []protocol.ColumnRef{column},
			Objects:  []protocol.Object{{Kind: "table", Name: "t"}}, Writes: []protocol.ColumnRef{column}, Inferred: []protocol.Inference{{ColumnRef: column}}}
	}
	op := make()
	facts := op.Facts()
	require.True(t, facts.Of(make()))
	typ := reflect.TypeFor[protocol.Facts]()
	for i := range typ.NumField() {
		name := typ.Field(i).Name
		other := make()
		switch v := reflect.ValueOf(other).Elem().FieldByName(name); v.Kind() {
		case reflect.String:
			v.SetString("other")
		case reflect.Bool:
			v.SetBool(!v.Bool())
		case reflect.Slice:
			v.Set(reflect.Append(v, v.Index(0)))
		default:
			v.SetUint(v.Uint() + 1)
		}
		require.False(t, facts.Of(other), name)
	}
	op.Reads[0].Column, op.Objects[0].Name = "other", "other"
	require.True(t, facts.Of(make()))
	require.False(t, facts.Of(op))
}
