package mysqlsql

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func shapeOf(s string) string {
	b, ok := appendShape(nil, s, true, false)
	if !ok {
		return ""
	}
	return string(b)
}

func TestShape(t *testing.T) {
	require.Equal(t, shapeOf("select 1, 'a'"), shapeOf("select  42, 'it''s \\' '"))
	require.Equal(t, shapeOf("select 1 -- a\n, 'a'"), shapeOf("select 2 /* b */ , \"b\""))
	for _, pair := range [][2]string{{"select 1", "select '1'"}, {"select 1", "select 1.5"}, {"select ?", "select 1"}, {"select `a`", "select `b`"},
		{"select null", "select true"}, {"select ab", "select a b"}, {"select count(1)", "select count (1)"}, {"select @a", "select @b"},
		{"select a 'b'", "select a 'c'"}, {"select a as 'b'", "select a as 'c'"}, {"select (1) 'b'", "select (1) 'c'"}, {"select 1 'b'", "select 1 'c'"},
		{"select 'a' as b", "select 'a' as c"}, {"select date '2020-01-01'", "select date 'x'"}, {"select ? 'b'", "select ? 'c'"}} {
		require.NotEqual(t, shapeOf(pair[0]), shapeOf(pair[1]), "%v", pair)
		require.NotEmpty(t, shapeOf(pair[0]), pair[0])
	}
	for _, s := range []string{"select 'a' 'b'", "select x'41'", "select _utf8'a'", "select 0x1f", "select 'a", "select /*! 1 */", "select /*M! 1 */", "select t.1e5", "select \x01", "select 1..2"} {
		require.Empty(t, shapeOf(s), s)
	}
	require.NotContains(t, shapeOf("select 'secret', 123456"), "secret")
}

// texts are of all kinds; the tests below vary their literals.
var texts = []string{
	"select name from customers where id = 1 and email = 'x' order by 2 limit 3 offset 4", "select 1, 'a', 1.5, null, true", "select email from customers where 1 = 1",
	"update customers set name = 'a' where 1 = 1", "update customers set name = 'a' where id = 1", "delete from orders where id in (1, 2, 3) or item like 'x%'",
	"insert into orders (id, item) values (1, 'x'), (2, 'y') on duplicate key update item = concat('a', values(item))", "insert into orders values (1, 2, 'x') returning id, 'z' as q",
	"select `1` from (select 1) x", "select (select `'email'` from (select 'email') x) from customers", "select (select `email` from (select 1 as 'email') x) from customers",
	"select (select `email` from (select 1 'email') x) from customers", "select case when id = 1 then 'a' else 'b' end, ifnull(name, 'c') from customers", "set @a = 5", "set @q = 'select 1'",
	"prepare s from 'select email from customers'", "execute immediate 'select 1'", "kill 7", "set sql_mode = 'ANSI'", "select get_lock('a', 1)", "select date '2020-01-01', timestamp '2020-01-01 00:00:00', interval 1 day + now()",
	"create table t (a int default 5) engine = 'federated'", "create table t as select 'a' as b", "explain select * from customers where id = 1", "select group_concat(name separator ';') from customers",
	"with w as (select 1 as a union all select 2) select a from w where a > 1", "select name from customers union select 'a' order by 1", "select 1; select 'b'; select email from customers where id = 3", "show tables like 'a%'",
	"select sum(id) over (order by id rows between 1 preceding and 2 following) from orders", "select * from customers where name = 'a' and match (name) against ('x' in boolean mode)", "values row(1, 'a'), row(2, 'b')",
	"select json_extract(name, '$.a'), name->'$.b' from customers", "select 'a' like 'b' escape 'c', -1, - 1, 1 - -1", "load data infile 'x' into table orders fields terminated by ','", "select * from customers into outfile 'a'",
	"select j.a from json_table('[1]', '$[*]' columns (a int path '$')) j", "handler orders read first limit 2", "call p(1, 'a')", "do sleep(1)", "begin not atomic select 1; select 'a'; end",
}

