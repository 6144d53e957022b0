package mysqlsql

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
	"unsafe"

	"github.com/pingcap/tidb/pkg/parser"
	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/mysql"
	_ "github.com/pingcap/tidb/pkg/parser/test_driver" // the parser's own values of literals

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// Options bound an Analyzer. The zero Options are good defaults.
type Options struct {
	// MaxText is the longest text that is analysed, in bytes; what is longer is
	// Opaque. 0 means 16 MiB.
	MaxText int
	// CacheEntries and CacheBytes bound what is kept of analyses. 0 means 10,000
	// entries and 64 MiB; a negative value turns the cache off.
	CacheEntries, CacheBytes int
}

// A State is the part of a session's state that changes what a statement means.
// It is read during the call only. The zero State knows nothing.
type State struct {
	// Catalog returns the target's catalog as of now, nil if it is not known. It
	// is called only for statements with names in them. nil: there is none.
	Catalog func() *sql.Catalog

	Database string // where names without a schema are looked up
	Mode     string // sql_mode
	Charset  string // character_set_client; "": not known
	Version  int    // of the target, such as 80036 or 101114; 0: not known
	MariaDB  bool
	Folded   bool // names of tables are not case sensitive (lower_case_table_names)

	// Memory is what the session has left behind. nil: not known.
	Memory *Memory

	params sql.Value // what ? stands for, in a text that was prepared in SQL
	given  []string  // the user variables that ? may give something back to
	inner  bool      // the text is one that was prepared in SQL
	right  bool      // the text may have a RIGHT JOIN

	cat    *sql.Catalog
	looked bool
}

// catalog returns the catalog, which it asks for once: one text is looked at
// with one.
func (st *State) catalog() *sql.Catalog {
	if !st.looked && st.Catalog != nil {
		st.cat = st.Catalog()
	}
	st.looked = true
	return st.cat
}

// An Analyzer analyses statements. It is safe for concurrent use and may serve
// any number of sessions and targets.
type Analyzer struct {
	maxText int
	parsers sync.Pool
	cache   *sql.Cache[Script]
	bufs    sync.Pool // keys
	parsing chan struct{}
}

// NewAnalyzer returns an Analyzer.
func NewAnalyzer(o Options) *Analyzer {
	if o.MaxText == 0 {
		o.MaxText = 16 << 20
	}
	if o.CacheEntries == 0 {
		o.CacheEntries = 10_000
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 64 << 20
	}
	a := &Analyzer{maxText: o.MaxText, parsing: make(chan struct{}, max(2, runtime.GOMAXPROCS(0)))}
	a.parsers.New = func() any { return parser.New() }
	a.bufs.New = func() any { return new([]byte) }
	if o.CacheEntries > 0 && o.CacheBytes > 0 {
		a.cache = sql.NewCache[Script](o.CacheEntries, o.CacheBytes)
	}
	return a
}

// Analyze says what the statements in text do in a session with state st. It
// never returns nil: what cannot be analysed is one Opaque statement that says
// why. text is neither changed nor kept.
//
// A text that was analysed before, or one like it that differs in literals
// which do not matter, white space and comments only, is not parsed again,
// unless what the session has left behind matters.
func (a *Analyzer) Analyze(text []byte, st *State) *Script {
	if why := refuse(text, st, a.maxText); why != "" {
		return opaqueScript(why)
	}
	if a.cache == nil || len(text) > maxShaped || st.Memory != nil && len(st.Memory.temps) > 0 {
		s, _ := a.analyze(text, st)
		return s
	}
	buf := a.bufs.Get().(*[]byte)
	defer a.bufs.Put(buf)
	prefix := appendState((*buf)[:0], st)
	escapes, ansi := !strings.Contains(st.Mode, "NO_BACKSLASH_ESCAPES"), strings.Contains(st.Mode, "ANSI")
	key, shaped := appendShape(append(prefix, 's'), unsafeString(text), escapes, ansi)
	*buf = key
	if shaped {
		s, found := a.cache.Get(key)
		if s != nil && s.holds(st) {
			return s
		}
		if found && s == nil {
			shaped = false // its literals matter
		}
	}
	if !shaped {
		key = append(append(key[:len(prefix)], 'x'), text...)
		*buf = key
		if s, _ := a.cache.Get(key); s != nil && s.holds(st) {
			return s
		}
	}
	s, exact := a.analyze(text, st)
	if shaped && exact {
		a.cache.Put(key, nil, 0)
		key = append(append(key[:len(prefix)], 'x'), text...)
		*buf = key
	}
	if !s.remembers {
		a.cache.Put(key, s, s.size())
	}
	return s
}

