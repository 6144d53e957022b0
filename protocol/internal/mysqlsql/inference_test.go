package mysqlsql

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/mysqlsql/querygen"
	catalog "github.com/sallyport-dev/gateway/protocol/internal/sql"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/mytest"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

var inferenceQueries = flag.Int("inference.queries", 1500, "how many random queries TestInference runs")

// inferred writes what a statement tells as "table.column:how", with ? behind it where
// that may not be all.
func inferred(s Statement) string {
	var out []string
	for _, i := range s.Inferred {
		out = append(out, i.Table+"."+i.Column+":"+i.How.String())
	}
	if !s.InferredKnown {
		out = append(out, "?")
	}
	return strings.Join(out, " ")
}

func TestInferred(t *testing.T) {
	a := NewAnalyzer(Options{})
	st := shop(a)
	for _, c := range []struct{ text, want string }{
		// What is shown is masked, and tells nothing beside.
		{"select email, name, upper(email), left(email, 3), concat(name, ' ', email) from customers", ""},
		{"select *, max(email) over () from customers", ""},
		{"select max(email), count(*) from customers", ""},
		{"select id from (select id, email from customers) x", ""},
		{"insert into orders (item) values ('x')", ""},
		{"update orders set item = 'x'", ""},
		// One constant.
		{"select id from customers where email = 'x'", "customers.email:equality"},
		{"select id from customers where email = ?", "customers.email:equality"},
		{"select id from customers where (email) <=> lower('X')", "customers.email:equality"},
		{"select id from customers where not (email <> 'x' or name = 'y')", "customers.email:equality customers.name:equality"},
		{"select id from customers where email in ('x')", "customers.email:equality"},
		{"select nullif(email, 'x') from customers", "customers.email:equality"},
		{"select case email when 'x' then 1 end from customers", "customers.email:equality"},
		{"select if(email = 'x', 1, 2) from customers", "customers.email:equality"},
		{"select id from customers where if(email = 'x', true, false)", "customers.email:equality customers.email:computed"},
		{"update customers set name = 'x' where email = 'x'", "customers.email:equality"},
		{"delete from customers where email = 'x'", "customers.email:equality"},
		{"explain select 1 from customers where email = 'x'", "customers.email:equality"},
		{"prepare p from 'select 1 from customers where email = 1'", ""},
		// A text and a number: the text's digits are compared.
		{"select id from customers where email = 12", "customers.email:equality customers.email:computed"},
		{"select id from customers where email = 0x61", "customers.email:equality customers.email:computed"},
		{"select id from customers where email", "customers.email:computed"},
		{"select id from customers where id = 12", "customers.id:equality"},
		// NULL.
		{"select id from customers where email is null", "customers.email:null"},
		{"select count(email), coalesce(email, '-') from customers", "customers.email:null"},
		{"select count(nullif(email, 'x')) from customers", "customers.email:equality customers.email:computed"},
		// Several, from anywhere.
		{"select id from customers where email in ('x', 'y')", "customers.email:list"},
		{"select id from customers where email = 'x' or email = 'y'", "customers.email:equality customers.email:list"},
		{"select id from customers where email = @a", "customers.email:list"},
		{"select id from customers where email in (select item from orders)", "customers.email:list orders.item:list"},
		{"select id from customers where email = any (select item from orders)", "customers.email:list orders.item:list"},
		{"select v.x from customers c join (select 'x' as x union all select 'y') v on v.x = c.email", "customers.email:list"},
		{"select email from customers union select 'x'", "customers.email:list"},
		{"select email from customers except select 'x'", "customers.email:list"},
		{"select email from customers union all select 'x'", ""},
		// Joins.
		{"select c.id from customers c join orders o on o.item = c.email", "customers.email:join orders.item:join"},
		{"select c.id from customers c, orders o where o.item = c.email", "customers.email:join orders.item:join"},
		{"select c.id from customers c join orders o on o.id = c.email", "customers.email:list orders.id:list"},
		{"select 1 from customers join orders using (id)", "customers.id:list orders.id:list"},
		{"select 1 from customers where exists (select 1 from orders where item = email)", "customers.email:join orders.item:join"},
		// Groups and order.
		{"select count(*) from customers group by email", "customers.email:group"},
		{"select email, count(*) from customers group by 1", "customers.email:group"},
		{"select email as e, count(*) from customers group by e with rollup", "customers.email:group"},
		{"select distinct email from customers", "customers.email:group"},
		{"select count(distinct email) from customers", "customers.email:null customers.email:group"},
		{"select row_number() over (partition by email) from customers", "customers.email:group"},
		{"select id from customers order by email limit 1", "customers.email:order"},
		{"select id, email from customers order by 2", "customers.email:order"},
		{"select id, email from customers order by id desc, 2", "customers.email:order customers.id:order"},
		{"select id, email from customers order by 1", "customers.id:order"},
		{"select id, email from customers order by ?", "customers.email:order customers.id:order"},
		{"select rank() over w from customers window w as (order by email)", "customers.email:order"},
		{"select group_concat(id order by email) from customers", "customers.email:order customers.id:computed"},
		{"update customers set name = 'x' order by email limit 1", "customers.email:order"},
		{"delete from customers order by email limit 1", "customers.email:order"},
		// Ranges, patterns, and anything else.
		{"select id from customers where email > 'a' and name between 'a' and 'b'", "customers.email:range customers.name:range"},
		{"select id from customers where email like 'a%'", "customers.email:pattern"},
		{"select id from customers where email regexp '^a'", "customers.email:pattern"},
		{"select id from customers where match (email) against ('a')", "customers.email:pattern"},
		{"select id from customers where length(email) = 5", "customers.email:computed"},
		{"select id from customers where find_in_set('x', email)", "customers.email:computed"},
		{"select id from (select id, left(email, 1) as l from customers) x where l = 'a'", "customers.email:computed"},
		{"select id from customers having email like 'a%'", "customers.email:pattern"},
		// Errors, warnings, time and NULL tell as well.
		{"select cast(email as signed) from customers", "customers.email:computed"},
		{"select email + 1 from customers", "customers.email:computed"},
		{"select sum(email), sum(id) from customers", "customers.email:computed"},
		{"select case when email like 'a%' then sleep(1) end from customers", "customers.email:pattern"},
		{"select regexp_substr(email, '^a') from customers", "customers.email:computed"},
		{"select concat(x, x) from (select concat(email, email) as x from customers) s", "customers.email:computed"},
		{"select concat(email, repeat('x', 16777216)) from customers", "customers.email:computed"},
		{"insert into customers (id, email) values (1, 'x') on duplicate key update name = 'y'", "customers.email:equality customers.id:equality"},
		{"insert ignore into customers (email) select item from orders", "customers.email:list"},
		{"replace into customers (id, email) values (1, 'x')", "customers.email:equality customers.id:equality"},
		// Definitions are checked against what there is.
		{"create index i on customers (email)", ""},
		{"create unique index i on customers (email(1))", "customers.email:computed customers.id:computed customers.name:computed"},
		{"create table t (a varchar(9) references orders (item))", "orders.customer:list orders.id:list orders.item:list"},
		{"create table t (u inet6, a varchar(9) references orders (item))", "orders.customer:list orders.id:list orders.item:list"},
		{"create table t (a varchar(9), foreign key (a) references orders (item))", "orders.customer:list orders.id:list orders.item:list"},
		// Views, and what is not known.
		{"select contact from contacts where contact = 'x'", "contacts.contact:equality customers.email:equality"},
		{"select secret(email) from customers", "?"},
		{"select 1 from nothing", "?"},
		{"select 1 from customers where nothing = 1", "?"},
		{"select nothing from customers", ""},
		{"insert into logged values (1)", "?"},
		{"call p()", "?"},
		{"execute s", "?"},
		{"begin not atomic declare e varchar(80); select email into e from customers limit 1; if e like 'a%' then select 1; end if; end", "customers.email:computed"},
	} {
		assert.Equal(t, c.want, inferred(one(t, a, st, c.text)), c.text)
	}
	numbers := one(t, a, st, "select id from customers where email = ? and id = ?")
	assert.Equal(t, "customers.email:equality customers.id:equality", inferred(numbers))
	numbers.Inferred = numbers.Numbers
	assert.Equal(t, "customers.email:equality customers.email:computed customers.id:equality", inferred(numbers))
	assert.Nil(t, one(t, a, st, "select id from customers where id = ?").Numbers)
}

