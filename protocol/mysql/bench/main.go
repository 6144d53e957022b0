//go:build linux

// Command bench compares a gateway for MySQL with nothing between client and
// server, with HAProxy, and with a bare copy of bytes in Go.
//
//	go run ./protocol/mysql/bench
//	go run ./protocol/mysql/bench -short
//
// It starts all of them itself, as processes of their own in front of one
// MariaDB, and prints one table. README.md says how to read it.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/approval"
	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/middleware/policy"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/mysql"
)

const (
	password = "a secret of the benchmark"
	schema   = "sbtest"
)

// settings are the size of a run.
type settings struct {
	rounds int
	run    time.Duration // of one sysbench
	rows   int           // of a wide read
	only   string        // a regular expression: works to measure

	profile string // where the gateway's CPU profile goes
}

func main() {
	short := flag.Bool("short", false, "short rounds, small tables")
	rounds := flag.Int("rounds", 0, "rounds over all parties; 0: 5, or 2 with -short")
	only := flag.String("work", "", "regular expression: works to measure; empty: all")
	profile := flag.String("profile", "", "file for a CPU profile of the gateway, best with -work")
	role := flag.String("role", "", "what a child process is: gateway or relay")
	target := flag.String("target", "", "of a child process")
	flag.Parse()
	s := settings{rounds: 5, run: 5 * time.Second, rows: 1_000_000}
	if *short {
		s = settings{rounds: 2, run: 2 * time.Second, rows: 200_000}
	}
	if *rounds > 0 {
		s.rounds = *rounds
	}
	s.only, s.profile = *only, *profile
	var err error
	switch *role {
	case "":
		err = run(context.Background(), s)
	case "relay":
		err = relay(*target)
	case "gateway":
		err = serve(*target, *profile)
	default:
		err = fmt.Errorf("role %q", *role)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// listen prints the address for the parent, whose end is the child's; done, if
// there is one, is called before.
func listen(done func()) (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	fmt.Println(l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		if done != nil {
			done()
		}
		os.Exit(0)
	}()
	return l, nil
}

// relay copies bytes: the yardstick for what a program in Go can do.
func relay(target string) error {
	l, err := listen(nil)
	if err != nil {
		return err
	}
	for {
		in, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer in.Close()
			out, err := net.Dial("tcp", target)
			if err != nil {
				return
			}
			defer out.Close()
			go func() { _, _ = io.Copy(out, in); _ = out.(*net.TCPConn).CloseWrite() }()
			_, _ = io.Copy(in, out)
		}()
	}
}

// serve is a gateway as a careful team would assemble it: every step looks at
// every statement, though none has anything to do for those of these
// measurements, but for the masks of the table person.
func serve(target, profile string) error {
	var done func()
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		done = func() { pprof.StopCPUProfile(); _ = f.Close() }
	}
	debug.SetGCPercent(400) // as examples/gateway does
	dir, err := os.MkdirTemp("", "bench-journal-")
	if err != nil {
		return err
	}
	journal, err := audit.Open(dir, audit.Options{})
	if err != nil {
		return err
	}
	gw, err := gateway.New(gateway.Config{
		Steps: []middleware.Step{
			middleware.ScramSecrets(middleware.ScramSecret{User: "bench", MySQL: protocol.NewSecret(password), Subject: "bench", Kind: protocol.Workload, Groups: []string{"app"}}),
			middleware.Authorize(
				middleware.Access{Name: "agents", Kinds: []protocol.IdentityKind{protocol.Agent}, Targets: []string{"*"}, Access: []string{"read"}},
				middleware.Access{Name: "app", Groups: []string{"app"}, Targets: []string{"db"}, Access: []string{"read", "write"}},
			),
			middleware.Block(
				middleware.BlockRule{Name: "whole-tables", When: policy.MustCompile(`operation.access.write && !operation.bounded`)},
				middleware.BlockRule{Name: "definitions", When: policy.MustCompile(`operation.access.schema && !("owners" in identity.groups)`)},
			),
			middleware.Risk(middleware.RiskConfig{Sensitive: []string{"sbtest.person.*"}, Rules: []middleware.RiskRule{
				{Name: "an agent changes data", Score: 30, When: policy.MustCompile(`identity.kind == "agent" && operation.access.write`)}}}),
			middleware.Approve(approval.NewBroker(approval.Options{}), middleware.ApproveRule{Name: "four-eyes",
				When: policy.MustCompile(`operation.risk >= 90`), Groups: []string{"dba-leads"}}),
			middleware.Mask(
				mask.Rule{Name: "contact", Columns: []string{"sbtest.person.email"}, Transform: mask.Email()},
				mask.Rule{Name: "phone", Columns: []string{"sbtest.person.phone"}, Transform: mask.KeepLast(4)},
				mask.Rule{Name: "name", Columns: []string{"sbtest.person.name"}, Transform: mask.Redact()},
			),
			middleware.Record(journal),
		},
		Targets: []gateway.Target{{Name: "db", Protocol: "mysql", Addr: target, User: "bench", Secret: gateway.Fixed(protocol.NewSecret(password)),
			Options: map[string]string{"sslmode": "disable"}}},
	})
	if err != nil {
		return err
	}
	l, err := listen(done)
	if err != nil {
		return err
	}
	return gw.Serve(context.Background(), l, &mysql.Server{Auth: mysql.AuthNative, AllowPlaintext: true, Version: "5.5.5-10.11.14-MariaDB"})
}

// child starts this program in the role that is the party's name.
func child(p *party, target, profile string) (err error) {
	p.cmd = exec.Command(os.Args[0], "-role", p.name, "-target", target, "-profile", profile)
	p.cmd.Stderr = os.Stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil { // whose end is the child's
		return err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.pid = p.cmd.Process.Pid
	line, err := bufio.NewReader(out).ReadString('\n')
	p.addr = strings.TrimSpace(line)
	return err
}
