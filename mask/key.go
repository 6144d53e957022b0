package mask

import (
	"errors"
	"log/slog"
	"slices"
)

const hidden = "[redacted]"

// A Key is the secret of [Hash] and the other transforms with a key. It prints as "[redacted]". The zero Key is no
// key.
type Key struct {
	bytes *[]byte
	id    string
}

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
	return Key{bytes: &b}, nil
}

// Named returns the key with a name of 1 to 16 letters and digits. Pseudonyms of
// [Hash] in text then begin with it and an underscore: "k2_9f86d081...". Whoever
// changes keys gives the new one another name, so that nobody takes two pseudonyms
// of different keys for those of two people; with the old key, [PseudonymOf] still
// finds the old ones.
func (k Key) Named(id string) (Key, error) {
	if len(id) < 1 || len(id) > 16 {
		return Key{}, errors.New("a key's name has 1 to 16 letters and digits")
	}
	for _, c := range []byte(id) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return Key{}, errors.New("a key's name has 1 to 16 letters and digits")
		}
	}
	k.id = id
	return k, nil
}

// PseudonymOf returns the pseudonym that [Hash] with that key and domain gives to
// value as text: for looking somebody up in what was masked.
func PseudonymOf(key Key, domain, value string) (string, error) {
	f, err := Hash(key, domain).Bind(Type{Kind: Text})
	if err != nil {
		return "", err
	}
	return string(f(nil, []byte(value))), nil
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
