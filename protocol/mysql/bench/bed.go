//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"

	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// A bed is everything that a run needs, started.
type bed struct {
	settings
	dir     string
	db      *servers.MariaDB
	parties []*party
}

// A party is one way to the target.
type party struct {
	name, addr, user string
	pid              int // of the proxy; 0: there is none
	cmd              *exec.Cmd
	stdin            io.Closer // of a child of this program, which ends with it
}

// newBed starts MariaDB, fills it and starts the parties.
func newBed(ctx context.Context, s settings) (_ *bed, err error) {
	b := &bed{settings: s}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if err := servers.InstallTools(ctx, os.Stderr, []string{"sysbench", "haproxy"}, "sysbench", "haproxy"); err != nil {
		return nil, err
	}
	if b.dir, err = os.MkdirTemp("", "bench-"); err != nil {
		return nil, err
	}
	if b.db, err = servers.StartMariaDB(ctx, servers.MariaDBConfig{Options: []string{"--innodb-buffer-pool-size=1G", "--max-connections=400"}, SQL: []string{
		"CREATE DATABASE " + schema, "USE " + schema,
		"CREATE TABLE wide (id INT PRIMARY KEY, name VARCHAR(40), email VARCHAR(60), phone VARCHAR(20), grade INT, seen DATETIME, paid DECIMAL(12,2), active TINYINT, token CHAR(32), note VARCHAR(100))",
		"INSERT INTO wide SELECT seq, CONCAT('person number ', seq), CONCAT('someone.', seq, '@mail.example.com'), CONCAT('+49 30 ', 1000000 + seq), seq % 97, " +
			"'2026-01-01' - INTERVAL seq SECOND, seq * 7.25, seq % 2, MD5(seq), REPEAT(MD5(seq + 1), 3) FROM seq_1_to_" + strconv.Itoa(s.rows),
		"CREATE TABLE person AS SELECT * FROM wide",
		"CREATE USER bench IDENTIFIED BY '" + password + "'", "GRANT ALL ON *.* TO bench"}}); err != nil {
		return nil, err
	}
	direct := &party{name: "direct", addr: b.db.Addr, user: "bench"}
	if _, _, err := b.sysbench(ctx, direct, "prepare", "oltp_point_select", tables...); err != nil {
		return nil, err
	}
	b.parties = append(b.parties, direct)
	haproxy := &party{name: "haproxy", user: "bench"}
	b.parties = append(b.parties, haproxy)
	if err := b.startHAProxy(ctx, haproxy); err != nil {
		return nil, err
	}
	for _, p := range []*party{{name: "relay", user: "bench"}, {name: "gateway", user: "bench@db"}} {
		if err := child(p, b.db.Addr, s.profile); err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		b.parties = append(b.parties, p)
	}
	return b, nil
}

func (b *bed) close() {
	for _, p := range b.parties {
		if p.cmd != nil {
			if p.stdin != nil {
				_ = p.stdin.Close()
			} else {
				_ = p.cmd.Process.Signal(syscall.SIGTERM)
			}
			_ = p.cmd.Wait()
		}
	}
	if b.db != nil {
		b.db.Stop()
	}
	_ = os.RemoveAll(b.dir) // a temporary folder
}

func (b *bed) startHAProxy(ctx context.Context, p *party) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	p.addr = l.Addr().String()
	_ = l.Close() // free a moment ago
	file := filepath.Join(b.dir, "haproxy.cfg")
	config := fmt.Sprintf("global\n  maxconn 8000\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n"+
		"listen my\n  bind %s\n  server my %s\n", p.addr, b.db.Addr)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return err
	}
	p.cmd = exec.CommandContext(ctx, "haproxy", "-db", "-f", file)
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.pid = p.cmd.Process.Pid
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp", p.addr); err == nil {
			return conn.Close()
		} else if time.Now().After(deadline) {
			return fmt.Errorf("haproxy does not listen: %w", err)
		}
	}
}

// A sample is what one party did in one round.
type sample struct {
	ops                   float64 // queries or rows
	took                  time.Duration
	client, server, proxy time.Duration // CPU
	gb                    float64       // 1e9 bytes of result that the client has read
	peak                  float64       // of the proxy's memory, in MiB
}

// measure runs f, which fills ops and client, and adds what the others have used.
func (b *bed) measure(p *party, f func(*sample) error) (s sample, err error) {
	server, err1 := cpuOf(b.db.PID())
	proxy, err2 := cpuOf(p.pid)
	start := time.Now()
	if err := errors.Join(err1, err2, f(&s)); err != nil {
		return s, fmt.Errorf("%s: %w", p.name, err)
	}
	s.took = time.Since(start)
	serverNow, err1 := cpuOf(b.db.PID())
	proxyNow, err2 := cpuOf(p.pid)
	s.server, s.proxy = serverNow-server, proxyNow-proxy
	return s, errors.Join(err1, err2)
}

// sysbench runs a command of one of its tests. It returns how many queries it has
// asked and the CPU that it has used.
func (b *bed) sysbench(ctx context.Context, p *party, command, test string, options ...string) (n float64, cpu time.Duration, err error) {
	host, port, _ := net.SplitHostPort(p.addr)
	args := append([]string{test, "--db-driver=mysql", "--mysql-host=" + host, "--mysql-port=" + port, "--mysql-user=" + p.user,
		"--mysql-password=" + password, "--mysql-db=" + schema, "--mysql-ssl=off"}, options...)
	cmd := exec.CommandContext(ctx, "sysbench", append(args, command)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, 0, fmt.Errorf("sysbench: %w\n%s", err, out)
	}
	if command == "run" {
		m := queries.FindSubmatch(out)
		if m == nil {
			return 0, 0, fmt.Errorf("sysbench said:\n%s", out)
		}
		n, err = strconv.ParseFloat(string(m[1]), 64)
	}
	return n, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), err
}

var (
	queries = regexp.MustCompile(`total: +(\d+)`)
	tables  = []string{"--tables=1", "--table-size=20000"}
)
