package pgsql

import (
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
)

// A value takes the type of what it stands beside, and to read it the server
// runs the code of that type: what the server is seen to run the analysis has
// said, for literals and for arguments.
func TestLiteralsRunTheCodeOfTypes(t *testing.T) {
	conn := startServer(t)
	run(t, conn, `CREATE FUNCTION ran(text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('t.ran', 'yes', false); RETURN true; END $$;
		CREATE DOMAIN d AS text CHECK (ran(VALUE)); CREATE DOMAIN dd AS d; CREATE DOMAIN num AS int CHECK (ran(VALUE::text)); CREATE DOMAIN plain AS text CHECK (VALUE <> '');
		CREATE DOMAIN sly AS text CHECK (VALUE::d IS NOT NULL);
		CREATE TYPE ct AS (d d); CREATE TYPE deep AS (c ct[]); CREATE TYPE fine AS (a text, b plain, m int[]); CREATE TYPE mood AS ENUM ('sad', 'x');
		CREATE TYPE over AS RANGE (SUBTYPE = d); CREATE TYPE times AS RANGE (SUBTYPE = time);
		CREATE TYPE cast_type AS ENUM ('x');
		CREATE FUNCTION cast_it(cast_type) RETURNS json LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('t.ran', 'yes', false); RETURN '1'; END $$;
		CREATE CAST (cast_type AS json) WITH FUNCTION cast_it(cast_type);
		CREATE TABLE t (id int, s text, j json, d d, dd dd, num num, plain plain, sly sly, ct ct, deep deep, fine fine, m mood, over over, times times, da d[], na num[], cta ct[], k cast_type, ka cast_type[]);
		CREATE TABLE e (id int, d d);
		INSERT INTO t VALUES (1, 'x', '{"d":"x","id":1}', 'x', 'x', 1, 'x', 'x', '(x)', '("{(x)}")', '(x,x,{1})', 'x', '[x,y]', '[10:00,11:00]', '{x}', '{1}', '{(x)}', 'x', '{x}'); INSERT INTO e VALUES (1, 'x')`)
	cat, err := Load(t.Context(), simple{conn})
	require.NoError(t, err)
	run(t, conn, "SET search_path = public")
	a, st := NewAnalyzer(Options{}), &State{Catalog: cat, SearchPath: []string{"public"}, StandardStrings: true}
	// ran reports whether a statement is seen to run code; args makes its literals
	// arguments of an extended query.
	ran := func(t *testing.T, sql string, args [][]byte) bool {
		run(t, conn, "SET t.ran = 'no'")
		var err error
		if args == nil {
			_, err = conn.Exec(t.Context(), sql).ReadAll()
		} else {
			err = conn.ExecParams(t.Context(), sql, args, nil, nil, nil).Read().Err
		}
		if err != nil {
			require.IsType(t, &pgconn.PgError{}, err)
			t.Logf("%s: %v", sql, err)
		}
		return ask(t, conn, "SHOW t.ran") == "yes"
	}
	x := [][]byte{[]byte("x")}
	array, row := [][]byte{[]byte("{x}")}, [][]byte{[]byte("(x)")}
	for _, c := range []struct {
		sql  string
		args [][]byte
		want bool // whether it runs code
	}{
		// A domain is not kept where values stand beside each other ...
		{"SELECT coalesce(d, 'x') FROM t", nil, false},
		{"SELECT coalesce(d, $1) FROM t", x, false},
		{"SELECT greatest(dd, 'x'), least('y', d) FROM t", nil, false},
		{"SELECT CASE WHEN id = 1 THEN d ELSE 'y' END, CASE d WHEN 'x' THEN 1 END FROM t", nil, false},
		{"SELECT id FROM t WHERE d = 'x' AND dd <> 'y' AND d LIKE 'x%' AND num = '5'", nil, false},
		{"SELECT id FROM t WHERE d = $1", x, false},
		{"SELECT id FROM t WHERE d IN ('x', 'y') AND d BETWEEN 'a' AND 'z' AND d = ANY ('{x,y}')", nil, false},
		{"SELECT nullif(d, 'x'), ARRAY[d, 'x'], d || 'x', upper(d), concat(d, 'x'), replace(d, 'x', 'y') FROM t", nil, false},
		{"SELECT d FROM t UNION ALL SELECT 'x'", nil, false},
		{"SELECT * FROM (VALUES ('x'), ((SELECT d FROM t LIMIT 1))) v", nil, false},
		{"SELECT d, da, ct, deep, over, num FROM t WHERE s = 'x' AND id = 1 AND lower(s) = 'x' ORDER BY 1 LIMIT '5'", nil, false},
		{"SELECT ct FROM t WHERE to_char(id, '999') <> 'x' AND s IN ('x', 'y') AND NOT s LIKE 'y%' AND s::text = 'x'", nil, false},
		{"SELECT ct, 'x', NULL, CASE WHEN id = 1 THEN 'x' END FROM t WHERE (s, id) = (SELECT s, id FROM t LIMIT 1)", nil, false},
		// ... but by functions of any type, and in what is made of it.
		{"SELECT lag(d, 1, 'x') OVER () FROM t", nil, true},
		{"SELECT lag(d, 1, $1) OVER () FROM t", x, true},
		{"SELECT array_append(da, 'x') FROM t", nil, true},
		{"SELECT array_prepend('x', da) FROM t", nil, true},
		{"SELECT array_position(da, 'x'), array_remove(da, 'x') FROM t", nil, true},
		{"SELECT array_replace(na, '5', '6') FROM t", nil, true},
		{"SELECT array_cat(da, '{x}') FROM t", nil, true},
		{"SELECT da || '{x}' FROM t", nil, true},
		{"SELECT da || $1 FROM t", array, true},
		{"SELECT id FROM t WHERE da = '{x}'", nil, true},
		{"SELECT id FROM t WHERE da @> '{x}'", nil, true},
		{"SELECT id FROM t WHERE da && $1", array, true},
		{"SELECT coalesce(da, '{x}') FROM t", nil, true},
		{"SELECT coalesce(ct, '(x)') FROM t", nil, true},
		{"SELECT coalesce(ct, $1) FROM t", row, true},
		{"SELECT greatest(da, '{x}') FROM t", nil, true},
		{"SELECT CASE WHEN id = 2 THEN ct ELSE '(x)' END FROM t", nil, true},
		{"SELECT nullif(da, '{x}') FROM t", nil, true},
		{"SELECT ARRAY[ct, '(x)'] FROM t", nil, true},
		{"SELECT id FROM t WHERE ct IN ('(x)', '(y)')", nil, true},
		{"SELECT id FROM t WHERE da BETWEEN '{x}' AND '{y}'", nil, true},
		{"SELECT id FROM t WHERE (da, id) = ('{x}', 1)", nil, true},
		{"SELECT id FROM t WHERE '{x}' IN (SELECT da FROM t)", nil, true},
		{"SELECT id FROM t WHERE '{x}' = ANY (SELECT da FROM t)", nil, true},
		{"SELECT CASE da WHEN '{x}' THEN 1 END FROM t", nil, true},
		{"SELECT ct FROM t UNION ALL SELECT '(x)'", nil, true},
		{"SELECT '(x)' UNION ALL SELECT ct FROM t", nil, true},
		{"SELECT id FROM t UNION ALL (SELECT 2 UNION ALL SELECT 3) EXCEPT SELECT 4", nil, false},
		{"SELECT 1, da FROM t UNION ALL (SELECT 2, '{x}' LIMIT 1)", nil, true},
		{"SELECT * FROM (VALUES ('(x)'), ((SELECT ct FROM t LIMIT 1))) v", nil, true},
		{"SELECT coalesce(deep, '({(x)})') FROM t", nil, true},
		{"SELECT id FROM t WHERE over = '[x,y]'", nil, true},
		{"SELECT id FROM t WHERE over @> 'x'", nil, true},
		{"SELECT coalesce((SELECT q.c FROM (SELECT ct AS c FROM t) q), '(x)')", nil, true},
		{"WITH w AS (SELECT ct FROM t) SELECT coalesce(w.ct, '(x)') FROM w", nil, true},
		{"SELECT coalesce(v.c, '(x)') FROM (SELECT ct, id FROM t) v(c, n)", nil, true},
		{"SELECT rank('{x}') WITHIN GROUP (ORDER BY da) FROM t", nil, true},
		{"SELECT json_populate_record(e, '{\"d\":\"x\"}') FROM e", nil, true},
		{"SELECT (json_populate_record(t, j)).d FROM t", nil, true},
		{"SELECT coalesce((SELECT (array_agg(ct))[1] FROM t), '(x)')", nil, true},
		{"SELECT 'x'::sly", nil, true},
		// Types that run nothing of anybody's.
		{"SELECT coalesce(fine, '(x,x,{1})'), fine = '(x,x,{1})' FROM t", nil, false},
		{"SELECT id FROM t WHERE m = 'x' AND m IN ('x', 'sad') AND plain = 'x' AND times @> '10:30' AND times && '[10:00,11:00]'", nil, false},
		{"SELECT 'x'::plain, '(x,x,{1})'::fine, '[10:00,11:00]'::times, array_append(ARRAY[m], 'x') FROM t", nil, false},
		// What has a cast to JSON is cast.
		{"SELECT to_json(k) FROM t", nil, true},
		{"SELECT json_build_object('a', k) FROM t", nil, true},
		{"SELECT jsonb_agg(ka) FROM t", nil, true},
		{"SELECT row_to_json(t) FROM t", nil, true},
		{"SELECT json_build_array(q.k) FROM (SELECT k FROM t) q", nil, true},
		{"SELECT row_to_json(q) FROM (SELECT k FROM t) q", nil, true},
		{"SELECT k, ka, k::text, k = 'x', count(k), max(k), k || 'x' FROM t GROUP BY k, ka", nil, false},
		{"SELECT row_to_json(e) FROM e", nil, false},
	} {
		t.Run(c.sql, func(t *testing.T) {
			seen := ran(t, c.sql, c.args)
			s := a.Analyze([]byte(c.sql), st).Statements[0]
			said := s.Access.Has(protocol.Execute)
			if seen {
				require.True(t, c.want, "it runs code")
				require.True(t, said, "it runs code and the analysis does not say so: %s", why(st, c.sql))
				require.True(t, s.Effect.Has(RunsCode))
				require.False(t, s.Pure)
			}
			require.Equal(t, c.want, said, "seen %v: %s", seen, why(st, c.sql))
		})
	}
}