// vary returns text with the values of its literals, the amount of its white
// space and its comments changed at random.
func vary(r *rand.Rand, text string) string {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	l := lexer{text: text, escapes: true}
	var b strings.Builder
	for {
		from := l.pos
		k := l.next()
		tok := text[from:l.pos]
		switch k {
		case kindEnd:
			return b.String()
		case kindUnclear:
			return text
		case kindNumber:
			tok = pick("0", "1", "2", "42", "3000000000", "1.5", ".5", "1e3", "7.", tok)
		case kindString:
			tok = pick("'a'", "''", "'it''s'", `'\''`, `"x"`, `"\""`, "'email'", "'name'", "'select email from customers'", "'; drop table x; -- '", "'/*'", "'1'", "'ansi'", "'federated'", tok)
		case kindSpace:
			tok = pick(" ", "  ", "\n", "\t \n", " /* 'c' 1 */ ", " -- 'd\n", " # e\n", tok)
		}
		b.WriteString(tok)
	}
}

// check compares what an Analyzer says that others use with what a fresh one
// says.
func check(t *testing.T, a, fresh *Analyzer, st *State, text string) {
	t.Helper()
	for range 2 {
		got, want := a.Analyze([]byte(text), st), fresh.Analyze([]byte(text), st)
		require.Equal(t, want.Statements, got.Statements, "%q", text)
	}
}

func TestShapeCacheIsNeverWrong(t *testing.T) {
	a, fresh := NewAnalyzer(Options{}), NewAnalyzer(Options{CacheEntries: -1})
	st := shop(a)
	r := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		for _, s := range texts {
			check(t, a, fresh, st, vary(r, s))
		}
	}
}

// TestParsersShareNothing: a parser that has gone back to the pool, and is at another
// session's text, leaves what it gave alone.
func TestParsersShareNothing(t *testing.T) {
	a := NewAnalyzer(Options{})
	for range 10 {
		first, _ := a.parse("SELECT 1", 0)
		_, _ = a.parse("DROP TABLE customers", 0)
		require.Equal(t, "SELECT 1", first[0].Text())
	}
}

// TestSeenBefore takes no memory for a text that differs in literals only.
func TestSeenBefore(t *testing.T) {
	a := NewAnalyzer(Options{})
	st := shop(a)
	first := a.Analyze([]byte("select name from customers where id = 1 and email = 'x'"), st)
	other := []byte("select name from customers where id = 77 and email = 'it''s'")
	require.Same(t, first, a.Analyze(other, st))
	if !RaceDetector { // under which pools lose some of what they are given
		require.Zero(t, testing.AllocsPerRun(100, func() { a.Analyze(other, st) }))
	}
}

// FuzzShape looks for a text that is analysed otherwise when one of the same
// shape came before.
func FuzzShape(f *testing.F) {
	for _, s := range texts {
		f.Add(s, uint64(1))
	}
	fresh := NewAnalyzer(Options{CacheEntries: -1})
	st := shop(fresh)
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		if len(text) > 2000 {
			t.Skip()
		}
		a := NewAnalyzer(Options{})
		r := rand.New(rand.NewPCG(seed, 0))
		check(t, a, fresh, st, text)
		for range 3 {
			check(t, a, fresh, st, vary(r, text))
		}
	})
}

// BenchmarkSeenBefore analyses a statement that was seen with other literals.
func BenchmarkSeenBefore(b *testing.B) {
	a := NewAnalyzer(Options{})
	st := shop(a)
	a.Analyze([]byte("select c.name, o.item from customers c join orders o on o.customer = c.id where c.id = 1"), st)
	text := []byte("select c.name, o.item from customers c join orders o on o.customer = c.id where c.id = 4711")
	b.ReportAllocs()
	for b.Loop() {
		a.Analyze(text, st)
	}
}
