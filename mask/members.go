package mask

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"
)

// An inside is a rule with Members.
type inside struct {
	rule    int
	columns []entry
	members []field
}

// about reports whether the rule is about the column, whose name is in small letters.
func (in *inside) about(schema, table, column string) bool {
	return slices.ContainsFunc(in.columns, func(e entry) bool {
		return e.schema.match(schema) && e.table.match(table) && e.column.match(column)
	})
}

// A Verdict is what the rules of a [Set] say of a value that comes from a column.
// The zero Verdict is that they say nothing.
type Verdict struct {
	Rule *Rule // the first that counts, or nil; it must not be changed

	set  *Set
	docs []field  // of rules with Members: what is masked of a document
	at   []string // where the document lies in the column's value
	all  bool     // docs say that all of it is
	deep bool     // since it lies below a member that is
}

// At returns the verdict on what lies at a path of a column's value, a JSON Pointer;
// "" is the value itself. Parts of the column's name that are not known are as in
// [Set.Match]. A rule without Members says of each place what it says of the value.
func (s *Set) At(schema, table, column, path string) Verdict {
	r := s.Match(schema, table, column)
	if r == nil || len(r.Members) == 0 {
		return Verdict{Rule: r}
	}
	if column == "*" {
		column = ""
	}
	v := Verdict{Rule: r, set: s}
	known := schema != "" && table != "" && column != ""
	schema, table, column = strings.ToLower(schema), strings.ToLower(table), strings.ToLower(column)
	shown := s.whole(schema, table, column) // by a rule with Show
	for i := range s.inside {
		in := &s.inside[i]
		if in.rule < shown && in.about(schema, table, column) && (known || !s.rules[in.rule].shows()) {
			v.docs = append(v.docs, in.members...)
		}
	}
	if path != "" {
		v.at = strings.Split(strings.ToLower(path[1:]), "/")
		for i := range v.at {
			v.at[i] = unpointer.Replace(v.at[i])
		}
	}
	for n := range len(v.at) + 1 {
		f := first(v.docs, v.at[:n])
		switch {
		case f == nil:
			continue
		case s.rules[f.rule].shows():
			return Verdict{}
		}
		v.Rule, v.all, v.deep = &s.rules[f.rule], true, n < len(v.at)
		v.docs = []field{{f.rule, f.text, []glob{{"", "", ""}}}}
		return v
	}
	v.Rule = nil
	for i := range v.docs {
		if f := &v.docs[i]; !s.rules[f.rule].shows() && reaches(f.parts, v.at) {
			v.Rule = &s.rules[f.rule]
			return v
		}
	}
	return Verdict{}
}

// unpointer reads a name in a JSON Pointer.
var unpointer = strings.NewReplacer("~1", "/", "~0", "~")

// first returns the first of the patterns that is about the member at path, or nil.
func first(fields []field, path []string) *field {
	for i := range fields {
		if f := &fields[i]; matches(f.parts, path) {
			return f
		}
	}
	return nil
}

// reaches reports whether the pattern may be about a member below path.
func reaches(parts []glob, path []string) bool {
	for ; len(path) > 0; parts, path = parts[1:], path[1:] {
		switch {
		case len(parts) == 0:
			return false
		case isAnyDepth(parts[0]):
			return true
		case !parts[0].match(path[0]):
			return false
		}
	}
	return len(parts) > 0
}

// Inside reports whether what is masked are members of the value and not all of it.
func (v *Verdict) Inside() bool { return v.docs != nil && !v.all }

// Own reports whether all is masked of a column's own value.
func (v *Verdict) Own() bool { return v.docs == nil }

// Visible reports whether the column's own value shows that there is such a member,
// masked or not.
func (v *Verdict) Visible() bool { return v.Rule == nil || v.docs != nil && !v.deep }

// Rules returns the rules that mask something of the value, in their order.
func (v *Verdict) Rules() []*Rule {
	if v.Rule == nil {
		return nil
	}
	if v.docs == nil {
		return []*Rule{v.Rule}
	}
	var out []*Rule
	for i := range v.docs {
		if r := &v.set.rules[v.docs[i].rule]; !r.shows() && !slices.Contains(out, r) && (v.all || reaches(v.docs[i].parts, v.at)) {
			out = append(out, r)
		}
	}
	return out
}

