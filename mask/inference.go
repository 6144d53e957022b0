package mask

import (
	"fmt"
	"iter"
)

// An Inference says what statements may tell of a column's values without showing
// them: by conditions, by an order, by how many rows there are. A mask does not keep
// that back: who may ask whether a value begins with "a" finds it letter by letter. To
// know what a statement tells, and to keep to this, is up to whoever runs it.
type Inference string

// What a [Rule] may say.
const (
	AllowInference    Inference = ""         // anything; in files "allow"
	EqualityInference Inference = "equality" // whether it equals one value that whoever asks knows
	ApproveInference  Inference = "approve"  // what people have allowed
	BlockInference    Inference = "block"    // nothing
)

// ParseInference reads what a file says.
func ParseInference(s string) (Inference, error) {
	switch i := Inference(s); i {
	case AllowInference, EqualityInference, ApproveInference, BlockInference:
		return i, nil
	case "allow":
		return AllowInference, nil
	}
	return "", fmt.Errorf("inference: %q is none of allow, equality, approve, block", s)
}

// String returns what a file says.
func (i Inference) String() string {
	if i == AllowInference {
		return "allow"
	}
	return string(i)
}

// Inferences returns the rules for columns that do not allow all inference, in their
// order. They must not be changed.
func (s *Set) Inferences() iter.Seq[*Rule] {
	return func(yield func(*Rule) bool) {
		for i := range s.rules {
			if r := &s.rules[i]; r.Inference != AllowInference && !r.shows() && !yield(r) {
				return
			}
		}
	}
}
