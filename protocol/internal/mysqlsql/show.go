package mysqlsql

import (
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// shown are the forms of SHOW that show definitions, settings and counters, and
// no data.
var shown = map[ast.ShowStmtType]protocol.Verb{
	ast.ShowEngines: "show engines", ast.ShowDatabases: "show databases", ast.ShowTables: "show tables", ast.ShowTableStatus: "show table status",
	ast.ShowColumns: "show columns", ast.ShowCharset: "show character set", ast.ShowVariables: "show variables", ast.ShowStatus: "show status",
	ast.ShowCollation: "show collation", ast.ShowCreateTable: "show create table", ast.ShowCreateView: "show create view",
	ast.ShowCreateSequence: "show create sequence", ast.ShowGrants: "show grants", ast.ShowTriggers: "show triggers",
	ast.ShowProcedureStatus: "show procedure status", ast.ShowFunctionStatus: "show function status", ast.ShowIndex: "show index",
	ast.ShowCreateDatabase: "show create database", ast.ShowEvents: "show events", ast.ShowPlugins: "show plugins",
	ast.ShowMasterStatus: "show master status", ast.ShowBinlogStatus: "show binary log status", ast.ShowReplicaStatus: "show replica status",
	ast.ShowPrivileges: "show privileges", ast.ShowOpenTables: "show open tables", ast.ShowCreateProcedure: "show create procedure",
}

func (p *pass) show(n *ast.ShowStmt, s *Statement) {
	s.Shape = protocol.Rows
	p.access |= protocol.Read
	var ok bool
	if s.Verb, ok = shown[n.Tp]; !ok {
		s.Verb = "show"
	}
	switch {
	case n.Tp == ast.ShowWarnings || n.Tp == ast.ShowErrors:
		if n.CountWarningsOrErrors {
			break
		}
		s.Columns = p.columnsOf("Level Code", "Message", p.messages())
	case n.Tp == ast.ShowVariables:
		s.Columns = p.columnsOf("Variable_name", "Value", p.insertID()) // which is one of them
	case n.Tp == ast.ShowProcessList:
		names := "Id User Host db Command Time State"
		p.notKnown("it shows what other sessions run")
		if s.Columns = p.columnsOf(names, "Info", sql.Value{}); p.st.MariaDB {
			s.Columns = append(s.Columns, p.columnsOf("Progress", "", known)...)
		}
	case !ok:
		p.notKnown("what it shows may be what others sent")
	}
	if n.Table != nil {
		p.object("table", p.name(n.Table), protocol.Read)
	}
	if n.DBName != "" {
		p.object("database", n.DBName, protocol.Read)
	}
	p.condition(n.Where, &scope{parent: p.base, open: p.unknown != "", shows: true})
}

// columnsOf returns columns that show nothing of anybody's data, and one more
// with a value of its own.
func (p *pass) columnsOf(plain, last string, v sql.Value) (out []protocol.Column) {
	for _, name := range strings.Fields(plain) {
		out = append(out, protocol.Column{Name: name, Known: true})
	}
	if last != "" {
		out = append(out, protocol.Column{Name: last, Known: v.Known, Sources: v.Sources})
	}
	return out
}

// messages is what the target's messages about earlier statements may hold.
func (p *pass) messages() sql.Value {
	p.remembers = true
	v := p.st.Memory.messages()
	if !v.Known {
		p.notKnown("what the messages are about is not known")
	}
	return p.use(v)
}

// showForms are the forms of SHOW that the grammar lacks and that show
// definitions, settings and counters only.
var showForms = set(`package function procedure trigger event slave all replica replicas binary locales authors contributors
profiles storage table_statistics index_statistics client_statistics user_statistics create index indexes keys count session local global
status variables plugins generic`)

func (p *pass) showForm(r *reading) Statement {
	p.access |= protocol.Read
	s := Statement{Verb: "show", Shape: protocol.Rows, Bounded: true}
	second := r.token(1)
	if !within(showForms, second.text) || second.is("PROFILES", "ALL", "BINARY", "SLAVE", "REPLICA") && !r.token(2).is("STATUS", "HOSTS", "LOGS", "SLAVES") {
		p.notKnown("what it shows may be what others sent")
	}
	if second.is("VARIABLES") || r.token(2).is("VARIABLES") { // as SHOW LOCAL VARIABLES
		s.Columns = p.columnsOf("Variable_name", "Value", p.insertID())
	}
	if second.is("CREATE") && r.token(2).is("USER") {
		p.notKnown("it shows a secret")
	}
	for i := range r.list {
		if r.list[i].is("SELECT", "CODE") {
			return opaque("a form of SHOW that is not known here")
		}
	}
	r.until("WHERE")
	if r.accept("WHERE") {
		base := p.base
		p.base = &scope{parent: base, open: p.unknown != "", shows: true}
		r.expression(r.until())
		p.base = base
	}
	return r.done(s)
}
