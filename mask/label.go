package mask

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Labels say what columns hold, in words of one's own: "pii.email" is
// ["public.customers.email", "*.*.contact"]. Rules name labels instead of columns,
// so that what is new in a schema is said once.
type Labels map[string][]string

// Columns returns the columns that have one of the labels, for [Rule.Columns]. A
// star at the end of a label stands for any characters: "pii.*". A label that no
// column has is an error.
func (l Labels) Columns(labels ...string) ([]string, error) {
	var out []string
	for _, want := range labels {
		before, any := strings.CutSuffix(want, "*")
		found := false
		for _, name := range slices.Sorted(maps.Keys(l)) {
			if name == want || any && strings.HasPrefix(name, before) {
				found = true
				out = append(out, l[name]...)
			}
		}
		if !found {
			return nil, fmt.Errorf("no column has the label %q", want)
		}
	}
	return out, nil
}
