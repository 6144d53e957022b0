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

// HasFields reports whether any rule masks fields of documents.
func (s *Set) HasFields() bool { return s.has(func(r *Rule) bool { return len(r.Fields) > 0 }) }

// maxDepth bounds how deep a document is nested, and with it what a pattern
// costs. What is deeper cannot be masked.
const maxDepth = 64

// Documents masks documents one after the other. It is for one goroutine at a
// time.
type Documents struct {
	set    *Set
	texts  *Texts
	masked func(rule, what string)
	funcs  map[funcKey]Func

	doc, out, buf []byte
	copied        int64    // of doc, to out
	path          []string // names of members, in small letters
	name          string   // the last one, as it is written
	levels        []level

	at    []string // where the document lies in a larger one, in small letters
	whole bool     // objects and arrays that rules name are replaced whole
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
	depth  int    // of the path
	name   string // of the member that it is
}

// Documents returns a new masker of documents: by the rules' Fields, and by what
// their detectors find in the strings, numbers and names of members that no Fields
// are about. masked is as in [Set.Texts]; for Fields it is called with the pattern.
func (s *Set) Documents(masked func(rule, what string)) *Documents {
	return &Documents{set: s, texts: s.Texts(masked), masked: masked, funcs: map[funcKey]Func{}}
}

var (
	errJSON  = errors.New("not one well-formed JSON document")
	errDepth = errors.New("the document is nested too deeply")
)

// JSON returns doc, one JSON document, with what the rules say in the place of
// the values that they name; everything else stays as it is, byte for byte. A
// string stays a string, a number a number and a truth value one, or becomes
// null where the transform has no safe value; null stays null. Below an object
// or array that a rule names every value is masked. The name of a member says what
// the values below it may be. The result is valid until the next call. What is not
// well formed is an error.
func (d *Documents) JSON(doc []byte) ([]byte, error) {
	if !json.Valid(doc) {
		return nil, errJSON
	}
	d.doc, d.copied = doc, 0
	d.out, d.path, d.levels, d.name = d.out[:0], append(d.path[:0], d.at...), d.levels[:0], ""
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.UseNumber()
	top := level{depth: len(d.at)} // of the document itself
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
				if text := d.detect(name, ""); text != nil {
					d.splice(before, dec.InputOffset())
					if err := d.string(text); err != nil {
						return nil, err
					}
				}
				d.path = append(d.path[:at.depth], strings.ToLower(name))
				d.name = name
				at.key = false
				continue
			}
		}
		rule := at.rule
		if at.object && !at.key && rule == nil {
			rule = d.find()
		}
		if open := token == json.Delim('{') || token == json.Delim('['); open && d.whole && rule != nil && !d.set.rules[rule.rule].shows() {
			if err := skip(dec); err != nil {
				return nil, err
			}
			token = json.RawMessage(bytes.TrimLeft(doc[before:dec.InputOffset()], beforeToken))
		}
		switch v := token.(type) {
		case json.Delim:
			switch v {
			case '{', '[':
				if len(d.levels) == maxDepth {
					return nil, errDepth
				}
				d.levels = append(d.levels, level{object: v == '{', key: v == '{', rule: rule, depth: len(d.path), name: d.name})
				at = &d.levels[len(d.levels)-1]
				continue
			}
			d.levels = d.levels[:len(d.levels)-1]
			at = &top
			if n := len(d.levels); n > 0 {
				at = &d.levels[n-1]
			}
			d.path, d.name = d.path[:at.depth], at.name
		case nil:
		default:
			if err := d.replace(rule, v, before, dec.InputOffset()); err != nil {
				return nil, err
			}
		}
		if at.object { // a value of a member is over
			at.key = true
			d.path, d.name = d.path[:at.depth], at.name
		}
	}
	return append(d.out, doc[d.copied:]...), nil
}

// skip reads to the end of the object or array that has just begun.
func skip(dec *json.Decoder) error {
	for depth := 1; depth > 0; {
		token, err := dec.Token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
	return nil
}

// replace masks the value v between two offsets by the rule, or by what is
// detected if that is nil.
func (d *Documents) replace(rule *field, v any, before, end int64) error {
	if rule != nil && d.set.rules[rule.rule].shows() {
		return nil
	}
	if rule != nil {
		if d.masked != nil {
			d.masked(d.set.rules[rule.rule].Name, rule.text)
		}
		d.splice(before, end)
		return d.value(rule.rule, v)
	}
	switch v := v.(type) {
	case string:
		if text := d.detect(v, d.name); text != nil {
			d.splice(before, end)
			return d.string(text)
		}
	case json.Number:
		if d.detect(string(v), d.name) != nil {
			d.splice(before, end)
			return d.value(d.set.kinds[d.texts.found[0].Kind], v)
		}
	}
	return nil
}

// detect returns what takes the place of text in a member of that name, or nil
// if it stays.
func (d *Documents) detect(text, name string) []byte {
	if d.set.detector == nil {
		return nil
	}
	in := append(d.buf[:0], text...)
	d.buf = in
	return d.texts.Mask(nil, in, d.texts.Field(name))
}

// beforeToken is what may stand before a token.
const beforeToken = " \t\r\n,:"

// splice copies the document up to the token between two offsets, which it leaves
// out.
func (d *Documents) splice(before, end int64) {
	token := d.doc[before:end]
	start := before + int64(len(token)-len(bytes.TrimLeft(token, beforeToken)))
	d.out = append(d.out, d.doc[d.copied:start]...)
	d.copied = end
}

// string appends text to the output.
func (d *Documents) string(text []byte) error {
	b, err := json.Marshal(string(text))
	d.out = append(d.out, b...)
	return err
}

// find returns the first field pattern for the path.
func (d *Documents) find() *field {
	return first(d.set.fields, d.path) // they are in the order of the rules
}

// value appends what takes the place of v to the output.
func (d *Documents) value(rule int, v any) error {
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
	case json.RawMessage:
		kind, in = JSON, v
	}
	f := d.funcs[funcKey{rule, kind}]
	if f == nil {
		var err error
		if f, err = d.set.rules[rule].Transform.Bind(Type{Kind: kind}); err != nil {
			return err
		}
		d.funcs[funcKey{rule, kind}] = f
	}
	got := f(d.buf[:0], in)
	if got == nil {
		d.out = append(d.out, "null"...)
		return nil
	}
	d.buf = got
	switch {
	case kind == Text:
		return d.string(got)
	case kind == Bool && string(got) == "t":
		got = []byte("true")
	case kind == Bool && string(got) == "f":
		got = []byte("false")
	case kind == JSON && json.Valid(got):
	case kind == Numeric && json.Valid(got) && (got[0] == '-' || '0' <= got[0] && got[0] <= '9'):
	default:
		got = []byte("null")
	}
	d.out = append(d.out, got...)
	return nil
}
