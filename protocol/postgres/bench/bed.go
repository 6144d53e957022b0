//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// scale is pgbench's: 100,000 accounts each. It fits into the server's memory.
const scale = 10

// A bed is everything that a run needs, started.
type bed struct {
	settings
	dir      string
	pg       *servers.Postgres
	pgPID    int
	pgbench  string
	psql     string
	parties  map[string]*party
	fake     *child
	password string // of the target's account
}

// newBed starts PostgreSQL, fills it and starts the parties.
func newBed(ctx context.Context, s settings) (_ *bed, err error) {
	b := &bed{settings: s, parties: map[string]*party{}}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if b.dir, err = os.MkdirTemp("", "sallyport-bench-"); err != nil {
		return nil, err
	}
	if err := os.Chmod(b.dir, 0o755); err != nil { // PgBouncer runs under another account
		return nil, err
	}
	if s.profiles != "" {
		if err := os.MkdirAll(s.profiles, 0o755); err != nil {
			return nil, err
		}
	}
	b.pg, err = servers.StartPostgres(ctx, servers.PostgresConfig{Settings: map[string]string{
		"max_connections": "400", "shared_buffers": "1GB", "max_wal_size": "4GB", "autovacuum": "off", "jit": "off"}})
	if err != nil {
		return nil, err
	}
	b.password = b.pg.Superuser.Secret.Reveal()
	if b.pgPID, err = postmaster(b.pg); err != nil {
		return nil, err
	}
	if b.pgbench, err = b.pg.Install.Tool("pgbench"); err != nil {
		return nil, err
	}
	if b.psql, err = b.pg.Install.Tool("psql"); err != nil {
		return nil, err
	}
	if err := b.fill(ctx); err != nil {
		return nil, err
	}
	if b.fake, err = startChild(self, nil, "role-fake"); err != nil {
		return nil, err
	}
	for _, name := range s.parties {
		p, err := b.start(ctx, name, b.pg.Addr)
		if err != nil {
			return nil, err
		}
		b.parties[name] = p
	}
	return b, b.check(ctx)
}

// postmaster returns the process id of pg, which the lock file of its socket
// names.
func postmaster(pg *servers.Postgres) (int, error) {
	data, err := os.ReadFile(filepath.Join(pg.SocketDir, fmt.Sprintf(".s.PGSQL.%d.lock", pg.Port)))
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strconv.Atoi(line)
}

// fill loads pgbench's tables and two of about 260 bytes a row: wide, which no
// rule is about, and person, of which three columns are masked.
func (b *bed) fill(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, b.pgbench, "-i", "-q", "-s", strconv.Itoa(scale), "-d", b.pg.SuperuserDSN())
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pgbench -i: %w\n%s", err, out)
	}
	_, err := b.pg.Exec(ctx, `CREATE UNLOGGED TABLE wide AS SELECT i AS id, 'person number ' || i AS name,
		'someone.' || i || '@mail.example.com' AS email, '+49 30 ' || (1000000 + i) AS phone, i % 97 AS grade,
		now() - i * interval '1 s' AS seen, (i * 7.25)::numeric(12,2) AS paid, i % 2 = 0 AS active,
		md5(i::text) AS token, repeat(md5((i + 1)::text), 3) AS note
		FROM generate_series(1, `+strconv.Itoa(b.rows)+`) i`,
		`CREATE UNLOGGED TABLE person AS TABLE wide`, `VACUUM ANALYZE`, `CHECKPOINT`)
	return err
}

