package sql

// Ordinals say, token by token, where a number may stand for a column of the result,
// as in ORDER BY 2 and GROUP BY (1, 2): what such a statement tells depends on the
// number. They rather say so once too often, and take no memory.
type Ordinals struct {
	Ends func(word string) bool // reserved words that end a list; nil: none but those of all dialects

	at       [32]bool // by depth of parentheses
	depth    int
	dot      bool // what follows is a name, whatever the word
	distinct bool
	on       bool // of DISTINCT ON
}

// Here reports whether a number that follows may be one.
func (o *Ordinals) Here() bool { return o.depth >= len(o.at) || o.at[o.depth] }

// Symbol notes a character of punctuation.
func (o *Ordinals) Symbol(c byte) {
	switch c {
	case '(':
		here := o.Here() || o.on
		if o.depth++; o.depth < len(o.at) {
			o.at[o.depth] = here
		}
	case ')':
		o.depth = max(o.depth-1, 0)
	case ';':
		o.at, o.depth = [32]bool{}, 0
	}
	o.dot, o.distinct, o.on = c == '.', false, false
}

// Word notes a word that is no quoted name.
func (o *Ordinals) Word(w string) {
	dot, distinct := o.dot, o.distinct
	o.dot, o.distinct, o.on = false, false, false
	if dot || o.depth >= len(o.at) {
		return
	}
	switch {
	case is(w, "by"):
		o.at[o.depth] = true
	case is(w, "distinct"):
		o.distinct = true
	case is(w, "on"):
		o.on = distinct
	case is(w, "limit"), is(w, "having"), is(w, "union"), is(w, "where"), is(w, "select"), is(w, "for"), is(w, "from"), is(w, "into"),
		o.Ends != nil && o.Ends(w):
		o.at[o.depth] = false
	}
}

// Other notes any other token, but for white space.
func (o *Ordinals) Other() { o.dot, o.distinct, o.on = false, false, false }

// is reports whether w is the lower-case word s but for the case of its letters.
func is(w, s string) bool {
	if len(w) != len(s) {
		return false
	}
	for i := range len(s) {
		if w[i]|0x20 != s[i] {
			return false
		}
	}
	return true
}
