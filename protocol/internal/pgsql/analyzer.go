package pgsql

import (
	"bytes"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"unicode/utf8"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// Options bound an Analyzer. The zero Options are good defaults.
type Options struct {
	// MaxText is the longest text that is analysed, in bytes; what is longer is
	// Opaque. 0 means 4 MiB.
	MaxText int

	// CacheEntries and CacheBytes bound the cache. 0 means 10,000 entries and
	// 64 MiB; a negative value turns the cache off.
	CacheEntries int
	CacheBytes   int
}

// An Analyzer analyses statements. It is safe for concurrent use and may serve
// any number of sessions and targets.
type Analyzer struct {
	maxText int
	cache   *sql.Cache[Script]
	bufs    sync.Pool
	parsing chan struct{} // bounds the threads that the C parser takes
	long    chan struct{} // the same for long texts, for which short ones must not wait
}

// NewAnalyzer returns an Analyzer.
func NewAnalyzer(o Options) *Analyzer {
	if o.MaxText == 0 {
		o.MaxText = 4 << 20
	}
	if o.CacheEntries == 0 {
		o.CacheEntries = 10_000
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 64 << 20
	}
	a := &Analyzer{maxText: o.MaxText, parsing: make(chan struct{}, max(2, runtime.GOMAXPROCS(0))), long: make(chan struct{}, 1)}
	if o.CacheEntries > 0 && o.CacheBytes > 0 {
		a.cache = sql.NewCache[Script](o.CacheEntries, o.CacheBytes)
	}
	a.bufs.New = func() any { b := make([]byte, 0, 1<<10); return &b }
	return a
}

// Analyze says what the statements in text do in a session with state st; nil
// is the zero State. It never returns nil: what cannot be analysed is one
// Opaque statement that says why. text is neither changed nor kept.
//
// A text that was analysed before, or one like it that differs in literals
// which do not matter, white space and comments only, is not parsed again: that
// takes no memory and a fraction of a microsecond.
func (a *Analyzer) Analyze(text []byte, st *State) *Script {
	if st == nil {
		st = &State{}
	}
	if why := refuse(text, st, a.maxText); why != "" {
		return opaqueScript(why)
	}
	if a.cache == nil || len(text) > maxShaped {
		s, _ := a.analyze(text, st)
		return s
	}
	buf := a.bufs.Get().(*[]byte)
	defer a.bufs.Put(buf)
	prefix := appendState((*buf)[:0], st)
	key, shaped := appendShape(append(prefix, 's'), text)
	*buf = key
	if shaped {
		s, found := a.cache.Get(key)
		if s != nil {
			return s
		}
		if found {
			shaped = false // its literals matter
		}
	}
	var exactKey []byte
	if !shaped {
		// The shape is no longer needed.
		exactKey = append(append(key[:len(prefix)], 'x'), text...)
		*buf = exactKey
		if s, _ := a.cache.Get(exactKey); s != nil {
			return s
		}
	}
	s, exact := a.analyze(text, st)
	switch {
	case !shaped:
		a.cache.Put(exactKey, s, scriptSize(s))
	case exact:
		a.cache.Put(key, nil, scriptSize(nil))
		exactKey = append(append(key[:len(prefix)], 'x'), text...)
		*buf = exactKey
		a.cache.Put(exactKey, s, scriptSize(s))
	default:
		a.cache.Put(key, s, scriptSize(s))
	}
	return s
}

// appendState appends to dst all of st that changes what a text means. The role
// does not: what depends on it is expanded in the search_path.
func appendState(dst []byte, st *State) []byte {
	if st.Catalog != nil {
		k := st.Catalog.Key()
		dst = append(append(dst, 'c'), k[:]...)
	} else if st.Guess != nil {
		k := st.Guess.Key()
		dst = append(append(dst, 'g'), k[:]...)
	} else {
		dst = append(dst, 'n')
	}
	flags := byte('0')
	if st.StandardStrings {
		flags |= 1
	}
	if st.Temp {
		flags |= 2
	}
	if st.Outdated {
		flags |= 4
	}
	dst = append(dst, flags)
	for _, list := range [...][]string{st.SearchPath, st.TempNames} {
		for _, s := range list {
			dst = append(dst, byte(len(s)>>8), byte(len(s)), '/')
			dst = append(dst, s...)
		}
		dst = append(dst, 0xff, 0xff, 0xff)
	}
	return dst
}

// analyze parses and analyses text. exact says that the result holds for this
// text only.
func (a *Analyzer) analyze(text []byte, st *State) (s *Script, exact bool) {
	if tooMany(text) {
		return opaqueScript(whyTooMany), true
	}
	slots := a.parsing
	if len(text) > maxShaped {
		slots = a.long
	}
	slots <- struct{}{}
	defer func() { <-slots }()
	defer func() {
		// A fault in the analysis must not pass for an answer.
		if r := recover(); r != nil {
			s, exact = opaqueScript(fmt.Sprintf("the analysis failed: %v", r)), true
		}
	}()
	tree, why := parseBounded(text, a.maxText)
	if why != "" {
		return opaqueScript(why), true
	}
	if len(tree.Stmts) > maxStatements {
		return opaqueScript(whyTooMany), true
	}
	p := newPass(st)
	s = &Script{}
	semis, known := semicolons(text)
	for _, raw := range tree.Stmts {
		from, to := extent(text, raw)
		one := p.statement(raw.Stmt)
		if f, err := fingerprintText(string(text[from:to])); err == nil {
			one.Fingerprint = fmt.Sprintf("%016x", f)
		}
		s.Statements = append(s.Statements, one)
		if known {
			s.between = append(s.between, [2]int{before(semis, from), before(semis, to)})
		} else {
			s.offsets = append(s.offsets, [2]int{from, to})
		}
	}
	return s, p.literal
}

// maxStatements bounds the statements of one text. What is kept of each is a
// hundred times as long as the shortest, and fingerprinting them takes a parser
// for so long that other sessions would wait.
const maxStatements = 10_000

var whyTooMany = "the text holds more than " + strconv.Itoa(maxStatements) + " statements"

// tooMany reports whether a text is known, without the parser, to hold more
// than maxStatements.
func tooMany(text []byte) bool {
	if bytes.Count(text, []byte{';'}) <= maxStatements {
		return false
	}
	at, ok := semicolons(text)
	return ok && len(at) > maxStatements
}

// refuse says why a text cannot be analysed at all, or "".
func refuse(text []byte, st *State, limit int) string {
	switch {
	case len(text) > limit:
		return "the text is longer than " + strconv.Itoa(limit) + " bytes"
	case bytes.IndexByte(text, 0) >= 0:
		return "the text holds a NUL byte"
	case !utf8.Valid(text):
		return "the text is not valid UTF-8"
	case !st.StandardStrings && bytes.IndexByte(text, '\\') >= 0:
		return "the text holds a backslash while standard_conforming_strings is off"
	case st.ForeignNames && foreignNames(text):
		return "the text holds a name that the server may read otherwise in its own encoding"
	}
	return ""
}

// maxName is how many bytes of a name the server looks at, in its own encoding.
const maxName = 63

// foreignNames reports whether text may hold a name that is cut elsewhere, or folded to
// other letters, in another encoding than UTF-8.
func foreignNames(text []byte) bool {
	l := lexer{text: text, lenient: true}
	for {
		from := l.pos
		k := l.next()
		switch token := text[from:l.pos]; {
		case k == kindEnd:
			return false
		case k == kindUnclear:
			return true
		case k == kindQuoted && len(token) > maxName+len(`""`):
			return true
		case k == kindWord && bytes.ContainsFunc(token, func(r rune) bool { return r >= utf8.RuneSelf }):
			return true
		}
	}
}

// parseBounded parses text unless it could exhaust the parser's stack.
func parseBounded(text []byte, limit int) (tree *pg.ParseResult, why string) {
	if len(text) > limit {
		return nil, "the text is longer than " + strconv.Itoa(limit) + " bytes"
	}
	if tooDeep(text) {
		return nil, "the text is nested too deep"
	}
	tree, err := parseText(string(text))
	if err != nil {
		return nil, "the text does not parse: " + err.Error()
	}
	return tree, ""
}

func opaqueScript(why string) *Script {
	return &Script{
		Statements: []Statement{{
			Verb:   protocol.Unknown,
			Access: protocol.Opaque,
			Shape:  protocol.Rows | protocol.Bytes, // whatever comes
			Why:    why,
			Effect: Effect{Flags: RunsCode | DDL | SetsState | CreatesTemp},
		}},
		between: [][2]int{{0, -1}},
	}
}
