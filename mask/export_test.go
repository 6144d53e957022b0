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
