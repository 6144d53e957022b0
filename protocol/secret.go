package protocol

import "log/slog"

const redacted = "[redacted]"

// A Secret is a password, token or key. It prints as "[redacted]" through
// fmt in every verb, slog, JSON, YAML and text encodings; only [Secret.Reveal]
// gives the value. The zero Secret is empty.
type Secret struct{ value *string }

// NewSecret returns a Secret that holds value.
func NewSecret(value string) Secret { return Secret{&value} }

// Reveal returns the secret itself. Call it where the bytes are needed and
// keep the result no longer than that.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Empty reports whether the secret is absent or has no bytes.
func (s Secret) Empty() bool { return s.value == nil || *s.value == "" }

// String returns "[redacted]".
func (s Secret) String() string { return redacted }

// GoString returns "[redacted]".
func (s Secret) GoString() string { return redacted }

// LogValue returns "[redacted]" for log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]"; it serves JSON, YAML and XML alike.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText takes the value from a configuration file.
func (s *Secret) UnmarshalText(b []byte) error {
	*s = NewSecret(string(b))
	return nil
}

// Credentials are what the gateway itself uses to log in at a target.
type Credentials struct {
	User   string
	Secret Secret
}
