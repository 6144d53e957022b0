package mask

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport-dev/gateway/mask/detect"
)

// A Rule says what takes the place of the values of some base columns, of some
// fields of documents, or of what is found in texts. It has at least one of
// Columns, Fields, Detect and Custom.
type Rule struct {
	Name string // names the rule in decisions, records and errors

	// Columns are patterns "schema.table.column"; in each part * stands for
	// any characters: "public.customers.email", "*.*.ssn", "hr.pay*.*". Case
	// does not matter. A name that holds a dot or a star is put in double
	// quotes, doubled inside.
	Columns []string

	// Members are patterns, as in Fields, for members of the JSON documents that
	// Columns hold: "address.street", "**.ssn". Only these are masked, and what else
	// is in the documents is shown. A rule without Members is about the whole value.
	// What is computed from a place at which a pattern may be about something, as ** is
	// everywhere, is hidden whole: patterns that name where members lie show more.
	Members []string

	// Fields are patterns for members of documents, from the outside in:
	// "customer.email", "items.*.price", "**.ssn". In each part * stands for any
	// characters, and the part ** for any number of members, also none. Elements
	// of an array have the array's name, and members of a document that is the text of
	// a string lie below it. Case and double quotes are as in Columns.
	Fields []string

	// Detect names kinds of values that are masked wherever a detector finds
	// them in text: in the texts of columns and members that no rule names, in
	// messages and in streams. They are written as [detect.Config.Kinds] are:
	// "email", "id.us.*", "secret.*".
	Detect []string

	// Custom are kinds of one's own that the rule masks as if Detect named them.
	Custom []detect.Custom

	// Nulls says that NULL in a column is replaced too, by what the transform makes
	// of the plainest value of its type: whether there is a value is hidden as well.
	Nulls bool

	// Inference says what statements may tell of the values of Columns without showing
	// them; by default anything.
	Inference Inference

	Transform Transform
}

// A Set is a list of rules made ready for looking up. It is immutable and safe
// for use by many goroutines. The zero Set has no rules.
type Set struct {
	rules  []Rule
	tables map[string][]entry // by exact table name
	any    []entry            // with a pattern for the table
	fields []field
	inside []inside // rules with Members, in their order: they are not in tables and any

	detector *detect.Detector    // nil if no rule needs one
	kinds    map[detect.Kind]int // the rule for each kind
}

// An entry is one column pattern of the rule with that index.
type entry struct {
	rule                  int
	schema, table, column glob
}

// Compile returns the set of rules. Where several are about a column, a field or a
// kind, the first counts. Of rules with Members about one column the first counts for
// each member. A rule about the whole column takes all of them with it: one that masks
// does so wherever it stands, one with [Show] takes the column out of those behind it.
// An error names the rule that makes no sense.
func Compile(rules ...Rule) (*Set, error) {
	s := &Set{tables: map[string][]entry{}}
	seen := map[string]bool{}
	for i, r := range rules {
		if err := r.check(); err != nil {
			name := r.Name
			if name == "" {
				name = fmt.Sprintf("number %d", i+1)
			}
			return nil, fmt.Errorf("mask rule %s: %w", name, err)
		}
		if seen[r.Name] {
			return nil, fmt.Errorf("mask rule %s: there are two rules of this name", r.Name)
		}
		seen[r.Name] = true
		r.Inference, _ = ParseInference(string(r.Inference)) // "allow" too
		r.Columns = append([]string(nil), r.Columns...)
		r.Fields = append([]string(nil), r.Fields...)
		r.Detect = append([]string(nil), r.Detect...)
		r.Custom = append([]detect.Custom(nil), r.Custom...)
		r.Members = append([]string(nil), r.Members...)
		s.rules = append(s.rules, r)
		in := inside{rule: i}
		for _, text := range r.Members {
			f, err := parseField(i, text)
			if err != nil {
				return nil, fmt.Errorf("mask rule %s: member %q: %w", r.Name, text, err)
			}
			in.members = append(in.members, f)
		}
		for _, c := range r.Columns {
			parts, err := parsePattern(c)
			if err != nil {
				return nil, fmt.Errorf("mask rule %s: column %q: %w", r.Name, c, err)
			}
			e := entry{i, parts[0], parts[1], parts[2]}
			if in.members != nil {
				in.columns = append(in.columns, e)
			} else if name, ok := e.table.exact(); ok {
				s.tables[name] = append(s.tables[name], e)
			} else {
				s.any = append(s.any, e)
			}
		}
		if in.members != nil {
			s.inside = append(s.inside, in)
		}
		for _, text := range r.Fields {
			f, err := parseField(i, text)
			if err != nil {
				return nil, fmt.Errorf("mask rule %s: field %q: %w", r.Name, text, err)
			}
			s.fields = append(s.fields, f)
		}
	}
	if err := s.detectors(); err != nil {
		return nil, fmt.Errorf("mask rules: %w", err)
	}
	return s, nil
}

