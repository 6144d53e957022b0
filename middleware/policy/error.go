package policy

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
)

// An ExprError is the first thing that is wrong with an expression.
type ExprError struct {
	Line, Column int // from 1, within the expression; 0 if it is about the whole
	Message      string

	multiline bool
}

// Error returns the message behind its place.
func (e *ExprError) Error() string {
	switch {
	case e.Line < 1 || e.Column < 1:
		return e.Message
	case e.multiline:
		return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Message)
	}
	return fmt.Sprintf("column %d: %s", e.Column, e.Message)
}

func exprError(expr string, line, column int, msg string) *ExprError {
	return &ExprError{Line: line, Column: column + 1, Message: msg,
		multiline: strings.Contains(strings.TrimSpace(expr), "\n")}
}

func asError(expr string, issues *cel.Issues) error {
	errs := issues.Errors()
	if len(errs) == 0 {
		return issues.Err()
	}
	first := errs[0]
	msg := strings.TrimSuffix(first.Message, " (in container '')")
	msg, _, _ = strings.Cut(msg, "\n")
	if m := unknownField.FindStringSubmatch(msg); m != nil {
		if near := nearest(m[1], fieldNames()); near != "" {
			msg += fmt.Sprintf(" (did you mean '%s'?)", near)
		}
	}
	return exprError(expr, first.Location.Line(), first.Location.Column(), msg)
}

// unknownField is CEL's message. For an unknown variable it makes a suggestion
// itself.
var unknownField = regexp.MustCompile(`^undefined field '([^']*)'$`)

// fieldNames returns the names of all fields, sorted.
func fieldNames() []string {
	var out []string
	for _, t := range objectTypes {
		out = slices.AppendSeq(out, maps.Keys(t.fields))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// nearest returns the candidate that differs from name by at most two
// letters and by less than half of it, or "".
func nearest(name string, candidates []string) string {
	best, at := "", 3
	for _, c := range candidates {
		if d := distance(name, c); d < at && 2*d < len(name) {
			best, at = c, d
		}
	}
	return best
}

// distance is the number of letters to insert, delete or replace.
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diag
			if a[i] != b[j] {
				d++
			}
			diag = row[j+1]
			row[j+1] = min(d, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
