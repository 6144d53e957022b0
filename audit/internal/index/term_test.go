package index

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The terms of a name are side by side, and apart from those of all others.
func TestTermsOf(t *testing.T) {
	names := []string{whole, who, target, verb, access, object, column, tool, outcome, approval, rule, session, kind, risk, word}
	require.Len(t, numbers, len(names))
	seen := map[term]bool{}
	for _, name := range names {
		first, last := termsOf(name)
		require.Less(t, first, last)
		for _, v := range []string{"", "a", "b", "user17", "\x00"} {
			at := termOf(name, v)
			require.GreaterOrEqual(t, at, first, name)
			require.LessOrEqual(t, at, last, name)
			require.False(t, seen[at])
			seen[at] = true
			for _, other := range names {
				if low, high := termsOf(other); other != name {
					require.False(t, at >= low && at <= high, "%s is among %s", name, other)
				}
			}
		}
	}
}
