package mysqlsql

import (
	"strings"
	"testing"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/format"
	"github.com/stretchr/testify/require"
)

func TestRewrite(t *testing.T) {
	for _, c := range []struct{ text, want string }{ // "": not understood
		{"select COUNT(*), count (*) from t where a->>'$.b' <=> 1", "select COUNT(*), count (*) from t where a->>'$.b' <=> 1"},
		{"delete from t where a = 1 returning a, b", "delete from t where a = 1 "},
		{"select a into @x, @`y z` from t", "select a from t"},
		{"select a from t into outfile 'x' fields terminated by ','", "select a from t "},
		{"select a from t into outfile x", ""},
		{"select a from t for system_time as of now() - interval 1 day x", "select a from t x"},
		{"select a from t for system_time as of (select 1)", ""},
		{"select * from (select a from t) cycle, u", "select * from (select a from t) cycle, u"},
		{"with recursive c as (select 1) cycle a, b restrict select * from c", "with recursive c as (select 1) select * from c"},
		{"select a from t limit 5 rows examined 7", "select a from t limit 5 "},
		{"select rows examined, b from t", "select rows examined, b from t"},
		{"select t.returning, t.into from t", "select t.returning, t.into from t"},
		{"values (1), (2)", "VALUES ROW (1 ) , ROW (2 )"},
		{"select a from t procedure analyse() into outfile 'x'", ""},
		{"select cast(a as varchar(3)) from t", "select cast(a as CHAR (3)) from t"},
		{"select a from t lock in share mode skip locked", "select a from t lock in share mode "},
		{"select median(a) over (), percentile_cont(0.5) within group (order by b desc) over () from t", "select FIRST_VALUE(a) over (), FIRST_VALUE(CONCAT(0.5 , b )) over () from t"},
		{"select a sounds like b from t", "select a like b from t"},
		{"select group_concat(a limit 2) from t", "select group_concat(a ) from t"},
		{"select * from json_table(a, '$' columns (x int path '$', nested path '$.l' columns (`y` int path '$'))) j", "select * from LATERAL ( SELECT CONCAT (a ) AS x , CONCAT (a ) AS `y` ) j"},
	} {
		list, ok := tokens(c.text, true, false)
		require.True(t, ok, c.text)
		p, ok := rewrite(list)
		require.Equal(t, c.want != "", ok, c.text)
		if ok {
			require.Equal(t, strings.Join(strings.Fields(c.want), " "), strings.Join(strings.Fields(p.text), " "), c.text)
		}
	}
}

// restored returns a statement as the parser writes it.
func restored(n ast.Node) string {
	var b strings.Builder
	if n.Restore(format.NewRestoreCtx(format.DefaultRestoreFlags, &b)) != nil {
		return ""
	}
	return b.String()
}

// FuzzTokens looks for a text that the parser reads otherwise after this
// package's lexer has taken it apart and put it together.
func FuzzTokens(f *testing.F) {
	for _, s := range texts {
		f.Add(s)
	}
	a := NewAnalyzer(Options{})
	f.Fuzz(func(t *testing.T, text string) {
		plain, why := plainText([]byte(text), &State{Charset: "utf8mb4"}, 0)
		if why != "" || strings.Contains(text, "\x00") {
			return
		}
		stmts, why := a.parse(plain, 0)
		if why != "" || len(stmts) != 1 {
			return
		}
		list, ok := tokens(plain, true, false)
		if !ok {
			return
		}
		for len(list) > 0 && list[len(list)-1].symbol(';') {
			list = list[:len(list)-1]
		}
		p, ok := rewrite(list)
		if !ok || len(p.into) > 0 || p.file || p.returning != "" || p.analyse || p.runs || p.more != "" {
			return
		}
		again, why := a.parse(p.text, 0)
		if why != "" || len(again) != 1 {
			return // what does not parse is refused
		}
		if one, two := restored(stmts[0]), restored(again[0]); one != two {
			t.Fatalf("%q\nis %s\nand %s", text, one, two)
		}
	})
}
