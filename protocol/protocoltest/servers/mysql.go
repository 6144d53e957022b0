package servers

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/sallyport-dev/gateway/protocol"
)

// ErrNoMySQL says that there is no MySQL server on this machine and how to get
// one. MariaDB's, which Debian's stable releases have instead, is another.
var ErrNoMySQL = errors.New("no MySQL found: put a mysqld and a mysql of MySQL 8.0 or newer on the search path, or run on Debian, where InstallMySQL unpacks those of its unstable release")

// A MySQLInstall is a MySQL whose programs are on this machine.
type MySQLInstall struct {
	Server  string // the path of mysqld
	Client  string // the path of mysql
	Version string // as the server says it, such as "9.7.4"
	Plugins string // the folder of its plugins; empty: its programs know
	share   string // the folder of what the server reads; empty: it knows
}

// FindMySQL returns the MySQL that this machine has, or [ErrNoMySQL].
func FindMySQL(ctx context.Context) (m MySQLInstall, err error) {
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/usr/local/mysql/bin") {
		m = MySQLInstall{Server: filepath.Join(dir, "mysqld"), Client: filepath.Join(dir, "mysql")}
		if !executable(m.Client) {
			m.Client, _ = exec.LookPath("mysql")
		}
		if executable(m.Server) && m.ask(ctx) == nil {
			return m, nil
		}
	}
	return MySQLInstall{}, ErrNoMySQL
}

// ask asks both programs for their version. Both names may be MariaDB's.
func (m *MySQLInstall) ask(ctx context.Context) error {
	for _, program := range []string{m.Client, m.Server} {
		out, err := exec.CommandContext(ctx, program, "--no-defaults", "--version").Output()
		if err != nil || bytes.Contains(out, []byte("MariaDB")) {
			return ErrNoMySQL
		}
		// mysqld  Ver 9.7.4-2 for Linux on x86_64 ((Debian))
		_, version, _ := strings.Cut(string(out), "Ver ")
		m.Version, _, _ = strings.Cut(strings.Fields(version + " ?")[0], "-")
	}
	return nil
}

// MySQL is a running server. It keeps nothing on disk safe.
type MySQL struct {
	Process
	Addr      string // host:port on loopback
	Host      string
	Port      int
	Install   MySQLInstall
	Authority *Authority // of its certificate for localhost and 127.0.0.1
	Superuser protocol.Credentials
	socket    string
}

// MySQLConfig says what [StartMySQL] starts. The zero value is a server with
// nothing but its superuser.
type MySQLConfig struct {
	Install *MySQLInstall // nil: what FindMySQL finds
	Options []string      // of the server's command line
	SQL     []string      // run by the superuser, in order
}

// StartMySQL starts a MySQL on a free port of 127.0.0.1 and returns once it
// answers. The caller calls Stop. ctx bounds the start only.
//
// A process that is root runs the server as the account mysql.
func StartMySQL(ctx context.Context, c MySQLConfig) (*MySQL, error) {
	m := &MySQL{Host: "127.0.0.1", Process: Process{end: syscall.SIGKILL}}
	if c.Install != nil {
		m.Install = *c.Install
	} else {
		var err error
		if m.Install, err = FindMySQL(ctx); err != nil {
			return nil, err
		}
	}
	acc, err := serverAccount("mysql")
	if err != nil {
		return nil, err
	}
	base := append([]string{"--no-defaults"}, smallMySQL...)
	if m.Install.share != "" {
		base = append(base, "--lc-messages-dir="+m.Install.share, "--character-sets-dir="+filepath.Join(m.Install.share, "charsets"), "--plugin-dir="+m.Install.Plugins)
	}
	src, err := template("mysql-"+m.Install.Version, acc, func(data string) []*exec.Cmd {
		return []*exec.Cmd{exec.CommandContext(ctx, m.Install.Server, append(base, "--initialize-insecure", "--datadir="+data)...)}
	})
	if err != nil {
		return nil, err
	}
	if m.dir, err = os.MkdirTemp("", "sp-my-"); err != nil { // here for its short name: see StartPostgres
		return nil, err
	}
	m.socket = filepath.Join(m.dir, "s")
	m.Superuser = protocol.Credentials{User: "root", Secret: protocol.NewSecret(protocol.NewID())}
	if err := m.start(ctx, append(base, c.Options...), src, acc); err != nil {
		return nil, errors.Join(err, os.RemoveAll(m.dir))
	}
	sql := append([]string{
		"RENAME USER 'root'@'localhost' TO 'root'@'%'",
		"ALTER USER 'root'@'%' IDENTIFIED BY " + mariadbLiteral(m.Superuser.Secret.Reveal()),
	}, c.SQL...)
	if _, err := m.exec(ctx, "", sql...); err != nil {
		m.Stop()
		return nil, err
	}
	return m, nil
}

// smallMySQL keeps the files small that are copied for each server.
var smallMySQL = []string{"--innodb-redo-log-capacity=8M", "--innodb-data-file-path=ibdata1:8M:autoextend", "--innodb-autoextend-increment=1",
	"--skip-log-bin", "--secure-file-priv=NULL", "--mysqlx=OFF", "--performance-schema=OFF"}

func (m *MySQL) start(ctx context.Context, args []string, src string, acc account) (err error) {
	if err := acc.give(m.dir); err != nil {
		return err
	}
	if err := copyTree(filepath.Join(m.dir, "data"), src, acc); err != nil {
		return err
	}
	if m.Authority, err = NewAuthority("sallyport test authority"); err != nil {
		return err
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
	args = append(args, "--datadir="+filepath.Join(m.dir, "data"), "--socket="+m.socket, "--bind-address="+m.Host, "--skip-name-resolve",
		"--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=16M", "--max-allowed-packet=64M",
		"--ssl-cert="+filepath.Join(m.dir, "server.crt"), "--ssl-key="+filepath.Join(m.dir, "server.key"), "--ssl-ca="+filepath.Join(m.dir, "ca.crt"))
	m.Port, err = m.launch(ctx, func(port int) *exec.Cmd {
		return exec.Command(m.Install.Server, append(args, "--port="+strconv.Itoa(port))...)
	}, acc, func(int) bool { return strings.Contains(m.Log(), "ready for connections") })
	m.Addr = net.JoinHostPort(m.Host, strconv.Itoa(m.Port))
	return err
}

// Exec runs SQL as the superuser and returns what the client printed, values
// separated by tabs, without names. The first error ends it.
func (m *MySQL) Exec(ctx context.Context, sql ...string) (string, error) {
	return m.exec(ctx, m.Superuser.Secret.Reveal(), sql...)
}

func (m *MySQL) exec(ctx context.Context, password string, sql ...string) (string, error) {
	return execSQL(ctx, m.Install.Client, m.socket, m.Superuser.User, password, sql)
}
