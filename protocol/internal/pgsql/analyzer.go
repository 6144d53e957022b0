package pgsql

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf8"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/sallyport-dev/gateway/protocol"
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
}

// NewAnalyzer returns an Analyzer.
func NewAnalyzer(o Options) *Analyzer {
	if o.MaxText == 0 {
		o.MaxText = 4 << 20
	}
	return &Analyzer{maxText: o.MaxText}
}

// Analyze says what the statements in text do in a session with state st. It
// never returns nil: what cannot be analysed is one Opaque statement that says
// why. text is neither changed nor kept.
func (a *Analyzer) Analyze(text []byte, st *State) *Script {
	if st == nil {
		st = &State{}
	}
	s, _ := a.analyze(text, st)
	return s
}

// analyze parses and analyses text. exact says that the result holds for this
// text only.
func (a *Analyzer) analyze(text []byte, st *State) (s *Script, exact bool) {
	if why := refuse(text, st, a.maxText); why != "" {
		return opaqueScript(why), true
	}
	str := string(text)
	tree, why := parseBounded(str, a.maxText)
	if why != "" {
		return opaqueScript(why), true
	}
	p := newPass(st)
	s = &Script{}
	for _, raw := range tree.Stmts {
		from, to := extent(str, raw)
		st := p.statement(raw.Stmt)
		if f, err := fingerprintText(str[from:to]); err == nil {
			st.Fingerprint = fmt.Sprintf("%016x", f)
		}
		s.Statements = append(s.Statements, st)
		s.offsets = append(s.offsets, [2]int{from, to})
	}
	return s, p.literal
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
	}
	return ""
}

// parseBounded parses text unless it could exhaust the parser's stack.
func parseBounded(text string, limit int) (tree *pg.ParseResult, why string) {
	if len(text) > limit {
		return nil, "the text is longer than " + strconv.Itoa(limit) + " bytes"
	}
	tree, err := parseText(text)
	if err != nil {
		return nil, "the text does not parse: " + err.Error()
	}
	return tree, ""
}

// extent returns where a statement is in the text, without the white space
// around it and without the semicolon after it.
func extent(text string, raw *pg.RawStmt) (from, to int) {
	from, to = int(raw.StmtLocation), len(text)
	if raw.StmtLen > 0 {
		to = from + int(raw.StmtLen)
	}
	for from < to && space(text[from]) {
		from++
	}
	for to > from && space(text[to-1]) {
		to--
	}
	return from, to
}

func space(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'
}

// Texts returns the text of each statement in text, which must be the one that
// was analysed, in order and byte for byte, without the white space around.
func (s *Script) Texts(text []byte) []string {
	out := make([]string, len(s.Statements))
	for i := range out {
		out[i] = string(text[s.offsets[i][0]:s.offsets[i][1]])
	}
	return out
}

func opaqueScript(why string) *Script {
	return &Script{
		Statements: []Statement{{Verb: protocol.Unknown, Access: protocol.Opaque, Why: why, Effect: Effect{Flags: RunsCode | DDL | SetsState | CreatesTemp}}},
	}
}
