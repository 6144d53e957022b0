package mask

// Kinds and Encodings are how many there are, for tests that try all.
const (
	Kinds     = kinds
	Encodings = encodings
)

// Controls returns the bytes of b that are of a control sequence.
func Controls(b []byte) []byte {
	var t terminal
	var kinds []uint8
	for i, c := range b {
		kinds = t.step(kinds, c, i)
	}
	var out []byte
	for i, k := range kinds {
		if k != visible && b[i] != '\n' {
			out = append(out, b[i])
		}
	}
	return out
}

// FF1Raw encrypts x, numerals below radix, in place with FF1, or decrypts it.
func FF1Raw(key []byte, radix int, tweak []byte, x []uint16, open bool) error {
	c, err := newFF1(key, radix, tweak)
	if err == nil {
		c.run(x, open)
	}
	return err
}

// Whole returns v as a value of the type.
func (t Type) Whole(v int64) []byte {
	out, _ := t.appendWhole(nil, v)
	return out
}