// unsafeString returns b as a string while nobody changes b.
func unsafeString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// refuse says why a text cannot be analysed at all, or "".
func refuse(text []byte, st *State, limit int) string {
	switch {
	case len(text) > limit:
		return "the text is longer than " + strconv.Itoa(limit) + " bytes"
	case bytes.IndexByte(text, 0) >= 0:
		return "the text holds a NUL byte"
	case !Legible(text, st.Charset):
		return "its characters are not in UTF-8"
	case namesBeyond(unsafeString(text), st.Mode):
		return "a name has a character beyond U+FFFF, for which the server may read another"
	}
	return ""
}

// namesBeyond reports whether a name in text may have a character beyond U+FFFF, which
// names cannot have: MySQL reads a question mark.
func namesBeyond(text, mode string) bool {
	beyond := func(s string) bool {
		for b := byte(0xf0); b <= 0xf4; b++ { // what such a character begins with in UTF-8
			if strings.IndexByte(s, b) >= 0 {
				return true
			}
		}
		return false
	}
	if !beyond(text) {
		return false
	}
	l := lexer{text: text, escapes: !strings.Contains(mode, "NO_BACKSLASH_ESCAPES"), ansi: strings.Contains(mode, "ANSI")}
	for {
		from := l.pos
		switch k := l.next(); {
		case k == kindEnd:
			return false
		case k == kindUnclear:
			return beyond(text[from:])
		case k != kindString && k != kindSpace && beyond(text[from:l.pos]):
			return true
		}
	}
}

// Legible reports whether the target is sure to read the same characters in
// text as the gateway does, as far as quotes, backslashes and names go.
func Legible(text []byte, charset string) bool {
	ascii := true
	for _, b := range text {
		if b >= 0x80 {
			ascii = false
			break
		}
	}
	switch charset {
	case "utf8mb4", "utf8mb3", "utf8":
		return ascii || utf8.Valid(text)
	case "latin1", "ascii", "binary", "latin2", "latin5", "latin7", "cp1250", "cp1251", "cp1256", "cp1257", "cp850", "cp852", "cp866",
		"koi8r", "koi8u", "greek", "hebrew", "macroman", "macce", "keybcs2", "armscii8", "geostd8", "dec8", "hp8", "tis620":
		return ascii
	case "gbk", "gb2312", "gb18030", "big5", "sjis", "cp932", "ujis", "eucjpms", "euckr":
		return ascii
	}
	return charset == "" && ascii // not known: no client's character set reads ASCII otherwise, but for swe7
}

// modeOf returns the parser's form of sql_mode, and false if a mode may change
// the grammar in a way that is not known here.
func modeOf(mode string) (m mysql.SQLMode, ok bool) {
	if mode == "" {
		return 0, true
	}
	for _, name := range bytes.Split([]byte(mode), []byte{','}) {
		switch string(name) {
		case "ORACLE", "MSSQL", "DB2", "MAXDB", "POSTGRESQL": // other grammars, or more of them than one mode
			return 0, false
		case "IGNORE_BAD_TABLE_OPTIONS", "EMPTY_STRING_IS_NULL", "SIMULTANEOUS_ASSIGNMENT", "TIME_ROUND_FRACTIONAL", "TIME_TRUNCATE_FRACTIONAL":
			continue // what a text's values are, not how it is read
		}
		v, known := mysql.Str2SQLMode[string(name)]
		if !known {
			return 0, false
		}
		m |= v
	}
	return m, true
}

// maxStatements bounds the statements of one text.
const (
	maxStatements  = 10_000
	manyStatements = "the text holds more than 10,000 statements"
)

