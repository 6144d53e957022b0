package mysqlsql

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// shop is a session in a database with two tables, a view and a function.
func shop(a *Analyzer) *State {
	table := func(oid uint32, name string, columns ...string) *sql.Relation {
		r := &sql.Relation{OID: sql.FirstUserOID + oid, Schema: "shop", Name: name, Kind: sql.Table}
		for i, c := range columns {
			typ := uint32(typeText)
			if c == "id" || c == "customer" {
				typ = typeNumber
			}
			r.Columns = append(r.Columns, sql.Column{Num: int16(i + 1), Name: c, Type: typ})
		}
		return r
	}
	view := table(3, "contacts", "id", "contact")
	view.Kind, view.Definition = sql.View, "select `c`.`id` AS `id`,`c`.`email` AS `contact` from `shop`.`customers` `c`"
	logged := table(4, "logged", "a")
	logged.Triggers = "trigger t"
	st := &State{Database: "shop", Charset: "utf8mb4", Version: 101114, MariaDB: true}
	cat := sql.New(sql.Snapshot{Relations: []*sql.Relation{table(1, "customers", "id", "name", "email"), table(2, "orders", "id", "customer", "item"), view, logged},
		Functions: []*sql.Function{{Schema: "shop", Name: "regexp_like", Kind: 'f'}}}, expandView(a, *st))
	st.Catalog = func() *sql.Catalog { return cat }
	st.Memory = &Memory{}
	return st
}

func one(t testing.TB, a *Analyzer, st *State, text string) Statement {
	t.Helper()
	s := a.Analyze([]byte(text), st)
	require.Len(t, s.Statements, 1, text)
	return s.Statements[0]
}

func names(refs []protocol.ColumnRef) string {
	var out []string
	for _, r := range refs {
		out = append(out, r.Table+"."+r.Column)
	}
	return strings.Join(out, " ")
}

