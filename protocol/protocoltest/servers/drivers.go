package servers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// What says that a driver of another language is not on this machine, and how
// to get it.
var (
	ErrNoPsycopg2     = errors.New("no python3 with psycopg2 found: install it (Debian, Ubuntu: apt-get install python3-psycopg2; elsewhere: pip install psycopg2-binary)")
	ErrNoPsycopg      = errors.New("no python3 with psycopg 3 found: install it (Debian, Ubuntu: apt-get install python3-psycopg; elsewhere: pip install psycopg-binary)")
	ErrNoNodePostgres = errors.New("no node-postgres found: install Node.js with npm (Debian, Ubuntu: apt-get install nodejs npm), and let npm reach its registry or set NODE_PATH to a folder with the package pg")
)

// nodePostgres is the version that is fetched where there is none.
const nodePostgres = "8.23.1"

// Psycopg2 returns the path of a Python that has psycopg2. Where it is missing
// and the process may, it installs it with apt-get and tells w so.
func Psycopg2(ctx context.Context, w io.Writer) (python string, err error) {
	return pythonWith(ctx, w, "psycopg2", "python3-psycopg2", ErrNoPsycopg2)
}

// Psycopg is [Psycopg2] for psycopg 3.
func Psycopg(ctx context.Context, w io.Writer) (python string, err error) {
	return pythonWith(ctx, w, "psycopg", "python3-psycopg", ErrNoPsycopg)
}

// pythonWith returns the path of a Python that has a module, which is in a package
// of Debian's; missing is what there is to say where it cannot be had.
func pythonWith(ctx context.Context, w io.Writer, module, pkg string, missing error) (python string, err error) {
	find := func() string {
		for _, name := range []string{"/usr/bin/python3", "python3"} {
			if path, err := exec.LookPath(name); err == nil && exec.CommandContext(ctx, path, "-c", "import "+module).Run() == nil {
				return path
			}
		}
		return ""
	}
	if python = find(); python != "" {
		return python, nil
	}
	if err := aptInstall(ctx, w, pkg); err != nil {
		return "", fmt.Errorf("%w\n%w", err, missing)
	}
	if python = find(); python == "" {
		return "", missing
	}
	return python, nil
}

// NodePostgres returns the path of node and the folder of modules that has
// node-postgres, which it fetches with npm into the user's cache where it is
// missing; it tells w so.
func NodePostgres(ctx context.Context, w io.Writer) (node, modules string, err error) {
	node, modules, err = NodeModule(ctx, w, "pg", nodePostgres)
	if err != nil {
		err = fmt.Errorf("%w\n%w", err, ErrNoNodePostgres)
	}
	return node, modules, err
}

// NodeModule returns the path of node and the folder of modules that has the
// named one, which it fetches with npm into the user's cache where it is
// missing; it tells w so.
func NodeModule(ctx context.Context, w io.Writer, name, version string) (node, modules string, err error) {
	if node, err = exec.LookPath("node"); err != nil {
		if err = aptInstall(ctx, w, "nodejs", "npm"); err == nil {
			node, err = exec.LookPath("node")
		}
		if err != nil {
			return "", "", err
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", "", err
	}
	dir := filepath.Join(cache, "sallyport", "node-"+name+"-"+version)
	modules = filepath.Join(dir, "node_modules")
	has := func(path string) bool {
		cmd := exec.CommandContext(ctx, node, "-e", "require('"+name+"')")
		cmd.Env = append(os.Environ(), "NODE_PATH="+path)
		return cmd.Run() == nil
	}
	if path := os.Getenv("NODE_PATH"); has(path) {
		return node, path, nil
	}
	if has(modules) {
		return node, modules, nil
	}
	_, _ = fmt.Fprintln(w, "a module of Node's is missing, running: npm install "+name+"@"+version)
	cmd := exec.CommandContext(ctx, "npm", "install", "--prefix", dir, "--no-audit", "--no-fund", "--ignore-scripts", name+"@"+version)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", "", fmt.Errorf("npm install: %w\n%s", err, tail(out))
	}
	return node, modules, nil
}