// Members returns the patterns of the members that are masked, in the order in which
// they count; nil if all of the value is.
func (v *Verdict) Members() []string {
	var out []string
	for i := range v.docs {
		if v.Inside() && !v.set.rules[v.docs[i].rule].shows() {
			out = append(out, v.docs[i].text)
		}
	}
	return out
}

// Equal reports whether both verdicts say the same.
func (v *Verdict) Equal(w *Verdict) bool {
	return v.Rule == w.Rule && v.all == w.all && slices.Equal(v.at, w.at) &&
		slices.EqualFunc(v.docs, w.docs, func(a, b field) bool { return a.rule == b.rule && a.text == b.text })
}

// Bind returns what masks values of that type: whole, or in JSON documents the
// members that rules name. A member that is an object or array is replaced whole;
// all that no rule is about stays as it is, byte for byte, but for what detectors
// find in it. A value that is not one JSON object or array in UTF-8, that is nested
// more than 64 deep or longer than 16 MiB is hidden whole, but for the text of a string
// or a number that lies at a path: nothing lies in it. Hidden whole is also one of a type
// other than json, jsonb, text and arrays of these. masked, which may be nil, is called for each
// masked member with the rule's name and the pattern.
func (v *Verdict) Bind(t Type, masked func(rule, what string)) (Func, error) {
	document := t.Kind == JSON || t.Kind == JSONB
	switch {
	case v.Rule == nil:
		return show{}.Bind(t)
	case v.docs == nil:
		return v.Rule.Transform.Bind(t)
	case v.all && !document && t.Kind != Array:
		f, err := v.Rule.Transform.Bind(t)
		if err != nil || masked == nil {
			return f, err
		}
		return func(dst, in []byte) []byte {
			masked(v.Rule.Name, v.docs[0].text)
			return f(dst, in)
		}, nil
	}
	if t.Kind == Array {
		return Elements(transformOf("", func(t Type) (Func, error) { return v.Bind(t, masked) })).Bind(t)
	}
	hidden := t.redacted()
	hide := func(dst []byte) []byte {
		if masked != nil {
			masked(v.Rule.Name, v.docs[0].text)
		}
		if hidden == nil {
			return nil
		}
		return append(notNil(dst[:0]), hidden...)
	}
	if !document && t.Kind != Text {
		return func(dst, _ []byte) []byte { return hide(dst) }, nil
	}
	only := &Set{rules: v.set.rules, fields: v.docs, detector: v.set.detector, kinds: v.set.kinds}
	docs := only.Documents(masked)
	var text *Column // what is found in a value that is no document
	if t.Kind == Text {
		text = only.Column("", t, masked)
	}
	docs.at, docs.whole = v.at, true
	version := t.Kind == JSONB && t.Encoding == PostgresBinary
	return func(dst, in []byte) []byte {
		if version {
			if len(in) == 0 || in[0] != 1 {
				return hide(dst)
			}
			dst, in = append(dst, 1), in[1:]
		}
		switch inner := container(in); {
		case len(in) > maxDocument || !utf8.Valid(in) || len(v.at) == 0 && !inner:
			return hide(dst)
		case t.Kind == Text && !inner: // the text of a string or a number, in which nothing lies
			if text != nil {
				if out, changed := text.Mask(dst, in); changed {
					return out
				}
			}
			return append(notNil(dst), in...)
		}
		out, err := docs.JSON(in)
		if err != nil {
			return hide(dst)
		}
		return append(dst, out...)
	}, nil
}

// maxDocument bounds what is read of a value to mask members of it.
const maxDocument = 16 << 20

// container reports whether doc is an object or an array, or null: text in a string
// may be a document once more.
func container(doc []byte) bool {
	doc = bytes.TrimLeft(doc, " \t\r\n")
	return len(doc) > 0 && (doc[0] == '{' || doc[0] == '[') || string(doc) == "null"
}
