package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/sallyport-dev/gateway/protocol"
)

// ErrNoMariaDB says that there is no MariaDB server on this machine and how to
// get one.
var ErrNoMariaDB = errors.New("MariaDB is not here as a whole: install it (Debian, Ubuntu: apt-get install mariadb-server mariadb-client; " +
	"Fedora: dnf install mariadb-server mariadb)")

// A MariaDBInstall is a MariaDB whose programs are on this machine.
type MariaDBInstall struct {
	Server  string // the path of mariadbd
	Init    string // the path of mariadb-install-db
	Client  string // the path of mariadb
	Version string // as the server says it, such as "10.11.14"
}

// FindMariaDB returns the MariaDB that this machine has, or [ErrNoMariaDB].
func FindMariaDB(ctx context.Context) (m MariaDBInstall, err error) {
	find := func(name string) string {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
		for _, dir := range []string{"/usr/sbin", "/usr/libexec", "/usr/local/sbin", "/opt/homebrew/bin"} {
			if path := filepath.Join(dir, name); executable(path) {
				return path
			}
		}
		return ""
	}
	m = MariaDBInstall{Server: find("mariadbd"), Init: find("mariadb-install-db"), Client: find("mariadb")}
	if m.Server == "" || m.Init == "" || m.Client == "" {
		return MariaDBInstall{}, ErrNoMariaDB
	}
	out, err := exec.CommandContext(ctx, m.Server, "--no-defaults", "--version").Output()
	if err != nil {
		return MariaDBInstall{}, fmt.Errorf("%w (%w)", ErrNoMariaDB, err)
	}
	// mariadbd  Ver 10.11.14-MariaDB-0+deb12u2 for debian-linux-gnu on x86_64
	f := strings.Fields(string(out))
	if i := slices.Index(f, "Ver"); i >= 0 && i+1 < len(f) {
		m.Version, _, _ = strings.Cut(f[i+1], "-")
	}
	return m, nil
}

// InstallMariaDB installs MariaDB with apt-get if this is a Debian-like machine
// and the process runs as root; it tells w what it does. Everywhere else it
// returns [ErrNoMariaDB].
func InstallMariaDB(ctx context.Context, w io.Writer) (MariaDBInstall, error) {
	if err := aptInstall(ctx, w, "mariadb-server", "mariadb-client"); err != nil {
		return MariaDBInstall{}, fmt.Errorf("%w\n%w", err, ErrNoMariaDB)
	}
	return FindMariaDB(ctx)
}

// MariaDBConfig says what [StartMariaDB] starts. The zero value is a server
// with nothing but its superuser.
type MariaDBConfig struct {
	Install *MariaDBInstall // nil: what FindMariaDB finds
	Options []string        // of the server's command line, such as "--max-connections=20"
	SQL     []string        // run by the superuser, in order

	// TLS makes the server accept TLS with a certificate of Authority, for
	// localhost and 127.0.0.1. Plain connections go on working.
	TLS       bool
	Authority *Authority // nil: a new one
}

// MariaDB is a running server. It keeps nothing on disk safe.
type MariaDB struct {
	Process
	Addr      string // host:port on loopback
	Host      string
	Port      int
	Install   MariaDBInstall
	Authority *Authority // nil without TLS
	Superuser protocol.Credentials
	socket    string
}

// StartMariaDB starts a MariaDB on a free port of 127.0.0.1 and returns once it
// answers. The caller calls Stop. ctx bounds the start only.
//
// A process that is root runs the server as the account mysql.
func StartMariaDB(ctx context.Context, c MariaDBConfig) (*MariaDB, error) {
	m := &MariaDB{Host: "127.0.0.1", Process: Process{end: syscall.SIGKILL}}
	if c.Install != nil {
		m.Install = *c.Install
	} else {
		var err error
		if m.Install, err = FindMariaDB(ctx); err != nil {
			return nil, err
		}
	}
	acc, err := serverAccount("mysql")
	if err != nil {
		return nil, err
	}
	src, err := template("mariadb-"+m.Install.Version, acc, func(data string) []*exec.Cmd {
		return []*exec.Cmd{exec.CommandContext(ctx, m.Install.Init, append([]string{"--no-defaults", "--datadir=" + data, "--tmpdir=" + filepath.Dir(data),
			"--auth-root-authentication-method=normal", "--skip-test-db"}, smallMariaDB...)...)}
	})
	if err != nil {
		return nil, err
	}
	if m.dir, err = os.MkdirTemp("", "sp-my-"); err != nil { // here for its short name: see StartPostgres
		return nil, err
	}
	m.socket = filepath.Join(m.dir, "s")
	m.Superuser = protocol.Credentials{User: "root", Secret: protocol.NewSecret(protocol.NewID())}
	if err := m.start(ctx, c, src, acc); err != nil {
		return nil, errors.Join(err, os.RemoveAll(m.dir))
	}
	sql := append([]string{
		"DROP USER IF EXISTS 'root'@'127.0.0.1', 'root'@'::1'",
		"RENAME USER 'root'@'localhost' TO 'root'@'%'",
		"ALTER USER 'root'@'%' IDENTIFIED BY " + mariadbLiteral(m.Superuser.Secret.Reveal()),
	}, c.SQL...)
	if _, err := m.exec(ctx, "", sql...); err != nil {
		m.Stop()
		return nil, err
	}
	return m, nil
}

