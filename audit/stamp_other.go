//go:build !linux

package audit

import "io/fs"

func changedAt(fs.FileInfo) (at int64, number uint64) { return 0, 0 }

func othersWrite(st fs.FileInfo) bool { return st.Mode().Perm()&0o022 != 0 }
