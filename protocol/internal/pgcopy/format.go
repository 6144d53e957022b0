package pgcopy

import "strings"

// A Kind is one of the formats of COPY.
type Kind uint8

// The formats.
const (
	Text Kind = iota
	CSV
	Binary
)

// A Format says how the rows of one COPY are written. The zero Format is none:
// start with [Default].
type Format struct {
	Kind      Kind
	Delimiter byte
	Quote     byte // of CSV
	Escape    byte // of CSV
	Null      string
	Header    bool // the first line holds the columns' names

	// Encoding is the character set that is asked for, "" for the client's.
	Encoding string
}

// Default returns what the server takes where no option says otherwise.
func Default(k Kind) Format {
	switch k {
	case CSV:
		return Format{Kind: CSV, Delimiter: ',', Quote: '"', Escape: '"'}
	case Binary:
		return Format{Kind: Binary}
	}
	return Format{Kind: Text, Delimiter: '\t', Null: `\N`}
}

// Client reports whether the fields can be told apart only if the client's
// character set is [Legible].
func (f *Format) Client() bool { return f.Kind != Binary && f.Encoding == "" }

// Valid reports whether the server takes f and writes fields that can be told
// apart byte by byte. It is stricter than the server in what few use: marks and
// NULLs that are not in ASCII.
func (f *Format) Valid() bool {
	if f.Kind == Binary {
		return true
	}
	if f.Delimiter == 0 || f.Delimiter >= 0x80 || lineEnd(f.Delimiter) || strings.IndexByte(f.Null, f.Delimiter) >= 0 {
		return false
	}
	for i := range len(f.Null) {
		if c := f.Null[i]; c == 0 || c >= 0x80 || lineEnd(c) {
			return false
		}
	}
	if f.Kind == Text {
		return strings.IndexByte(`\.abcdefghijklmnopqrstuvwxyz0123456789`, f.Delimiter) < 0
	}
	return mark(f.Quote) && mark(f.Escape) && f.Quote != f.Delimiter && f.Escape != f.Delimiter &&
		strings.IndexByte(f.Null, f.Quote) < 0
}

func mark(c byte) bool { return c != 0 && c < 0x80 && !lineEnd(c) }

func lineEnd(c byte) bool { return c == '\n' || c == '\r' }

// Legible reports whether in a character set, named as for client_encoding, each
// byte below 128 is that character of ASCII: in others, such as SJIS, it may be
// the second half of one that is not, and a mark that is none.
func Legible(encoding string) bool {
	// As pg_char_to_encoding reads names.
	name := strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		}
		return -1
	}, encoding)
	switch name {
	case "utf8", "unicode", "sqlascii", "koi8r", "koi8u", "koi8", "euccn", "eucjp", "euckr", "euctw", "eucjis2004":
		return true
	}
	for _, family := range []string{"latin", "iso8859", "win125", "windows125"} {
		if rest, ok := strings.CutPrefix(name, family); ok && rest != "" && strings.Trim(rest, "0123456789") == "" {
			return true
		}
	}
	return false
}
