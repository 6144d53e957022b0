package mask

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
)

// A field is one field pattern of the rule with that index.
type field struct {
	rule  int
	text  string
	parts []glob
}

// isAnyDepth reports whether a part is **.
func isAnyDepth(g glob) bool { return len(g) == 3 && g[0] == "" && g[1] == "" && g[2] == "" }

func parseField(rule int, text string) (field, error) {
	const form = `write the members' names from the outside in, such as customer.email or **.email`
	parts, err := splitPattern(text, form)
	switch {
	case err != nil:
		return field{}, err
	case isAnyDepth(parts[len(parts)-1]) && len(parts) > 1:
		return field{}, errors.New("ends in **, which a masked member says by itself: " + form)
	}
	return field{rule, text, parts}, nil
}

// matches reports whether the pattern is about the member at path.
func matches(parts []glob, path []string) bool {
	for len(parts) > 0 {
		if isAnyDepth(parts[0]) {
			for i := range len(path) + 1 {
				if matches(parts[1:], path[i:]) {
					return true
				}
			}
			return false
		}
		if len(path) == 0 || !parts[0].match(path[0]) {
			return false
		}
		parts, path = parts[1:], path[1:]
	}
	return len(path) == 0
}

// HasFields reports whether any rule is about fields of documents.
func (s *Set) HasFields() bool { return len(s.fields) > 0 }

// maxDepth bounds how deep a document is nested, and with it what a pattern
// costs. What is deeper cannot be masked.
const maxDepth = 64

// Documents masks documents one after the other. It is for one goroutine at a
// time.
type Documents struct {
	set   *Set
	funcs map[funcKey]Func

	out, buf []byte
	path     []string
	levels   []level
}

type funcKey struct {
	rule int
	kind Kind
}

// A level is an object or an array that is open.
type level struct {
	object bool
	key    bool // the next token is a member's name
	rule   *field
	depth  int // of the path
}

// Documents returns a new masker of documents by the rules' Fields.
func (s *Set) Documents() *Documents { return &Documents{set: s, funcs: map[funcKey]Func{}} }

var (
	errJSON  = errors.New("not one well-formed JSON document")
	errDepth = errors.New("the document is nested too deeply")
)

// JSON returns doc, one JSON document, with what the rules say in the place of
// the values that they name; everything else stays as it is, byte for byte. A
// string stays a string, a number a number and a truth value one, or becomes
// null where the transform has no safe value; null stays null. Below an object
// or array that a rule names every value is masked. masked, if it is not nil, is
// called with the pattern of each value that was. The result is valid until the
// next call. What is not well formed is an error.
func (d *Documents) JSON(doc []byte, masked func(pattern string)) ([]byte, error) {
	if !json.Valid(doc) {
		return nil, errJSON
	}
	d.out, d.path, d.levels = d.out[:0], d.path[:0], d.levels[:0]
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.UseNumber()
	copied := int64(0)
	var top level // of the document itself
	if f := d.find(); f != nil {
		top.rule = f
	}
	at := &top
	for {
		before := dec.InputOffset()
		token, err := dec.Token()
		if err != nil {
			if len(d.levels) > 0 {
				return nil, errJSON
			}
			break
		}
		if at.object && at.key {
			if name, ok := token.(string); ok {
				d.path = append(d.path[:at.depth], strings.ToLower(name))
				at.key = false
				continue
			}
		}
		rule := at.rule
		if at.object && !at.key && rule == nil {
			rule = d.find()
		}
		switch v := token.(type) {
		case json.Delim:
			switch v {
			case '{', '[':
				if len(d.levels) == maxDepth {
					return nil, errDepth
				}
				d.levels = append(d.levels, level{object: v == '{', key: v == '{', rule: rule, depth: len(d.path)})
				at = &d.levels[len(d.levels)-1]
				continue
			}
			d.levels = d.levels[:len(d.levels)-1]
			at = &top
			if n := len(d.levels); n > 0 {
				at = &d.levels[n-1]
			}
			d.path = d.path[:at.depth]
		default:
			if rule == nil || v == nil {
				break
			}
			if masked != nil {
				masked(rule.text)
			}
			end := dec.InputOffset()
			start := before + int64(len(doc[before:end])-len(bytes.TrimLeft(doc[before:end], " \t\r\n,:")))
			d.out = append(d.out, doc[copied:start]...)
			if d.out, err = d.value(rule.rule, v); err != nil {
				return nil, err
			}
			copied = end
		}
		if at.object { // a value of a member is over
			at.key = true
			d.path = d.path[:at.depth]
		}
	}
	return append(d.out, doc[copied:]...), nil
}

// find returns the first field pattern for the path.
func (d *Documents) find() *field {
	for i := range d.set.fields { // in the order of the rules
		if f := &d.set.fields[i]; matches(f.parts, d.path) {
			return f
		}
	}
	return nil
}

// value appends what takes the place of v to the output.
func (d *Documents) value(rule int, v any) ([]byte, error) {
	kind, in := Text, []byte(nil)
	switch v := v.(type) {
	case string:
		in = []byte(v)
	case json.Number:
		kind, in = Numeric, []byte(v)
	case bool:
		kind, in = Bool, []byte("f")
		if v {
			in[0] = 't'
		}
	}
	f := d.funcs[funcKey{rule, kind}]
	if f == nil {
		var err error
		if f, err = d.set.rules[rule].Transform.Bind(Type{Kind: kind}); err != nil {
			return nil, err
		}
		d.funcs[funcKey{rule, kind}] = f
	}
	got := f(d.buf[:0], in)
	if got == nil {
		return append(d.out, "null"...), nil
	}
	d.buf = got
	switch kind {
	case Text:
		text, err := json.Marshal(string(got))
		return append(d.out, text...), err
	case Bool:
		switch string(got) {
		case "t":
			return append(d.out, "true"...), nil
		case "f":
			return append(d.out, "false"...), nil
		}
	case Numeric:
		if json.Valid(got) && (got[0] == '-' || '0' <= got[0] && got[0] <= '9') {
			return append(d.out, got...), nil
		}
	}
	return append(d.out, "null"...), nil
}
