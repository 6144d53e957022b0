//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// selects returns the work "pgbench -S" in one of its query modes.
func selects(mode string, clients int) func(context.Context, *bed, string) (sample, error) {
	return func(ctx context.Context, b *bed, name string) (sample, error) {
		return b.runPgbench(ctx, name, "-S", "-M", mode, "-c", strconv.Itoa(clients), "-j", strconv.Itoa(min(clients, 2)))
	}
}

var pgbenchDone = regexp.MustCompile(`number of transactions actually processed: (\d+)`)
var pgbenchRate = regexp.MustCompile(`tps = ([0-9.]+) \(without initial connection time\)`)

// runPgbench runs pgbench for the time of a round. The rate counts from when
// all clients are connected; the CPU of connecting them is in the sample, and
// is the same few milliseconds for each client everywhere.
func (b *bed) runPgbench(ctx context.Context, name string, args ...string) (s sample, err error) {
	p := b.parties[name]
	m, err := b.meter(p)
	if err != nil {
		return s, err
	}
	cmd := p.client(ctx, b.pgbench, append(args, "-n", "-T", strconv.FormatFloat(max(1, b.run.Seconds()), 'f', 0, 64))...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return s, fmt.Errorf("pgbench: %w\n%s", err, out)
	}
	if err := m.stop(&s); err != nil {
		return s, err
	}
	done, rate := pgbenchDone.FindSubmatch(out), pgbenchRate.FindSubmatch(out)
	if done == nil || rate == nil {
		return s, fmt.Errorf("pgbench said:\n%s", out)
	}
	if s.ops, err = strconv.ParseFloat(string(done[1]), 64); err != nil {
		return s, err
	}
	perSecond, err := strconv.ParseFloat(string(rate[1]), 64)
	if err != nil || perSecond == 0 || s.ops == 0 {
		return s, fmt.Errorf("pgbench did nothing:\n%s", out)
	}
	s.took = time.Duration(s.ops / perSecond * float64(time.Second))
	s.client = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return s, nil
}

// latencyRate is how many queries a second are asked, whether or not those
// before have been answered.
const latencyRate = 2000

// latency runs pgbench at a fixed rate. What a transaction waits for its turn
// counts, so nothing is hidden by a proxy that keeps its clients from asking.
func latency(ctx context.Context, b *bed, name string) (s sample, err error) {
	dir, err := os.MkdirTemp(b.dir, "latency-")
	if err != nil {
		return s, err
	}
	defer os.RemoveAll(dir)
	s, err = b.runPgbench(ctx, name, "-S", "-M", "prepared", "-c", "8", "-j", "2", "-R", strconv.Itoa(latencyRate),
		"-l", "--log-prefix="+filepath.Join(dir, "log"))
	if err != nil {
		return s, err
	}
	logs, err := filepath.Glob(filepath.Join(dir, "log*"))
	if err != nil {
		return s, err
	}
	var times []time.Duration
	for _, path := range logs {
		if times, err = readLatencies(path, times); err != nil {
			return s, err
		}
	}
	if len(times) < 100 {
		return s, fmt.Errorf("pgbench logged only %d transactions", len(times))
	}
	slices.Sort(times)
	s.p50, s.p99 = times[len(times)/2], times[len(times)*99/100]
	return s, nil
}

// readLatencies appends the latencies in one of pgbench's logs, whose third
// field is the time of a transaction in microseconds, from when it was due.
func readLatencies(path string, to []time.Duration) ([]time.Duration, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 {
			return nil, fmt.Errorf("%s: %q", path, lines.Text())
		}
		us, err := strconv.ParseFloat(fields[2], 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		to = append(to, time.Duration(us*float64(time.Microsecond)))
	}
	return to, lines.Err()
}
