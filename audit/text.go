package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
		if c := s[i]; !plain[c] {
			dst = appendEscaped(append(dst, s[start:i]...), c)
			start = i + 1
		}
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// A glyph is what stands for a byte in a JSON string: the first n bytes of text.
type glyph struct {
	text uint64 // little endian
	n    uint8
	bad  uint8 // 1: begins no character
	lead bool  // may be the first byte of several
}

var glyphs = func() (t [256]glyph) {
	for i := range t {
		c := byte(i)
		text := []byte{c}
		switch {
		case c < utf8.RuneSelf && !plain[c]:
			text = appendEscaped(nil, c)
		case c >= 0xC2 && c <= 0xF4: // RFC 3629, section 4
			t[i].lead = true
		case c >= utf8.RuneSelf:
			text = []byte("\uFFFD")
			t[i].bad = 1
		}
		for j, b := range text {
			t[i].text |= uint64(b) << (8 * j)
		}
		t[i].n = uint8(len(text))
	}
	return t
}()

// appendReadable is appendQuoted for bytes of any kind: a run of those that are
// not UTF-8 becomes one replacement character. It branches for what may be a
// character of several bytes only: recorded streams can be anything, and a branch
// that cannot be foreseen costs more than the rest.
func appendReadable(dst, b []byte) []byte {
	const piece = 1 << 10 // of b, whose text is at most six times as long; a last character may end behind it
	dst = append(dst, '"')
	bad := uint8(0) // 1: dst ends with such a run
	for i := 0; i < len(b); {
		dst = slices.Grow(dst, 6*piece+16)
		out, j := dst[:cap(dst)], len(dst)
		for end := min(len(b), i+piece); i < end; {
			for ; len(b)-i >= 8 && i < end && allPlain(binary.LittleEndian.Uint64(b[i:])); i, j, bad = i+8, j+8, 0 {
				copy(out[j:j+8], b[i:])
			}
			for word := min(end, i+8); i < word; {
				g := &glyphs[b[i]]
				if g.lead {
					if r, n := utf8.DecodeRune(b[i:]); n > 1 {
						j += utf8.EncodeRune(out[j:j+utf8.UTFMax], r)
						i += n
						bad = 0
						continue
					}
					g = &glyphs[0xFF]
				}
				binary.LittleEndian.PutUint64(out[j:], g.text)
				j += int(g.n * (1 - bad&g.bad))
				bad = g.bad
				i++
			}
		}
		dst = out[:j]
	}
	return append(dst, '"')
}

// allPlain reports whether all bytes of x are ASCII and [plain].
func allPlain(x uint64) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	quote, backslash := x^'"'*ones, x^'\\'*ones
	// Where a byte is below n, subtracting n borrows its highest bit.
	return (x|(x-0x20*ones)|(quote-ones)|(backslash-ones))&high == 0
}

// appendEscaped appends a byte that does not stand for itself.
func appendEscaped(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\t':
		return append(dst, '\\', 't')
	case '\r':
		return append(dst, '\\', 'r')
	}
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&0xf])
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
