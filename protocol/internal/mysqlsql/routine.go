package mysqlsql

import (
	"slices"
	"strings"
	"sync/atomic"

	"github.com/pingcap/tidb/pkg/parser/ast"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// A routine is the code of a stored function, a procedure or a trigger.
type routine struct {
	schema, name string
	text, mode   string // its body, and the sql_mode that it is read in
	params       []string
	gives        bool          // it may change variables that it is called with
	table        *sql.Relation // of a trigger
	event        string        // INSERT, UPDATE or DELETE

	read atomic.Pointer[work]
}

// work is what code does, whoever runs it. It is never changed once made.
type work struct {
	access    protocol.Access
	reads     sql.Sources
	writes    []protocol.ColumnRef
	objects   []protocol.Object
	sets      []string // user variables
	unknown   string   // why not all is known
	setsState bool
	changes   bool
	unbounded bool
	lost      bool // it leaves more behind than is followed
	keepsID   bool // LAST_INSERT_ID gets an argument
	settings  bool // a setting gets what is computed

	inferred []protocol.Inference
	quiet    bool // that is all it tells
}

// maxCalls bounds how deep routines are followed that call each other.
const maxCalls = 16

// work returns what the code of r does. Of code that runs itself that is not
// known.
func (p *pass) work(r *routine) *work {
	if w := r.read.Load(); w != nil {
		return w
	}
	if len(p.calling) >= maxCalls || slices.Contains(p.calling, r) {
		return &work{access: protocol.Execute, unknown: "routines that call each other", setsState: true, changes: true, lost: true}
	}
	w := p.analyse(r)
	r.read.Store(w)
	return w
}

func (p *pass) analyse(r *routine) *work {
	dark := func(why string) *work {
		return &work{access: protocol.Execute, unknown: why, setsState: true, changes: true, lost: true}
	}
	what := r.schema + "." + r.name
	if r.text == "" {
		return dark("the code of " + what + " is not shown to the gateway's account")
	}
	st := State{Database: r.schema, Mode: r.mode, Charset: "utf8mb4", Version: p.st.Version, MariaDB: p.st.MariaDB, Folded: p.st.Folded, inner: true}
	c := p.catalog
	st.Catalog = func() *sql.Catalog { return c }
	mode, ok := modeOf(r.mode)
	if why := refuse([]byte(r.text), &st, p.a.maxText); why != "" || !ok {
		return dark("the code of " + what + " cannot be read")
	}
	plain, why := plainText([]byte(r.text), &st, mode)
	st.right = hasRight(plain)
	list, ok := tokens(plain, escaping(mode), quoting(mode))
	if why != "" || !ok {
		return dark("the code of " + what + " cannot be read")
	}
	var q *pass
	var before map[string]remembered
	for range maxRounds {
		q = newPass(p.a, &st)
		q.calling, q.before, q.chain = append(slices.Clip(p.calling), r), before, p.chain
		b := body{p: q, list: list, mode: mode}
		for _, name := range r.params {
			b.local(name)
		}
		if r.table != nil {
			q.triggered(r)
		}
		b.read()
		if q.settled() {
			break
		}
		before = q.assigned
	}
	w := &work{access: q.access, reads: q.reads, writes: q.writes, objects: q.objects, unknown: q.unknown, setsState: q.setsState,
		changes: q.changes, unbounded: q.unbounded, keepsID: q.effects.keepsID, settings: q.sets, inferred: q.tells.Sorted(), quiet: q.tells.Known()}
	w.lost = q.effects.lost || q.effects.code || q.effects.creates != nil || len(q.effects.drops)+len(q.effects.prepares)+len(q.effects.handlers) > 0
	for name := range q.assigned {
		w.sets = append(w.sets, name)
	}
	return w
}

// triggered makes NEW and OLD known to a trigger. NEW of an INSERT is what the
// statement itself gives, whose own reading counts.
func (p *pass) triggered(r *routine) {
	s := &scope{parent: p.base}
	for _, name := range []string{"new", "old"} {
		it := &item{name: name, rel: r.table}
		for i, v := range p.st.Catalog().Lineage(r.table, nil) {
			if name == "new" && r.event == "INSERT" {
				v = known
			}
			it.cols = append(it.cols, col{strings.ToLower(r.table.Columns[i].Name), v, !certain(r.table.Columns[i].Name)})
		}
		s.items = append(s.items, it)
	}
	p.base = s
}

// does adds what code does to the statement that runs it with args, and returns what
// it may return.
func (p *pass) does(r *routine, kind, name string, args sql.Value) sql.Value {
	p.object(kind, name, protocol.Execute)
	p.notPure(kind + " " + name + " is not known to be harmless")
	w := p.work(r)
	p.access |= w.access | protocol.Execute
	p.reads = p.reads.Merge(w.reads)
	unknown := first(w.unknown, p.hidden(w.objects))
	for _, o := range w.objects {
		p.object(o.Kind, o.Name, o.Access)
	}
	for _, c := range w.writes {
		if !slices.Contains(p.writes, c) {
			p.writes = append(p.writes, c)
		}
	}
	if unknown != "" {
		p.notKnown(kind + " " + name + ": " + unknown)
	}
	if kind != "trigger" { // it runs for whatever is done to its table
		p.tells.Add(w.inferred, w.quiet && unknown == "")
		p.tells.Tell(args, protocol.HowComputed, r)
	}
	p.setsState, p.changes, p.unbounded = p.setsState || w.setsState, p.changes || w.changes, p.unbounded || w.unbounded
	v := sql.Value{Known: unknown == "" && args.Known, Sources: w.reads.Merge(args.Sources).Through(protocol.EdgeOpaque)}
	for _, name := range w.sets {
		p.assign(name, v)
	}
	if w.keepsID {
		p.keepID(v)
	}
	if p.sets = p.sets || w.settings; w.settings && (len(args.Sources) > 0 || !args.Known) {
		p.access |= protocol.Write // it may keep what it is given there
	}
	if w.lost {
		p.effects.code = true
		p.effects.lost = p.effects.lost || kind == "procedure"
	}
	return v
}

// hidden says why names of tables in code that is analysed for all sessions may
// mean others in this one, or "": temporary tables come first.
func (p *pass) hidden(objects []protocol.Object) string {
	if len(p.calling) > 0 {
		return "" // whoever calls asks
	}
	for _, o := range objects {
		schema, table, ok := strings.Cut(o.Name, ".")
		if !ok || o.Kind != "table" && o.Kind != "view" {
			continue
		}
		if p.st.Memory == nil || p.st.Memory.lost || p.temp(schema, table) != nil {
			return "a temporary table may be meant by " + table
		}
	}
	return ""
}

// routineOf returns the code of a routine by its name, nil if it is not known.
func (p *pass) routineOf(kind byte, schema, name string) *routine {
	p.named = true
	if p.catalog = p.st.catalog(); p.catalog == nil {
		return nil
	}
	if schema == "" {
		schema = p.database
	}
	for _, f := range p.catalog.Functions(strings.ToLower(name)) {
		if f.Kind == kind && (f.Schema == schema || p.st.Folded && strings.EqualFold(f.Schema, schema)) {
			r, _ := f.Code.(*routine)
			return r
		}
	}
	return nil
}

// procedure notes what a CALL does.
func (p *pass) procedure(n *ast.FuncCallExpr, name string, args sql.Value, s *Statement) {
	r := p.routineOf('p', n.Schema.O, n.FnName.O)
	if r == nil {
		p.runs("procedure", name)
		p.effects.code, p.effects.lost, s.Changes = true, true, true
		return
	}
	v := p.does(r, "procedure", r.schema+"."+r.name, args)
	p.given(n.Args, v)
}

// given notes what code gives back through its arguments: it may be anything that it
// was given or has read, which is v.
func (p *pass) given(args []ast.ExprNode, v sql.Value) {
	var names []string
	for _, a := range args {
		switch x := unparenthesised(a).(type) {
		case ast.ParamMarkerExpr:
			names = append(names, p.st.given...)
		case *ast.VariableExpr:
			if !x.IsSystem {
				names = append(names, nameKey(x.Name))
			}
		}
	}
	for _, name := range names {
		own := p.st.Memory.variable(name).val
		p.assign(name, join(v, through(own, protocol.EdgeTransform)))
	}
}
