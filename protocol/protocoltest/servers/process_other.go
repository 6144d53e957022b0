//go:build unix && !linux

package servers

import (
	"io/fs"
	"syscall"
)

// attr makes a program run as the account.
func (a account) attr() *syscall.SysProcAttr {
	s := &syscall.SysProcAttr{Setpgid: true}
	if a.drop {
		s.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
	return s
}

func owned(fi fs.FileInfo, uid int) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == uid
}
