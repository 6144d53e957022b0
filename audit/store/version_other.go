//go:build !linux

package store

import (
	"io/fs"
	"time"
)

// versionOf tells a file from what it was, unless somebody who changed it has set its
// time back.
func versionOf(st fs.FileInfo) string { return st.ModTime().UTC().Format(time.RFC3339Nano) }