// check makes sure that what is measured is what it is called: rows arrive
// whole everywhere, and masked through the gateway.
func (b *bed) check(ctx context.Context) error {
	for name, p := range b.parties {
		var got [2]string
		for i, table := range []string{"wide", "person"} {
			conn, err := p.connect(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			r := conn.Exec(ctx, "SELECT name, email, phone FROM "+table+" WHERE id = 42")
			results, err := r.ReadAll()
			_ = conn.Close(ctx)
			if err != nil || len(results) != 1 || len(results[0].Rows) != 1 {
				return fmt.Errorf("%s: reading one row of %s: %v", name, table, err)
			}
			for _, v := range results[0].Rows[0] {
				got[i] += string(v) + "|"
			}
		}
		plain := "person number 42|someone.42@mail.example.com|+49 30 1000042|"
		if got[0] != plain {
			return fmt.Errorf("%s: a row of wide is %q", name, got[0])
		}
		if masked := name == "gateway" || name == "before"; masked == (got[1] == plain) || masked && !strings.Contains(got[1], "0042|") {
			return fmt.Errorf("%s: a row of person is %q", name, got[1])
		}
	}
	return nil
}

func (b *bed) close() {
	for _, p := range b.parties {
		p.stop()
	}
	if b.fake != nil {
		b.fake.stop()
	}
	if b.pg != nil {
		b.pg.Stop()
	}
	_ = os.RemoveAll(b.dir) // a temporary folder
}

// partyNames are the parties in the order in which they take turns. "before" is
// the gateway of another build, for comparing two of them.
func partyNames() []string {
	return []string{"direct", "haproxy", "pgbouncer", "relay", "before", "gateway"}
}

// A party is one way to the target.
type party struct {
	addr                     string
	user, password, database string

	pid   int    // of the proxy; 0: there is none
	child *child // the proxy, if it is this program
	cmd   *exec.Cmd
}

// start starts the party called name in front of the server at target.
func (b *bed) start(ctx context.Context, name, target string) (*party, error) {
	p := &party{addr: target, user: b.pg.Superuser.User, password: b.password, database: "postgres"}
	var err error
	switch name {
	case "direct":
	case "haproxy":
		err = b.startHAProxy(ctx, p, target)
	case "pgbouncer":
		err = b.startPgBouncer(ctx, p, target)
	case "relay":
		p.child, err = startChild(self, nil, "role-relay", "-target", target)
	case "gateway", "before":
		program := self
		if name == "before" {
			program = b.before
		}
		token, hash := middleware.NewToken()
		var journal string
		if journal, err = os.MkdirTemp(b.dir, "journal-"); err != nil {
			return nil, err
		}
		p.user, p.password, p.database = "bench", token.Reveal(), "pg/postgres"
		p.child, err = startChild(program, []string{secretEnv + "=" + b.password},
			"role-gateway", "-target", target, "-user", b.pg.Superuser.User, "-hash", hash, "-journal", journal)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if p.child != nil {
		p.addr, p.pid = p.child.addr, p.child.cmd.Process.Pid
	}
	return p, nil
}

func (p *party) stop() {
	if p.child != nil {
		p.child.stop()
	}
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // gone already: Wait returns
		_ = p.cmd.Wait()
	}
}

func (b *bed) startHAProxy(ctx context.Context, p *party, target string) error {
	path, err := exec.LookPath("haproxy")
	if err != nil {
		return fmt.Errorf("%w (Debian: apt-get install haproxy)", err)
	}
	if p.addr, err = freeAddr(); err != nil {
		return err
	}
	file := filepath.Join(b.dir, "haproxy-"+port(p.addr)+".cfg")
	config := fmt.Sprintf("global\n  maxconn 8000\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n"+
		"listen pg\n  bind %s\n  server pg %s\n", p.addr, target)
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		return err
	}
	return p.run(ctx, exec.Command(path, "-db", "-f", file))
}

func (b *bed) startPgBouncer(ctx context.Context, p *party, target string) error {
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		return fmt.Errorf("%w (Debian: apt-get install pgbouncer)", err)
	}
	if p.addr, err = freeAddr(); err != nil {
		return err
	}
	base := filepath.Join(b.dir, "pgbouncer-"+port(p.addr))
	// As at the gateway, the client shows a secret and the target is logged in
	// at with SCRAM.
	config := fmt.Sprintf("[databases]\npostgres = host=127.0.0.1 port=%s\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %s\n"+
		"unix_socket_dir =\nauth_type = plain\nauth_file = %s.users\npool_mode = session\nmax_client_conn = 8000\ndefault_pool_size = 300\n"+
		"log_connections = 0\nlog_disconnections = 0\nlog_stats = 0\n", port(target), port(p.addr), base)
	users := fmt.Sprintf("%q %q\n", p.user, p.password)
	if err := errors.Join(os.WriteFile(base+".ini", []byte(config), 0o644), os.WriteFile(base+".users", []byte(users), 0o644)); err != nil {
		return err
	}
	cmd := exec.Command(path, "-q", base+".ini")
	if os.Geteuid() == 0 { // PgBouncer refuses to run as root
		if cmd.SysProcAttr, err = nobody(); err != nil {
			return err
		}
	}
	return p.run(ctx, cmd)
}

func nobody() (*syscall.SysProcAttr, error) {
	u, err := user.Lookup("nobody")
	if err != nil {
		return nil, err
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, errors.Join(err1, err2)
}

// run starts a proxy and waits until it listens.
func (p *party) run(ctx context.Context, cmd *exec.Cmd) error {
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd, p.pid = cmd, cmd.Process.Pid
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", p.addr)
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			p.stop()
			return fmt.Errorf("does not listen: %w\n%s", err, log.String())
		}
	}
}

// freeAddr returns an address that was free a moment ago.
func freeAddr() (string, error) {
	l, err := listen()
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr) // of a listener
	return p
}

// connect logs in as a client does.
func (p *party) connect(ctx context.Context) (*pgconn.PgConn, error) {
	c, err := pgconn.ParseConfig("sslmode=disable")
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(p.addr)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	c.Host, c.Port, c.User, c.Password, c.Database, c.Fallbacks = host, uint16(n), p.user, p.password, p.database, nil
	return pgconn.ConnectConfig(ctx, c)
}

// client returns a PostgreSQL program as a client of p.
func (p *party) client(ctx context.Context, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	// What a developer's environment says about servers is not for here.
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "PG") })
	host, port, _ := net.SplitHostPort(p.addr)
	cmd.Env = append(env, "PGHOST="+host, "PGPORT="+port, "PGUSER="+p.user, "PGPASSWORD="+p.password,
		"PGDATABASE="+p.database, "PGSSLMODE=disable")
	return cmd
}
