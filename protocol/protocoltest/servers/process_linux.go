package servers

import (
	"io/fs"
	"syscall"
)

// attr makes a program run as the account. If this process dies, also by
// SIGKILL, the server gets SIGQUIT, PostgreSQL's immediate shutdown.
func (a account) attr() *syscall.SysProcAttr {
	s := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGQUIT}
	if a.drop {
		s.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
	return s
}

func owned(fi fs.FileInfo, uid int) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == uid
}
