package servers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"

	"github.com/sallyport-dev/gateway/protocol"
)

const superuser = "postgres"

// A Role is an account of a PostgreSQL server.
type Role struct {
	Name     string
	Password string

	// Auth is how the account proves itself over TCP, as pg_hba.conf names it:
	// scram-sha-256 (when empty), md5, password, cert (over TLS only), trust,
	// reject.
	Auth string

	// Grant is SQL to run after the role exists, such as
	// "GRANT pg_read_all_data TO app".
	Grant string
}

// PostgresConfig says what [StartPostgres] starts. The zero value is a server
// with nothing but its superuser.
type PostgresConfig struct {
	Install  *PostgresInstall  // nil: what FindPostgres finds
	Roles    []Role            // each may log in over TCP from this machine
	HBA      []string          // lines of pg_hba.conf that come before all others
	Settings map[string]string // settings of postgresql.conf, values unquoted
	SQL      []string          // run by the superuser in the database postgres, in order

	// StandbyOf makes the server a hot standby, which follows the given one and
	// has its roles and its data. There is no Roles or SQL then.
	StandbyOf *Postgres

	// TLS makes the server accept TLS with a certificate of Authority, for
	// localhost and 127.0.0.1. Plain connections go on working; lines of HBA
	// can forbid them.
	TLS       bool
	Authority *Authority // nil: a new one
}

// Postgres is a running server. It keeps nothing on disk safe: fsync is off.
type Postgres struct {
	Process
	Addr      string // host:port on loopback
	Host      string
	Port      int
	SocketDir string // folder of the Unix socket; the superuser needs no password there
	Install   PostgresInstall
	Authority *Authority // nil without TLS
	Superuser protocol.Credentials
}

