package mask

import (
	"slices"
	"strings"

	"github.com/sallyport-dev/gateway/mask/detect"
)

// An Opinion is what one rule of a [Set] says about a column or a field: it is there
// to explain what happens, and takes no part in it.
type Opinion struct {
	Rule  string
	With  string // what it does, see [Describe]
	About string // the first of its patterns that is about it; "" if none is
	Shows bool   // a rule with [Show]

	// Decides says that it is the rule that counts, see [Compile].
	Decides bool
}

// ColumnOpinions returns what each rule says about what lies at a path of a column's
// value, in the order of the rules; all is as for [Set.At]. Several rules with Members
// may decide.
func (s *Set) ColumnOpinions(schema, table, column, path string) []Opinion {
	if column == "*" {
		column = ""
	}
	v := s.At(schema, table, column, path)
	decide := v.Rules()
	if r := s.match(schema, table, column); v.Rule == nil && r != nil && r.shows() {
		decide = []*Rule{r}
	}
	known := schema != "" && table != "" && column != ""
	return s.opinions(decide, func(r *Rule) string {
		if r.shows() && !known {
			return "" // what is not known may be another column
		}
		for _, c := range r.Columns {
			p, err := parsePattern(c)
			if err == nil && p[0].match(strings.ToLower(schema)) && p[1].match(strings.ToLower(table)) && p[2].match(strings.ToLower(column)) {
				if len(r.Members) > 0 {
					c += " (" + strings.Join(r.Members, ", ") + ")"
				}
				return c
			}
		}
		return ""
	})
}

// FieldOpinions returns what each rule says about a member of a document, whose name
// is a pattern without stars: "customer.email". A rule that is about a member
// counts for all that is below it, and before those that are about something below.
func (s *Set) FieldOpinions(path string) ([]Opinion, error) {
	f, err := parseField(0, path)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(f.parts))
	for i, g := range f.parts {
		names[i] = strings.Join(g, "*")
	}
	find := func(only *Rule) *field {
		for n := range len(names) + 1 {
			for i := range s.fields {
				f := &s.fields[i]
				if (only == nil || &s.rules[f.rule] == only) && matches(f.parts, names[:n]) {
					return f
				}
			}
		}
		return nil
	}
	var decide []*Rule
	if f := find(nil); f != nil {
		decide = []*Rule{&s.rules[f.rule]}
	}
	return s.opinions(decide, func(r *Rule) string {
		if f := find(r); f != nil {
			return f.text
		}
		return ""
	}), nil
}

func (s *Set) opinions(decide []*Rule, about func(*Rule) string) []Opinion {
	out := make([]Opinion, len(s.rules))
	for i := range s.rules {
		r := &s.rules[i]
		out[i] = Opinion{Rule: r.Name, With: Describe(r.Transform), About: about(r), Shows: r.shows(), Decides: slices.Contains(decide, r)}
	}
	return out
}

// Detects returns the kinds that are looked for where no rule names a column or a
// field, by the name of the rule that masks them.
func (s *Set) Detects() map[string][]detect.Kind {
	out := map[string][]detect.Kind{}
	for k, i := range s.kinds {
		out[s.rules[i].Name] = append(out[s.rules[i].Name], k)
	}
	for _, ks := range out {
		slices.Sort(ks)
	}
	return out
}
