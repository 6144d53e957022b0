//go:build linux

// Bench measures the PostgreSQL connector beside others on one machine: no
// proxy at all, HAProxy in TCP mode, PgBouncer in session mode, a bare relay
// that walks PostgreSQL's frames and does nothing else, and a gateway with every
// kind of step on. It starts all of them itself, in front of one PostgreSQL, and
// prints one table.
//
//	go run ./protocol/postgres/bench -short
//	go run ./protocol/postgres/bench -work 'select-prepared-8|wide' -party relay,gateway
//	go run ./protocol/postgres/bench -work select-simple-8 -party gateway -profile /tmp/profiles
//
// README.md says how to read the table, and keeps the last one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) > 1 {
		if serve := roles()[os.Args[1]]; serve != nil {
			exitOn(serve(os.Args[2:]))
			return
		}
	}
	s := settings{}
	short := flag.Bool("short", false, "about three minutes: short rounds, small tables")
	rounds := flag.Int("rounds", 0, "rounds over all parties; 0: 5, or 2 with -short")
	party := flag.String("party", "direct,haproxy,pgbouncer,relay,gateway", "parties to measure")
	flag.StringVar(&s.before, "before", "", "another build of this program, whose gateway is measured too, as the party before")
	only := flag.String("work", "", "regular expression: works to measure; empty: all")
	flag.StringVar(&s.profiles, "profile", "", "folder for CPU and allocation profiles of the relay and the gateway, by work")
	flag.Parse()

	s.rounds, s.run, s.rows, s.sessions, s.idle, s.logins = 5, 5*time.Second, 1_000_000, 3000, 10*time.Second, 400
	if *short {
		s.rounds, s.run, s.rows, s.sessions, s.idle, s.logins = 2, 2*time.Second, 200_000, 1000, 3*time.Second, 100
	}
	if *rounds > 0 {
		s.rounds = *rounds
	}
	asked := strings.Split(*party, ",")
	if s.before != "" {
		asked = append(asked, "before")
	}
	for _, p := range asked {
		if !slices.Contains(partyNames(), p) {
			exitOn(fmt.Errorf("party %q is none of %s", p, strings.Join(partyNames(), ", ")))
		}
	}
	s.parties = slices.DeleteFunc(partyNames(), func(p string) bool { return !slices.Contains(asked, p) })
	if slices.Contains(s.parties, "before") && s.before == "" {
		exitOn(errors.New("the party before needs -before"))
	}
	pattern, err := regexp.Compile(*only)
	exitOn(err)

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	exitOn(run(ctx, s, pattern))
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// settings are the size of a run.
type settings struct {
	rounds   int
	parties  []string
	profiles string
	before   string

	run      time.Duration // of one pgbench
	rows     int           // of a wide read
	sessions int           // idle ones
	idle     time.Duration // for which their CPU is measured
	logins   int           // sessions that come and go in one round
}

// roles are what this program is when it runs itself again.
func roles() map[string]func([]string) error {
	return map[string]func([]string) error{"role-relay": serveRelay, "role-gateway": serveGateway, "role-fake": serveFake}
}

// run starts everything, measures, and prints the table.
func run(ctx context.Context, s settings, pattern *regexp.Regexp) error {
	debug.SetGCPercent(400) // the clients that run in this process should not disturb
	if err := raiseFiles(); err != nil {
		return err
	}
	b, err := newBed(ctx, s)
	if err != nil {
		return err
	}
	defer b.close()
	var done []*work
	for _, w := range works() {
		if !pattern.MatchString(w.name) {
			continue
		}
		if err := b.measure(ctx, w); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		done = append(done, w)
	}
	if len(done) == 0 {
		return fmt.Errorf("no work matches %q", pattern)
	}
	printTable(os.Stdout, s, done)
	return nil
}

// measure runs w for each party, round by round, so that what else the machine
// does falls on all of them alike.
func (b *bed) measure(ctx context.Context, w *work) error {
	rounds := b.rounds
	if w.once {
		rounds = 1
	}
	w.samples = map[string][]sample{}
	for name, p := range b.parties {
		if b.profiles == "" || p.child == nil || w.once {
			continue
		}
		if err := p.child.ask("profile " + filepath.Join(b.profiles, w.name+"."+name)); err != nil {
			return err
		}
		defer func() { _ = p.child.ask("stop") }() // a run that fails has no use for its profile
	}
	for round := range rounds {
		for _, name := range b.settings.parties {
			if !w.takes(name) {
				continue
			}
			got, err := w.run(ctx, b, name)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			w.samples[name] = append(w.samples[name], got)
			fmt.Fprintf(os.Stderr, "%-20s round %d/%d  %-10s %s\n", w.name, round+1, rounds, name, w.brief(got))
		}
	}
	return nil
}

// raiseFiles lets this process and those that it starts have enough files open
// for all idle sessions at once.
func raiseFiles() error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	l.Cur = l.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l)
}
