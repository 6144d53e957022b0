package protocol_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
)

// sampled returns the exchange of an operation whose rows are sampled by fs.
func sampled(t *testing.T, rows protocol.RowFunc, fs ...protocol.SampleFunc) *protocol.Exchange {
	s := protocol.NewSession(t.Context(), protocol.SessionConfig{Info: &protocol.SessionInfo{}, Engine: &engine{}})
	op := &protocol.Operation{Shape: protocol.Rows}
	require.NoError(t, op.OnRows(func([]protocol.Column) (protocol.RowFunc, error) { return rows, nil }))
	for _, f := range fs {
		require.NoError(t, op.OnSample(func([]protocol.Column) (protocol.SampleFunc, error) { return f, nil }))
	}
	x, err := s.Begin(t.Context(), op)
	require.NoError(t, err)
	require.ErrorIs(t, op.OnSample(nil), protocol.ErrDecided)
	_, err = x.Rows([]protocol.Column{{Name: "a"}})
	require.NoError(t, err)
	return x
}

func TestSampling(t *testing.T) {
	leave := func([][]byte) error { return nil }
	never := func([][]byte) bool { return false }
	row := [][]byte{[]byte("v")}

	require.Nil(t, sampled(t, leave).Sample())
	require.Nil(t, sampled(t, leave, nil).Sample())
	require.Nil(t, sampled(t, nil, never).Sample(), "nobody looks at the rows")
	require.ErrorIs(t, new(protocol.Operation).OnSample(nil), protocol.ErrShape)

	s := sampled(t, leave, never).Sample()
	require.True(t, s.Until().IsZero())
	for i := range protocol.SampleRows {
		require.Equal(t, i == protocol.SampleRows-1, s.Add(row, 1))
		require.False(t, s.Until().IsZero())
	}

	s = sampled(t, leave, never).Sample()
	require.True(t, s.Fits(protocol.SampleBytes))
	require.False(t, s.Add(row, protocol.SampleBytes-1))
	require.True(t, s.Fits(1))
	require.False(t, s.Fits(2))
	require.True(t, s.Add(row, 1))

	// Each looks until it has seen enough.
	seen := [2]int{}
	s = sampled(t, leave, func([][]byte) bool { seen[0]++; return true }, func([][]byte) bool { seen[1]++; return seen[1] == 3 }).Sample()
	require.False(t, s.Add(row, 1))
	require.False(t, s.Add(row, 1))
	require.True(t, s.Add(row, 1))
	require.Equal(t, [2]int{1, 3}, seen)
}
