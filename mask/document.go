package mask

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/sallyport-dev/gateway/mask/detect"
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
	digits        []byte       // of a number
	copied        int          // of doc, to out
	path          []string     // names of members, in small letters
	called        detect.Field // what the document's own name says
	field         detect.Field // what the last member's name says
	isName        bool         // the last member's value is a name
	levels        []level
	names         map[string]memberName // that there were, by how they are written

	at    []string // where the document lies in a larger one, in small letters
	whole bool     // objects and arrays that rules name are replaced whole

	inner *Documents // of documents in strings
	deep  int        // how many strings this one is in
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
	depth  int          // of the path
	field  detect.Field // of the member that it is
	name   [2]int       // where a name stands that is one of its values
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
// or array that a rule names every value is masked. An object or array in a string, which
// no rule names, is a document of its own whose members lie below the string's. The name of a member says what
// the values below it may be. The result is valid until the next call. What is not
// well formed is an error.
func (d *Documents) JSON(doc []byte) ([]byte, error) {
	if !json.Valid(doc) { // what follows relies on it
		return nil, errJSON
	}
	d.doc, d.copied = doc, 0
	d.out, d.path, d.levels, d.field = d.out[:0], append(d.path[:0], d.at...), d.levels[:0], d.called
	top := level{depth: len(d.at), field: d.called} // of the document itself
	if f := d.find(); f != nil {
		top.rule = f
	}
	at := &top
	for i := 0; ; {
		for i < len(doc) && betweenTokens(doc[i]) {
			i++
		}
		if i == len(doc) {
			break
		}
		start := i
		if i = tokenEnd(doc, i); at.object && at.key && doc[start] == '"' {
			if err := d.member(at, start, i); err != nil {
				return nil, err
			}
			continue
		}
		rule := at.rule
		if at.object && !at.key && rule == nil {
			rule = d.find()
		}
		switch c := doc[start]; c {
		case '{', '[':
			if rule != nil && d.whole && !d.set.rules[rule.rule].shows() {
				i = valueEnd(doc, start)
				if err := d.replace(rule, start, i); err != nil {
					return nil, err
				}
				break
			}
			if len(d.levels) == maxDepth {
				return nil, errDepth
			}
			d.levels = append(d.levels, level{object: c == '{', key: c == '{', rule: rule, depth: len(d.path), field: d.field})
			at = &d.levels[len(d.levels)-1]
			continue
		case '}', ']':
			d.levels = d.levels[:len(d.levels)-1]
			at = &top
			if n := len(d.levels); n > 0 {
				at = &d.levels[n-1]
			}
			d.path, d.field = d.path[:at.depth], at.field
		case 'n':
		default:
			if c == '"' && at.object && d.isName {
				at.name = [2]int{start, i}
			}
			if err := d.replace(rule, start, i); err != nil {
				return nil, err
			}
		}
		if at.object { // a value of a member is over
			at.key = true
			d.path, d.field = d.path[:at.depth], at.field
		}
	}
	d.out = append(d.out, doc[d.copied:]...)
	return d.out, nil
}

// betweenTokens reports whether c may stand between tokens.
func betweenTokens(c byte) bool {
	return c == ' ' || c == ',' || c == ':' || c == '\n' || c == '\t' || c == '\r'
}

// tokenEnd returns where the token ends that begins at i in a well-formed document.
func tokenEnd(doc []byte, i int) int {
	switch doc[i] {
	case '{', '}', '[', ']':
		return i + 1
	case '"':
		for i++; doc[i] != '"'; i++ {
			if doc[i] == '\\' {
				i++
			}
		}
		return i + 1
	}
	for i < len(doc) && !betweenTokens(doc[i]) && doc[i] != '}' && doc[i] != ']' {
		i++
	}
	return i
}

