package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/sallyport-dev/gateway/approval"
)

// oneLine returns s on one line of at most width runes, safe for a terminal.
func oneLine(s string, width int) string {
	if len(s) > 8*width { // what is cut off anyway costs nothing
		s = s[:8*width]
	}
	runes := []rune(approval.Visible(strings.Join(strings.Fields(s), " ")))
	if len(runes) > width {
		runes = append(runes[:width-1], '…')
	}
	return string(runes)
}

// jsonTo returns an encoder of JSON that is safe for a terminal too: what it
// would obey or hide is escaped, and means the same to a program.
func jsonTo(w io.Writer) *json.Encoder { return json.NewEncoder(escaper{w}) }

// An escaper gets whole JSON values.
type escaper struct{ io.Writer }

func (e escaper) Write(b []byte) (int, error) {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		switch {
		case r < 0x7f || unicode.IsPrint(r):
			out = append(out, b[i:i+n]...)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		i += n
	}
	_, err := e.Writer.Write(out)
	return len(b), err
}

// readSmall reads a file of at most limit bytes.
func readSmall(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s: larger than %d bytes", path, limit)
	}
	return b, err
}

// count returns "1 row", "2 rows".
func count[N int | int64 | uint64](n N, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
