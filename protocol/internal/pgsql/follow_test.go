package pgsql

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

// definitions are changes of all kinds. Each may fail.
var definitions = strings.Split(strings.TrimSpace(`
CREATE TABLE public.a (id int PRIMARY KEY, v text, w public.mood)
CREATE TABLE public.b (id serial, a int, v text DEFAULT now()::text, CHECK (a > 0))
CREATE TABLE public.c (more text) INHERITS (public.a)
CREATE TABLE public.p (id int, v text) PARTITION BY RANGE (id)
CREATE TABLE public.p1 PARTITION OF public.p FOR VALUES FROM (0) TO (10)
ALTER TABLE public.p DETACH PARTITION public.p1
ALTER TABLE public.p ATTACH PARTITION public.p1 FOR VALUES FROM (0) TO (10)
CREATE TABLE public.g (id int, twice int GENERATED ALWAYS AS (id * 2) STORED)
CREATE TABLE public.d (id int, v public.positive2)
CREATE TABLE public.e (id int, v public.pair)
DROP TABLE public.a CASCADE
DROP TABLE public.b CASCADE
DROP TABLE public.c
DROP TABLE public.p CASCADE
DROP TABLE public.g CASCADE
DROP TABLE public.d
DROP TABLE public.e CASCADE
ALTER TABLE public.a ADD COLUMN extra text
ALTER TABLE public.a DROP COLUMN extra CASCADE
ALTER TABLE public.a RENAME COLUMN v TO x
ALTER TABLE public.a RENAME COLUMN x TO v
ALTER TABLE public.a RENAME TO a2
ALTER TABLE public.a2 RENAME TO a
ALTER TABLE public.a SET SCHEMA other
ALTER TABLE other.a SET SCHEMA public
ALTER TABLE public.b ADD COLUMN id2 int
ALTER TABLE public.b ALTER COLUMN v TYPE varchar
ALTER TABLE public.b ADD FOREIGN KEY (a) REFERENCES public.a (id)
ALTER TABLE public.b ALTER COLUMN v SET DEFAULT public.f(1)::text
ALTER TABLE public.b ALTER COLUMN v SET DEFAULT set_config('a.b', 'c', false)
ALTER TABLE public.b ALTER COLUMN v DROP DEFAULT
ALTER TABLE public.b ADD CONSTRAINT calls CHECK (public.f(a) > 0)
ALTER TABLE public.b DROP CONSTRAINT calls
ALTER TABLE public.c NO INHERIT public.a
ALTER TABLE public.c INHERIT public.a
ALTER TABLE public.a ENABLE ROW LEVEL SECURITY
ALTER TABLE public.a DISABLE ROW LEVEL SECURITY
ALTER TABLE public.a OWNER TO someone
CREATE POLICY calls ON public.a USING (public.f(id) > 0)
DROP POLICY calls ON public.a
CREATE INDEX calls ON public.a (public.f(id))
DROP INDEX public.calls
CREATE TRIGGER t BEFORE INSERT ON public.a FOR EACH ROW EXECUTE FUNCTION public.trig()
DROP TRIGGER t ON public.a
CREATE RULE r AS ON INSERT TO public.b DO INSTEAD NOTHING
DROP RULE r ON public.b
CREATE VIEW public.v AS SELECT id, v FROM public.a
CREATE OR REPLACE VIEW public.v AS SELECT id, upper(v) AS v FROM public.a
CREATE VIEW public.vv AS SELECT v.id, b.v FROM public.v JOIN public.b USING (id)
CREATE VIEW public.vf AS SELECT public.f(1) AS f, f.* FROM public.rows() f
CREATE VIEW public.ve AS SELECT (v).one FROM public.e
CREATE VIEW public.vm AS SELECT 'sad'::public.mood AS m
CREATE MATERIALIZED VIEW public.mv AS SELECT v FROM public.v
ALTER VIEW public.v RENAME COLUMN v TO x
DROP VIEW public.v CASCADE
DROP VIEW public.vf
DROP VIEW public.ve
DROP MATERIALIZED VIEW public.mv
CREATE TYPE public.mood AS ENUM ('sad', 'ok')
ALTER TYPE public.mood RENAME VALUE 'sad' TO 'blue'
ALTER TYPE public.mood RENAME TO mood2
ALTER TYPE public.mood2 RENAME TO mood
DROP TYPE public.mood CASCADE
CREATE TYPE public.pair AS (one int, two text)
ALTER TYPE public.pair RENAME ATTRIBUTE one TO uno CASCADE
ALTER TYPE public.pair RENAME ATTRIBUTE uno TO one CASCADE
ALTER TYPE public.pair ADD ATTRIBUTE three int CASCADE
DROP TYPE public.pair CASCADE
CREATE DOMAIN public.positive2 AS int
ALTER DOMAIN public.positive2 ADD CONSTRAINT calls CHECK (public.f(VALUE) > 0)
ALTER DOMAIN public.positive2 DROP CONSTRAINT calls
ALTER DOMAIN public.positive2 SET DEFAULT public.f(3)
DROP DOMAIN public.positive2 CASCADE
CREATE FUNCTION public.f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'
CREATE OR REPLACE FUNCTION public.f(int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 2'
ALTER FUNCTION public.f(int) OWNER TO someone
ALTER FUNCTION public.f(int) RENAME TO f2
ALTER FUNCTION public.f2(int) RENAME TO f
DROP FUNCTION public.f(int) CASCADE
CREATE FUNCTION public.trig() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'
CREATE FUNCTION public.rows() RETURNS SETOF public.a LANGUAGE sql AS 'SELECT * FROM public.a'
DROP FUNCTION public.rows() CASCADE
CREATE FUNCTION pg_catalog.upper(public.mood) RETURNS text LANGUAGE sql AS 'SELECT NULL::text'
DROP FUNCTION pg_catalog.upper(public.mood) CASCADE
CREATE OPERATOR public.+++ (LEFTARG = int, RIGHTARG = int, FUNCTION = int4pl)
DROP OPERATOR public.+++ (int, int)
CREATE CAST (public.pair AS text) WITH INOUT AS IMPLICIT
DROP CAST (public.pair AS text)
CREATE SCHEMA other
ALTER SCHEMA other RENAME TO another
ALTER SCHEMA another RENAME TO other
DROP SCHEMA other CASCADE
CREATE EXTENSION citext SCHEMA public
ALTER EXTENSION citext DROP FUNCTION public.regexp_match(public.citext, public.citext)
DROP EXTENSION citext CASCADE
CREATE SEQUENCE public.s
DROP SEQUENCE public.s
CREATE TEMP TABLE a (id int)
DROP TABLE pg_temp.a
INSERT INTO public.b (a) VALUES (1)
VACUUM FULL pg_catalog.pg_class
ALTER FUNCTION pg_catalog.lower(text) VOLATILE
ALTER FUNCTION pg_catalog.lower(text) IMMUTABLE
ALTER VIEW information_schema.tables RENAME COLUMN table_name TO named
ALTER VIEW information_schema.tables RENAME COLUMN named TO table_name
ANALYZE
BEGIN; CREATE TABLE public.a (id int); ALTER TABLE public.a ADD COLUMN v text; DROP TABLE IF EXISTS public.b CASCADE; COMMIT
BEGIN; CREATE TABLE public.back (id int); ROLLBACK
`), "\n")