// TestInference runs random queries on two servers that differ in the values of masked
// columns only, and not in which of them are NULL. What the analysis says to tell
// nothing of them has to come out alike in all that is not masked: the rows, which
// masked values are NULL, the error and the number of warnings.
func TestInference(t *testing.T) {
	var dbs [2]querier
	for i, schema := range [2][]string{querygen.Schema, querygen.Other} {
		dbs[i] = connect(t, mytest.Start(t, servers.MariaDBConfig{SQL: schema}))
	}
	a := NewAnalyzer(Options{})
	st := &State{Database: "gen", Charset: "utf8mb4", Version: 101100, MariaDB: true, Memory: &Memory{}}
	cat, err := a.Load(t.Context(), dbs[0], *st)
	require.NoError(t, err)
	st.Catalog = func() *catalog.Catalog { return cat }
	for _, db := range dbs {
		for _, text := range []string{"USE gen", "SET max_statement_time = 2", "SET tx_read_only = 1"} {
			_, err := db.db.ExecContext(t.Context(), text)
			require.NoError(t, err)
		}
	}
	masked := querygen.Masks
	ran, compared, failed, differ := 0, 0, 0, 0
	for i := range *inferenceQueries {
		m := querygen.New(uint64(i) + 1_000_000)
		q := m.Query(1 + i%3)
		if strings.Contains(q, " OVER ") && strings.Contains(q, " LIMIT ") {
			continue // which rows those are that nothing orders is the server's whim
		}
		stmt := a.Analyze([]byte(q), st).Statements[0]
		if stmt.ReadsKnown && !slices.ContainsFunc(stmt.Reads, func(c protocol.ColumnRef) bool { return masked(c.String(), "") }) {
			continue
		}
		ran++
		quiet := stmt.InferredKnown
		for _, i := range stmt.Inferred {
			quiet = quiet && !masked(i.ColumnRef.String(), i.Path)
		}
		var seen [2]string
		for k, db := range dbs {
			seen[k] = shownBy(t, db, q, &stmt, masked)
		}
		switch {
		case slices.Contains(seen[:], "error 1969"): // it took too long
		case !quiet && seen[0] != seen[1]:
			differ++
		case quiet:
			compared++
			if strings.HasPrefix(seen[0], "error") {
				failed++
			}
			require.Equal(t, seen[0], seen[1], "%s\nsays only %s", q, inferred(stmt))
		}
	}
	t.Logf("%d queries, %d said to tell nothing, %d of them failed; %d of the others came out different", ran, compared, failed, differ)
	require.Greater(t, compared, ran/50)
	require.Greater(t, differ, ran/50)
}