// valueEnd returns where the object or array ends that begins at i.
func valueEnd(doc []byte, i int) int {
	for depth := 0; ; {
		switch doc[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if i = tokenEnd(doc, i); depth == 0 {
			return i
		}
		for betweenTokens(doc[i]) {
			i++
		}
	}
}

// A memberName is the name of a member, the same in small letters, and what it says.
type memberName struct {
	text, lower string
	field       detect.Field
	isName      bool // its value may be the name of another's
	isValue     bool // it says itself nothing of its value
}

// maxNames bounds how many names are kept for the documents to come.
const maxNames = 256

// member reads the name of a member of at.
func (d *Documents) member(at *level, start, end int) error {
	token := d.doc[start:end]
	n, ok := d.names[string(token)]
	if !ok {
		text, err := unquote(token)
		if err != nil {
			return err
		}
		n.text = string(text)
		n.lower = strings.ToLower(n.text)
		n.field = d.texts.Field(n.text)
		n.isName, n.isValue = names[n.lower], valueOfName[n.lower] || valueTypes[n.text]
		if d.names == nil || len(d.names) == maxNames {
			d.names = map[string]memberName{}
		}
		if len(token) <= 64 {
			d.names[string(token)] = n
		}
	}
	if d.set.detector != nil {
		if text := d.texts.Mask(nil, []byte(n.text), detect.Field{}); text != nil {
			d.splice(start, end)
			if err := d.string(text); err != nil {
				return err
			}
		}
	}
	d.path = append(d.path[:at.depth], n.lower)
	d.field, at.key, d.isName = n.field, false, n.isName
	if n.isValue && n.field == (detect.Field{}) {
		d.field = at.field
		if start, end := at.name[0], at.name[1]; end > 0 && valueOfName[n.lower] {
			name, err := unquote(d.doc[start:end])
			if err != nil {
				return err
			}
			if f := d.texts.Field(string(name)); f != (detect.Field{}) {
				d.field = f
			}
		}
	}
	return nil
}

// Members that say nothing by their own name: what they hold is the value of the name
// that stands before it, as in {"name": "DB_PASSWORD", "value": "x"}, or of what the
// object is called, as in {"ssn": {"value": "1"}}. The types of values in documents of
// MongoDB, DynamoDB and Firestore are such names too.
var (
	names       = nameSet("name", "key", "parametername", "parameterkey", "variable")
	valueOfName = nameSet("value", "val", "parametervalue", "defaultvalue")
	valueTypes  = nameSet("#text", "_text", "@value", "S", "N", "SS", "NS", "L", "M", "values", "$numberLong", "$numberInt", "$numberDouble", "$numberDecimal", "$date",
		"stringValue", "integerValue", "doubleValue", "arrayValue")
)

func nameSet(names ...string) map[string]bool {
	m := map[string]bool{}
	for _, n := range names {
		m[n] = true
	}
	return m
}

// unquote returns the text of a string, which may be part of it.
func unquote(token []byte) ([]byte, error) {
	if bytes.IndexByte(token, '\\') < 0 && utf8.Valid(token) {
		return token[1 : len(token)-1], nil
	}
	var s string
	err := json.Unmarshal(token, &s)
	return []byte(s), err
}

// replace masks the value between two offsets by the rule, or by what is detected if
// that is nil.
func (d *Documents) replace(rule *field, start, end int) error {
	if rule != nil && d.set.rules[rule.rule].shows() || rule == nil && d.set.detector == nil && d.doc[start] != '"' {
		return nil
	}
	kind, in := Numeric, d.doc[start:end]
	switch in[0] {
	case '"':
		var err error
		if in, err = unquote(in); err != nil {
			return err
		}
		kind = Text
	case '{', '[':
		kind = JSON
	case 't', 'f':
		kind, in = Bool, in[:1]
	}
	if rule != nil {
		if d.masked != nil {
			d.masked(d.set.rules[rule.rule].Name, rule.text)
		}
		d.splice(start, end)
		return d.value(rule.rule, kind, in)
	}
	switch kind {
	case Text:
		if changed, err := d.nested(start, end, in); changed || err != nil {
			return err
		}
		if d.set.detector == nil {
			return nil
		}
		if text := d.texts.Mask(nil, in, d.field); text != nil {
			d.splice(start, end)
			return d.string(text)
		}
	case Numeric:
		if bytes.IndexByte(in, 'e') >= 0 || bytes.IndexByte(in, 'E') >= 0 {
			d.digits = appendFloat(d.digits[:0], in)
			in = d.digits
		}
		if d.texts.Mask(nil, in, d.field) != nil {
			d.splice(start, end)
			return d.value(d.set.kinds[d.texts.found[0].Kind], kind, in)
		}
	}
	return nil
}

// maxStrings bounds how many strings a document is in.
const maxStrings = 4

// nested masks what rules say in the document that is the text of the string between two
// offsets, if it is one, and reports whether that changed it.
func (d *Documents) nested(start, end int, text []byte) (changed bool, err error) {
	if doc := bytes.TrimLeft(text, " \t\r\n"); len(doc) < 2 || doc[0] != '{' && doc[0] != '[' || d.deep == maxStrings {
		return false, nil
	}
	if d.inner == nil {
		d.inner = &Documents{set: d.set, texts: d.texts, masked: d.masked, funcs: d.funcs, whole: d.whole, deep: d.deep + 1}
	}
	d.inner.at, d.inner.called = append(d.inner.at[:0], d.path...), d.field
	out, err := d.inner.JSON(text)
	switch {
	case err == errJSON:
		return false, nil
	case err != nil || bytes.Equal(out, text):
		return false, err
	}
	d.splice(start, end)
	return true, d.string(out)
}

// splice copies the document up to the token between two offsets, which it leaves
// out.
func (d *Documents) splice(start, end int) {
	d.out = append(d.out, d.doc[d.copied:start]...)
	d.copied = end
}

// string appends text to the output.
func (d *Documents) string(text []byte) error {
	for _, c := range text {
		if c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			b, err := json.Marshal(string(text))
			d.out = append(d.out, b...)
			return err
		}
	}
	d.out = append(append(append(d.out, '"'), text...), '"')
	return nil
}

// find returns the first field pattern for the path.
func (d *Documents) find() *field {
	return first(d.set.fields, d.path) // they are in the order of the rules
}

// value appends what takes the place of a value of that kind to the output.
func (d *Documents) value(rule int, kind Kind, in []byte) error {
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
