//go:build linux

package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// printTable prints all that was measured as one table in Markdown.
func printTable(w io.Writer, s settings, done []*work) {
	load, _ := os.ReadFile("/proc/loadavg") // a remark, no more
	one, _, _ := strings.Cut(string(load), " ")
	fmt.Fprintf(w, "%s, %d cores, load %s at the end; %d rounds of %v, %d rows, %d idle sessions; %s\n\n", runtime.Version(),
		runtime.NumCPU(), one, s.rounds, s.run, s.rows, s.sessions, time.Now().UTC().Format(time.DateOnly))
	head := []string{"work", "unit"}
	head = append(head, s.parties...)
	for _, party := range s.others() {
		head = append(head, "÷ "+party)
	}
	head = append(head, "asked, and what came")
	fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)))
	for _, k := range done {
		for i, l := range k.lines {
			cells := []string{"", l.unit}
			if i == 0 {
				cells[0] = k.name
			}
			for _, party := range s.parties {
				cells = append(cells, number(k.median(l, party)))
			}
			for _, party := range s.others() {
				cells = append(cells, ratio(k.ratio(l, party)))
			}
			fmt.Fprintf(w, "| %s |\n", strings.Join(append(cells, k.verdicts(l)), " | "))
		}
	}
}

// others are the parties that the gateway is compared with.
func (s settings) others() []string {
	if !slices.Contains(s.parties, "gateway") {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.parties), func(p string) bool { return p == "gateway" })
}

// median returns the median of l's value over party's rounds, NaN if there is
// none.
func (w *work) median(l line, party string) float64 {
	var vs []float64
	for _, s := range w.samples[party] {
		vs = append(vs, l.value(s))
	}
	return median(vs)
}

// ratio returns the median over rounds of the gateway's value divided by
// party's in the same round.
func (w *work) ratio(l line, party string) float64 {
	var vs []float64
	for i := range min(len(w.samples["gateway"]), len(w.samples[party])) {
		if by := l.value(w.samples[party][i]); by != 0 && !math.IsInf(by, 0) {
			vs = append(vs, l.value(w.samples["gateway"][i])/by)
		}
	}
	return median(vs)
}

func median(vs []float64) float64 {
	vs = slices.DeleteFunc(slices.Clone(vs), func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
	n := len(vs)
	if n == 0 {
		return math.NaN()
	}
	slices.Sort(vs)
	return (vs[(n-1)/2] + vs[n/2]) / 2
}

// verdicts says for each demand on l whether it is met.
func (w *work) verdicts(l line) string {
	var out []string
	for _, d := range l.demands {
		v := w.median(l, "gateway")
		if d.to != "" {
			v = w.ratio(l, d.to)
		}
		if math.IsNaN(v) {
			continue
		}
		met := func(bound float64) bool {
			if l.less {
				return v <= bound
			}
			return v >= bound
		}
		sign := "≥"
		if l.less {
			sign = "≤"
		}
		what := ""
		if d.to != "" {
			what = d.to + " "
		}
		switch {
		case d.must != 0 && !met(d.must):
			out = append(out, fmt.Sprintf("%s%s %s **missed**", what, sign, number(d.must)))
		case d.aim != 0 && !met(d.aim):
			out = append(out, fmt.Sprintf("%s%s %s not reached", what+"aim ", sign, number(d.aim)))
		case d.aim != 0:
			out = append(out, fmt.Sprintf("%s%s %s met", what+"aim ", sign, number(d.aim)))
		default:
			out = append(out, fmt.Sprintf("%s%s %s met", what, sign, number(d.must)))
		}
	}
	return strings.Join(out, "; ")
}

// number prints v with about three significant digits.
func number(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v), math.IsInf(v, 0):
		return ""
	case a >= 100:
		return thousands(int64(math.Round(v)))
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func ratio(v float64) string {
	if math.IsNaN(v) {
		return ""
	}
	return fmt.Sprintf("%.2f", v)
}

func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
