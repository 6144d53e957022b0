package pgsql

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// seeds are texts with every kind of token in awkward places.
var seeds = []string{
	"select 1", "select a.b, $1, 'it''s', E'a\\'b', $$x$$, $t$ $$ $t$, B'01', x'1f', n'x' from \"we\"\"ird\" -- c\n where a=1.5e-3 and b<>.5",
	"/* a /* b */ c */ select 1", "select 1--x\n+2", "select 'a'\n'b'", "select U&'\\0041', u&\"x\" uescape '!'", "select 1_000, 0x1f, 1..2, 12abc",
	"select a$b, $1a, 1.e5, 1.,2", "select E'\\u0041', E'\\0', e'\\\\'", "select x::float(3), float (30) '1'", "select -1, - 1, a-1, a--1\n", "insert into t values (1,'a'),(2,'b');;select 1;",
	"select $é$x$é$, é, \"é\"", "select /*", "select 'a", "select $a$ b", "select \"a", "select a@-1, a<-1, a/*x*/-1", "select 1e, 1e+, 1ex", "select '\\'", "select ''''", "select E'''\\''",
	"select 1 \v, \f2", "select 'a' 'b'", "select 'a' -- c\n 'b'", "select a.1, a[1:2], (a).b", "create function f() returns int language sql begin atomic select 1; select 2; end; select 3",
	"select 1!=2, a ?| b, a @> '{}', :x, {}", "select '\x01'", "select \x01",
}

func TestShape(t *testing.T) {
	shape := func(s string) string {
		b, ok := appendShape(nil, []byte(s))
		if !ok {
			return ""
		}
		return string(b)
	}
	require.Equal(t, shape("select 1, 'a'"), shape("select  42, $$b$$"))
	require.Equal(t, shape("select 1 -- a\n, 'a'"), shape("select 2 /* b */ , E'\\n'"))
	require.NotEqual(t, shape("select 1"), shape("select '1'"))
	require.NotEqual(t, shape("select 1"), shape("select 1.5"))
	require.NotEqual(t, shape("select b'1'"), shape("select x'1'"))
	require.NotEqual(t, shape("select $1"), shape("select $2"))
	require.NotEqual(t, shape(`select "a"`), shape(`select "b"`))
	require.NotEqual(t, shape("select null"), shape("select true"))
	require.NotEqual(t, shape("select 1::float(3)"), shape("select 1::float(30)"))
	require.NotEqual(t, shape("select ab"), shape("select a b"))
	for _, s := range []string{"select 'a'\n'b'", "select U&'a'", "select 'a' uescape 'b'", "select 0x1f", "select E'\\x41'", "select 'a", "select \x01"} {
		require.Empty(t, shape(s), s)
	}
	require.NotContains(t, shape("select 'secret', 123456"), "secret")
}

func TestTooDeep(t *testing.T) {
	deep := []string{"1+", "not ", "(select ", "f(", "- ", "a.b->'c'", "case when true then ", "1 between 1 and 1 is true ", "x collate \"C\" ", "array[", "1 union select 2,"}
	for _, d := range deep {
		text := "select " + strings.Repeat(d, 40_000) + "1"
		require.True(t, tooDeep([]byte(text)), d)
	}
	for _, s := range []string{"::int", " is null", " union select 1, 2 where a and b", " cross join a", " + case when x.end and b then c end"} {
		require.True(t, tooDeep([]byte("select 1"+strings.Repeat(s, 40_000))), s)
	}
	for _, s := range []string{"insert into t values (0, 'a')" + strings.Repeat(", (1, 'b''c')", 50_000), "select * from t where a = 1" + strings.Repeat(" or a = 2", 20_000), "select 1 where a in (1" + strings.Repeat(", 2", 50_000) + ")"} {
		require.False(t, tooDeep([]byte(s)), s[:60])
		require.Empty(t, opaqueWhy(t, s))
	}
	// Just below the bound, the parser and everything after it stand it.
	for _, s := range []string{"+1", "::int", " union select 1", " is null"} {
		a := NewAnalyzer(Options{})
		require.Len(t, a.Analyze([]byte("select 1"+strings.Repeat(s, 900)), &State{StandardStrings: true}).Statements, 1)
	}
}

func opaqueWhy(t *testing.T, s string) string {
	t.Helper()
	st := NewAnalyzer(Options{}).Analyze([]byte(s), &State{StandardStrings: true}).Statements
	require.Len(t, st, 1)
	if st[0].Verb == "unknown" {
		return st[0].Why
	}
	return ""
}
