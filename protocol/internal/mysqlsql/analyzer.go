package mysqlsql

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"unicode/utf8"

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
	// CacheBytes bounds the texts whose analysis is kept. 0 means 32 MiB, a
	// negative value turns that off.
	CacheBytes int
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

	// Temp says that the session may have created temporary tables, which the
	// catalog cannot show and whose names hide those of others.
	Temp bool

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
	cache   *cache
	parsing chan struct{}
}

// NewAnalyzer returns an Analyzer.
func NewAnalyzer(o Options) *Analyzer {
	if o.MaxText == 0 {
		o.MaxText = 16 << 20
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 32 << 20
	}
	a := &Analyzer{maxText: o.MaxText, parsing: make(chan struct{}, max(2, runtime.GOMAXPROCS(0)))}
	a.parsers.New = func() any { return parser.New() }
	if o.CacheBytes > 0 {
		a.cache = &cache{max: o.CacheBytes, m: map[string]*Script{}}
	}
	return a
}

// Analyze says what the statements in text do in a session with state st. It
// never returns nil: what cannot be analysed is one Opaque statement that says
// why. text is neither changed nor kept.
func (a *Analyzer) Analyze(text []byte, st *State) *Script {
	if why := refuse(text, st, a.maxText); why != "" {
		return opaqueScript(why)
	}
	key := a.cache.key(text, st)
	if s := a.cache.get(key, st); s != nil {
		return s
	}
	s := a.analyze(text, st)
	a.cache.put(key, s)
	return s
}

// refuse says why a text cannot be analysed at all, or "".
func refuse(text []byte, st *State, limit int) string {
	switch {
	case len(text) > limit:
		return "the text is longer than " + strconv.Itoa(limit) + " bytes"
	case bytes.IndexByte(text, 0) >= 0:
		return "the text holds a NUL byte"
	case !legible(text, st.Charset):
		return "its characters are not in UTF-8"
	}
	return ""
}

// legible reports whether the target is sure to read the same characters in
// text as the gateway does, as far as quotes, backslashes and names go.
func legible(text []byte, charset string) bool {
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
		}
		if v, known := mysql.Str2SQLMode[string(name)]; known {
			m |= v
		}
	}
	return m, true
}

const maxStatements = 10_000

// analyze parses and analyses text.
func (a *Analyzer) analyze(text []byte, st *State) (s *Script) {
	a.parsing <- struct{}{}
	defer func() { <-a.parsing }()
	defer func() {
		// A fault in the analysis must not pass for an answer.
		if r := recover(); r != nil {
			s = opaqueScript(fmt.Sprintf("the analysis failed: %v", r))
		}
	}()
	mode, ok := modeOf(st.Mode)
	if !ok {
		return opaqueScript("sql_mode " + st.Mode + " has a grammar of its own")
	}
	plain, why := plainText(text, st, mode)
	if why != "" {
		return opaqueScript(why)
	}
	stmts, why := a.parse(plain, mode)
	if why != "" {
		if one := simple(plain); one != nil {
			return &Script{Statements: []Statement{*one}}
		}
		return opaqueScript(why)
	}
	if len(stmts) > maxStatements {
		return opaqueScript("the text holds more than " + strconv.Itoa(maxStatements) + " statements")
	}
	s = &Script{}
	now := *st // as the statements before leave it
	for i, n := range stmts {
		p := newPass(&now)
		one := p.statement(n)
		if one.SetsState && i < len(stmts)-1 {
			// The target reads each statement when the one before is done.
			return opaqueScript("a statement that may change what those behind it mean")
		}
		now.Temp = now.Temp || one.CreatesTemp || one.Changes // the catalog is of before
		s.named, s.catalog = s.named || p.named, p.catalog
		_, digest := parser.NormalizeDigest(n.Text())
		if b := digest.Bytes(); len(b) >= 8 {
			one.Fingerprint = hex.EncodeToString(b[:8])
		}
		if one.Many && len(stmts) > 1 {
			// Which of the results are whose could not be told.
			return opaqueScript("several statements, of which one may return any number of results")
		}
		s.Statements = append(s.Statements, one)
	}
	return s
}

// parse returns the statements in text, or why it does not parse.
func (a *Analyzer) parse(text string, mode mysql.SQLMode) (stmts []ast.StmtNode, why string) {
	p := a.parsers.Get().(*parser.Parser)
	defer a.parsers.Put(p)
	p.Reset()
	p.SetSQLMode(mode)
	p.SetMariaDB(false)
	stmts, _, err := p.Parse(text, "utf8mb4", "utf8mb4_general_ci")
	if err != nil {
		return nil, "the text does not parse: " + firstLine(err.Error())
	}
	return stmts, ""
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
	return &Script{Statements: []Statement{opaque(why)}}
}

func opaque(why string) Statement {
	return Statement{Verb: protocol.Unknown, Access: protocol.Opaque, Shape: protocol.Rows, Why: why,
		SetsState: true, CreatesTemp: true, Changes: true, Many: true}
}
