package middleware

import (
	"slices"
	"strings"
)

// Glob reports whether all of s matches pattern, in which * stands for any run
// of characters, the empty one included, and ? for any one byte. There is no
// escape. It takes at most len(pattern)*len(s) steps and no memory.
func Glob(pattern, s string) bool {
	p, i, star, back := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, back = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0: // let the last * take one byte more
			back++
			p, i = star+1, back
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// globAny reports whether s matches any of patterns.
func globAny(patterns []string, s string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return Glob(p, s) })
}
