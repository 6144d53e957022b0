//go:build !linux

package audit

import "os"

// push leaves it to the kernel.
func push(*os.File, int64, int64, int64) {}
