//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A work is something that every party does.
type work struct {
	name  string
	run   func(context.Context, *bed, *party) (sample, error)
	lines []line
}

// A line is one line of the table: a value of a work, and what is asked of the
// gateway's by its ratio to another's in the same round.
type line struct {
	unit  string
	value func(sample) float64
	asked map[string]float64 // at least, by party
}

// works are all of them, in the order of the table.
func works() []work {
	perSecond := func(s sample) float64 { return s.ops / s.took.Seconds() }
	proxyMicros := func(s sample) float64 { return s.proxy.Seconds() * 1e6 / s.ops }
	// What a unit costs the machine, and so what throughput comes to when all
	// cores are busy.
	perCPU := func(s sample) float64 { return s.ops / (s.client + s.server + s.proxy).Seconds() }
	var ws []work
	for _, mode := range []string{"disable", "auto"} {
		name := map[string]string{"disable": "text", "auto": "prepared"}[mode]
		for _, clients := range []int{8, 64} {
			ws = append(ws, work{fmt.Sprintf("point selects, %s, %d clients", name, clients), selects(mode, clients), []line{
				{"queries/s", perSecond, map[string]float64{"relay": 0.90, "haproxy": 0.85}},
				{"proxy µs/query", proxyMicros, nil},
				{"queries/CPU s", perCPU, map[string]float64{"relay": 0.90, "haproxy": 0.85}},
			}})
		}
	}
	wideLines := func(least map[string]float64) []line {
		return []line{
			{"rows/s", perSecond, nil},
			{"proxy s/GB", func(s sample) float64 { return s.proxy.Seconds() / s.gb }, nil},
			{"rows/CPU s", perCPU, least},
			{"proxy MiB at most", func(s sample) float64 { return s.peak }, nil},
		}
	}
	return append(ws,
		work{"wide reads", wide("SELECT * FROM wide"), wideLines(map[string]float64{"direct": 0.88})},
		work{"wide reads, 3 columns masked", wide("SELECT * FROM person"), wideLines(nil)})
}

// selects is sysbench's oltp_point_select.
func selects(mode string, clients int) func(context.Context, *bed, *party) (sample, error) {
	return func(ctx context.Context, b *bed, p *party) (sample, error) {
		return b.measure(p, func(s *sample) (err error) {
			s.ops, s.client, err = b.sysbench(ctx, p, "run", "oltp_point_select", append(slices.Clone(tables), "--db-ps-mode="+mode,
				"--threads="+strconv.Itoa(clients), "--time="+strconv.Itoa(max(1, int(b.settings.run.Seconds()))))...)
			return err
		})
	}
}

// wide reads all rows of a query.
func wide(query string) func(context.Context, *bed, *party) (sample, error) {
	return func(_ context.Context, b *bed, p *party) (sample, error) {
		c, err := p.connect()
		if err != nil {
			return sample{}, err
		}
		defer c.Close()
		if _, _, err := c.read("SELECT 1"); err != nil { // what a first query costs is not meant
			return sample{}, err
		}
		if p.pid != 0 {
			if err := resetPeak(p.pid); err != nil {
				return sample{}, err
			}
		}
		s, err := b.measure(p, func(s *sample) error {
			own := ownCPU()
			rows, size, err := c.read(query)
			if err == nil && rows != b.rows {
				err = fmt.Errorf("%d rows came, not %d", rows, b.rows)
			}
			s.ops, s.gb, s.client = float64(rows), float64(size)/1e9, ownCPU()-own
			return err
		})
		if err == nil && p.pid != 0 {
			var peak int64
			peak, err = peakOf(p.pid)
			s.peak = float64(peak) / (1 << 20)
		}
		return s, err
	}
}

// run starts everything, measures, and prints the table.
func run(ctx context.Context, s settings) error {
	only, err := regexp.Compile(s.only)
	if err != nil {
		return fmt.Errorf("-work: %w", err)
	}
	b, err := newBed(ctx, s)
	if err != nil {
		return err
	}
	defer b.close()
	var table strings.Builder
	for _, w := range works() {
		if !only.MatchString(w.name) {
			continue
		}
		samples := map[string][]sample{}
		for round := range s.rounds { // in turns: what else the machine does falls on all alike
			for _, p := range b.parties {
				got, err := w.run(ctx, b, p)
				if err != nil {
					return fmt.Errorf("%s: %w", w.name, err)
				}
				samples[p.name] = append(samples[p.name], got)
				fmt.Fprintf(os.Stderr, "%s, round %d/%d, %s: %s %s\n", w.name, round+1, s.rounds, p.name, number(w.lines[0].value(got)), w.lines[0].unit)
			}
		}
		for i, l := range w.lines {
			name := w.name
			if i > 0 {
				name = ""
			}
			l.print(&table, name, b.parties, samples)
		}
	}
	load, _ := os.ReadFile("/proc/loadavg") // a remark, no more
	one, _, _ := strings.Cut(string(load), " ")
	fmt.Printf("%s, %d cores, load %s at the end; %d rounds of %v, %d rows; %s\n\n", runtime.Version(), runtime.NumCPU(), one, s.rounds, s.run, s.rows,
		time.Now().UTC().Format(time.DateOnly))
	fmt.Print("| work | unit |")
	for _, p := range b.parties {
		fmt.Print(" ", p.name, " |")
	}
	fmt.Print(" ÷ direct | ÷ haproxy | ÷ relay | asked, and what came |\n|", strings.Repeat("---|", 6+len(b.parties)), "\n", table.String())
	return nil
}

// print prints medians over the rounds, and of the ratios in the same round.
func (l line) print(w io.Writer, name string, parties []*party, samples map[string][]sample) {
	fmt.Fprintf(w, "| %s | %s |", name, l.unit)
	for _, p := range parties {
		var values []float64
		for _, s := range samples[p.name] {
			values = append(values, l.value(s))
		}
		fmt.Fprintf(w, " %s |", number(median(values)))
	}
	var came []string
	for _, other := range []string{"direct", "haproxy", "relay"} {
		var ratios []float64
		for i, s := range samples["gateway"] {
			ratios = append(ratios, l.value(s)/l.value(samples[other][i]))
		}
		r := median(ratios)
		fmt.Fprintf(w, " %s |", number(r))
		if least := l.asked[other]; least > 0 {
			verdict := "met"
			if !(r >= least) {
				verdict = "**missed**"
			}
			came = append(came, fmt.Sprintf("%s ≥ %.2f %s", other, least, verdict))
		}
	}
	fmt.Fprintf(w, " %s |\n", strings.Join(came, "; "))
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// number prints v with about three significant digits, nothing for what there is
// none of.
func number(v float64) string {
	switch {
	case math.IsNaN(v), math.IsInf(v, 0), v == 0:
		return ""
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