// smallMariaDB keeps the files small that are copied for each server.
var smallMariaDB = []string{"--innodb-log-file-size=4M", "--innodb-data-file-path=ibdata1:4M:autoextend", "--innodb-autoextend-increment=1"}

func (m *MariaDB) start(ctx context.Context, c MariaDBConfig, src string, acc account) (err error) {
	if err := acc.give(m.dir); err != nil {
		return err
	}
	if err := copyTree(filepath.Join(m.dir, "data"), src, acc); err != nil {
		return err
	}
	// A server removes what it takes for left over in its tmpdir, where others keep
	// their temporary tables, and these crash then.
	args := append([]string{"--no-defaults", "--datadir=" + filepath.Join(m.dir, "data"), "--tmpdir=" + m.dir, "--socket=" + m.socket,
		"--bind-address=" + m.Host, "--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=16M",
		"--performance-schema=OFF", "--max-allowed-packet=64M", "--plugin-load-add=auth_ed25519", "--plugin-maturity=unknown"}, smallMariaDB...)
	if c.TLS {
		if m.Authority = c.Authority; m.Authority == nil {
			if m.Authority, err = NewAuthority("sallyport test authority"); err != nil {
				return err
			}
		}
		cert, err := m.Authority.Issue(Subject{CommonName: "localhost", Hosts: []string{"localhost", m.Host}})
		if err != nil {
			return err
		}
		chain, key, err := EncodePEM(cert)
		if err != nil {
			return err
		}
		for name, text := range map[string][]byte{"server.crt": chain, "server.key": key, "ca.crt": m.Authority.PEM()} {
			path := filepath.Join(m.dir, name)
			if err := errors.Join(os.WriteFile(path, text, 0o600), acc.give(path)); err != nil {
				return err
			}
		}
		args = append(args, "--ssl-cert="+filepath.Join(m.dir, "server.crt"), "--ssl-key="+filepath.Join(m.dir, "server.key"), "--ssl-ca="+filepath.Join(m.dir, "ca.crt"))
	}
	args = append(args, c.Options...)
	m.Port, err = m.launch(ctx, func(port int) *exec.Cmd {
		return exec.Command(m.Install.Server, append(args, "--port="+strconv.Itoa(port))...)
	}, acc, func(int) bool { return strings.Contains(m.Log(), "ready for connections") })
	m.Addr = net.JoinHostPort(m.Host, strconv.Itoa(m.Port))
	return err
}

// Exec runs SQL as the superuser and returns what the client printed, values
// separated by tabs, without names. The first error ends it.
func (m *MariaDB) Exec(ctx context.Context, sql ...string) (string, error) {
	return m.exec(ctx, m.Superuser.Secret.Reveal(), sql...)
}

func (m *MariaDB) exec(ctx context.Context, password string, sql ...string) (string, error) {
	return execSQL(ctx, m.Install.Client, m.socket, m.Superuser.User, password, sql)
}

// execSQL runs SQL with one of the clients mysql and mariadb.
func execSQL(ctx context.Context, client, socket, user, password string, sql []string) (string, error) {
	cmd := exec.CommandContext(ctx, client, "--no-defaults", "--socket="+socket, "-u", user, "-N", "-B", "-r", "--default-character-set=utf8mb4")
	cmd.Env = append(cleanEnv(), "MYSQL_PWD="+password)
	const end = "\n$$\n" // the body of a procedure has semicolons in it
	cmd.Stdin = strings.NewReader("DELIMITER $$\n" + strings.Join(sql, end) + end)
	var errText bytes.Buffer
	cmd.Stderr = &errText
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w: %s", filepath.Base(client), err, tail(errText.Bytes()))
	}
	return string(out), nil
}

func mariadbLiteral(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}
