package mask

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Describe says in a few words what t does, for people: "email", "partial(first 0,
// last 4)". It names no key. A transform that is not of this package says it with
// a method String.
func Describe(t Transform) string {
	switch s := t.(type) {
	case nil:
		return "nothing"
	case fmt.Stringer:
		return s.String()
	}
	return fmt.Sprintf("%T", t)
}

// String says what the transform does, as [Describe] does.
func (p Partial) String() string {
	return fmt.Sprintf("partial(first %d, last %d)", p.KeepFirst, p.KeepLast)
}

// String says what the transform does, as [Describe] does.
func (e Ends) String() string { return fmt.Sprintf("ends(first %d, last %d)", e.First, e.Last) }

func (k keyedHash) String() string {
	parts := []string{}
	if k.key.id != "" {
		parts = append(parts, "key "+k.key.id)
	}
	if k.domain != "" {
		parts = append(parts, "domain "+k.domain)
	}
	if len(parts) == 0 {
		return "hash"
	}
	return "hash(" + strings.Join(parts, ", ") + ")"
}

func inDomain(domain string) string {
	if domain == "" {
		return ""
	}
	return ", domain " + domain
}

func cardName(issuer bool) string {
	if issuer {
		return "card(issuer)"
	}
	return "card"
}

func describeRecord(fields map[int]Transform) string {
	var parts []string
	for _, i := range slices.Sorted(maps.Keys(fields)) {
		parts = append(parts, fmt.Sprintf("%d: %s", i, Describe(fields[i])))
	}
	return "record(" + strings.Join(parts, ", ") + ")"
}
