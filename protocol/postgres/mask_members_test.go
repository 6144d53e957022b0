package postgres_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

// person is a document of which some members are masked: those that hold S3CRET.
const person = `{"email": "S3CRET@example.com", "city": "Rome", "home": {"street": "S3CRET street", "zip": "00100"}, "kin": [{"ssn": "S3CRET 1", "age": 7}], "odd/key": 1, "2": {"x": "two"}}`

// maskPeople masks members of the documents of the table people.
func maskPeople(inference mask.Inference) middleware.Step {
	return middleware.Mask(mask.Rule{Name: "profile", Columns: []string{"public.people.doc", "public.people.raw", "public.people.note", "public.people.own", "public.people.many"},
		Members: []string{"email", "home.street", "kin.ssn", "secret*"}, Transform: mask.Redact(), Inference: inference})
}

func peopleRig(t *testing.T, step middleware.Step, more ...string) *rig {
	r := newRig(t, rigConfig{steps: []middleware.Step{step}})
	pgtest.Exec(t, r.pg, append([]string{
		"create domain own as jsonb",
		"create table people (id int, doc jsonb, raw json, note text, own own, many jsonb[])",
		"insert into people select 1, d::jsonb, d::json, d, d::jsonb::own, array[d::jsonb] from (values ('" + person + "')) v (d)",
		"insert into people (id) values (2)",
		"create view cards as select id, doc ->> 'city' as city, doc ->> 'email' as mail, doc -> 'home' as home, doc as all_of_it, jsonb_extract_path_text(doc, 'home', 'zip') as zip, doc #> '{kin}' as kin, doc['city'] as sub from people",
	}, more...)...)
	return r
}

