//go:build !linux && !darwin

package audit

import (
	"errors"
	"os"
)

// nonblock has a pipe opened at once.
const nonblock = 0

// lockDir refuses: two writers without a lock would destroy the evidence.
func lockDir(string) (*os.File, error) {
	return nil, errors.New("journals can be written on Linux and macOS only")
}

func freeSpace(string) (uint64, error) { return 0, errors.ErrUnsupported }
