package ssh

import (
	"testing"

	"github.com/sallyport-dev/gateway/protocol"
)

// FuzzScreen holds the emulation of a terminal to its bounds, whatever a target
// sends.
func FuzzScreen(f *testing.F) {
	f.Add([]byte("$ ls\r\nfile\r\n$ \x1b[31mx\x1b[0m"))
	f.Add([]byte("\x1b[999999999@\x1b[-1P\x1b[5;1r\x1b[99999L\x1b]0;t\x07\x1bP\xff\x1b\\"))
	f.Add([]byte("\x1b[?1049h\x1b[2J\x1b[?1049l\x1b#8\x1bM\x1b[3g\t"))
	f.Add([]byte("\x1b[9000000000000000000I\x1b[9000000000000000000Z\x1b\n[9000000000000000000\u0149\x1b]x\x1b\x1b[9000000000000000000I"))
	f.Fuzz(func(t *testing.T, b []byte) {
		l := newLines(nil, &protocol.Terminal{Columns: 20, Rows: 5})
		for i := 0; i < len(b); i += 7 {
			l.output(b[i:min(i+7, len(b))])
			l.begin()
			if i%3 == 0 {
				l.resize(1+i%600, 1+i%600)
			}
		}
		if s := l.end(); len(s) > 4*maxScreen*(maxLine+maxScreen) {
			t.Fatalf("a line of %d bytes", len(s))
		}
	})
}
