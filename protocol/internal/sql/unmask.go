package sql

import "strings"

// never is how a comment begins that MariaDB would run, but no version of it does.
const never = "M!999999 "

// Unmask returns why the client that sent text asks to see masked values in the
// clear, or "" if it does not. It asks with a comment that stands before everything
// else, which every client can send:
//
//	/* unmask: ticket 4711 */ SELECT email FROM customers
//
// The command line clients mysql and mariadb leave out plain comments unless they
// are started with --comments. mysql keeps one in the form of an optimizer's hint,
// "/*+", and mariadb one that only a MariaDB of a version that will never be runs,
// "/*M!999999": both may stand in its place. Targets see a comment that says nothing
// to them.
func Unmask(text string) string {
	const word = "unmask:"
	text = strings.TrimLeft(text, " \t\r\n\f\v")
	rest, ok := strings.CutPrefix(text, "/*")
	if !ok {
		return ""
	}
	for _, form := range []string{"+", never} {
		if r, ok := strings.CutPrefix(rest, form); ok {
			rest = r
			break
		}
	}
	rest = strings.TrimLeft(rest, " \t\r\n")
	if len(rest) < len(word) || !strings.EqualFold(rest[:len(word)], word) {
		return ""
	}
	reason, _, ok := strings.Cut(rest[len(word):], "*/")
	if !ok || strings.Contains(reason, "/*") { // servers differ in whether comments nest
		return ""
	}
	return strings.TrimSpace(reason)
}