func TestAnalyze(t *testing.T) {
	a := NewAnalyzer(Options{})
	st := shop(a)
	for _, c := range []struct {
		text          string
		verb          protocol.Verb
		access        protocol.Access
		pure, bounded bool
		reads         string // "?": not known
		writes        string
	}{
		{"select name from customers", "select", protocol.Read, true, true, "customers.name", ""},
		{"select * from customers where email = 'x'", "select", protocol.Read, true, true, "customers.email customers.id customers.name", ""},
		{"select contact from contacts", "select", protocol.Read, true, true, "contacts.contact customers.email customers.id", ""},
		{"select name from customers for update", "select", protocol.Read, false, true, "customers.name", ""},
		{"select upper(name), now() from customers", "select", protocol.Read, true, true, "customers.name", ""},
		{"select secret(1)", "select", protocol.Read | protocol.Execute, false, true, "?", ""},
		{"select regexp_like(name, 'x') from customers", "select", protocol.Read | protocol.Execute, false, true, "?", ""},
		{"select get_lock('a', 1)", "select", protocol.Read | protocol.Control, false, true, "", ""},
		{"select @a", "select", protocol.Read, true, true, "", ""},
		{"select @a := 1", "select", protocol.Read | protocol.Control, false, true, "", ""},
		{"select a from nothing", "select", protocol.Read, false, true, "?", ""},
		{"table orders", "table", protocol.Read, true, true, "orders.customer orders.id orders.item", ""},
		{"insert into orders (item) values ('x')", "insert", protocol.Write, false, true, "", "orders.item"},
		{"insert into orders (item) select email from customers", "insert", protocol.Write | protocol.Read, false, true, "customers.email", "orders.item"},
		{"insert into logged values (1)", "insert", protocol.Write | protocol.Execute, false, true, "?", "logged.*"},
		{"update customers set name = 'x'", "update", protocol.Write, false, false, "", "customers.name"},
		{"update customers set name = 'x' where id = id", "update", protocol.Write, false, false, "customers.id", "customers.name"},
		{"update customers set name = 'x' where 1 = 1 or id = 2", "update", protocol.Write, false, false, "customers.id", "customers.name"},
		{"update customers set name = 'x' where id = 2", "update", protocol.Write, false, true, "customers.id", "customers.name"},
		{"update contacts set contact = 'x' where id = 2", "update", protocol.Write, false, true, "contacts.id customers.email customers.id", "contacts.contact customers.*"},
		{"delete from orders", "delete", protocol.Write, false, false, "", "orders.*"},
		{"delete o from orders o join customers c on c.id = o.customer where c.id = 1", "delete", protocol.Write | protocol.Read, false, true, "customers.id orders.customer", "orders.*"},
		{"truncate orders", "truncate table", protocol.Write, false, false, "", "orders.*"},
		{"drop table orders", "drop table", protocol.Schema, false, true, "", "orders.*"},
		{"create table t (a int) engine = federated", "create table", protocol.Schema | protocol.Admin, false, true, "", "t.*"},
		{"create table t as select email from customers", "create table as", protocol.Schema | protocol.Read | protocol.Write, false, true, "customers.email", "t.*"},
		{"grant all on *.* to x", "grant", protocol.Admin, false, true, "", ""},
		{"set autocommit = 0", "set", protocol.Control, false, true, "", ""},
		{"set global max_connections = 1", "set", protocol.Control | protocol.Admin, false, true, "", ""},
		{"set @a = (select email from customers)", "set", protocol.Control | protocol.Read, false, true, "customers.email", ""},
		{"begin", "begin", protocol.Control, false, true, "", ""},
		{"use other", "use", protocol.Control, false, true, "", ""},
		{"call p()", "call", protocol.Execute, false, true, "?", ""},
		{"kill query 7", "kill", protocol.Admin, false, true, "", ""},
		{"show tables", "show tables", protocol.Read, true, true, "", ""},
		{"show full processlist", "show", protocol.Read, true, true, "?", ""},
		{"explain delete from orders", "explain", protocol.Read, true, true, "", ""},
		{"execute s", "execute", protocol.Opaque, false, false, "?", ""},
		{"select email into @a from customers", "select", protocol.Read | protocol.Control, false, true, "customers.email", ""},
		{"delete from orders returning item", "delete", protocol.Write | protocol.Read, false, false, "orders.item", "orders.*"},
		{"set @@persist.max_connections = 1", "set", protocol.Admin | protocol.Control, false, true, "", ""},
		{"set @@validate_password.length = 1", "set", protocol.Admin | protocol.Control, false, true, "", ""},
		{"create or replace table orders (a int)", "create table", protocol.Write | protocol.Schema, false, false, "", "orders.*"},
		{"create or replace table orders (a uuid invisible)", "create table", protocol.Write | protocol.Schema, false, false, "", "orders.*"},
		{"selec 1", protocol.Unknown, protocol.Opaque, false, false, "?", ""},
		{"select 'a\xff'", protocol.Unknown, protocol.Opaque, false, false, "?", ""},
		{"set sql_mode = 'ANSI_QUOTES'; select \"email\" from customers", protocol.Unknown, protocol.Opaque, false, false, "?", ""},
		{"use other; select name from customers", protocol.Unknown, protocol.Opaque, false, false, "?", ""},
		{"select 1; call p()", protocol.Unknown, protocol.Opaque, false, false, "?", ""},
	} {
		s := one(t, a, st, c.text)
		require.Equal(t, c.verb, s.Verb, c.text)
		require.Equal(t, c.access.String(), s.Access.String(), c.text)
		require.Equal(t, c.pure, s.Pure, "%s: pure: %s", c.text, s.Why)
		require.Equal(t, c.bounded, s.Bounded, "%s: bounded", c.text)
		if c.reads == "?" {
			require.False(t, s.ReadsKnown, c.text)
		} else {
			require.True(t, s.ReadsKnown, "%s: %s", c.text, s.Why)
			require.Equal(t, c.reads, names(s.Reads), c.text)
		}
		require.Equal(t, c.writes, names(s.Writes), c.text)
	}
	require.Equal(t, &Kill{ID: 7, Query: true}, one(t, a, st, "kill query 7").Kill)
	require.Empty(t, a.Analyze([]byte(" -- nothing\n"), st).Statements)
	require.Len(t, a.Analyze([]byte("select 1; select 2;"), st).Statements, 2)
	require.False(t, a.Analyze([]byte("drop table orders; select name from customers"), st).Statements[1].ReadsKnown, "names may mean something else by then")
	require.Equal(t, one(t, a, st, "select 1").Fingerprint, one(t, a, st, "SELECT  2").Fingerprint)
}

