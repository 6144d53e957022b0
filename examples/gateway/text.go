package main

import (
	"fmt"
	"io"
	"os"
	"strings"

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
