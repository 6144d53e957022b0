//go:build linux

// Bench measures the HTTP connector beside HAProxy in HTTP mode and a bare
// httputil.ReverseProxy, with wrk and h2load; see README.md.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

func main() {
	var err error
	if len(os.Args) > 2 && os.Args[1] == "role" {
		err = role(os.Args[2], os.Args[3:])
	} else {
		err = measure()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// A child is this program, or HAProxy, in a process of its own.
type child struct {
	name, addr string
	cmd        *exec.Cmd
	in         io.Closer
}

// start runs this program again in a role and waits until it listens.
func start(name string, args ...string) (*child, error) {
	c := &child{name: name, cmd: exec.Command("/proc/self/exe", append([]string{"role", name}, args...)...)}
	c.cmd.Stderr = os.Stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	c.in = in
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		c.stop()
		return nil, fmt.Errorf("%s did not start: %w", name, err)
	}
	c.addr = strings.TrimSpace(line)
	return c, nil
}

// startHAProxy writes a configuration and waits until HAProxy listens.
func startHAProxy(dir, target string) (*child, error) {
	path, err := exec.LookPath("haproxy")
	if err != nil {
		return nil, errors.New("install haproxy: apt-get install haproxy")
	}
	port, err := servers.FreePort()
	if err != nil {
		return nil, err
	}
	c := &child{name: "haproxy", addr: fmt.Sprintf("127.0.0.1:%d", port)}
	file := filepath.Join(dir, "haproxy.cfg")
	conf := fmt.Sprintf("global\n  maxconn 4096\n  nbthread %d\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 1m\n  timeout server 1m\n"+
		"  http-reuse safe\nfrontend f\n  bind %s\n  default_backend b\nbackend b\n  server s %s\n", runtime.NumCPU(), c.addr, target)
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	c.cmd = exec.Command(path, "-db", "-q", "-f", file)
	c.cmd.Stderr = os.Stderr
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	for range 100 {
		if nc, err := net.Dial("tcp", c.addr); err == nil {
			return c, nc.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	c.stop()
	return nil, errors.New("haproxy does not listen")
}

func (c *child) stop() {
	if c.in != nil {
		_ = c.in.Close() // which it ends with
	} else {
		_ = c.cmd.Process.Signal(os.Interrupt)
	}
	_ = c.cmd.Wait() // how it ended does not matter any more
}

// cpu returns the CPU time of the process so far.
func (c *child) cpu() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	var ticks int64
	for _, s := range f[11:13] { // user and system
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// A work is one way of asking. run returns the output of a tool.
type work struct {
	name string
	tool string
	args func(seconds int) []string
	rate *regexp.Regexp // requests a second in the output
}

var (
	wrkRate = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)
	wrkP99  = regexp.MustCompile(`99%\s+([0-9.]+)(us|ms|s)`)
	h2Rate  = regexp.MustCompile(`finished in [0-9.a-z]+, ([0-9.]+) req/s`)
)

func works(path string) []work {
	wrk := func(conns int) work {
		return work{fmt.Sprintf("wrk-%s-%d", strings.Trim(path, "/"), conns), "wrk", func(s int) []string {
			return []string{"-t2", fmt.Sprintf("-c%d", conns), fmt.Sprintf("-d%ds", s), "--latency"}
		}, wrkRate}
	}
	return []work{wrk(8), wrk(64), {"h2load-" + strings.Trim(path, "/"), "h2load", func(s int) []string {
		return []string{"-c8", "-m8", "-t2", fmt.Sprintf("-D%d", s)}
	}, h2Rate}}
}

func measure() (err error) {
	seconds := flag.Int("seconds", 5, "of each run")
	rounds := flag.Int("rounds", 3, "of all runs; the table has medians")
	flag.Parse()
	for _, tool := range []string{"wrk", "h2load"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("install %s: apt-get install wrk nghttp2-client", tool)
		}
	}
	dir, err := os.MkdirTemp("", "sallyport-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	target, err := start("target")
	if err != nil {
		return err
	}
	defer target.stop()
	token, hash := middleware.NewToken()
	parties := []*child{target}
	for _, f := range []func() (*child, error){
		func() (*child, error) { return startHAProxy(dir, target.addr) },
		func() (*child, error) { return start("reverseproxy", "-target", target.addr) },
		func() (*child, error) {
			return start("gateway", "-target", target.addr, "-hash", hash, "-journal", filepath.Join(dir, "journal"))
		},
	} {
		c, err := f()
		if err != nil {
			return err
		}
		defer c.stop()
		parties = append(parties, c)
	}
	fmt.Printf("%s, %d cores; %d rounds of %d s; %s\n\n| work | party | requests/s | ÷ reverseproxy | p99 | proxy µs/request |\n|---|---|---|---|---|---|\n",
		runtime.Version(), runtime.NumCPU(), *rounds, *seconds, time.Now().Format(time.DateOnly))
	for _, path := range []string{"/1k", "/64k"} {
		for _, w := range works(path) {
			if err := compare(w, path, parties, token.Reveal(), *seconds, *rounds); err != nil {
				return err
			}
		}
	}
	return nil
}

// compare lets the parties take turns at w and prints their medians.
func compare(w work, path string, parties []*child, token string, seconds, rounds int) error {
	type result struct{ rates, costs, ratios, p99 []float64 }
	results := make([]result, len(parties))
	for range rounds {
		var rates []float64
		for i, c := range parties {
			before, err := c.cpu()
			if err != nil {
				return err
			}
			args := append(w.args(seconds), "-H", "Authorization: Bearer "+token, "http://"+c.addr+"/bench"+path)
			out, err := exec.Command(w.tool, args...).CombinedOutput()
			if err != nil {
				return fmt.Errorf("%s at %s: %w: %s", w.tool, c.name, err, out)
			}
			after, err := c.cpu()
			if err != nil {
				return err
			}
			m := w.rate.FindSubmatch(out)
			if m == nil || strings.Contains(string(out), "Non-2xx") || strings.Contains(string(out), " 0 succeeded") {
				return fmt.Errorf("%s at %s: %s", w.tool, c.name, out)
			}
			rate, err := strconv.ParseFloat(string(m[1]), 64)
			if err != nil {
				return err
			}
			rates = append(rates, rate)
			r := &results[i]
			r.rates = append(r.rates, rate)
			r.costs = append(r.costs, float64((after-before).Microseconds())/(rate*float64(seconds)))
			if m := wrkP99.FindSubmatch(out); m != nil {
				n, err := strconv.ParseFloat(string(m[1]), 64)
				if err != nil {
					return err
				}
				r.p99 = append(r.p99, n*map[string]float64{"us": 0.001, "ms": 1, "s": 1000}[string(m[2])])
			}
		}
		for i := range parties {
			results[i].ratios = append(results[i].ratios, rates[i]/rates[2])
		}
	}
	for i, c := range parties {
		r, p99 := results[i], ""
		if len(r.p99) > 0 {
			p99 = fmt.Sprintf("%.2f ms", median(r.p99))
		}
		fmt.Printf("| %s | %s | %.0f | %.2f | %s | %.1f |\n", w.name, c.name, median(r.rates), median(r.ratios), p99, median(r.costs))
	}
	return nil
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
