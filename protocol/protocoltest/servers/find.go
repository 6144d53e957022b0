package servers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
)

// PostgresBin, when set in the environment, is the folder with PostgreSQL's
// programs and wins over everything that would be found otherwise.
const PostgresBin = "SALLYPORT_POSTGRES_BIN"

// ErrNoPostgres says that there is no PostgreSQL server on this machine and
// how to get one.
var ErrNoPostgres = errors.New("no PostgreSQL server found: install one (Debian, Ubuntu: apt-get install postgresql postgresql-contrib; " +
	"Fedora: dnf install postgresql-server; macOS: brew install postgresql) or set " + PostgresBin + " to the folder that holds initdb and postgres")

// A PostgresInstall is a PostgreSQL whose programs are on this machine.
type PostgresInstall struct {
	Bin     string // the folder of initdb and postgres
	Version string // as the server says it, such as "15.18"
}

// Major returns the number before the first dot of the version, 0 if there is
// none.
func (p PostgresInstall) Major() int {
	s, _, _ := strings.Cut(p.Version, ".")
	n, _ := strconv.Atoi(s)
	return n
}

// FindPostgres returns the PostgreSQL that this machine has, or
// [ErrNoPostgres]. The environment variable [PostgresBin] comes first, then the
// newest version in the places where packages put it, then the search path.
func FindPostgres(ctx context.Context) (PostgresInstall, error) {
	for _, dir := range postgresDirs() {
		if !executable(filepath.Join(dir, "initdb")) || !executable(filepath.Join(dir, "postgres")) {
			continue
		}
		out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
		if err != nil {
			continue
		}
		// postgres (PostgreSQL) 15.18 (Debian 15.18-1)
		if f := strings.Fields(string(out)); len(f) >= 3 {
			return PostgresInstall{Bin: dir, Version: f[2]}, nil
		}
	}
	return PostgresInstall{}, ErrNoPostgres
}

func postgresDirs() []string {
	if dir := os.Getenv(PostgresBin); dir != "" {
		return []string{dir}
	}
	var dirs []string
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",           // Debian
		"/usr/pgsql-*/bin",                    // PostgreSQL's own RPMs
		"/opt/homebrew/opt/postgresql*/bin",   // macOS
		"/usr/local/opt/postgresql*/bin",      // macOS on Intel
		"/Applications/Postgres.app/*/*/*bin", // Postgres.app
	} {
		found, _ := filepath.Glob(pattern) // the only error is a bad pattern
		sort.Slice(found, func(i, j int) bool { return number(found[i]) > number(found[j]) })
		dirs = append(dirs, found...)
	}
	dirs = append(dirs, "/usr/local/pgsql/bin")
	if p, err := exec.LookPath("postgres"); err == nil {
		// A link in /usr/local/bin leads to the folder that has the rest.
		if p, err = filepath.EvalSymlinks(p); err == nil {
			dirs = append(dirs, filepath.Dir(p))
		}
	}
	return dirs
}

// number returns the last run of digits in s, so that 15 sorts before 9.6.
func number(s string) int {
	end := strings.LastIndexAny(s, "0123456789") + 1
	start := strings.LastIndexFunc(s[:end], func(r rune) bool { return r < '0' || r > '9' }) + 1
	n, _ := strconv.Atoi(s[start:end])
	return n
}

func executable(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0
}

// InstallPostgres installs PostgreSQL with apt-get if this is a Debian-like
// machine and the process runs as root; it tells w what it does. Everywhere
// else it returns [ErrNoPostgres].
func InstallPostgres(ctx context.Context, w io.Writer) (PostgresInstall, error) {
	if err := aptInstall(ctx, w, "postgresql", "postgresql-client", "postgresql-contrib"); err != nil {
		return PostgresInstall{}, fmt.Errorf("%w\n%w", err, ErrNoPostgres)
	}
	return FindPostgres(ctx)
}

// aptInstall installs packages if the process may, and tells w what it does.
func aptInstall(ctx context.Context, w io.Writer, packages ...string) error {
	apt, err := exec.LookPath("apt-get")
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("apt-get needs root")
	}
	// Another test process may be installing at this moment, and of two that
	// update the lists one fails: wait for it.
	lock, err := os.OpenFile(filepath.Join(os.TempDir(), "sallyport-apt-get.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"update"},
		append([]string{"-o", "DPkg::Lock::Timeout=300", "install", "-y", "--no-install-recommends"}, packages...),
	} {
		_, _ = fmt.Fprintln(w, packages[0]+" is missing, running: apt-get "+strings.Join(args, " "))
		cmd := exec.CommandContext(ctx, apt, args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get: %w\n%s", err, tail(out))
		}
	}
	return nil
}

// Tool returns the path of one of PostgreSQL's programs: psql, pg_dump,
// pgbench. It looks beside the server and then on the search path.
func (p PostgresInstall) Tool(name string) (string, error) {
	if path := filepath.Join(p.Bin, name); executable(path) {
		return path, nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s: not in %s and not on the search path (Debian: apt-get install postgresql-client postgresql-contrib)", name, p.Bin)
	}
	return path, nil
}

// tail returns the end of a program's output, which says what went wrong.
func tail(b []byte) []byte { return b[max(0, len(b)-4<<10):] }
