package mask

import (
	"errors"
	"strings"
)

// A glob is the literal pieces of a pattern between its stars, in lower case:
// "pay*" is {"pay", ""}. One piece is an exact name.
type glob []string

// exact returns the name if the glob has no star.
func (g glob) exact() (string, bool) {
	if len(g) == 1 {
		return g[0], true
	}
	return "", false
}

// match reports whether the lower-case name fits. The empty name is one that
// is not known and fits every glob.
func (g glob) match(name string) bool {
	if name == "" {
		return true
	}
	if len(g) == 1 {
		return name == g[0]
	}
	rest, ok := strings.CutPrefix(name, g[0])
	if !ok {
		return false
	}
	last := len(g) - 1
	for _, piece := range g[1:last] {
		i := strings.Index(rest, piece)
		if i < 0 {
			return false
		}
		rest = rest[i+len(piece):]
	}
	return strings.HasSuffix(rest, g[last])
}

// columnForm is how patterns for columns are written.
const columnForm = "write schema.table.column, with * for any"

// parsePattern splits "schema.table.column" into its three globs.
func parsePattern(s string) (parts [3]glob, err error) {
	all, err := splitPattern(s, columnForm)
	switch {
	case err != nil:
	case len(all) > len(parts):
		err = errors.New("has more than three parts: write schema.table.column")
	case len(all) < len(parts):
		err = errors.New("has fewer than three parts: " + columnForm)
	}
	copy(parts[:], all)
	return parts, err
}

// splitPattern splits a pattern at its dots; form says how it is written.
func splitPattern(s, form string) (parts []glob, err error) {
	if len(s) > 1024 {
		return nil, errors.New("is longer than 1024 bytes")
	}
	var part strings.Builder
	var g glob
	end := func() error {
		g = append(g, strings.ToLower(part.String()))
		part.Reset()
		if len(g) == 1 && g[0] == "" {
			return errors.New("has an empty part: " + form)
		}
		parts = append(parts, g)
		g = nil
		return nil
	}
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' && quoted && i+1 < len(s) && s[i+1] == '"':
			part.WriteByte('"')
			i++
		case c == '"':
			quoted = !quoted
		case c == '.' && !quoted:
			if err := end(); err != nil {
				return nil, err
			}
		case c == '*' && !quoted:
			g = append(g, strings.ToLower(part.String()))
			part.Reset()
		case c == '?' && !quoted:
			return nil, errors.New("has a ?, which is no wildcard here: write * or put the name in double quotes")
		case (c <= ' ' || c == 0x7f) && !quoted:
			return nil, errors.New("has a space or control character outside of double quotes")
		default:
			part.WriteByte(c)
		}
	}
	if quoted {
		return nil, errors.New("has an open double quote")
	}
	err = end()
	return parts, err
}
