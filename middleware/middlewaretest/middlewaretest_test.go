package middlewaretest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/middleware/middlewaretest"
	"github.com/sallyport-dev/gateway/protocol"
)

// tapping returns a step whose tap on rows is f.
func tapping(f func([]protocol.Column) (protocol.RowFunc, error)) middleware.Step {
	return middleware.Step{Name: "tap", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		return protocol.Pass, op.OnRows(f)
	}}
}

func rowsOp() *protocol.Operation {
	return &protocol.Operation{Verb: "select", Access: protocol.Read, Shape: protocol.Rows}
}

var (
	cols = []protocol.Column{{Name: "a"}, {Name: "b"}, {Name: "c"}}
	rows = [][][]byte{{[]byte("one"), []byte("two"), nil}, {[]byte("three"), []byte(""), []byte("four")}}
)

func ExampleRows() {
	hide := tapping(func([]protocol.Column) (protocol.RowFunc, error) {
		return func(row [][]byte) error { row[0] = nil; return nil }, nil
	})
	got, err := middlewaretest.Rows(hide, rowsOp(), cols, rows)
	fmt.Printf("%q %v\n", got, err)
	// Output: [["" "two" ""] ["" "" "four"]] <nil>
}

func ExampleAsk() {
	freeze := middleware.Step{Name: "freeze", Operation: func(context.Context, *protocol.Operation) (protocol.Decision, error) {
		return protocol.Deny("changes are frozen"), nil
	}}
	_, err := middlewaretest.Ask(freeze, rowsOp())
	fmt.Println(err)
	// Output: refused by freeze: changes are frozen
}

func ExampleText() {
	short := middleware.Step{Name: "short", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		return protocol.Pass, op.OnText(func(m *protocol.Message) error { m.Detail = ""; return nil })
	}}
	m, err := middlewaretest.Text(short, rowsOp(), protocol.Message{Code: "23505", Text: "duplicate key", Detail: "Key (id)=(1)"})
	fmt.Printf("%s %q %v\n", m.Text, m.Detail, err)
	// Output: duplicate key "" <nil>
}

func TestRowsWithoutTapsAreCopied(t *testing.T) {
	got, err := middlewaretest.Rows(tapping(func([]protocol.Column) (protocol.RowFunc, error) { return nil, nil }), rowsOp(), cols, rows)
	require.NoError(t, err)
	require.Equal(t, rows, got)
	got[0][0][0] = 'X'
	require.Equal(t, "one", string(rows[0][0]))
}

func TestKeptRowIsOverwritten(t *testing.T) {
	var kept [][]byte
	_, err := middlewaretest.Rows(tapping(func([]protocol.Column) (protocol.RowFunc, error) {
		return func(row [][]byte) error { kept = append(kept, row[0]); return nil }, nil
	}), rowsOp(), cols, rows)
	require.NoError(t, err)
	require.Len(t, kept, 2)
	require.Equal(t, "\xdb\xdb\xdb", string(kept[0]))
	require.Equal(t, "\xdb\xdb\xdb\xdb\xdb", string(kept[1]))
}

func TestAppendInPlaceSpoilsTheNextValue(t *testing.T) {
	got, err := middlewaretest.Rows(tapping(func([]protocol.Column) (protocol.RowFunc, error) {
		return func(row [][]byte) error { row[0] = append(row[0], '!'); return nil }, nil
	}), rowsOp(), cols, rows)
	require.NoError(t, err)
	require.Equal(t, "!wo", string(got[0][1]))
}

func TestColumnsMayNotChange(t *testing.T) {
	mine := append([]protocol.Column(nil), cols...)
	_, err := middlewaretest.Rows(tapping(func(c []protocol.Column) (protocol.RowFunc, error) { c[0].Name = "z"; return nil, nil }), rowsOp(), mine, rows)
	require.ErrorContains(t, err, "changed the columns")
}

func TestErrorsOfTaps(t *testing.T) {
	broken := errors.New("broken")
	n := 0
	got, err := middlewaretest.Rows(tapping(func([]protocol.Column) (protocol.RowFunc, error) {
		return func([][]byte) error {
			if n++; n == 2 {
				return broken
			}
			return nil
		}, nil
	}), rowsOp(), cols, rows)
	require.ErrorIs(t, err, broken)
	require.Len(t, got, 1)
	_, err = middlewaretest.Rows(tapping(func([]protocol.Column) (protocol.RowFunc, error) { return nil, broken }), rowsOp(), cols, rows)
	require.ErrorIs(t, err, broken)
}

func TestAskDecides(t *testing.T) {
	hold := func(end protocol.Decision, err error) middleware.Step {
		return middleware.Step{Name: "hold", Operation: func(context.Context, *protocol.Operation) (protocol.Decision, error) {
			return protocol.Hold("T1", "why", func(context.Context) (protocol.Decision, error) { return end, err }), nil
		}}
	}
	op := rowsOp()
	_, err := middlewaretest.Ask(hold(protocol.Allow("yes"), nil), op)
	require.NoError(t, err)
	require.Equal(t, "yes", op.Decision().Rule)
	require.ErrorIs(t, op.OnText(nil), protocol.ErrDecided)
	require.Len(t, op.Grants(), 1)

	var denied *protocol.DeniedError
	_, err = middlewaretest.Ask(hold(protocol.Deny("no"), nil), rowsOp())
	require.ErrorAs(t, err, &denied)
	require.Equal(t, "no", denied.Reason)
	_, err = middlewaretest.Ask(hold(protocol.Pass, nil), rowsOp())
	require.ErrorAs(t, err, &denied)
	_, err = middlewaretest.Ask(hold(protocol.Pass, protocol.ErrClientGone), rowsOp())
	require.ErrorIs(t, err, protocol.ErrClientGone)
}
