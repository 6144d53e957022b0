package pgsql

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// statements are texts of all kinds; the tests below vary their literals.
var statements = []string{
	"select 1", "select 'a', 1.5, null, true from customers where id = 1 and name = 'x' order by 2 limit 3 offset 4",
	"select * from customers where id = 1", "select email from customers where 1 = 1", "update customers set name = 'a' where 1 = 1", "update customers set name = 'a' where id = 1 and true",
	"delete from orders where id in (1, 2, 3)", "delete from orders where 'a' = 'b'", "delete from orders where 1 = 1 or id = 2", "insert into orders (id, note) values (1, 'x'), (2, 'y') returning id, 'z' as q",
	"insert into orders values (1) on conflict (id) do update set note = excluded.note || 'a' where orders.id > 5", "select 'pg_class'::regclass, '5'::int, 5::text, cast('a' as varchar(10)), 3::float(10), 'x'::bpchar(3)",
	"select interval '1 day', interval '1' year, date '2020-01-01', timestamp '2020-01-01 00:00' at time zone 'utc'", "select set_config('search_path', 'public', false)", "select set_config('a.b', 'c', true), set_config('d.e', 'f', true)",
	"select current_setting('a')", "select nextval('s')", "select -1, - 1, +1, 1 - -1, -1.5", "select 'a' || 'b' || E'c\\n' || $$d$$ || b'01' || x'1f'", "select case when id = 1 then 'a' when id = 2 then 'b' else 'c' end from customers",
	"select * from generate_series(1, 10, 2) as g(x) where x > 3", "select (array[1, 2, 3])[1], array['a', 'b']", "select count(*) filter (where total > 10), percentile_disc(0.5) within group (order by total) from orders group by 1, note having sum(total) > 3",
	"set search_path = 'a', b", "set statement_timeout = 100", "begin; select 1; commit", "select 1; select 'b';; select c from t where x = 3", "explain (analyze true, costs false) select 1", "explain (analyze false) delete from orders where id = 1", "explain analyze select 5",
	"copy customers to stdout with (format 'csv', delimiter ',')", "copy (select 1, 'a') to stdout", "prepare p as select 1", "declare c cursor for select 'a' from customers", "fetch 5 from c", "create table t (a int default 5, b text default 'x')", "notify c, 'payload'",
	"select a like 'b' escape 'c', a between 1 and 2, a in ('x', 'y') from (values (1, 'a'), (2, 'b')) as v(a, b)", "values (1, 'a'), (2, 'b') order by 1 limit 1", "with recursive t(n) as (select 1 union all select n + 1 from t where n < 10) select * from t",
	"select 1 from orders tablesample system (10) repeatable (5)", "select sum(total) over (order by id rows between 1 preceding and 2 following) from orders", "merge into orders o using (select 1 as k) s on o.id = s.k when matched and o.note = 'a' then update set note = 'b' when not matched then insert values (1, 2)",
	"select extract(year from now()), 'a' collate \"C\", row(1, 'b'), coalesce(null, 1), greatest(1, 2)", "select unnest(array[1, 2]), u from unnest(array['a', 'b']) u", "select x'1f', b'1', n'abc', 'it''s', $q$it's$q$ from customers", "alter table customers add column z int default 3", "select $1, $2::int where 1 = $1",
	"update customers set name = 'a' where id = id", "lock table customers", "select 'x' as \"a'b\", \"id\" from customers -- it's 5\n where id = 7 /* 'y' 8 */", "do 'begin end'", "call p(1, 'a')", "show search_path", "select 1 where 'a' ~ 'b' and 1 <> 2",
}

// vary returns text with the values of its literals, the amount of its white
// space and its comments changed at random.
func vary(r *rand.Rand, text string) string {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	l := lexer{text: []byte(text)}
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
			tok = pick("'a'", "''", "'it''s'", "$$x$$", "$q$ 'y' $q$", "E'a\\nb'", "E'\\''", "'public'", "'; drop table x; --'", "'/*'", "'1'", "'true'", "'off'", tok)
		case kindSpace:
			tok = pick(" ", "  ", "\n", "\t \n", " /* 'c' 1 */ ", " -- 'd\n", tok)
		}
		b.WriteString(tok)
	}
}

// check compares what a shared Analyzer says with what a fresh one says.
func check(t *testing.T, a *Analyzer, st *State, text string) {
	t.Helper()
	got := a.Analyze([]byte(text), st)
	want := NewAnalyzer(Options{CacheEntries: -1}).Analyze([]byte(text), st)
	require.Equal(t, want.Statements, got.Statements, "%q", text)
	require.Equal(t, want.Texts([]byte(text)), got.Texts([]byte(text)), "%q", text)
	again := a.Analyze([]byte(text), st)
	require.Equal(t, want.Statements, again.Statements, "%q", text)
}

func TestShapeCacheIsNeverWrong(t *testing.T) {
	st := testState()
	a := NewAnalyzer(Options{})
	r := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		for _, s := range statements {
			check(t, a, st, vary(r, s))
		}
	}
}

// FuzzAnalyze looks for a panic, and for a text that is analysed otherwise when
// one of the same shape came before.
func FuzzAnalyze(f *testing.F) {
	for _, s := range append(append([]string(nil), seeds...), statements...) {
		f.Add(s, uint64(1))
	}
	st := testState()
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		if len(text) > 2000 {
			t.Skip()
		}
		a := NewAnalyzer(Options{})
		r := rand.New(rand.NewPCG(seed, 0))
		check(t, a, st, text)
		for range 3 {
			check(t, a, st, vary(r, text))
		}
		for _, s := range a.Analyze([]byte(text), st).Statements {
			require.NotZero(t, s.Access)
			if s.Why != "" {
				require.NotContains(t, s.Why, "analysis failed")
			}
			if s.Pure {
				require.Equal(t, "read", s.Access.String(), "%q", text)
			}
		}
	})
}