func TestComments(t *testing.T) {
	maria := &State{Charset: "utf8mb4", Version: 101114, MariaDB: true}
	mysql := &State{Charset: "utf8mb4", Version: 80036}
	for _, c := range []struct {
		text         string
		maria, mysql string // "": refused
	}{
		{"a /* b */ c", "a   c", "a   c"},
		{"a -- b\nc", "a \nc", "a \nc"},
		{"a --b", "a - -b", "a - -b"},
		{"a # b", "a ", "a "},
		{"'/*! a */' /*! b */", "'/*! a */'   b  ", "'/*! a */'   b  "},
		{"/*!40101 a */", "  a  ", "  a  "},
		{"/*!50701 a */", " ", "  a  "},
		{"/*!90000 a */", " ", " "},
		{"/*!100100 a */", "  a  ", ""},
		{"/*!110100 a */", " ", ""},
		{"/*M! a */", "  a  ", " "},
		{"/*M!100100 a */", "  a  ", " "},
		{"/*! a /* b */ c */", "", ""},
		{"/*!99999 /* a */ b */", "", ""}, // ends behind b
		{"/*!99999/*/ a */", "", ""},
		{"/*M!999999 /* a */ b */", "", "  b */"},
		{"/* /* a */ b", "  b", "  b"},
		{"/*m! a */", " ", " "},
		{"/*! a", "", ""},
		{"/* a", "", ""},
		{"'a", "", ""},
		{"`a``b` \"c\\\"d\" 'e''f'", "`a``b` \"c\\\"d\" 'e''f'", "`a``b` \"c\\\"d\" 'e''f'"},
		{strings.Repeat("(", 1000), "", ""},
	} {
		for st, want := range map[*State]string{maria: c.maria, mysql: c.mysql} {
			got, why := plainText([]byte(c.text), st, 0)
			require.Equal(t, want, got, "%s: %s", c.text, why)
			require.Equal(t, want == "", why != "", c.text)
		}
	}
	unknown := &State{Charset: "utf8mb4"}
	_, why := plainText([]byte("/*!40101 a */"), unknown, 0)
	require.NotEmpty(t, why, "whose version is not known")
}

// What a name in FROM means where there is a common table expression of that name.
func TestCommonTableExpressions(t *testing.T) {
	a := NewAnalyzer(Options{})
	maria, mysql, folded := shop(a), shop(a), shop(a)
	mysql.MariaDB, folded.MariaDB, folded.Folded = false, false, true
	for _, c := range []struct{ text, maria, mysql, folded string }{ // what is read; "?": not known
		{"with customers as (select 1 as email) select email from customers", "", "", ""},
		{"with Customers as (select 1 as email) select email from customers", "", "customers.email", ""},
		{"with customers as (select email from customers) select email from customers", "customers.email", "customers.email", "customers.email"},
		{"with a as (select item from orders), orders as (select email as item from customers) select item from a", "customers.email orders.item", "customers.email orders.item", "customers.email orders.item"},
		{"with recursive a as (select item from orders), orders as (select email as item from customers) select item from a", "?", "?", "?"},
		{"with recursive a as (select email from customers), b as (select email from a) select email from b", "customers.email", "customers.email", "customers.email"},
		{"with recursive R as (select email from customers union select email from r) select email from r", "customers.email", "?", "customers.email"},
		{"with w as (select email from customers), v as (with w as (select item email from orders) select email from w) select email from v", "?", "?", "?"},
		{"with recursive v as (with w as (select item email from orders) select email from w), w as (select email from customers) select email from v", "?", "?", "?"},
		{"with \u00df as (select email from customers) select (with \u1e9e as (select 1 email) select email from \u00df)", "?", "?", "?"},
		{"with é as (select email from customers), e as (select item from orders) select email from é", "?", "?", "?"},
		{"with été as (select email from customers), e as (select item from orders) select email from été", "customers.email orders.item", "customers.email orders.item", "customers.email orders.item"},
	} {
		for st, want := range map[*State]string{maria: c.maria, mysql: c.mysql, folded: c.folded} {
			s := one(t, a, st, c.text)
			if want == "?" {
				require.False(t, s.ReadsKnown, c.text)
				continue
			}
			require.True(t, s.ReadsKnown, "%s: %s", c.text, s.Why)
			require.Equal(t, want, names(s.Reads), c.text)
		}
	}
}

// What * stands for, of joins that the grammar brings into another form.
func TestColumnsOfJoins(t *testing.T) {
	a := NewAnalyzer(Options{})
	st := shop(a)
	for text, want := range map[string]string{ // the columns that are known not to be email; "": none is known
		"select * from orders o join customers c on c.id = o.customer":                                                                                                "id customer item id name",
		"select * from (select 1 q) a join ((select 2 y) b right join (select concat(email) x from customers) c on 1) left join (select 3 z) d on 1":                  "z",
		"select * from (select 1 q) a join ((select concat(email) x from customers) b left join (select 2 y) c on 1) left join (select 3 z) d on 1":                   "q y z",
		"select * from (select concat(email) x from customers) a join ((select 1 k) b natural join (select 1 k) c) left join (select 3 z) d on 1":                     "",
		"select * from (select concat(email) x from customers) a join ((select 1 k) b join (select 1 k) c using (k)) left join (select 3 z) d on 1":                   "z",
		"select k from (select * from (select concat(email) x from customers) a join ((select 1 k) b join (select 1 k) c using (k)) left join (select 3 z) d on 1) t": "",
	} {
		var got []string
		for _, c := range one(t, a, st, text).Columns {
			if c.Known && !slices.ContainsFunc(c.Sources, func(s protocol.Source) bool { return s.Column == "email" }) {
				got = append(got, c.Name)
			}
		}
		require.Equal(t, want, strings.Join(got, " "), text)
	}
}