// written changes names that definitions of views are written with.
var written = []string{
	"CREATE TYPE public.pair AS (one int, two text)", "CREATE TABLE public.e (id int, v public.pair)",
	"CREATE VIEW public.ve AS SELECT (v).one FROM public.e", "ALTER TYPE public.pair RENAME ATTRIBUTE one TO uno CASCADE",
	"CREATE TABLE public.a (id int, v text)", "CREATE FUNCTION public.rows() RETURNS SETOF public.a LANGUAGE sql AS 'SELECT * FROM public.a'",
	"CREATE VIEW public.vf AS SELECT f.id FROM public.rows() f JOIN public.e USING (id)", "ALTER TABLE public.a RENAME COLUMN v TO x",
	"CREATE VIEW public.v AS SELECT * FROM public.a", "CREATE VIEW public.vv AS SELECT v.id, v.x FROM public.v",
	"ALTER TABLE public.a RENAME TO renamed", "ALTER VIEW public.v RENAME TO w", "ALTER TABLE public.renamed SET SCHEMA other",
	"ALTER TABLE other.renamed ADD COLUMN more text", "DROP TABLE other.renamed CASCADE", "DROP TYPE public.pair CASCADE",
}

// Whatever has changed, following it leads to the same catalog as reading all.
func TestFollowingChangesIsReadingEverything(t *testing.T) {
	pg := pgtest.Start(t)
	conn := connect(t, pg)
	other := connect(t, pg)
	run(t, conn, "CREATE ROLE someone; CREATE SCHEMA other")
	ctx := context.Background()
	k := new(Loader)
	_, err := k.Load(ctx, simple{conn})
	require.NoError(t, err)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	followed, worked := 0, map[string]bool{}
	var since []string
	rounds := 1500
	if testing.Short() {
		rounds = 300
	}
	for n := range rounds {
		s := definitions[random.IntN(len(definitions))]
		if n < len(written) {
			s = written[n]
		}
		if _, err := other.Exec(ctx, s).ReadAll(); err != nil {
			other.Exec(ctx, "ROLLBACK").ReadAll()
			continue
		}
		worked[s] = true
		since = append(since, s)
		if n >= len(written) && random.IntN(3) == 0 {
			continue // several changes at once
		}
		all := k.fulls
		got, err := k.Load(ctx, simple{conn})
		require.NoError(t, err, s)
		if k.fulls == all {
			followed++
		}
		want, err := Load(ctx, simple{conn})
		require.NoError(t, err, s)
		require.Equal(t, want.Key(), got.Key(), "%q, seed %d", since, seed)
		since = nil
	}
	require.Greater(t, followed, rounds/10, "enough changes are followed")
	require.Greater(t, len(worked), len(definitions)/2)
	t.Logf("%d of %d statements worked, %d loads followed changes", len(worked), len(definitions), followed)
}

