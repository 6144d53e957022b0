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

// Of returns the labels that a column has, sorted. Parts of its name that are not
// known are as in [Set.Match].
func (l Labels) Of(schema, table, column string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(l)) {
		for _, c := range l[name] {
			p, err := parsePattern(c)
			if err == nil && p[0].match(strings.ToLower(schema)) && p[1].match(strings.ToLower(table)) && p[2].match(strings.ToLower(column)) {
				out = append(out, name)
				break
			}
		}
	}
	return out
}

// SplitColumn returns the parts of a pattern as in [Rule.Columns], in small letters;
// one with a star is empty.
func SplitColumn(pattern string) (schema, table, column string, err error) {
	p, err := parsePattern(pattern)
	if err != nil {
		return "", "", "", err
	}
	var parts [3]string
	for i, g := range p {
		parts[i], _ = g.exact()
	}
	return parts[0], parts[1], parts[2], nil
}