// Texts that are made to take long: with these the analysis once was busy for hours.
func TestLongTexts(t *testing.T) {
	a := NewAnalyzer(Options{CacheEntries: -1})
	st := shop(a)
	const n = 1 << 20
	for name, text := range map[string]string{
		"signal":        "signal " + strings.Repeat("=", n),
		"signal set":    "signal sqlstate '45000' set a" + strings.Repeat("=1", n/2),
		"labels":        "begin not atomic " + strings.Repeat("a:", n/2) + " begin end; end",
		"set statement": strings.Repeat("set statement lock_wait_timeout=1 for ", n/38) + "select 1",
		"joins":         "select 1 from a" + strings.Repeat(" join a", n/7),
		"limits":        "select" + strings.Repeat(" limit", n/6),
		"statements":    strings.Repeat("xa x;", n/5),
		"new rows":      "insert into t values (1)" + strings.Repeat(" as b", n/5),
		"new rows used": "insert into t values (1)" + strings.Repeat(" as b on duplicate key update", n/28),
	} {
		s := one(t, a, st, text)
		require.False(t, s.Pure, name)
	}
	s := one(t, a, st, "select orders.item from orders"+strings.Repeat(" join customers", 20))
	require.Equal(t, "orders.item", names(s.Reads))
}

func TestWithKills(t *testing.T) {
	ids := map[uint64]uint64{2147483650: 7, 2147483651: 8}
	for text, want := range map[string]string{
		"kill 2147483650; select sleep(1)":                         "kill 7; select sleep(1)",
		"/* a */ KILL QUERY 2147483651 ; select 2147483651":        "/* a */ KILL QUERY 8 ; select 2147483651",
		"select 'x; kill 2147483650'; kill hard query 2147483650":  "select 'x; kill 2147483650'; kill hard query 7",
		"kill 2147483650; kill 9; kill soft connection 2147483651": "kill 7; kill 9; kill soft connection 8",
		"kill user bob; kill 2147483650":                           "",
		"kill 2147483650; /*! select 1 */":                         "",
	} {
		require.Equal(t, want, string(WithKills([]byte(text), "", ids)), text)
	}
}

// A mode whose grammar is not known makes what is sent opaque.
func TestModes(t *testing.T) {
	for mode, known := range map[string]bool{"": true, "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_CREATE_USER,NO_ENGINE_SUBSTITUTION": true,
		"EMPTY_STRING_IS_NULL,TIME_ROUND_FRACTIONAL": true, "ANSI_QUOTES": true, "PIPES_AS_CONCAT,ANSI_QUOTES,IGNORE_SPACE,DB2": false, "ORACLE": false,
		"OF_ANOTHER_CENTURY": false, "ANSI_QUOTES,OF_ANOTHER_CENTURY": false} {
		_, ok := modeOf(mode)
		require.Equal(t, known, ok, mode)
	}
}

// FuzzAnalyze looks for texts that the analysis does not survive.
func FuzzAnalyze(f *testing.F) {
	a := NewAnalyzer(Options{CacheEntries: -1})
	st := shop(a)
	for _, s := range []string{"select * from customers c join orders o using (id) where c.email like 'a%'", "with recursive r as (select 1 a union select a+1 from r) select * from r",
		"/*!40101 set names utf8 */; insert into orders values (1,2,'3') on duplicate key update item = values(item)", "update customers, orders set name = item", "explain table orders"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, s := range a.Analyze(text, st).Statements {
			if s.Pure && s.Access&^protocol.Read != 0 {
				t.Fatalf("%q is pure and has access %v", text, s.Access)
			}
			if strings.HasPrefix(s.Why, "the analysis failed") && !strings.Contains(s.Why, "too deep") {
				t.Fatalf("%q: %s", text, s.Why)
			}
		}
	})
}