func (r *Rule) check() error {
	switch {
	case r.Name == "":
		return errors.New("has no name")
	case len(r.Columns) == 0 && len(r.Fields) == 0 && len(r.Detect) == 0 && len(r.Custom) == 0:
		return errors.New("names no columns, no fields and nothing to detect")
	case len(r.Members) > 0 && len(r.Columns) == 0:
		return errors.New("members are those of documents in columns, and it names no columns")
	case len(r.Members) > 0 && r.Nulls:
		return errors.New("nulls is about whole columns, and it names members")
	case r.Inference != AllowInference && (len(r.Columns) == 0 || r.Transform == Show()):
		return errors.New("inference is about columns that are masked")
	case r.Transform == nil:
		return errors.New("has no transform: say what takes the values' place, such as redact")
	}
	if _, err := ParseInference(string(r.Inference)); err != nil {
		return err
	}
	// A transform that makes no sense is found now rather than by the first
	// query.
	for _, k := range []Kind{Text, Int8} {
		for e := range encodings {
			if _, err := r.Transform.Bind(Type{Kind: k, Encoding: e}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Match returns the rule for the column that counts, see [Compile], or nil if there is
// none. One with Members masks something in the column's values, see [Set.At]. The
// column "*" is the whole row: it matches if any column of the table would. An
// empty schema, table or column is one that is not known, and matches every
// pattern. A rule with [Show] is none. The rule must not be changed.
func (s *Set) Match(schema, table, column string) *Rule {
	if column == "*" {
		column = ""
	}
	if r := s.match(schema, table, column); r != nil && !r.shows() {
		return r
	}
	return nil
}

// HasColumns reports whether any rule masks columns.
func (s *Set) HasColumns() bool { return s.has(func(r *Rule) bool { return len(r.Columns) > 0 }) }

func (s *Set) has(what func(*Rule) bool) bool {
	for i := range s.rules {
		if r := &s.rules[i]; !r.shows() && what(r) {
			return true
		}
	}
	return false
}

// Table reports whether there is a rule for any column of the table.
func (s *Set) Table(schema, table string) bool { return s.match(schema, table, "") != nil }

func (s *Set) match(schema, table, column string) *Rule {
	// ToLower returns lower-case text as it is, without a copy.
	schema, table, column = strings.ToLower(schema), strings.ToLower(table), strings.ToLower(column)
	best := s.whole(schema, table, column)
	unknown := schema == "" || table == "" || column == "" // it may be the columns of several rules
	if best == len(s.rules) || s.rules[best].shows() || unknown {
		for i := range s.inside {
			if in := &s.inside[i]; in.rule < best && !s.rules[in.rule].shows() && in.about(schema, table, column) {
				best = in.rule
				break
			}
		}
	}
	if best == len(s.rules) {
		return nil
	}
	return &s.rules[best]
}

// whole returns the index of the first rule without Members for the column, or how
// many rules there are.
func (s *Set) whole(schema, table, column string) int {
	best := len(s.rules)
	look := func(es []entry) {
		for i := range es {
			e := &es[i]
			if e.rule >= best {
				return // entries stand in the order of the rules
			}
			if s.rules[e.rule].shows() && (schema == "" || table == "" || column == "") {
				continue // what is not known may be another column
			}
			if e.schema.match(schema) && e.table.match(table) && e.column.match(column) {
				best = e.rule
				return
			}
		}
	}
	look(s.any)
	if table != "" {
		look(s.tables[table])
	} else {
		for _, es := range s.tables {
			look(es)
		}
	}
	return best
}

// Shows reports whether the first rule for the column is one with [Show].
func (s *Set) Shows(schema, table, column string) bool {
	if column == "*" {
		return false
	}
	r := s.match(schema, table, column)
	return r != nil && r.shows()
}
