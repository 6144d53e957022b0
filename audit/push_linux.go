package audit

import (
	"os"

	"golang.org/x/sys/unix"
)

// push starts writing the bytes from pushed to end to the disk, and gives back
// the memory of those from dropped to pushed, which a push before has started.
// It is advice: what it cannot do is done later by the kernel itself, and an
// error of the disk is what the next fsync returns.
func push(f *os.File, dropped, pushed, end int64) {
	fd := int(f.Fd())
	_ = unix.SyncFileRange(fd, pushed, end-pushed, unix.SYNC_FILE_RANGE_WRITE)
	if dropped == pushed {
		return // a length of 0 would be all of the file
	}
	_ = unix.Fadvise(fd, dropped, pushed-dropped, unix.FADV_DONTNEED)
}
