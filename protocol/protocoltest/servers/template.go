package servers

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
)

// account is whom the server's programs run as. Databases refuse to run as
// root, so root hands over to another account.
type account struct {
	uid, gid int
	drop     bool // the process is root and has to give up its rights
}

// serverAccount returns the first of the named accounts that there is, for a
// process that is root, and nobody's if there is none of them.
func serverAccount(names ...string) (account, error) {
	if os.Geteuid() != 0 {
		return account{uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	for _, name := range append(names, "nobody") {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err := errors.Join(err1, err2); err != nil {
			return account{}, fmt.Errorf("account %s: %w", name, err)
		}
		return account{uid, gid, true}, nil
	}
	return account{}, fmt.Errorf("the server refuses to run as root, and there is no account %v or nobody to run it as", names)
}

func (a account) give(path string) error {
	if !a.drop {
		return nil
	}
	return os.Lchown(path, a.uid, a.gid)
}

// template returns a freshly initialised data folder to copy from. Making it
// takes seconds, so it is kept in the temporary folder, one for each name and
// account, and shared by all test processes of this user. The commands make it as
// the folder data, one after the other.
func template(name string, acc account, commands func(data string) []*exec.Cmd) (string, error) {
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("sallyport-%s-%d", name, acc.uid))
	switch fi, err := os.Lstat(dir); {
	case err == nil:
		// In a folder that everybody may write to, the name alone proves nothing.
		if !fi.IsDir() || !owned(fi, acc.uid) || fi.Mode().Perm()&0o077 != 0 {
			return "", fmt.Errorf("%s: not a private folder of uid %d: remove it", dir, acc.uid)
		}
		return dir, nil
	case !errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	tmp, err := os.MkdirTemp("", "sallyport-template-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp) // nothing is left in it after the rename
	if err := acc.give(tmp); err != nil {
		return "", err
	}
	data := filepath.Join(tmp, "data")
	for _, cmd := range commands(data) {
		cmd.Dir, cmd.Env, cmd.SysProcAttr = tmp, cleanEnv(), acc.attr()
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, tail(out))
		}
	}
	if err := os.Chmod(data, 0o700); err != nil {
		return "", err
	}
	if err := os.Rename(data, dir); err != nil {
		if _, lerr := os.Lstat(dir); lerr == nil { // another process was faster
			return dir, nil
		}
		return "", err
	}
	return dir, nil
}

// copyTree copies a data folder, which holds folders and plain files only.
func copyTree(dst, src string, acc account) error {
	return filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src, path)
		if err != nil {
			return err
		}
		to := filepath.Join(dst, rel)
		switch {
		case d.IsDir():
			err = os.Mkdir(to, 0o700)
		case d.Type().IsRegular():
			err = copyFile(to, path)
		default:
			return fmt.Errorf("%s: neither a folder nor a file", path)
		}
		if err != nil {
			return err
		}
		return acc.give(to)
	})
}

func copyFile(dst, src string) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
