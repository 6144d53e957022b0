package store

import (
	"fmt"
	"io/fs"
	"syscall"
	"time"
)

// versionOf tells a file from what it was, also if somebody who changed it has set its
// time back: when the system says that it was changed, nobody can set.
func versionOf(st fs.FileInfo) string {
	v := st.ModTime().UTC().Format(time.RFC3339Nano)
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		v += fmt.Sprintf(" %d.%09d %d", s.Ctim.Sec, s.Ctim.Nsec, s.Ino)
	}
	return v
}
