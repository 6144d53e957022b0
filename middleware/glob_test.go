package middleware_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
)

func TestGlob(t *testing.T) {
	for _, tt := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "a.b/c", true}, {"a", "a", true}, {"a", "A", false},
		{"a*", "abc", true}, {"a*", "ba", false}, {"*c", "abc", true}, {"*c", "abcd", false}, {"a*c", "ac", true},
		{"a*b*c", "aXbYbZc", true}, {"a*b*c", "aXcYb", false}, {"?", "", false}, {"?", "a", true}, {"a?c", "abc", true},
		{"**", "x", true}, {"*a*", "bab", true}, {"a**", "a", true}, {"public.*.email", "public.t.email", true},
		{strings.Repeat("*a", 200) + "b", strings.Repeat("a", 5000), false},
	} {
		require.Equal(t, tt.want, middleware.Glob(tt.pattern, tt.s), "%q %q", tt.pattern, tt.s)
	}
}
