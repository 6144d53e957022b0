package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol/internal/pgsql"
)

// A notice of what defines comes while others may see already what it has done: what it
// says is about the definitions alone, unless it reads or runs code.
func TestNoticesOfDefinitionsAreShown(t *testing.T) {
	a := pgsql.NewAnalyzer(pgsql.Options{})
	for text, shown := range map[string]bool{
		"drop schema s cascade":                      true,
		"drop table if exists t":                     true,
		"create table if not exists t (id int)":      true,
		"create table u as select * from t":          false,
		"create index on t (f(a))":                   false,
		"alter table t alter a type text using f(a)": false,
		"refresh materialized view m":                false,
		"do 'x'":                                     false,
		"select f()":                                 false,
		"insert into t values (1)":                   false,
	} {
		r := &run{stmt: &a.Analyze([]byte(text), nil).Statements[0]}
		setFacts(&r.op, r.stmt)
		e := &entry{kind: msgQuery, run: r}
		require.Equal(t, shown, !shows(e, msgNoticeResponse), text)
		require.True(t, shows(e, msgErrorResponse), text)
	}
}
