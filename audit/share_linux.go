package audit

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// shareFile makes the file at path size bytes long, with its space reserved so
// that a full disk cannot take it away, and maps it.
func shareFile(path string, size int) ([]byte, func() error, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, err
	}
	fd := int(f.Fd())
	err = f.Truncate(int64(size))
	if err == nil {
		err = unix.Fallocate(fd, 0, 0, int64(size))
	}
	var mem []byte
	if err == nil {
		mem, err = unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, nil, err
	}
	return mem, func() error { return unix.Munmap(mem) }, nil
}
