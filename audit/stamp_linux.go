package audit

import (
	"io/fs"
	"os"
	"syscall"
)

// changedAt returns when the system says that a file was changed last, which
// nobody can set, and the number of the file.
func changedAt(st fs.FileInfo) (at int64, number uint64) {
	s, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0
	}
	return int64(s.Ctim.Sec)*1e9 + int64(s.Ctim.Nsec), s.Ino
}

// othersWrite reports whether another than whoever runs this may have written a
// file.
func othersWrite(st fs.FileInfo) bool {
	s, ok := st.Sys().(*syscall.Stat_t)
	return !ok || int(s.Uid) != os.Geteuid() || st.Mode().Perm()&0o022 != 0
}
