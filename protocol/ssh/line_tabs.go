package ssh

import "unicode/utf8"

// tabs take out of a terminal's output the sequences that move by so many tabs (CHT,
// CBT: CSI n I, CSI n Z): the emulation makes each of n steps, whatever n is, and a
// number of twenty digits would keep it busy for ever. Whoever prints to a terminal
// can write it. Programs use these sequences hardly ever.
type tabs struct{ at uint8 }

// Where in the output tabs are: what may be a sequence for the emulation is one
// here.
const (
	inText = iota
	behindEscape
	inSequence
)

// takeOut returns b with a final that means nothing in the place of that of such a
// sequence. It changes b.
func (t *tabs) takeOut(b []byte) []byte {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		switch last := byte(r); { // which is what the emulation looks at
		case r == 0x1b:
			t.at = behindEscape
		case t.at == inText || r < ' ' || r == 0x7f || r == utf8.RuneError && n == 1:
		case t.at == behindEscape && r == '[':
			t.at = inSequence
		case last < 0x40 || last > 0x7e:
			t.at = inSequence
		default:
			t.at = inText
			if last == 'I' || last == 'Z' {
				b[i] = 'y' // a test of the terminal, which nobody emulates
				b = append(b[:i+1], b[i+n:]...)
				n = 1
			}
		}
		i += n
	}
	return b
}