// What is not resolved means the same whatever names mean.
func TestWhatIsNotResolvedDependsOnNoName(t *testing.T) {
	a := NewAnalyzer(Options{CacheEntries: -1})
	texts := append([]string{
		"BEGIN", "COMMIT", "SET search_path = x", "RESET ALL", "SHOW search_path", "DISCARD ALL", "CHECKPOINT", "LISTEN x",
		"CREATE FUNCTION f(a int DEFAULT lower('x')::int) RETURNS int LANGUAGE sql AS 'SELECT 1'", "DO 'BEGIN END'", "CALL p(1)",
		"CREATE TABLE t AS SELECT 1", "CREATE TABLE app.t (id int)", "CREATE TABLE t (id int)", "GRANT SELECT ON customers TO x", "EXECUTE x", "EXECUTE x(1)", "FETCH x",
		"PREPARE x AS SELECT 1", "PREPARE x (mood) AS SELECT 1", "DECLARE x CURSOR FOR VALUES (1)", "EXPLAIN SELECT 1", "SELECT 1", "VALUES (1)",
		"LOCK customers", "VACUUM customers", "VACUUM", "TRUNCATE v", "COPY v FROM STDIN", "COPY (SELECT 1) TO STDOUT", "REFRESH MATERIALIZED VIEW v",
		"CREATE RULE r AS ON INSERT TO v DO INSTEAD NOTHING", "ALTER ROLE x PASSWORD 'y'", "no statement", "SELECT '\\'",
	}, definitions...)
	for _, k := range corpus {
		texts = append(texts, k.sql)
	}
	unresolved := 0
	for _, text := range texts {
		without := a.Analyze([]byte(text), &State{StandardStrings: true, Temp: true})
		for i, s := range without.Statements {
			if s.Resolved {
				continue
			}
			unresolved++
			for _, path := range [][]string{nil, {"public"}, {"app", "pg_catalog"}} {
				with := a.Analyze([]byte(text), &State{Catalog: testCatalog(), SearchPath: path, StandardStrings: true})
				require.Equal(t, s, with.Statements[i], text)
			}
		}
	}
	require.Greater(t, unresolved, 20)
	one := func(text string) Statement { return a.Analyze([]byte(text), nil).Statements[0] }
	require.False(t, one("CREATE OR REPLACE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'").Resolved)
	require.True(t, one("INSERT INTO t VALUES (1)").Resolved)
}
