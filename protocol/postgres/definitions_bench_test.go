package postgres_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

// manyDefinitions makes a schema of some 300 tables, views, functions,
// constraints, indexes and triggers, with a few rows.
func manyDefinitions() string {
	var b strings.Builder
	for i := range 60 {
		fmt.Fprintf(&b, "CREATE TABLE t%d (id serial PRIMARY KEY, up int, name text NOT NULL DEFAULT 'x', email text, at timestamptz DEFAULT now(), n numeric CHECK (n > 0));\n", i)
		fmt.Fprintf(&b, "INSERT INTO t%d (name, email, n) SELECT 'n' || i, 'e' || i, i FROM generate_series(1, 10) i;\n", i)
		if i > 0 {
			fmt.Fprintf(&b, "ALTER TABLE t%d ADD FOREIGN KEY (up) REFERENCES t%d (id);\n", i, i-1)
		}
		fmt.Fprintf(&b, "CREATE INDEX ON t%d (lower(email));\n", i)
		if i%2 == 0 {
			fmt.Fprintf(&b, "CREATE VIEW v%d AS SELECT a.id, upper(a.email) AS mail, b.name FROM t%d a LEFT JOIN t%d b ON b.id = a.up;\n", i, i, max(0, i-1))
			fmt.Fprintf(&b, "CREATE FUNCTION f%d(x int) RETURNS int LANGUAGE sql AS 'SELECT x + %d';\n", i, i)
		}
		if i%4 == 0 {
			fmt.Fprintf(&b, "CREATE FUNCTION g%d() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$;\n", i)
			fmt.Fprintf(&b, "CREATE TRIGGER g BEFORE INSERT ON t%d FOR EACH ROW EXECUTE FUNCTION g%d();\n", i, i)
		}
	}
	return b.String()
}

// changingScript changes definitions between reads and writes, 500 statements
// in all.
func changingScript() string {
	var b strings.Builder
	for i := range 50 {
		fmt.Fprintf(&b, "CREATE TABLE c%d (id int PRIMARY KEY, v text);\n", i)
		fmt.Fprintf(&b, "INSERT INTO c%d VALUES (1, 'a'), (2, 'b');\n", i)
		fmt.Fprintf(&b, "SELECT * FROM c%d;\n", i)
		fmt.Fprintf(&b, "ALTER TABLE c%d ADD COLUMN w text;\n", i)
		fmt.Fprintf(&b, "SELECT v, w FROM c%d WHERE id = 1;\n", i)
		fmt.Fprintf(&b, "INSERT INTO c%d (id, v, w) SELECT id + 10, v, w FROM c%d;\n", i, i)
		fmt.Fprintf(&b, "ALTER TABLE c%d RENAME COLUMN w TO u;\n", i)
		fmt.Fprintf(&b, "CREATE INDEX ON c%d (u);\n", i)
		fmt.Fprintf(&b, "SELECT count(u) FROM c%d;\n", i)
		fmt.Fprintf(&b, "DROP TABLE c%d;\n", i)
	}
	return b.String()
}

// BenchmarkDefinitions runs work that changes definitions all the time, once
// directly and once through a gateway. The server keeps what it has committed,
// as the gateway's journal does.
//
// Best of 6 (direct: of 12) on 2 shared cores of an AMD EPYC, in ms, with a catalog that is
// followed and with one that is read anew after each change:
//
//	                                direct   followed   read anew
//	pg_restore                         526       1823        4780
//	pg_restore of one transaction      496        889         918
//	script                             403       1508        1989
//	script in a large schema           299       1724        2968
func BenchmarkDefinitions(b *testing.B) {
	r := newRig(b, rigConfig{pg: []pgtest.Option{pgtest.Setting("fsync", "on"), pgtest.Setting("synchronous_commit", "on")}})
	dir := b.TempDir()
	sides := []struct {
		name string
		side
	}{{"direct", directSide(r.pg)}, {"gateway", r.side()}}
	run := func(b *testing.B, s side, input, tool string, args ...string) {
		b.Helper()
		cmd := exec.Command(pgtest.Tool(b, tool), args...)
		cmd.Env, cmd.Stdin = s.env(), strings.NewReader(input)
		out, err := cmd.CombinedOutput()
		require.NoError(b, err, "%s", out)
	}
	dump := filepath.Join(dir, "dump")
	run(b, sides[0].side, "", "createdb", "many")
	run(b, sides[0].side, manyDefinitions(), "psql", "-Xqv", "ON_ERROR_STOP=1", "-d", "many")
	run(b, sides[0].side, "", "pg_dump", "-Fc", "-f", dump, "-d", "many")
	fresh := func(b *testing.B) {
		b.StopTimer()
		run(b, sides[0].side, "DROP DATABASE IF EXISTS fresh;\nCREATE DATABASE fresh;\n", "psql", "-Xqv", "ON_ERROR_STOP=1")
		b.StartTimer()
	}
	for _, s := range sides {
		b.Run("pg_restore/"+s.name, func(b *testing.B) {
			for range b.N {
				fresh(b)
				run(b, s.side, "", "pg_restore", "-e", "-d", "fresh", dump)
			}
		})
	}
	for _, s := range sides {
		b.Run("pg_restore of one transaction/"+s.name, func(b *testing.B) {
			for range b.N {
				fresh(b)
				run(b, s.side, "", "pg_restore", "-1", "-d", "fresh", dump)
			}
		})
	}
	for _, s := range sides {
		b.Run("script/"+s.name, func(b *testing.B) {
			for range b.N {
				fresh(b)
				run(b, s.side, changingScript(), "psql", "-Xqv", "ON_ERROR_STOP=1", "-d", "fresh")
			}
		})
	}
	for _, s := range sides {
		b.Run("script in a large schema/"+s.name, func(b *testing.B) {
			for range b.N {
				run(b, s.side, changingScript(), "psql", "-Xqv", "ON_ERROR_STOP=1", "-d", "many")
			}
		})
	}
}
