package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Text is bytes that a client or a target chose: mostly UTF-8, but not by
// promise. In JSON it is a string, or {"base64":"..."} if it is not valid
// UTF-8, so that every byte comes back.
type Text string

// MarshalJSON returns the journal's form of t.
func (t Text) MarshalJSON() ([]byte, error) { return appendText(nil, string(t)), nil }

// UnmarshalJSON reads either form.
func (t *Text) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*t = Text(s)
		return nil
	}
	var o struct {
		Base64 *[]byte `json:"base64"`
	}
	if err := strictly(b, &o); err != nil {
		return err
	}
	if o.Base64 == nil {
		return errors.New("a text that is neither a string nor base64")
	}
	*t = Text(*o.Base64)
	return nil
}

// A Value is a text that a journal may have been told to hide. What is hidden
// leaves its length and, if the journal had a key, a keyed hash by which equal
// values can be found without being read.
type Value struct {
	Text   Text
	Hidden bool
	Len    int    // of a hidden value, in bytes
	MAC    string // of a hidden value: HMAC-SHA-256 in hexadecimal, or ""

	// Sealed is the ciphertext of a sealed value, whose text is opened by an
	// [Unsealer], and Commit what binds it to that text.
	Sealed, Commit []byte
}

type hiddenJSON struct {
	Hidden *int   `json:"hidden"`
	MAC    string `json:"mac,omitempty"`
}

// MarshalJSON returns the journal's form of v.
func (v Value) MarshalJSON() ([]byte, error) {
	if v.Sealed != nil {
		return v.marshalSealed()
	}
	if v.Hidden {
		return json.Marshal(hiddenJSON{&v.Len, v.MAC})
	}
	return v.Text.MarshalJSON()
}

// UnmarshalJSON reads the plain, the hidden and the sealed form.
func (v *Value) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte(`{"hidden"`)) {
		var h hiddenJSON
		if err := strictly(b, &h); err != nil {
			return err
		}
		if h.Hidden == nil || *h.Hidden < 0 {
			return errors.New("a hidden value without a length")
		}
		*v = Value{Hidden: true, Len: *h.Hidden, MAC: h.MAC}
		return nil
	}
	if bytes.HasPrefix(b, []byte(`{"sealed"`)) {
		return v.unmarshalSealed(b)
	}
	*v = Value{}
	return v.Text.UnmarshalJSON(b)
}

// strictly decodes exactly one JSON value that has no unknown field.
func strictly(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err == nil {
		return errors.New("more than one JSON value")
	}
	if rest := b[d.InputOffset():]; len(bytes.TrimSpace(rest)) > 0 {
		return fmt.Errorf("%d bytes behind the JSON value", len(rest))
	}
	return nil
}

// plain marks the bytes that stand for themselves in a JSON string.
var plain = func() (t [256]bool) {
	for i := 0x20; i < 256; i++ {
		t[i] = i != '"' && i != '\\'
	}
	return t
}()

// appendText appends s as a [Text].
func appendText(dst []byte, s string) []byte {
	i := 0
	for i < len(s) && s[i] < utf8.RuneSelf && plain[s[i]] {
		i++
	}
	if i == len(s) { // nearly always
		dst = append(dst, '"')
		dst = append(dst, s...)
		return append(dst, '"')
	}
	if !utf8.ValidString(s) {
		dst = append(dst, `{"base64":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, []byte(s))
		return append(dst, `"}`...)
	}
	return appendQuoted(dst, s)
}

// appendKey appends s where JSON allows nothing but a string. Bytes that are
// not UTF-8 become \xNN, readable but not reversible; such keys come from the
// operator's configuration, never from a peer.
func appendKey(dst []byte, s string) []byte {
	if utf8.ValidString(s) {
		return appendQuoted(dst, s)
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			fmt.Fprintf(&b, `\x%02x`, s[0])
		} else {
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return appendQuoted(dst, b.String())
}

func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if plain[c] {
			continue
		}
		dst = append(dst, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		case '\t':
			dst = append(dst, `\t`...)
		case '\r':
			dst = append(dst, `\r`...)
		default:
			dst = append(dst, `\u00`...)
			dst = hex.AppendEncode(dst, []byte{c})
		}
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

func appendHidden(dst []byte, s string, mac func(string) []byte) []byte {
	dst = append(dst, `{"hidden":`...)
	dst = strconv.AppendInt(dst, int64(len(s)), 10)
	if mac != nil {
		dst = append(dst, `,"mac":"`...)
		dst = hex.AppendEncode(dst, mac(s))
		dst = append(dst, '"')
	}
	return append(dst, '}')
}
