package mask

// What a byte of a terminal's stream is.
const (
	visible   = iota // text, also that inside of a control string such as a window's title
	glued            // of a control sequence that does not interrupt what stands around it
	separates        // of any other
)

// A terminal tells text and control sequences apart (ECMA-48). The zero terminal
// is between two.
type terminal struct {
	state uint8
	start int // where the open sequence begins
}

// The states of a terminal.
const (
	ground    = iota
	escaped   // behind ESC
	charset   // behind ESC and a bracket, which choose a character set
	parameter // in a control sequence
	inString  // in a control string: OSC, DCS, SOS, PM, APC
	endString // behind ESC in one
)

const esc = 0x1b

// step says what the byte b at i is, in kinds, which has an element for each
// byte before. It corrects those of a sequence when that ends.
func (t *terminal) step(kinds []uint8, b byte, i int) []uint8 {
	end := func(kind uint8) []uint8 {
		kinds = append(kinds, kind)
		for k := max(t.start, 0); k <= i; k++ {
			kinds[k] = kind
		}
		t.state = ground
		return kinds
	}
	switch t.state {
	case escaped:
		switch {
		case b == '[':
			t.state = parameter
		case b == '(' || b == ')':
			t.state = charset
		case b == ']' || b == 'P' || b == 'X' || b == '^' || b == '_':
			kinds = end(separates)
			t.state = inString
			return kinds
		case b >= ' ' && b <= '/': // one more byte follows
		case b >= '0' && b <= '~':
			return end(separates)
		default:
			t.state = ground
		}
		if t.state != ground {
			return append(kinds, glued)
		}
	case charset:
		if b >= '0' && b <= '~' {
			return end(glued)
		}
		t.state = ground
	case parameter:
		switch {
		case b >= ' ' && b <= '?' && i-t.start < 64: // no sequence is longer
			return append(kinds, glued)
		case b == 'm' || b == 'K':
			return end(glued)
		case b >= '@' && b <= '~':
			return end(separates)
		}
		t.state = ground
	case inString:
		switch b {
		case 0x07, '\n': // a line's end ends it too: nothing is kept from being seen
			t.state = ground
			return append(kinds, separates)
		case esc:
			t.state = endString
			return append(kinds, separates)
		}
		return append(kinds, visible)
	case endString:
		t.state = ground
		if b == '\\' {
			return append(kinds, separates)
		}
	}
	switch b {
	case esc:
		t.state, t.start = escaped, i
		return append(kinds, glued)
	case 0, 0x0e, 0x0f: // nothing, the other character set, and back, as behind a colour
		return append(kinds, glued)
	}
	return append(kinds, visible)
}
