//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// A work is something that every party does.
type work struct {
	name    string
	without string // parties that do not take part, separated by commas
	once    bool   // one round is enough
	run     func(ctx context.Context, b *bed, party string) (sample, error)
	lines   []line
	samples map[string][]sample // by party, one for each round
}

func (w *work) takes(party string) bool {
	return !slices.Contains(strings.Split(w.without, ","), party)
}

// brief says how a round went, for whoever waits.
func (w *work) brief(s sample) string {
	var parts []string
	for _, l := range w.lines {
		parts = append(parts, number(l.value(s))+" "+l.unit)
	}
	return strings.Join(parts, "  ")
}

// A line is one line of the table: a value of a work, and what is asked of it.
type line struct {
	unit    string
	value   func(sample) float64
	less    bool // less is better
	demands []demand
}

// A demand is a bound on the gateway's value: of its ratio to a party's in the
// same round, or, without a party, of itself. Zero is no bound.
type demand struct {
	to        string
	must, aim float64
}

// works are all of them, in the order of the table.
func works() []*work {
	var ws []*work
	for _, mode := range []string{"simple", "extended", "prepared"} {
		for _, clients := range []int{8, 64} {
			ws = append(ws, &work{name: fmt.Sprintf("select-%s-%d", mode, clients), run: selects(mode, clients), lines: []line{
				{unit: "queries/s", value: perSecond, demands: []demand{{"relay", 0.90, 0.95}, {"haproxy", 0, 0.90}, {"pgbouncer", 0, 0.80}}},
				{unit: "proxy µs/query", value: proxyMicros, less: true, demands: []demand{{"relay", 1.25, 1.10}, {"pgbouncer", 0, 1.5}}},
				{unit: "all µs/query", value: allMicros, less: true},
			}})
		}
	}
	return append(ws,
		&work{name: "wide", run: wide("SELECT * FROM wide"), lines: []line{
			{unit: "rows/s", value: perSecond, demands: []demand{{"relay", 0.95, 0}}},
			{unit: "proxy s/GB", value: proxyPerGB, less: true, demands: []demand{{"relay", 1.25, 1.05}}},
			{unit: "all µs/row", value: allMicros, less: true},
		}},
		&work{name: "wide-copy", run: copyOut, lines: []line{
			{unit: "rows/s", value: perSecond, demands: []demand{{"relay", 0.95, 0}}},
			{unit: "proxy s/GB", value: proxyPerGB, less: true, demands: []demand{{"relay", 1.25, 1.05}}},
		}},
		&work{name: "wide-masked", run: wide("SELECT * FROM person"), without: "haproxy,pgbouncer", lines: []line{
			{unit: "rows/s", value: perSecond, demands: []demand{{"direct", 0.80, 0}}},
			{unit: "rows/core-second", value: rowsPerCore, demands: []demand{{"", 1_500_000, 0}}},
			{unit: "all µs/row", value: allMicros, less: true},
		}},
		&work{name: "latency", run: latency, lines: []line{
			{unit: "p50 µs", value: p50Micros, less: true},
			{unit: "p99 µs", value: p99Micros, less: true, demands: []demand{{"relay", 1.2, 0}}},
		}},
		&work{name: "set-up", run: setUp, lines: []line{
			{unit: "sessions/s", value: perSecond},
			{unit: "proxy µs/session", value: proxyMicros, less: true, demands: []demand{{"", 2500, 500}}},
		}},
		&work{name: "idle", run: idle, without: "direct", once: true, lines: []line{
			{unit: "KiB/session", value: kibEach, less: true, demands: []demand{{"", 40, 20}}},
			{unit: "% of a core", value: corePercent, less: true, demands: []demand{{"", 1, 0.1}}},
		}},
	)
}
