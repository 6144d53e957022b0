//go:build linux

// Bench measures the SSH connector beside a direct OpenSSH connection and a bare
// relay of golang.org/x/crypto/ssh; see README.md.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	xssh "golang.org/x/crypto/ssh"

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

// A party is what a client connects to.
type party struct {
	name, addr, user string
	hostKey          string
	pid              int
	stop             func()
}

// start runs this program again in a role and waits until it listens.
func start(name string, args ...string) (*party, error) {
	cmd := exec.Command("/proc/self/exe", append([]string{"role", name}, args...)...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &party{name: name, pid: cmd.Process.Pid, stop: func() { _ = in.Close(); _ = cmd.Wait() }} // how it ended does not matter any more
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("%s did not start: %w", name, err)
	}
	p.addr, p.hostKey, _ = strings.Cut(strings.TrimSpace(line), " ")
	return p, nil
}

// cpu returns the CPU time of a process and of its children that have ended. It
// waits for those that are about to.
func cpu(pid int) (time.Duration, error) {
	for range 200 {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		if err != nil {
			return 0, err
		}
		if len(strings.TrimSpace(string(b))) == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	var ticks int64
	for _, s := range f[11:15] { // user and system, own and of children
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// memory returns what a process has in memory, in KiB.
func memory(pid int) (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(b), "VmRSS:")
	if !ok {
		return 0, errors.New("the kernel does not say how much memory a process has")
	}
	return strconv.Atoi(strings.Fields(rest)[0])
}

// A bench is what all parties stand in.
type bench struct {
	dir    string
	sshd   *servers.SSHD
	size   int64
	logins int
}

// A work is one thing that a client does. units is what its figure counts.
type work struct {
	name, unit string
	units      float64
	run        func(b *bench, p *party) (*exec.Cmd, int) // and how often
}

func (b *bench) ssh(p *party, program string, args ...string) *exec.Cmd {
	return exec.Command(program, append([]string{"-F", filepath.Join(b.dir, p.name+".conf")}, args...)...)
}

func works(b *bench) []work {
	gib := float64(b.size) / (1 << 30)
	return []work{
		{"cat out", "GiB/s", gib, func(b *bench, p *party) (*exec.Cmd, int) {
			return b.ssh(p, "ssh", "bench", "cat "+b.dir+"/file"), 1
		}},
		{"cat in", "GiB/s", gib, func(b *bench, p *party) (*exec.Cmd, int) {
			cmd := b.ssh(p, "ssh", "bench", "cat >/dev/null")
			cmd.Stdin, _ = os.Open(b.dir + "/file") // it was written by us
			return cmd, 1
		}},
		{"scp out", "GiB/s", gib, func(b *bench, p *party) (*exec.Cmd, int) {
			return b.ssh(p, "scp", "-q", "bench:"+b.dir+"/file", "/dev/null"), 1
		}},
		{"scp in", "GiB/s", gib, func(b *bench, p *party) (*exec.Cmd, int) {
			return b.ssh(p, "scp", "-q", b.dir+"/file", "bench:"+b.dir+"/copy"), 1
		}},
		{"sessions", "/s", float64(b.logins), func(b *bench, p *party) (*exec.Cmd, int) {
			return b.ssh(p, "ssh", "bench", "true"), b.logins
		}},
	}
}

func measure() (err error) {
	mib := flag.Int64("mib", 1024, "size of a transfer")
	logins := flag.Int("logins", 50, "sessions set up one after the other")
	rounds := flag.Int("rounds", 3, "of all runs; the table has medians")
	idle := flag.Int("idle", 2000, "idle connections whose memory is measured; 0: none")
	only := flag.String("work", "", "only the work of this name, such as \"cat out\"")
	profile := flag.String("profile", "", "file for a CPU profile of the gateway")
	flag.Parse()
	if *mib <= 0 || *logins <= 0 || *rounds <= 0 || *idle < 0 {
		return errors.New("sizes and counts must be more than 0")
	}
	dir, err := os.MkdirTemp("", "sallyport-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx := context.Background()
	sshd, err := servers.StartSSHD(ctx, servers.SSHDConfig{})
	if err != nil {
		return err
	}
	defer sshd.Stop()
	b := &bench{dir: dir, sshd: sshd, size: *mib << 20, logins: *logins}
	if err := os.WriteFile(dir+"/key", []byte(sshd.Credentials.Secret.Reveal()), 0o600); err != nil {
		return err
	}
	signer, err := xssh.ParsePrivateKey([]byte(sshd.Credentials.Secret.Reveal()))
	if err != nil {
		return err
	}
	public := strings.TrimSpace(string(xssh.MarshalAuthorizedKey(signer.PublicKey())))
	if err := fill(dir+"/file", b.size); err != nil {
		return err
	}
	args := func(target, hostKey, dir string) []string {
		return []string{"-target", target, "-account", sshd.Account, "-secret", b.dir + "/key", "-host-key", hostKey, "-public", public, "-dir", dir}
	}
	direct := &party{name: "direct", addr: sshd.Addr, user: sshd.Account, hostKey: sshd.HostKey, pid: sshd.PID()}
	relay, err := start("relay", args(sshd.Addr, sshd.HostKey, "")...)
	if err != nil {
		return err
	}
	defer relay.stop()
	relay.user = sshd.Account
	gw, err := start("gateway", append(args(sshd.Addr, sshd.HostKey, dir), "-profile", *profile)...)
	if err != nil {
		return err
	}
	defer gw.stop()
	gw.user = "bench@bench"
	parties := []*party{direct, relay, gw}
	for _, p := range parties {
		if err := b.configure(p); err != nil {
			return err
		}
	}
	fmt.Printf("%s, %d cores; %d rounds, %d MiB, %d sessions; %s\n\n| work | party | rate | ÷ direct | ÷ relay | CPU of all | direct ÷ CPU | CPU of the proxy |\n|---|---|---|---|---|---|---|---|\n",
		runtime.Version(), runtime.NumCPU(), *rounds, *mib, *logins, time.Now().Format(time.DateOnly))
	for _, w := range works(b) {
		if *only != "" && w.name != *only {
			continue
		}
		if err := b.compare(w, parties, *rounds); err != nil {
			return err
		}
	}
	if *idle == 0 {
		return nil
	}
	return b.idle(*idle, signer, args)
}

// fill writes a file that does not compress.
func fill(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	r, err := os.Open("/dev/urandom")
	if err != nil {
		return errors.Join(err, f.Close())
	}
	_, err = io.CopyN(f, r, size)
	return errors.Join(err, r.Close(), f.Close())
}

// configure writes the client's configuration for a party.
func (b *bench) configure(p *party) error {
	host, port, _ := strings.Cut(p.addr, ":")
	known := filepath.Join(b.dir, p.name+".known")
	if err := os.WriteFile(known, fmt.Appendf(nil, "[%s]:%s %s\n", host, port, p.hostKey), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.dir, p.name+".conf"), []byte(strings.Join([]string{"Host bench", "HostName " + host, "Port " + port, "User " + p.user,
		"IdentityFile " + b.dir + "/key", "IdentitiesOnly yes", "IdentityAgent none", "UserKnownHostsFile " + known, "GlobalKnownHostsFile none",
		"StrictHostKeyChecking yes", "BatchMode yes", "Ciphers aes128-gcm@openssh.com", "LogLevel ERROR"}, "\n")+"\n"), 0o600)
}

// A figure is what one run took.
type figure struct{ wall, all, proxy float64 } // seconds

func (b *bench) once(w work, p *party) (f figure, err error) {
	pids := []int{b.sshd.PID()}
	if p.pid != pids[0] {
		pids = append(pids, p.pid)
	}
	var before []time.Duration
	for _, pid := range pids {
		c, err := cpu(pid)
		if err != nil {
			return f, err
		}
		before = append(before, c)
	}
	begin, times := time.Now(), 1
	for i := 0; i < times; i++ {
		var cmd *exec.Cmd
		cmd, times = w.run(b, p)
		var errs strings.Builder
		cmd.Stderr = &errs
		if err := cmd.Run(); err != nil {
			return f, fmt.Errorf("%s at %s: %w: %s", w.name, p.name, err, errs.String())
		}
		if in, ok := cmd.Stdin.(*os.File); ok {
			_ = in.Close()
		}
		f.all += (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	}
	f.wall = time.Since(begin).Seconds()
	for i, pid := range pids {
		c, err := cpu(pid)
		if err != nil {
			return f, err
		}
		f.all += (c - before[i]).Seconds()
		if i > 0 {
			f.proxy = (c - before[i]).Seconds()
		}
	}
	return f, nil
}

// compare lets the parties take turns at w and prints their medians.
func (b *bench) compare(w work, parties []*party, rounds int) error {
	type result struct{ rates, ratios, relay, all, ratiosCPU, proxy []float64 }
	results := make([]result, len(parties))
	for range rounds {
		var direct, relay figure
		for i, p := range parties {
			f, err := b.once(w, p)
			if err != nil {
				return err
			}
			switch p.name {
			case "direct":
				direct = f
			case "relay":
				relay = f
			}
			r := &results[i]
			r.rates = append(r.rates, w.units/f.wall)
			r.ratios = append(r.ratios, direct.wall/f.wall)
			r.relay = append(r.relay, relay.wall/f.wall)
			r.all = append(r.all, f.all/w.units)
			r.ratiosCPU = append(r.ratiosCPU, direct.all/f.all)
			r.proxy = append(r.proxy, f.proxy/w.units)
		}
	}
	for i, p := range parties {
		r := results[i]
		fmt.Printf("| %s | %s | %.3g %s | %.2f | %.2f | %.4f s | %.2f | %.4f s |\n", w.name, p.name, median(r.rates), w.unit, median(r.ratios), median(r.relay), median(r.all), median(r.ratiosCPU), median(r.proxy))
	}
	return nil
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// idle measures the memory of connections that do nothing, in front of a target
// that costs nothing either.
func (b *bench) idle(n int, key xssh.Signer, args func(target, hostKey, dir string) []string) error {
	target, err := start("target")
	if err != nil {
		return err
	}
	defer target.stop()
	dir := b.dir + "/idle"
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	gw, err := start("gateway", args(target.addr, target.hostKey, dir)...)
	if err != nil {
		return err
	}
	defer gw.stop()
	before, err := memory(gw.pid)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var all []*xssh.Client
	var failed error
	defer func() {
		for _, c := range all {
			_ = c.Close()
		}
	}()
	begin := time.Now()
	var wg sync.WaitGroup
	slots := make(chan struct{}, 8)
	for range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			c, err := xssh.Dial("tcp", gw.addr, &xssh.ClientConfig{User: "bench@bench", Auth: []xssh.AuthMethod{xssh.PublicKeys(key)}, HostKeyCallback: xssh.InsecureIgnoreHostKey()})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
				return
			}
			all = append(all, c)
		})
	}
	wg.Wait()
	if failed != nil {
		return fmt.Errorf("%d of %d idle connections: %w", len(all), n, failed)
	}
	took := time.Since(begin)
	after, err := memory(gw.pid)
	if err != nil {
		return err
	}
	fmt.Printf("\n%d idle connections: %.0f MiB before, %.0f MiB with them, %.0f KiB each; logged in within %s\n",
		n, float64(before)/1024, float64(after)/1024, float64(after-before)/float64(n), took.Round(time.Millisecond))
	return nil
}
