package postgres_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// A COPY to the client shows what a SELECT does, in each format.
func TestCopyIsMasked(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}, pg: []pgtest.Option{pgtest.SQL(
		`create table people (id int primary key, mail text, tags text[], doc jsonb, n numeric, born date);
		insert into people values (1, E'a\tb\\c\nd,"e"', '{x,"y,z"}', '{"a": 1}', 1.50, '1984-02-29'), (2, null, null, null, null, null), (3, '', '{}', 'null', 'NaN', 'infinity')`)}})
	conn := r.connect(t, "").PgConn()
	for q, want := range map[string]string{
		"copy (select id, name, email, ssn, card, birthday from customers order by id limit 1) to stdout":                                "1\tAda Marlowe\t***@example.com\t*******3456\t\\N\t1970-01-01\n",
		"copy (select id, email mail, upper(email) as u, birthday::text from customers where id = 1) to stdout csv header":               "id,mail,u,birthday\n1,***@example.com,***,***\n",
		"copy (select c from customers c where id = 1) to stdout":                                                                        "\\N\n",
		"copy (select to_jsonb(c), array_agg(email) from customers c where id = 1 group by c.*) to stdout":                               "\"***\"\t{}\n",
		"copy (select email, id from customers where id = 1) to stdout (format csv, force_quote *, quote '''', delimiter ';', null '~')": "'***@example.com';'1'\n",
		"copy (select card, id from customers where id = 1) to stdout (format csv, null 'NULL')":                                         "NULL,1\n",
		"copy (select name, notes from customers where id = 4) to stdout":                                                                "Dara O'Sullivan\ttwo\\nlines\n",
		"copy (select email from customers where id = 1 union all select ssn from customers where id = 1) to stdout":                     "\\N\n\\N\n",
		"copy (select id, email, id from customers where id = 1) to stdout with null 'ada.marlowe@example.com' delimiter '|'":            "1|***@example.com|1\n",
		"copy (select id, email from customers where id = 1) to stdout with (encoding 'LATIN1')":                                         "1\t***@example.com\n",
		"copy (select contact, item from customer_orders where order_id = 5) to stdout":                                                  "***@example.com\titem 5\n",
	} {
		var buf bytes.Buffer
		_, err := conn.CopyTo(t.Context(), &buf, q)
		require.NoError(t, err, q)
		require.Equal(t, want, buf.String(), q)
	}
	var buf bytes.Buffer
	tag, err := conn.CopyTo(t.Context(), &buf, "copy customers to stdout (format csv, header)")
	require.NoError(t, err)
	require.Equal(t, "COPY 5", tag.String())
	requireClean(t, buf.String())
	rows, err := csv.NewReader(&buf).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 6)
	require.Equal(t, []string{"5", "Émile Zając", "***@example.fr", "*******7890", "+33 1 99 00 12 34", "", "1970-01-01", "", "2024-01-01 00:00:00+00"}, rows[5])

	buf.Reset()
	_, err = conn.CopyTo(t.Context(), &buf, "copy (select email, birthday, id from customers where id = 1) to stdout (format binary)")
	require.NoError(t, err)
	require.Equal(t, "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"+
		"\x00\x03\x00\x00\x00\x0f***@example.com\x00\x00\x00\x04\xff\xff\xd5\x33\x00\x00\x00\x04\x00\x00\x00\x01\xff\xff", buf.String())

	// The extended protocol, several in one text, and a COPY of what changes.
	require.Contains(t, seen(t, rawSession(t, r, ""), 1, query("copy (select email from customers where id = 1) to stdout; select 1; copy (select ssn, 1 from customers where id = 2) to stdout csv")),
		"copy ***@example.com\nCOPY 1\nrow [1]\nSELECT 1\ncopy *******4567,1\nCOPY 1\n")
	hj := rawSession(t, r, "")
	require.Contains(t, seen(t, hj, 1, &pgproto3.Parse{Query: "copy (select email from customers where id = 1) to stdout"}, &pgproto3.Bind{}, &pgproto3.Describe{ObjectType: 'P'}, &pgproto3.Execute{}, &pgproto3.Sync{}),
		"copy ***@example.com\nCOPY 1\n")
	require.Contains(t, seen(t, hj, 1, query("copy (update customers set notes = 'seen' where email like 'bela@%' returning id, email, notes) to stdout")), "copy 2\t***@example.org\tseen\nCOPY 1\n")
	require.Contains(t, seen(t, hj, 1, query("select 1")), "row [1]")
}

