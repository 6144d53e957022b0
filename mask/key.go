package mask

import (
	"errors"
	"log/slog"
	"slices"
)

const hidden = "[redacted]"

// A Key is the secret of [Hash]. It prints as "[redacted]". The zero Key is no
// key.
type Key struct{ bytes *[]byte }

// NewKey returns a Key that holds a copy of b, which must be 16 to 1024 random
// bytes: who guesses the key can try all e-mail addresses.
func NewKey(b []byte) (Key, error) {
	if len(b) < 16 {
		return Key{}, errors.New("the key is shorter than 16 bytes (128 bits)")
	}
	if len(b) > 1024 {
		return Key{}, errors.New("the key is longer than 1024 bytes")
	}
	if bytesAllEqual(b) {
		return Key{}, errors.New("the key is one byte repeated, not random")
	}
	b = slices.Clone(b)
	return Key{&b}, nil
}

func bytesAllEqual(b []byte) bool {
	for _, c := range b {
		if c != b[0] {
			return false
		}
	}
	return true
}

// String returns "[redacted]".
func (Key) String() string { return hidden }

// GoString returns "[redacted]".
func (Key) GoString() string { return hidden }

// LogValue returns "[redacted]" for log/slog.
func (Key) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText returns "[redacted]".
func (Key) MarshalText() ([]byte, error) { return []byte(hidden), nil }