// shownBy is what a query shows, with only whether there is a value where that is masked.
func shownBy(t *testing.T, db querier, q string, stmt *Statement, masked func(string, string) bool) string {
	var rows []string
	err := db.Query(t.Context(), q, func(row [][]byte) error {
		var b strings.Builder
		for k, v := range row {
			hidden := k >= len(stmt.Columns) || !stmt.Columns[k].Known
			for i := 0; !hidden && i < len(stmt.Columns[k].Sources); i++ {
				hidden = masked(stmt.Columns[k].Sources[i].ColumnRef.String(), stmt.Columns[k].Sources[i].Path)
			}
			switch {
			case v == nil:
				b.WriteString("NULL|")
			case hidden:
				b.WriteString("*|")
			default:
				b.Write(append(v, '|'))
			}
		}
		rows = append(rows, b.String())
		return nil
	})
	if err != nil {
		var e *mysql.MySQLError
		require.True(t, errors.As(err, &e), "%s: %v", q, err)
		return fmt.Sprintf("error %d", e.Number)
	}
	slices.Sort(rows)
	require.NoError(t, db.Query(t.Context(), "SHOW COUNT(*) WARNINGS", func(row [][]byte) error {
		rows = append(rows, string(row[0])+" warnings")
		return nil
	}))
	return strings.Join(rows, "\n")
}