// StartPostgres starts a PostgreSQL on a free port of 127.0.0.1 and returns
// once it answers. The caller calls Stop. ctx bounds the start only.
//
// A process that is root runs the server as the account postgres.
func StartPostgres(ctx context.Context, c PostgresConfig) (*Postgres, error) {
	p := &Postgres{Host: "127.0.0.1", Process: Process{end: syscall.SIGQUIT}} // as a crash would
	if c.Install != nil {
		p.Install = *c.Install
	} else {
		var err error
		if p.Install, err = FindPostgres(ctx); err != nil {
			return nil, err
		}
	}
	acc, err := serverAccount("postgres")
	if err != nil {
		return nil, err
	}
	name := "postgres-" + p.Install.Version
	sampled := len(c.SQL) > 0 && c.SQL[0] == SampleSQL
	if sampled { // most servers have it: once is enough
		sum := sha256.Sum256([]byte(SampleSQL))
		name += "-sample2-" + hex.EncodeToString(sum[:8])
		c.SQL = c.SQL[1:]
	}
	src, err := template(name, acc, func(data string) []*exec.Cmd {
		cmds := []*exec.Cmd{exec.CommandContext(ctx, filepath.Join(p.Install.Bin, "initdb"), "-D", data, "-U", superuser, "-A", "trust",
			"-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--wal-segsize=1")} // 1 MB of log to copy instead of 16
		if sampled { // not in single-user mode, which gives numbers (OIDs) of the server's own
			tool := func(name string, args ...string) *exec.Cmd {
				return exec.CommandContext(ctx, filepath.Join(p.Install.Bin, name), args...)
			}
			dir := filepath.Dir(data)
			load := tool("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", dir, "-U", superuser, "-d", "postgres")
			load.Stdin = strings.NewReader(SampleSQL)
			cmds = append(cmds, tool("pg_ctl", "start", "-w", "-D", data, "-l", filepath.Join(dir, "log"), "-o", "-F -h '' -k "+dir), load,
				tool("pg_ctl", "stop", "-w", "-D", data))
		}
		return cmds
	})
	if err != nil {
		return nil, err
	}
	// The folder is made here and not below a caller's: the name of a Unix
	// socket has at most 107 bytes, and the server's account must reach it.
	if p.dir, err = os.MkdirTemp("", "sp-pg-"); err != nil {
		return nil, err
	}
	p.SocketDir = p.dir
	p.Superuser = protocol.Credentials{User: superuser, Secret: protocol.NewSecret(protocol.NewID())}
	if c.StandbyOf != nil {
		p.Superuser = c.StandbyOf.Superuser
	}
	if err := p.prepare(ctx, c, src, acc); err != nil {
		return nil, errors.Join(err, os.RemoveAll(p.dir))
	}
	if err := p.start(ctx, acc); err != nil {
		return nil, errors.Join(err, os.RemoveAll(p.dir))
	}
	if err := p.setUp(ctx, c); err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

// prepare makes the data folder with its configuration.
func (p *Postgres) prepare(ctx context.Context, c PostgresConfig, src string, acc account) error {
	if err := acc.give(p.dir); err != nil {
		return err
	}
	if c.StandbyOf != nil {
		if err := p.copyPrimary(ctx, c.StandbyOf, acc); err != nil {
			return err
		}
	} else if err := copyTree(p.data(), src, acc); err != nil {
		return err
	}
	conf := map[string]string{
		"listen_addresses": p.Host, "unix_socket_directories": p.SocketDir, "unix_socket_permissions": "0700",
		"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off",
		"shared_buffers": "16MB", "max_connections": "50", "timezone": "UTC", "log_timezone": "UTC",
		"dynamic_shared_memory_type": "mmap", // /dev/shm is small in containers
	}
	files := map[string]string{"pg_hba.conf": p.hba(c)}
	if c.StandbyOf != nil {
		files["standby.signal"], conf["primary_conninfo"] = "", c.StandbyOf.socketDSN()
	}
	if c.TLS {
		if p.Authority = c.Authority; p.Authority == nil {
			var err error
			if p.Authority, err = NewAuthority("sallyport test authority"); err != nil {
				return err
			}
		}
		cert, err := p.Authority.Issue(Subject{CommonName: "localhost", Hosts: []string{"localhost", p.Host}})
		if err != nil {
			return err
		}
		chain, key, err := EncodePEM(cert)
		if err != nil {
			return err
		}
		files["server.crt"], files["server.key"], files["ca.crt"] = string(chain), string(key), string(p.Authority.PEM())
		conf["ssl"], conf["ssl_ca_file"] = "on", "ca.crt"
	}
	for k, v := range c.Settings {
		conf[k] = v
	}
	var b strings.Builder
	for _, k := range sortedKeys(conf) {
		fmt.Fprintf(&b, "%s = '%s'\n", k, strings.NewReplacer("'", "''", `\`, `\\`).Replace(conf[k]))
	}
	files["postgresql.auto.conf"] = b.String()
	for name, text := range files {
		path := filepath.Join(p.data(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
		if err := acc.give(path); err != nil {
			return err
		}
	}
	return nil
}

// copyPrimary makes the data folder of a standby.
func (p *Postgres) copyPrimary(ctx context.Context, primary *Postgres, acc account) error {
	tool, err := p.Install.Tool("pg_basebackup")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, tool, "-d", primary.socketDSN(), "-D", p.data(), "-c", "fast", "--no-sync")
	cmd.Dir, cmd.Env, cmd.SysProcAttr = p.dir, cleanEnv(), acc.attr()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pg_basebackup: %w: %s", err, tail(out))
	}
	return nil
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func (p *Postgres) hba(c PostgresConfig) string {
	var b strings.Builder
	for _, line := range c.HBA {
		b.WriteString(line + "\n")
	}
	// Whoever reaches the socket in its private folder is the server's account.
	b.WriteString("local all,replication all trust\n")
	for _, r := range c.Roles {
		kind, auth := "host", r.Auth
		switch auth {
		case "":
			auth = "scram-sha-256"
		case "cert":
			kind = "hostssl"
		}
		fmt.Fprintf(&b, "%s all %s 127.0.0.1/32 %s\n", kind, quoteIdent(r.Name), auth)
	}
	b.WriteString("host all all 127.0.0.1/32 scram-sha-256\n")
	return b.String()
}

func (p *Postgres) start(ctx context.Context, acc account) (err error) {
	p.Port, err = p.launch(ctx, func(port int) *exec.Cmd {
		return exec.Command(filepath.Join(p.Install.Bin, "postgres"), "-D", p.data(), "-p", strconv.Itoa(port))
	}, acc, p.ready)
	p.Addr = net.JoinHostPort(p.Host, strconv.Itoa(p.Port))
	return err
}

// ready reports whether the server says in its lock file that it takes
// connections, as pg_ctl does.
func (p *Postgres) ready(int) bool {
	b, err := os.ReadFile(filepath.Join(p.data(), "postmaster.pid"))
	lines := strings.Split(string(b), "\n")
	if err != nil || len(lines) <= 7 {
		return false
	}
	state := strings.TrimSpace(lines[7])
	return state == "ready" || state == "standby"
}

func (p *Postgres) setUp(ctx context.Context, c PostgresConfig) error {
	if c.StandbyOf != nil {
		return nil
	}
	sql := []string{fmt.Sprintf("ALTER ROLE %s PASSWORD %s", quoteIdent(superuser), quoteLiteral(p.Superuser.Secret.Reveal()))}
	var grants []string
	for _, r := range c.Roles {
		enc := "scram-sha-256"
		if r.Auth == "md5" {
			enc = "md5"
		}
		s := fmt.Sprintf("SET password_encryption = '%s';\nCREATE ROLE %s LOGIN", enc, quoteIdent(r.Name))
		if r.Password != "" {
			s += " PASSWORD " + quoteLiteral(r.Password)
		}
		sql = append(sql, s)
		if r.Grant != "" {
			grants = append(grants, r.Grant)
		}
	}
	sql = append(sql, c.SQL...)
	_, err := p.Exec(ctx, append(sql, grants...)...)
	return err
}

// Exec runs SQL with psql as the superuser in the database postgres and
// returns what it printed, rows unaligned. The first error ends it.
func (p *Postgres) Exec(ctx context.Context, sql ...string) (string, error) {
	psql, err := p.Install.Tool("psql")
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, psql, "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-d", p.socketDSN())
	cmd.Env = cleanEnv()
	cmd.Stdin = strings.NewReader(strings.Join(sql, ";\n") + ";\n")
	var errText bytes.Buffer
	cmd.Stderr = &errText
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("psql: %w: %s", err, tail(errText.Bytes()))
	}
	return string(out), nil
}

func (p *Postgres) socketDSN() string {
	return fmt.Sprintf("host=%s port=%d user=%s dbname=postgres", p.SocketDir, p.Port, superuser)
}

// DSN returns a connection URL for a role over TCP to the database postgres,
// without TLS.
func (p *Postgres) DSN(user, password string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(user, password), Host: p.Addr, Path: "/postgres", RawQuery: "sslmode=disable"}
	return u.String()
}

// SuperuserDSN returns a connection URL for the superuser over TCP. It holds
// the password.
func (p *Postgres) SuperuserDSN() string { return p.DSN(superuser, p.Superuser.Secret.Reveal()) }

// ClientTLS returns what a client needs to check the server's certificate, with
// a certificate of its own for user if that is not empty. It panics without
// TLS.
func (p *Postgres) ClientTLS(user string) (*tls.Config, error) {
	c := &tls.Config{RootCAs: p.Authority.Pool(), ServerName: "localhost"}
	if user != "" {
		cert, err := p.Authority.Issue(Subject{CommonName: user})
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return c, nil
}

func quoteIdent(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

func quoteLiteral(s string) string {
	return "E'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}