// What no rule is about comes as it is, to the byte, also where the rows are taken
// apart because another column has a rule.
func TestCopyLeavesTheRestAlone(t *testing.T) {
	const schema = `create table people (id int primary key, mail text, tags text[], doc jsonb, n numeric, born date, b bytea);
		insert into people values (1, E'a\tb\\c\nd,"e"\r\b\f\v\x01', '{x,"y,z",NULL}', '{"a": 1}', 1.50, '1984-02-29', '\x00ff0a5c'), (2, null, null, null, null, null, null), (3, '', '{}', 'null', 'NaN', 'infinity', ''), (4, '\.', null, '"\\"', 0, null, '\x2c')`
	r := newRig(t, rigConfig{pg: []pgtest.Option{pgtest.SQL(schema)}, steps: []middleware.Step{maskCustomers(), looking()}})
	direct := pgtest.Start(t, pgtest.Sample(), pgtest.SQL(schema))
	a, err := pgconn.Connect(t.Context(), direct.SuperuserDSN())
	require.NoError(t, err)
	defer a.Close(context.Background())
	b := r.connect(t, "").PgConn()
	for _, options := range []string{"", "(header)", "(null '', delimiter '|')", "(null 'a', delimiter E'\\x01')", "(format csv)", "(format csv, header, delimiter E'\\t')",
		"(format csv, force_quote *)", "(format csv, force_quote (mail))", "(format csv, quote '|', escape '!', null 'x')", "(format csv, escape '\\')", "(format binary)", "csv", "binary", "(encoding 'LATIN1')"} {
		for _, what := range []string{"people", "(select * from people order by id desc)", "people (id)", "people (mail)", "orders", "(select 1 where false)", "(select from people)"} {
			text := "copy " + what + " to stdout " + options
			if strings.Contains(text, "(select from people)") && (strings.Contains(options, "mail") || strings.Contains(options, "header")) {
				continue
			}
			if strings.Contains(options, "(mail)") && !strings.Contains(what, "people") || strings.Contains(what, "(id)") && strings.Contains(options, "(mail)") || strings.Contains(what, "where false") && strings.Contains(options, "mail") {
				continue
			}
			var want, got bytes.Buffer
			wantTag, wantErr := a.CopyTo(t.Context(), &want, text)
			gotTag, gotErr := b.CopyTo(t.Context(), &got, text)
			require.Equal(t, wantErr == nil, gotErr == nil, "%s: %v, %v", text, wantErr, gotErr)
			require.Equal(t, want.String(), got.String(), text)
			require.Equal(t, wantTag, gotTag, text)
		}
	}
}

// Where it is not certain how the rows are written, nothing is shown.
func TestCopyThatCannotBeRead(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}, pg: []pgtest.Option{pgtest.SQL(
		`create function sjis() returns text immutable language sql as $$ select set_config('client_encoding', 'sjis', false) $$`)}})
	for _, texts := range [][]string{
		{"copy (select email from customers) to stdout (encoding 'SJIS')"},
		{"set client_encoding = 'sjis'", "copy (select email from customers) to stdout"},
		{"set client_encoding = 'sjis'; copy (select email from customers) to stdout"},
		{"copy (select sjis(), email from customers) to stdout"},
		{"copy (select email from customers) to stdout (delimiter U&'\\00a7')"},
		{"copy (select email from customers) to stdout (null U&'\\00a7')"},
		{"copy (select email from customers) to stdout (format csv, format text)"},
		{"copy (select email from customers) to '/tmp/never'"},
		{"copy (select email from customers) to program 'cat'"},
		{"copy (insert into orders select 9999, id, email, 1, now() from customers where id = 1 returning item) to stdout"},
		{"copy customers from stdin where email like 'a%'"},
	} {
		hj := rawSession(t, r, "")
		out := ""
		for _, q := range texts {
			out += seen(t, hj, 1, query(q))
		}
		requireClean(t, out)
		require.Contains(t, out, "error ", texts)
		require.NotRegexp(t, "(?m)^copy ", out, texts)
	}
	// With a character set of its own what code does to the session's is nothing to it.
	out := seen(t, rawSession(t, r, ""), 1, query("copy (select sjis(), email, 7 from customers where id = 1) to stdout (encoding 'UTF8')"))
	require.Contains(t, out, "\t***@example.com\t7\n")
}

// A value that detectors look for is found in COPY as in rows.
func TestCopyIsSearched(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{middleware.Mask(mask.Rule{Name: "found", Detect: []string{"email", "card"}, Transform: mask.Redact()})}})
	conn := r.connect(t, "").PgConn()
	for _, options := range []string{"", "(format csv)", "(format binary)"} {
		var buf bytes.Buffer
		_, err := conn.CopyTo(t.Context(), &buf, "copy customers to stdout "+options)
		require.NoError(t, err)
		require.NotContains(t, buf.String(), "ada.marlowe")
		require.NotContains(t, buf.String(), "5555")
		require.Contains(t, buf.String(), "Ada Marlowe")
		require.Contains(t, buf.String(), "prefers ***")
	}
}

