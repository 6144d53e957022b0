package sql

import "strings"

// Unmask returns why the client that sent text asks to see masked values in the
// clear, or "" if it does not. It asks with a comment that stands before everything
// else, which every client can send:
//
//	/* unmask: ticket 4711 */ SELECT email FROM customers
//
// The comment may begin as one of an optimizer's hints does, "/*+", because
// MariaDB's and MySQL's own clients leave out all others unless they are told to
// keep them (--comments). Targets see a comment that says nothing to them.
func Unmask(text string) string {
	const word = "unmask:"
	text = strings.TrimLeft(text, " \t\r\n\f\v")
	rest, ok := strings.CutPrefix(text, "/*")
	if !ok {
		return ""
	}
	rest = strings.TrimLeft(strings.TrimPrefix(rest, "+"), " \t\r\n")
	if len(rest) < len(word) || !strings.EqualFold(rest[:len(word)], word) {
		return ""
	}
	reason, _, ok := strings.Cut(rest[len(word):], "*/")
	if !ok || strings.Contains(reason, "/*") { // servers differ in whether comments nest
		return ""
	}
	return strings.TrimSpace(reason)
}