// The members that a rule names are masked in a column's own values and where the
// server's own operators take them out; the others are shown.
func TestMaskMembers(t *testing.T) {
	r := peopleRig(t, maskPeople(""))
	const (
		masked = `{"email": "***", "city": "Rome", "home": {"street": "***", "zip": "00100"}, "kin": [{"ssn": "***", "age": 7}], "odd/key": 1, "2": {"x": "two"}}`
		home   = `{"zip": "00100", "street": "***"}`
	)
	sorted := func(of string) string { return "select " + of + "::text from (values ('" + masked + "'::jsonb)) v (d)" }
	want, err := r.psql(t, "-Atc", sorted("d"))
	require.NoError(t, err)
	want = strings.TrimSpace(want)
	for q, want := range map[string]string{
		"doc":                                 want,
		"raw":                                 masked,
		"note":                                masked,
		"own":                                 want,
		"doc::json":                           want,
		"raw::jsonb":                          want,
		"note::jsonb":                         want,
		"doc::text":                           want,
		"doc, id":                             want + "|1",
		"doc ->> 'city'":                      "Rome",
		"doc -> 'city'":                       `"Rome"`,
		"raw ->> 'city'":                      "Rome",
		"note::json ->> 'city'":               "Rome",
		"own ->> 'city'":                      "Rome",
		"doc ->> 'City'":                      "",
		"doc ->> E'ci\\x74y'":                 "Rome",
		"doc ->> U&'\\0063ity'":               "Rome",
		"doc ->> 'odd/key'":                   "1",
		"(doc ->> 'odd/key')::int + 1":        "2",
		"upper(doc ->> 'city')":               "ROME",
		"doc -> 'home'":                       home,
		"doc ->> 'home'":                      home,
		"doc -> 'home' ->> 'zip'":             "00100",
		"doc #>> '{home,zip}'":                "00100",
		"doc #>> array['home','zip']":         "00100",
		`doc #>> '{ "home" , zip }'::text[]`:  "00100",
		"doc #> '{}'":                         want,
		"doc['home']['zip']":                  `"00100"`,
		"doc['home']":                         home,
		"jsonb_extract_path(doc, 'home')":     home,
		"json_extract_path_text(raw, 'city')": "Rome",
		"jsonb_extract_path_text(doc, variadic array['home', 'zip'])": "00100",
		"doc -> 'kin'":                                   `[{"age": 7, "ssn": "***"}]`,
		"doc -> 'kin' -> 0":                              `{"age": 7, "ssn": "***"}`,
		"doc -> 'kin' -> 0 ->> 'age'":                    "7",
		"doc operator(pg_catalog.->>) 'city'":            "Rome",
		"doc -> 'email'":                                 `"***"`,
		"doc ->> 'email'":                                "***",
		"doc ->> ('email')":                              "***",
		"doc ->> 'email'::text":                          "***",
		"raw ->> 'email'":                                "***",
		"doc -> 'home' ->> 'street'":                     "***",
		"doc #>> '{home,street}'":                        "***",
		"doc['email']":                                   `"***"`,
		"doc['home']['street']":                          `"***"`,
		"jsonb_extract_path_text(doc, 'email')":          "***",
		"doc -> 'kin' -> 0 ->> 'ssn'":                    "***",
		"doc ->> 'secretly'":                             "",
		"coalesce(doc ->> 'city', 'x')":                  "Rome",
		"concat(doc ->> 'city', doc ->> 'email')":        "***",
		"doc ->> 'city' || (doc #>> '{home,zip}')":       "Rome00100",
		"(select d ->> 'city' from (select doc as d) x)": "Rome",
		"many": `{"` + strings.ReplaceAll(want, `"`, `\"`) + `"}`,
	} {
		out, err := r.psql(t, "-Atc", "select "+q+" from people where id = 1")
		require.NoError(t, err, q)
		require.Equal(t, want, strings.TrimSpace(out), q)
	}
	out, err := r.psql(t, "-Atc", "select city, mail, home, zip, kin, sub from cards where id = 1")
	require.NoError(t, err)
	require.Equal(t, "Rome|***|"+home+`|00100|[{"age": 7, "ssn": "***"}]|"Rome"`, strings.TrimSpace(out))
	out, err = r.psql(t, "-Atc", "select home ->> 'zip', home ->> 'street', all_of_it ->> 'city', all_of_it from cards where id = 1")
	require.NoError(t, err)
	require.Equal(t, "00100|***|Rome|"+want, strings.TrimSpace(out))
	out, err = r.psql(t, "-Atc", "with recursive t as (select doc as d, 1 as n from people where id = 1 union all select d -> 'home', n + 1 from t where n < 3) select count(*), max(n) from t")
	require.NoError(t, err)
	require.Equal(t, "3|3", strings.TrimSpace(out))
	out, err = r.psql(t, "-Atc", "select doc, raw, note, doc ->> 'email' from people where id = 2")
	require.NoError(t, err)
	require.Equal(t, "|||", strings.TrimSpace(out), "NULL stays NULL")

	conn := r.connect(t, "")
	for _, format := range []int16{0, 1} {
		res := conn.PgConn().ExecParams(t.Context(), "select doc, raw, note, doc -> 'home', doc ->> 'city', doc ->> 'email', doc -> 'email' from people where id = 1", nil, nil, nil, []int16{format}).Read()
		require.NoError(t, res.Err)
		version := ""
		if format == 1 {
			version = "\x01"
		}
		require.Equal(t, []string{version + want, masked, masked, version + home, "Rome", "***", version + `"***"`}, stringsOf(res.Rows[0]))
	}
	var copied bytes.Buffer
	_, err = conn.PgConn().CopyTo(t.Context(), &copied, "copy people (doc) to stdout")
	require.NoError(t, err)
	require.Equal(t, strings.ReplaceAll(want, `\`, `\\`)+"\n\\N\n", copied.String())
	copied.Reset()
	_, err = conn.PgConn().CopyTo(t.Context(), &copied, "copy people (doc, raw, note, own, many) to stdout (format binary)")
	require.NoError(t, err)
	require.NotContains(t, copied.String(), "S3CRET")
	require.Contains(t, copied.String(), "Rome")
}

// A pattern with ** may be about something below any place, but not in a string.
func TestMaskMembersAnywhere(t *testing.T) {
	r := peopleRig(t, middleware.Mask(mask.Rule{Name: "r", Columns: []string{"public.people.doc"}, Members: []string{"email", "home.street", "**.ssn"}, Transform: mask.Redact()}))
	out, err := r.psql(t, "-Atc", "select doc ->> 'city', doc ->> 'email', doc -> 'kin', doc #>> '{home,zip}', upper(doc ->> 'city'), doc -> 'city' from people where id = 1")
	require.NoError(t, err)
	require.Equal(t, `Rome|***|[{"age": 7, "ssn": "***"}]|00100|***|"Rome"`, strings.TrimSpace(out))
}

func stringsOf(row [][]byte) []string {
	out := make([]string, len(row))
	for i := range row {
		out[i] = string(row[i])
	}
	return out
}

// No way of asking shows a masked member.
func TestAttackMembers(t *testing.T) {
	r := peopleRig(t, maskPeople(""),
		"create schema odd",
		"create function odd.take(jsonb, text) returns text language sql as $$ select $1::text $$",
		"create operator odd.->> (leftarg = jsonb, rightarg = text, function = odd.take)",
		"create operator odd.-> (leftarg = jsonb, rightarg = text, function = odd.take)",
		"create function odd.jsonb_extract_path_text(jsonb, text) returns text language sql as $$ select $1::text $$",
		"create table kept (id int, t text, j jsonb)",
		"create table child () inherits (people); insert into child select * from people",
		"create function age(people) returns text language sql as $$ select $1.doc ->> 'email' $$",
		"create view whole as select p from people p",
	)
	conn, err := pgconn.Connect(t.Context(), r.dsn(""))
	require.NoError(t, err)
	for _, q := range []string{
		"select * from people", "select p from people p", "select p.* from people p", "table people", "select * from cards", "select * from child", "select (p).doc from people p",
		"select row_to_json(p) from people p", "select to_jsonb(p) ->> 'doc' from people p", "select to_jsonb(p) -> 'doc' ->> 'email' from people p", "select json_agg(doc) from people", "select jsonb_agg(doc) -> 0 ->> 'email' from people",
		"select to_jsonb(doc) ->> 'email' from people", "select (array_agg(doc))[1] ->> 'email' from people", "select many[1] ->> 'email' from people", "select many[1]['email'] from people",
		"select doc || '{}' from people", "select (doc || '{}') ->> 'city', (doc || '{}') ->> 'email' from people", "select doc - 'city' from people", "select jsonb_pretty(doc) from people", "select jsonb_strip_nulls(doc) ->> 'email' from people",
		"select key, value from people, jsonb_each(doc)", "select * from people, jsonb_each_text(doc)", "select jsonb_object_keys(doc) from people", "select * from people, json_each(raw)",
		"select jsonb_path_query(doc, '$.email') from people", "select jsonb_path_query_first(doc, '$.*') from people", "select jsonb_path_query_array(doc, '$.**') from people",
		"select doc @? '$.email', doc @> '{\"email\": \"S3CRET@example.com\"}' from people",
		"select x.* from people, jsonb_to_record(doc) as x (email text)", "select x.* from people, jsonb_to_recordset(doc -> 'kin') as x (ssn text)", "select jsonb_populate_record(null::kept, jsonb_build_object('t', doc ->> 'email')) from people",
		"select doc ->> k from people, (values ('email'), ('city')) v (k)", "select doc ->> (select 'email') from people", "select doc ->> concat('em', 'ail') from people", "select doc ->> lower('EMAIL') from people",
		"select doc ->> ('em' || 'ail') from people", "select doc ->> case when true then 'email' else 'city' end from people", "select doc ->> 'email'::varchar(5) from people", "select doc ->> 'email'::name from people", "select doc ->> 'emailing'::varchar(5) from people", "select doc ->> 'emailing'::char(5) from people",
		"select doc #>> '{email}' from people", "select doc #>> '{\"em\\\\ail\"}' from people", "select doc #>> '[0:0]={email}' from people", "select doc #>> string_to_array('email', ',') from people", "select doc #>> array[k] from people, (values ('email')) v (k)",
		"select doc #> '{kin,0}' from people", "select doc #> '{kin,0,ssn}' from people", "select doc #> '{kin,-1,ssn}' from people", "select doc #> '{kin,\" +0\",ssn}' from people", "select doc['kin'][0]['ssn'] from people", "select doc['kin']['0']['ssn'] from people", "select doc['kin'][0] from people",
		"select doc -> 'kin' -> -1 ->> 'ssn' from people", "select doc -> 'kin' -> (0) ->> 'ssn' from people", "select doc -> 'kin' -> 0::int from people", "select x ->> 'ssn' from people, jsonb_array_elements(doc -> 'kin') x",
		"select doc #>> '{}' from people", "select (doc #>> '{}')::jsonb ->> 'email' from people", "select ('[' || doc::text || ']')::jsonb -> 0 ->> 'email' from people", "select (doc::text)::json ->> 'email' from people", "select note::jsonb ->> 'email' from people", "select note::json -> 'email' from people",
		"select left(doc::text, 40) from people", "select doc::varchar(40) from people", "select doc::text::bytea from people", "select substring(note from 1 for 40) from people", "select raw::text || '' from people", "select md5(doc ->> 'email'), length(note) from people",
		"select doc ->> 'city' from people union select doc ->> 'email' from people", "select doc -> 'city' from people union all select doc from people", "select doc -> 'home' from people union all select doc from people", "select coalesce(doc -> 'nothing', doc) from people", "select case when doc is null then doc -> 'city' else doc end from people",
		"select coalesce(doc -> 'nothing', doc) -> 'home' from people", "select greatest(doc -> 'city', doc -> 'email') from people", "select max(doc ->> 'email'), string_agg(doc ->> 'email', ',') from people", "select nullif(doc ->> 'email', '') from people",
		"with recursive t as (select doc as d from people union all select d -> 'home' from t where d is not null) select d, d ->> 'street', d ->> 'email' from t", "with recursive t (d, n) as (select doc, 0 from people union all select d -> 'kin' -> 0, n + 1 from t where n < 2) select d ->> 'ssn' from t",
		"with t as (select doc -> 'home' as city from people) select city ->> 'street' from t", "select x.city ->> 'street' from (select doc -> 'home' as city from people) x", "select (select doc from people where id = 1) ->> 'email'", "select (array(select doc from people))[1] ->> 'email'",
		"select p.doc ->> 'email' from people p join people q on p.doc = q.doc", "select d ->> 'email' from people natural join (select doc as d, id from people) x", "select doc ->> 'email' from people group by doc", "select distinct on (id) doc ->> 'email' from people", "select lag(doc) over () ->> 'email' from people", "select first_value(doc ->> 'email') over () from people",
		"select v ->> 'email' from (values ((select doc from people where id = 1))) t (v)", "select all_of_it ->> 'email', mail, home ->> 'street' from cards", "select mail from (select * from cards) x (a, city, mail)", "select (w.p).doc ->> 'email' from whole w", "select to_jsonb(c) from cards c",
		"select age(p), p.age from people p", "select doc operator(odd.->>) 'city' from people", "set search_path = odd, pg_catalog, public; select doc ->> 'city', doc -> 'city', jsonb_extract_path_text(doc, 'city') from people; reset search_path", "select odd.jsonb_extract_path_text(doc, 'city') from people",
		"begin; create temp table c as select doc as city from people; select * from c; rollback", "create table copy as select doc -> 'email' as city from people", "insert into kept select id, doc ->> 'email' from people", "insert into kept (j) select doc from people; select j from kept", "update people set note = doc ->> 'email'; select note ->> 'city' from people",
		"update people set doc = jsonb_set(doc, '{city}', doc -> 'email') returning doc ->> 'city'", "update people set doc = doc returning doc, doc ->> 'email'", "delete from people where id = 1 returning doc ->> 'email', doc", "with x as (delete from people where id = 1 returning doc -> 'home' as h) select h ->> 'street' from x",
		"begin; declare c cursor for select doc, doc ->> 'email' from people; fetch all from c; rollback", "prepare a as select doc ->> 'email', doc from people; execute a; deallocate a", "prepare b (text) as select doc ->> $1 from people; execute b ('email'); deallocate b",
		"explain (analyze, verbose) select doc ->> 'email' from people where doc ->> 'email' = 'S3CRET'", "select (doc ->> 'email')::int from people", "select (doc ->> 'email')::date from people", "select jsonb_array_length(doc) from people", "select ('{\"a\":' || (doc ->> 'email'))::json from people", "select json(note) from people",
		"copy people to stdout", "copy (select doc ->> 'email', doc from people) to stdout", "copy people (doc) to stdout csv header", "select xmlforest(doc ->> 'email') from people", "select json_build_object('a', doc) from people", "select hstore(doc) from people", "select format('%s', doc) from people", "select quote_literal(doc ->> 'email') from people",
	} {
		for _, ask := range []struct {
			name string
			f    func() answer
		}{
			{"simple", func() answer {
				if strings.HasPrefix(q, "copy") {
					return copied(t.Context(), conn, q)
				}
				return texts(t.Context(), conn, q)
			}},
			{"binary", func() answer {
				res := conn.ExecParams(t.Context(), q, nil, nil, nil, []int16{1}).Read()
				return answer{rows: res.Rows, err: res.Err}
			}},
		} {
			if ask.name == "binary" && strings.HasPrefix(q, "copy") {
				continue
			}
			texts(t.Context(), conn, "begin")
			a := ask.f()
			var pe *pgconn.PgError
			if errors.As(a.err, &pe) {
				require.NotContains(t, fmt.Sprintf("%+v", *pe), "S3CRET", "%s: %s", ask.name, q)
			}
			require.NotContains(t, fmt.Sprintf("%s %s %+v", a.rows, a.bytes, a.err), "S3CRET", "%s: %s", ask.name, q)
			texts(t.Context(), conn, "rollback")
		}
	}
	for _, key := range []string{"email", "city"} {
		res := conn.ExecParams(t.Context(), "select doc ->> $1 from people where id = 1", [][]byte{[]byte(key)}, []uint32{25}, nil, nil).Read()
		require.NoError(t, res.Err)
		require.Equal(t, "***", string(res.Rows[0][0]), "which member it is, is not known")
	}
	// Texts that differ in nothing but a literal are not the same.
	for range 2 {
		for key, want := range map[string]string{"city": "Rome", "email": "***", "home": "***", "2": `{"x": "two"}`} {
			a := texts(t.Context(), conn, "select left(doc ->> '"+key+"', 100) from people where id = 1")
			require.NoError(t, a.err)
			require.Equal(t, want, string(a.rows[0][0]), key)
		}
	}
}

// What a statement tells of other members it does not tell of masked ones.
func TestMembersInference(t *testing.T) {
	r := peopleRig(t, maskPeople(mask.BlockInference))
	for q, refused := range map[string]bool{
		"select doc ->> 'city' from people where doc ->> 'city' = 'Rome'":          false,
		"select doc -> 'home' ->> 'zip' from people order by doc #>> '{home,zip}'": false,
		"select id from people where doc['2']['x'] is not null":                    true, // it may be the number of an element
		"select count(*) from people where doc ->> 'email' = 'S3CRET@example.com'": true,
		"select id from people where doc @> '{\"city\": \"Rome\"}'":                true,
		"select id from people where doc -> 'home' = '{}'":                         true,
		"select id from people order by doc -> 'kin' -> 0 ->> 'ssn'":               true,
		"select id from people where (doc ->> 'odd/key')::int = 1":                 false,
		"select id from cards where city = 'Rome'":                                 false,
		"select id from cards where mail = 'Rome'":                                 true,
	} {
		out, err := r.psql(t, "-Atc", q)
		require.Equal(t, refused, err != nil, "%s: %s", q, out)
		if refused {
			require.Contains(t, out, "tells of the values of masked columns", q)
		}
	}
}
