//go:build linux

package main

import (
	"bytes"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTableJudgesWithinRounds(t *testing.T) {
	w := &work{name: "w", samples: map[string][]sample{
		// The machine got slower from round to round, the gateway did not.
		"relay":   {{ops: 100, took: time.Second}, {ops: 50, took: time.Second}, {ops: 10, took: time.Second}},
		"gateway": {{ops: 80, took: time.Second}, {ops: 46, took: time.Second}, {ops: 9.2, took: time.Second}},
	}}
	l := line{unit: "x/s", value: perSecond, demands: []demand{{"relay", 0.90, 0.95}, {"relay", 0.95, 0}, {"haproxy", 1, 0}, {"", 40, 45}}}
	require.InDelta(t, 0.92, w.ratio(l, "relay"), 1e-9)
	require.Equal(t, 46.0, w.median(l, "gateway"))
	require.True(t, math.IsNaN(w.ratio(l, "haproxy")), "a party that took no part is not judged")
	require.Equal(t, "relay aim ≥ 0.95 not reached; relay ≥ 0.95 **missed**; aim ≥ 45.0 met", w.verdicts(l))

	l = line{value: func(s sample) float64 { return s.ops }, less: true, demands: []demand{{"relay", 1.25, 1.1}, {"", 30, 0}}}
	require.Equal(t, "relay aim ≤ 1.10 met; ≤ 30.0 **missed**", w.verdicts(l))

	w.lines = []line{l}
	var b strings.Builder
	printTable(&b, settings{parties: []string{"relay", "gateway"}}, []*work{w})
	require.Contains(t, b.String(), "| w |  | 50.0 | 46.0 | 0.92 | relay aim")
}

func TestNumber(t *testing.T) {
	for want, v := range map[string]float64{"": math.Inf(1), "0.05": 0.05, "9.99": 9.99, "12.3": 12.34, "1,234,568": 1_234_567.8, "999": 999} {
		require.Equal(t, want, number(v))
	}
}

func TestPumpRelaysWhateverTheReads(t *testing.T) {
	data := []byte{0, 0, 0, 8, 0, 3, 0, 0} // a startup message
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		data = message(data, 'D', make([]byte, r.IntN(5000))...)
	}
	for _, src := range []io.Reader{bytes.NewReader(data), iotest.OneByteReader(bytes.NewReader(data)), iotest.HalfReader(bytes.NewReader(data))} {
		var out bytes.Buffer
		require.Equal(t, io.EOF, pump(&out, src, true))
		require.True(t, bytes.Equal(data, out.Bytes()))
	}
	require.Equal(t, errLength, pump(io.Discard, bytes.NewReader([]byte{'D', 0, 0, 0, 3}), false))
}
