//go:build linux

// Bench measures the HTTP connector beside HAProxy in HTTP mode and a bare
// httputil.ReverseProxy, with wrk and h2load; see README.md.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
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

// A work is one way of asking. run returns the requests per second and, if it
// knows, the 99th percentile of the time to a response in ms.
type work struct {
	name string
	run  func(url, token string, seconds int) (rate, p99 float64, err error)
}

var (
	wrkRate = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)
	wrkP99  = regexp.MustCompile(`99%\s+([0-9.]+)(us|ms|s)`)
	h2Rate  = regexp.MustCompile(`finished in [0-9.a-z]+, ([0-9.]+) req/s`)
)

func works() []work {
	wrk := func(conns int) work {
		return work{fmt.Sprintf("wrk-%d", conns), func(url, token string, seconds int) (rate, p99 float64, err error) {
			out, rate, err := tool(url, token, wrkRate, "wrk", "-t2", fmt.Sprintf("-c%d", conns), fmt.Sprintf("-d%ds", seconds), "--latency")
			if err != nil {
				return 0, 0, err
			}
			if m := wrkP99.FindSubmatch(out); m != nil {
				p99, err = strconv.ParseFloat(string(m[1]), 64)
				p99 *= map[string]float64{"us": 0.001, "ms": 1, "s": 1000}[string(m[2])]
			}
			return rate, p99, err
		}}
	}
	return []work{wrk(8), wrk(64), {"h2load-8x8", func(url, token string, seconds int) (float64, float64, error) {
		_, rate, err := tool(url, token, h2Rate, "h2load", "-c8", "-m8", "-t2", fmt.Sprintf("-D%d", seconds))
		return rate, 0, err
	}}, {"500/s", steady}}
}

// tool runs a program and finds the rate in its output.
func tool(url, token string, rate *regexp.Regexp, name string, args ...string) ([]byte, float64, error) {
	out, err := exec.Command(name, append(args, "-H", "Authorization: Bearer "+token, url)...).CombinedOutput()
	if err != nil {
		return nil, 0, fmt.Errorf("%s at %s: %w: %s", name, url, err, out)
	}
	m := rate.FindSubmatch(out)
	if m == nil || bytes.Contains(out, []byte("Non-2xx")) || bytes.Contains(out, []byte(" 0 succeeded")) {
		return nil, 0, fmt.Errorf("%s at %s: %s", name, url, out)
	}
	v, err := strconv.ParseFloat(string(m[1]), 64)
	return out, v, err
}

// steady asks 500 times a second, whether or not what was asked before has been
// answered: the time counts from when it should have been sent.
func steady(url, token string, seconds int) (rate, p99 float64, err error) {
	const perSecond, conns = 500, 8
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: conns, MaxConnsPerHost: conns}}
	defer client.CloseIdleConnections()
	ask := func() error {
		req, err := http.NewRequest(http.MethodGet, url, http.NoBody)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := client.Do(req)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, res.Body)
		if res.StatusCode != http.StatusOK {
			err = errors.Join(err, errors.New(res.Status))
		}
		return errors.Join(err, res.Body.Close())
	}
	times := make([]float64, perSecond*seconds)
	errs := make([]error, len(times))
	var wg sync.WaitGroup
	start := time.Now()
	for i := range times {
		due := start.Add(time.Duration(i) * time.Second / perSecond)
		time.Sleep(time.Until(due))
		wg.Go(func() {
			errs[i] = ask()
			times[i] = float64(time.Since(due).Microseconds()) / 1000
		})
	}
	wg.Wait()
	took := time.Since(start)
	slices.Sort(times)
	return float64(len(times)) / took.Seconds(), times[len(times)*99/100], errors.Join(errs...)
}

func measure() (err error) {
	seconds := flag.Int("seconds", 5, "of each run")
	rounds := flag.Int("rounds", 3, "of all runs; the table has medians")
	only := flag.String("work", "", "only the work of this name, such as \"wrk-8 /1k\"")
	profile := flag.String("profile", "", "file for a CPU profile of the gateway")
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
			return start("gateway", "-target", target.addr, "-hash", hash, "-journal", filepath.Join(dir, "journal"), "-profile", *profile)
		},
	} {
		c, err := f()
		if err != nil {
			return err
		}
		defer c.stop()
		parties = append(parties, c)
	}
	fmt.Printf("%s, %d cores; %d rounds of %d s; %s\n\n| work | party | requests/s | ÷ reverseproxy | p99 | added | proxy µs/request |\n|---|---|---|---|---|---|---|\n",
		runtime.Version(), runtime.NumCPU(), *rounds, *seconds, time.Now().Format(time.DateOnly))
	for _, path := range []string{"/1k", "/64k"} {
		for _, w := range works() {
			if w.name += " " + path; *only != "" && w.name != *only {
				continue
			}
			if err := compare(w, path, parties, token.Reveal(), *seconds, *rounds); err != nil {
				return err
			}
		}
	}
	return nil
}

// compare lets the parties take turns at w and prints their medians.
func compare(w work, path string, parties []*child, token string, seconds, rounds int) error {
	type result struct{ rates, costs, ratios, p99, added []float64 }
	results := make([]result, len(parties))
	for range rounds {
		rates, p99 := make([]float64, len(parties)), make([]float64, len(parties))
		for i, c := range parties {
			before, err := c.cpu()
			if err != nil {
				return err
			}
			if rates[i], p99[i], err = w.run("http://"+c.addr+"/bench"+path, token, seconds); err != nil {
				return err
			}
			after, err := c.cpu()
			if err != nil {
				return err
			}
			r := &results[i]
			r.rates = append(r.rates, rates[i])
			r.costs = append(r.costs, float64((after-before).Microseconds())/(rates[i]*float64(seconds)))
		}
		for i := range parties {
			r := &results[i]
			r.ratios = append(r.ratios, rates[i]/rates[2])
			r.p99 = append(r.p99, p99[i])
			r.added = append(r.added, p99[i]-p99[0])
		}
	}
	for i, c := range parties {
		r, p99 := results[i], " | "
		if median(r.p99) > 0 {
			p99 = fmt.Sprintf("%.2f ms | %.2f ms", median(r.p99), median(r.added))
		}
		fmt.Printf("| %s | %s | %.0f | %.2f | %s | %.1f |\n", w.name, c.name, median(r.rates), median(r.ratios), p99, median(r.costs))
	}
	return nil
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