// analyze parses and analyses text. exact says that the result holds for this
// text only.
func (a *Analyzer) analyze(text []byte, st *State) (s *Script, exact bool) {
	a.parsing <- struct{}{}
	defer func() { <-a.parsing }()
	defer func() {
		// A fault in the analysis must not pass for an answer.
		if r := recover(); r != nil {
			s, exact = opaqueScript(fmt.Sprintf("the analysis failed: %v", r)), true
		}
	}()
	s = a.parsed(text, st)
	return s, s.literal
}

// parsed is analyze for a text within another.
func (a *Analyzer) parsed(text []byte, st *State) (s *Script) {
	mode, ok := modeOf(st.Mode)
	if !ok {
		return opaqueScript("sql_mode " + st.Mode + " has a grammar of its own")
	}
	plain, why := plainText(text, st, mode)
	if why != "" {
		return opaqueScript(why)
	}
	units, why := a.units(plain, mode, st.MariaDB)
	if why != "" {
		return opaqueScript(why)
	}
	s = &Script{}
	now := *st // as the statements before leave it
	now.right = hasRight(plain)
	if len(units) > 1 {
		now.Memory = st.Memory.clone()
	}
	for i := range units {
		one, p := a.unit(&units[i], &now)
		if one.SetsState && i < len(units)-1 {
			// The target reads each statement when the one before is done.
			return opaqueScript("a statement that may change what those behind it mean")
		}
		if i < len(units)-1 {
			if now.Memory == nil {
				now.Memory = &Memory{lost: true, code: true, dark: true}
			}
			now.Memory.Sent(&one)
			now.Memory.Done(&one)
			now.Memory.lost = now.Memory.lost || one.Changes // the catalog is of before
		}
		s.named, s.remembers = s.named || p.named, s.remembers || p.remembers
		s.literal = s.literal || p.literal
		s.catalog = p.catalog
		one.Fingerprint = units[i].fingerprint()
		if one.Many && len(units) > 1 {
			// Which of the results are whose could not be told.
			return opaqueScript("several statements, of which one may return any number of results")
		}
		s.Statements = append(s.Statements, one)
	}
	return s
}

func hasRight(text string) bool {
	for i := range len(text) {
		if (text[i] == 'r' || text[i] == 'R') && len(text)-i >= 5 && foldEqual(text[i:i+5], "right") {
			return true
		}
	}
	return false
}

// unit analyses one statement. What it assigns to variables it may read itself,
// in the row behind: it is looked at until nothing is added.
func (a *Analyzer) unit(u *unit, st *State) (Statement, *pass) {
	var assigned map[string]remembered
	for range maxRounds {
		p := newPass(a, st)
		p.before = assigned
		s := p.unit(u)
		if p.settled() {
			return s, p
		}
		assigned = p.assigned
	}
	return opaque("variables that are assigned from each other"), newPass(a, st)
}

// parse returns the statements in text, or why it does not parse.
func (a *Analyzer) parse(text string, mode mysql.SQLMode) (stmts []ast.StmtNode, why string) {
	p := a.parsers.Get().(*parser.Parser)
	defer func() {
		if r := recover(); r != nil { // a decimal of more than 81 digits
			stmts, why = nil, "the text does not parse: "+firstLine(fmt.Sprint(r))
			return
		}
		a.parsers.Put(p)
	}()
	p.Reset()
	p.SetSQLMode(mode)
	p.SetMariaDB(false)
	stmts, _, err := p.Parse(text, "utf8mb4", "utf8mb4_general_ci")
	if err != nil {
		return nil, "the text does not parse: " + firstLine(err.Error())
	}
	return slices.Clone(stmts), "" // the parser's own, which it fills again for the next text
}

func firstLine(s string) string {
	const most = 200
	for i, r := range s {
		if r == '\n' || i > most {
			return s[:i]
		}
	}
	return s
}

func opaqueScript(why string) *Script {
	return &Script{Statements: []Statement{opaque(why)}, literal: true}
}

func opaque(why string) Statement {
	return Statement{Verb: protocol.Unknown, Access: protocol.Opaque, Shape: protocol.Rows, Why: why,
		SetsState: true, Changes: true, Many: true, effects: &effects{lost: true, code: true}}
}
