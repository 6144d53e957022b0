package servers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// InstallMySQL returns a MySQL of its own, unpacked from the packages of Debian's
// unstable release with all that they need, beside what is installed, and tells
// w what it does. It stays in the temporary folder. On other systems it returns
// [ErrNoMySQL].
func InstallMySQL(ctx context.Context, w io.Writer) (MySQLInstall, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("sallyport-mysql-%d", os.Geteuid()))
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return MySQLInstall{}, err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil { // another test process may be at it
		return MySQLInstall{}, err
	}
	m := MySQLInstall{Server: filepath.Join(dir, "mysqld"), Client: filepath.Join(dir, "mysql"),
		share: filepath.Join(dir, "root/usr/share/mysql"), Plugins: filepath.Join(dir, "root/usr/lib/mysql/plugin")}
	// In a folder that everybody may write to, the name alone proves nothing.
	if fi, err := os.Lstat(dir); err == nil && (!fi.IsDir() || !owned(fi, os.Geteuid())) {
		return MySQLInstall{}, fmt.Errorf("%s: not a folder of uid %d: remove it", dir, os.Geteuid())
	}
	if m.ask(ctx) == nil {
		return m, nil
	}
	if err := unpackMySQL(ctx, w, dir); err != nil {
		return MySQLInstall{}, fmt.Errorf("%w\n%w", err, ErrNoMySQL)
	}
	return m, m.ask(ctx)
}

// keyring has what Debian's packages are signed with.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// debianMirror returns where this machine's apt-get has Debian's packages from.
func debianMirror(ctx context.Context) (string, error) {
	targets := func() string {
		out, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian", "Label: Debian").Output()
		if err != nil {
			return ""
		}
		mirror, _, _ := strings.Cut(string(out), "\n")
		return mirror
	}
	mirror := targets()
	if mirror == "" { // it has never asked
		if out, err := exec.CommandContext(ctx, "apt-get", "update").CombinedOutput(); err != nil {
			return "", fmt.Errorf("apt-get update: %w\n%s", err, tail(out))
		}
		mirror = targets()
	}
	if mirror == "" {
		return "", errors.New("apt-get knows no mirror of Debian")
	}
	return mirror, nil
}

// unpackMySQL makes dir. What is in it runs with its own C library, which is
// newer than that of a stable release.
func unpackMySQL(ctx context.Context, w io.Writer, dir string) error {
	if _, err := os.Stat(keyring); err != nil || runtime.GOOS != "linux" {
		return errors.Join(err, errors.New("this is no Debian"))
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	apt := filepath.Join(dir, "apt")
	root := filepath.Join(dir, "root")
	for _, d := range []string{filepath.Join(apt, "lists/partial"), filepath.Join(apt, "cache/archives/partial"), root} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	mirror, err := debianMirror(ctx)
	if err != nil {
		return err
	}
	sources := "deb [signed-by=" + keyring + "] " + mirror + " sid main\n"
	err = errors.Join(os.WriteFile(filepath.Join(apt, "sources.list"), []byte(sources), 0o600), os.WriteFile(filepath.Join(apt, "status"), nil, 0o600))
	if err != nil {
		return err
	}
	run := func(program string, args ...string) error {
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", program, err, tail(out))
		}
		return nil
	}
	options := []string{"-o", "Dir::Etc::sourcelist=" + filepath.Join(apt, "sources.list"), "-o", "Dir::Etc::sourceparts=/dev/null",
		"-o", "Dir::State::lists=" + filepath.Join(apt, "lists"), "-o", "Dir::State::status=" + filepath.Join(apt, "status"),
		"-o", "Dir::Cache=" + filepath.Join(apt, "cache"), "-o", "APT::Install-Recommends=false", "-o", "APT::Sandbox::User=", "-o", "Debug::NoLocking=1"}
	for _, args := range [][]string{{"update"}, {"install", "-y", "--download-only", "mysql-server-core", "mysql-client-core"}} {
		_, _ = fmt.Fprintln(w, "MySQL is missing, running: apt-get "+strings.Join(args, " ")+" # in "+apt)
		if err := run("apt-get", append(options, args...)...); err != nil {
			return err
		}
	}
	packages, err := filepath.Glob(filepath.Join(apt, "cache/archives/*.deb"))
	if err != nil || len(packages) == 0 {
		return errors.Join(err, errors.New("nothing was fetched"))
	}
	for _, p := range packages {
		if err := run("dpkg-deb", "-x", p, root); err != nil {
			return err
		}
	}
	loaders, err := filepath.Glob(filepath.Join(root, "usr/lib/*/ld-linux*.so.*"))
	if err != nil || len(loaders) != 1 {
		return fmt.Errorf("%d C libraries were unpacked (%w)", len(loaders), err)
	}
	for name, program := range map[string]string{"mysqld": "usr/sbin/mysqld", "mysql": "usr/bin/mysql", "mysqldump": "usr/bin/mysqldump"} {
		script := fmt.Sprintf("#!/bin/sh\nexec %s --library-path %s %s \"$@\"\n", loaders[0], filepath.Dir(loaders[0]), filepath.Join(root, program))
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil { // also for the account that the server runs as
		return err
	}
	return os.RemoveAll(apt)
}
