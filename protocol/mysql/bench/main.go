// Command bench compares a gateway for MySQL with nothing between client and
// server, and with a bare copy of bytes in Go.
//
//	go run ./protocol/mysql/bench
//
// It starts a MariaDB, the relay and a gateway with a full chain (login by a
// secret, access rules, a mask on another table, a journal) as processes of
// their own, and drives each with sysbench: point selects by prepared
// statements, and reads of 10,000 rows.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/mysql"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

const (
	password = "a secret of the benchmark"
	schema   = "sbtest"
)

func main() {
	seconds := flag.Int("seconds", 5, "how long each run takes")
	rounds := flag.Int("rounds", 3, "how often each way is run, in turns; the best counts")
	threads := flag.Int("threads", 8, "clients at once")
	role := flag.String("role", "", "what a child process is: gateway or relay")
	target := flag.String("target", "", "of a child process")
	flag.Parse()
	var err error
	switch *role {
	case "":
		err = run(*seconds, *rounds, *threads)
	case "relay":
		err = relay(*target)
	case "gateway":
		err = serve(*target)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// listen prints the address for the parent, whose end is the child's.
func listen() (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	fmt.Println(l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return l, nil
}

// relay copies bytes.
func relay(target string) error {
	l, err := listen()
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

// serve is the gateway.
func serve(target string) error {
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
			middleware.Authorize(middleware.Access{Name: "app", Groups: []string{"app"}, Targets: []string{"db"}, Access: []string{"read", "write"}}),
			middleware.Mask(mask.Rule{Name: "email", Columns: []string{"shop.customers.email"}, Transform: mask.Redact()}),
			middleware.Record(journal),
		},
		Targets: []gateway.Target{{Name: "db", Protocol: "mysql", Addr: target, User: "bench", Secret: gateway.Fixed(protocol.NewSecret(password)),
			Options: map[string]string{"sslmode": "disable"}}},
	})
	if err != nil {
		return err
	}
	l, err := listen()
	if err != nil {
		return err
	}
	return gw.Serve(context.Background(), l, &mysql.Server{Auth: mysql.AuthNative, Version: "5.5.5-10.11.14-MariaDB"})
}

// child starts this program in a role and returns its address.
func child(role, target string) (addr string, stop func(), err error) {
	cmd := exec.Command(os.Args[0], "-role", role, "-target", target)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() { _ = in.Close(); _ = cmd.Wait() }
	line, err := bufio.NewReader(out).ReadString('\n')
	return strings.TrimSpace(line), stop, err
}

// wide reads 10,000 rows at a time.
const wide = `
function thread_init() drv = sysbench.sql.driver(); con = drv:connect() end
function thread_done() con:disconnect() end
function event() con:query("SELECT id, k, c, pad FROM sbtest1 LIMIT 10000") end
`

func run(seconds, rounds, threads int) error {
	ctx := context.Background()
	if err := servers.InstallTools(ctx, os.Stderr, []string{"sysbench"}, "sysbench"); err != nil {
		return err
	}
	db, err := servers.StartMariaDB(ctx, servers.MariaDBConfig{Options: []string{"--innodb-buffer-pool-size=128M"}, SQL: []string{
		"CREATE DATABASE " + schema, "CREATE DATABASE shop", "CREATE TABLE shop.customers (id INT, email TEXT)",
		"CREATE USER bench IDENTIFIED BY '" + password + "'", "GRANT ALL ON *.* TO bench"}})
	if err != nil {
		return err
	}
	defer db.Stop()
	bare, stopRelay, err := child("relay", db.Addr)
	if err != nil {
		return err
	}
	defer stopRelay()
	gw, stopGateway, err := child("gateway", db.Addr)
	if err != nil {
		return err
	}
	defer stopGateway()
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	script := filepath.Join(dir, "wide.lua")
	if err := os.WriteFile(script, []byte(wide), 0o600); err != nil {
		return err
	}
	sysbench := func(addr, user, database, test, command string, more ...string) (string, error) {
		host, port, _ := net.SplitHostPort(addr)
		args := append([]string{test, "--db-driver=mysql", "--mysql-host=" + host, "--mysql-port=" + port, "--mysql-user=" + user,
			"--mysql-password=" + password, "--mysql-db=" + database, "--mysql-ssl=off"}, more...)
		out, err := exec.Command("sysbench", append(args, command)...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("sysbench: %w\n%s", err, out)
		}
		return string(out), err
	}
	if _, err := sysbench(db.Addr, "bench", schema, "oltp_point_select", "prepare", "--tables=1", "--table-size=20000"); err != nil {
		return err
	}
	ways := []struct{ name, addr, user string }{{"direct", db.Addr, "bench"}, {"bare copy", bare, "bench"}, {"gateway", gw, "bench@db"}}
	fmt.Printf("%-22s", "")
	for _, w := range ways {
		fmt.Printf("%14s", w.name)
	}
	fmt.Printf("%18s\n", "of the bare copy")
	for _, work := range []struct {
		name, test string
		options    []string
	}{
		{"point selects/s", "oltp_point_select", []string{"--tables=1", "--table-size=20000"}},
		{"reads of 10,000 rows/s", script, nil},
	} {
		best := make([]float64, len(ways))
		for range rounds {
			for i, w := range ways {
				out, err := sysbench(w.addr, w.user, schema, work.test, "run", append(work.options, "--threads="+strconv.Itoa(threads), "--time="+strconv.Itoa(seconds))...)
				if err != nil {
					return err
				}
				n, err := eventsPerSecond(out)
				if err != nil {
					return err
				}
				best[i] = max(best[i], n)
			}
		}
		fmt.Printf("%-22s", work.name)
		for _, n := range best {
			fmt.Printf("%14.1f", n)
		}
		fmt.Printf("%18.2f\n", best[2]/best[1])
	}
	return nil
}

var transactions = regexp.MustCompile(`transactions: +\d+ +\(([0-9.]+) per sec`)

func eventsPerSecond(out string) (float64, error) {
	m := transactions.FindStringSubmatch(out)
	if m == nil {
		if m = regexp.MustCompile(`total number of events: +(\d+)`).FindStringSubmatch(out); m == nil {
			return 0, errors.New("sysbench says nothing that is understood:\n" + out)
		}
		t := regexp.MustCompile(`total time: +([0-9.]+)s`).FindStringSubmatch(out)
		if t == nil {
			return 0, errors.New("sysbench says nothing that is understood:\n" + out)
		}
		n, _ := strconv.ParseFloat(m[1], 64)
		s, _ := strconv.ParseFloat(t[1], 64)
		return n / s, nil
	}
	return strconv.ParseFloat(m[1], 64)
}
