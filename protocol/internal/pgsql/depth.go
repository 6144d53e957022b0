package pgsql

// maxNesting bounds how deep a text may nest. PostgreSQL's parser builds its
// tree on the heap but writes it out by recursion on the C stack, without a
// check: "1+1+1..." 64,000 times over crashes the process. At 16,000 levels
// nothing measured did; the decoder on our side gives up at about 5,000.
const maxNesting = 3000

// safeLength is so short that no text of it can nest too deep: no construct
// takes less than two bytes a level.
const safeLength = 2 * maxNesting

// tooDeep reports whether a text may nest deeper than maxNesting. It counts
// too many rather than too few: at each level of brackets, everything that may
// put its left side into a deeper node, since the last comma, AND or OR; what
// may have one of those between its parts, such as joins and set operations,
// since the last semicolon.
func tooDeep(text []byte) bool {
	if len(text) <= safeLength {
		return false
	}
	type level struct {
		chain, joins int
		isCase       bool
	}
	var (
		l      = lexer{text: text, lenient: true}
		stack  []level
		cur    level
		outer  int // what the levels around count
		dotted bool
	)
	for {
		from := l.pos
		k := l.next()
		switch k {
		case kindEnd:
			return false
		case kindUnclear:
			return true
		case kindSpace:
			continue
		}
		open, shut := false, false
		switch k {
		case kindSymbol:
			switch text[from] {
			case '(', '[':
				open = true
			case ')', ']':
				// Levels of CASE that were not closed end with the bracket.
				for len(stack) > 0 && cur.isCase {
					cur = stack[len(stack)-1]
					stack = stack[:len(stack)-1]
					outer -= cur.chain + cur.joins + 1
				}
				shut = len(stack) > 0
			case ',':
				cur.chain = 0
			case ';':
				cur.chain, cur.joins = 0, 0
			default:
				cur.chain++
			}
		case kindWord:
			if dotted {
				break
			}
			switch w := text[from:l.pos]; nesting(w) {
			case wordCase:
				open = true
			case wordEnd:
				shut = cur.isCase && len(stack) > 0
			case wordReset:
				cur.chain = 0
			case wordJoin:
				cur.chain = 0
				cur.joins++
			case wordChain:
				// "a BETWEEN b AND c IS TRUE BETWEEN ..." goes on past AND.
				cur.joins++
			default:
				cur.chain++
			}
		}
		dotted = k == kindSymbol && text[from] == '.'
		switch {
		case open:
			outer += cur.chain + cur.joins + 1
			stack = append(stack, cur)
			cur = level{isCase: k == kindWord}
		case shut:
			cur = stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			outer -= cur.chain + cur.joins + 1
		}
		if outer+cur.chain+cur.joins > maxNesting {
			return true
		}
	}
}

// What a word does to nesting.
const (
	wordOther = iota
	wordCase
	wordEnd
	wordReset
	wordJoin
	wordChain
)

func nesting(w []byte) int {
	is := func(words ...string) bool {
		for _, s := range words {
			if foldEqual(w, s) {
				return true
			}
		}
		return false
	}
	switch {
	case len(w) > 9:
		return wordOther
	case is("case"):
		return wordCase
	case is("end"):
		return wordEnd
	case is("and", "or", "when", "then", "else"):
		return wordReset
	case is("union", "intersect", "except", "join"):
		return wordJoin
	case is("is", "between", "isnull", "notnull"):
		return wordChain
	}
	return wordOther
}
