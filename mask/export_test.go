package mask

// Kinds and Encodings are how many there are, for tests that try all.
const (
	Kinds     = kinds
	Encodings = encodings
)