// A target that lies about how it copies shows nothing.
func TestCopyOfDefinitionsThatChange(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}, pg: []pgtest.Option{pgtest.SQL(
		"create schema one; create schema two; create table two.plain (email text, id int); insert into two.plain values ('nothing', 1); create view one.v as select email, id from two.plain")}})
	conn := r.connect(t, "").PgConn()
	ask := func() string {
		var buf bytes.Buffer
		_, err := conn.CopyTo(t.Context(), &buf, "copy (select email, id from one.v order by id limit 1) to stdout")
		if err != nil {
			return err.Error()
		}
		return buf.String()
	}
	require.Contains(t, ask(), "nothing\t1")
	pgtest.Exec(t, r.pg, "create or replace view one.v as select email, id from public.customers")
	requireClean(t, ask())
	require.Contains(t, ask(), "***@example.com\t1")
}

// The rows of a COPY are counted and its masked columns named in the record.
func TestCopyIsRecorded(t *testing.T) {
	var ended []protocol.Event
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers(), {Name: "watch", Event: func(_ context.Context, e *protocol.Event) error {
		if e.Op != nil && e.Op.Verb == "copy" && e.Kind == protocol.Ended {
			ended = append(ended, *e)
			require.Equal(t, []string{"email"}, e.Op.Result().Labels())
		}
		return nil
	}}}})
	out, err := r.psql(t, "-c", `\copy (select id, email from customers) to stdout`)
	require.NoError(t, err, out)
	require.Len(t, ended, 1)
}

// pg_dump with masked columns makes a dump that restores, with masked values.
func TestPgDumpIsMasked(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}})
	dir := t.TempDir()
	for _, format := range []string{"plain", "custom", "directory"} {
		file := filepath.Join(dir, format)
		cmd := exec.CommandContext(t.Context(), pgtest.Tool(t, "pg_dump"), "-F", format, "-f", file)
		cmd.Env = r.side().env()
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	dump, err := os.ReadFile(filepath.Join(dir, "plain"))
	require.NoError(t, err)
	require.Contains(t, string(dump), "1\tAda Marlowe\t***@example.com\t*******3456\t+1 202-555-0142\t\\N\t1970-01-01\t\\N\t2024-01-01")
	require.NotContains(t, string(dump), "ada.marlowe@example.com\t900")

	restored := pgtest.Start(t)
	cmd := exec.CommandContext(t.Context(), pgtest.Tool(t, "pg_restore"), "-d", "postgres", filepath.Join(dir, "custom"))
	cmd.Env = directSide(restored).env()
	out, _ := cmd.CombinedOutput()
	require.Contains(t, pgtest.Exec(t, restored, "select count(*) from orders"), "500", "%s", out)
	require.Contains(t, pgtest.Exec(t, restored, "select ssn from customers where id = 1"), "*******3456", "%s", out)
}

// psycopg reads the rows of a COPY in both formats, and psql's \copy writes them to
// a file.
func TestCopyWithOtherClients(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskCustomers()}})
	python, err := servers.Psycopg(t.Context(), os.Stderr)
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), python, "-c", `
import psycopg
with psycopg.connect() as conn, conn.cursor() as cur:
    with cur.copy("copy (select id, email, birthday, card from customers order by id limit 2) to stdout (format binary)") as copy:
        copy.set_types(["int4", "text", "date", "text"])
        for row in copy.rows():
            print(row)
    with cur.copy("copy customers (id, notes, email) to stdout") as copy:
        for row in copy.rows():
            print(row)
    print(cur.execute("select 1").fetchone())
`)
	cmd.Env = r.side().env()
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, `(1, '***@example.com', datetime.date(1970, 1, 1), None)
(2, '***@example.org', datetime.date(1970, 1, 1), None)
('1', None, '***@example.com')
('2', 'calls from +1 303-555-0188', '***@example.org')
('3', 'prefers chen@example.com', '***@example.net')
('4', 'two\nlines', '***@example.com')
('5', '', '***@example.fr')
(1,)
`, string(out))

	file := filepath.Join(t.TempDir(), "customers.csv")
	shown, err := r.psql(t, "-c", `\copy (select name, email from customers order by id limit 1) to '`+file+`' with (format csv, header)`)
	require.NoError(t, err, shown)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "name,email\nAda Marlowe,***@example.com\n", string(text))
}