// What a change reads is returned by it, unless it may be written.
func TestReturned(t *testing.T) {
	a := NewAnalyzer(Options{})
	st := shop(a)
	for _, c := range []struct{ text, returned string }{
		{"update orders set item = 'x' where customer = (select id from customers where email = 'x')", "customers.email customers.id orders.customer"},
		{"update orders o join customers c on c.id = o.customer set o.item = c.email where c.name = 'x'", "customers.id customers.name orders.customer"},
		{"update orders set item = item, customer = customer + 1", "orders.item"},
		{"update customers a join customers b on a.id = b.id set a.email = b.email", "customers.email customers.id"},
		{"update orders, customers set id = email", "?"}, // both have the column
		{"delete from customers where email = 'x' returning name", "customers.email customers.name"},
		{"delete c from customers c join orders o on o.customer = c.id where c.email = 'x'", "customers.email customers.id orders.customer"},
		{"insert into orders (item) values ('x') returning id", "orders.id"},
		{"insert into orders (item) values ((select email from customers where id = 1))", ""},
		{"insert into orders (item) select name from customers where email = 'x'", "customers.email"},
		{"insert into orders (item) select (select name from customers where email = 'x')", "customers.email"},
		{"insert into orders (id, item) select id, name from customers on duplicate key update item = email", "?"}, // of which table is not known
		{"replace into orders (id, item) select id, email from customers order by name", "customers.name"},
		{"insert into orders (item) select * from nothing", ""},
		{"insert into orders set item = (select min(email) from customers)", ""},
		{"with c as (select id from customers where email = 'x') update orders, c set item = 'x' where customer = c.id", "customers.email customers.id orders.customer"},
		{"delete from orders where id = (select setval(s, (select id from customers)))", ""},
		{"delete from orders where id = (select @a := id from customers)", ""},
		{"delete from logged where a = 1", ""}, // a trigger sees it
		{"select email from customers", ""},
		{"create table t select email from customers", ""},
	} {
		s := one(t, a, st, c.text)
		got := names(s.Returned)
		if c.returned == "?" {
			require.NotContains(t, got, "customers.email", c.text)
			continue
		}
		require.Equal(t, c.returned, got, c.text)
	}
}

// What is a name in one sql_mode is none in another: statements with other names have
// other fingerprints.
func TestFingerprintFollowsMode(t *testing.T) {
	a := NewAnalyzer(Options{CacheEntries: -1})
	fingerprint := func(mode, text string) string {
		st := shop(a)
		st.Mode = mode
		s := one(t, a, st, text)
		require.NotEqual(t, protocol.Opaque, s.Access, "%s: %s", text, s.Why)
		return s.Fingerprint
	}
	for _, c := range []struct {
		mode, a, b string
		same       bool
	}{
		{"", `select name from customers where name = 'a'`, `select name from customers where name = "b\"c"`, true},
		{"", `select name from customers`, `select email from customers`, false},
		{"ANSI_QUOTES", `select "name" from customers`, `select "email" from customers`, false},
		{"ANSI_QUOTES", `select "name" from customers where id = 1`, `select  "name" from customers where id = 2`, true},
		{"ANSI_QUOTES", `select "a ""b" from (select 1 as "a ""b") x`, `select "a ""c" from (select 1 as "a ""c") x`, false},
		{"NO_BACKSLASH_ESCAPES", `select 'a\', name, '\' from customers`, `select 'a\', email, '\' from customers`, false},
		{"NO_BACKSLASH_ESCAPES", `select 'a\', name, '\' from customers`, `select 'b', name, 'c''d' from customers`, true},
		{"REAL_AS_FLOAT,PIPES_AS_CONCAT,ANSI_QUOTES,IGNORE_SPACE,ANSI", `select "name" || 'x' from customers`, `select "email" || 'x' from customers`, false},
	} {
		require.Equal(t, c.same, fingerprint(c.mode, c.a) == fingerprint(c.mode, c.b), "%s: %s and %s", c.mode, c.a, c.b)
	}
}

// TestNamesBeyondTheBasicPlane: MySQL reads a question mark in the place of a character that
// names cannot have.
func TestNamesBeyondTheBasicPlane(t *testing.T) {
	a := NewAnalyzer(Options{})
	st := shop(a)
	for text, refused := range map[string]bool{
		"select '😀', \"😀\", name from customers /* 😀 */ -- 😀": false,
		"select name as `名` from customers":                   false,
		"select name as `😀` from customers":                   true,
		"select name as 😀 from customers":                     true,
		"select '\\'', `😀` from customers":                    true,
		"select 1 /*! as `😀` */":                              true,
	} {
		require.Equal(t, refused, one(t, a, st, text).Access.Has(protocol.Opaque), text)
	}
	st.Mode = "ANSI_QUOTES"
	require.True(t, one(t, a, st, `select name as "😀" from customers`).Access.Has(protocol.Opaque))
}
