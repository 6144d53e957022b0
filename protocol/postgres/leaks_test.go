package postgres_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol/internal/pgsql/querygen"
	"github.com/sallyport-dev/gateway/protocol/postgres"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

// A leak is a line of testdata/leaks.
type leak struct {
	line  string
	class string
	asked []string
}

func leaks(t testing.TB) (list []leak) {
	for _, file := range []string{"corpus.txt", "analysts.txt"} {
		list = append(list, leaksIn(t, file)...)
	}
	return list
}

func leaksIn(t testing.TB, file string) (list []leak) {
	text, err := os.ReadFile(filepath.Join("testdata", "leaks", file))
	require.NoError(t, err)
	for i, line := range strings.Split(string(text), "\n") {
		class, asked, ok := strings.Cut(line, "|")
		if line == "" || line[0] == '#' {
			continue
		}
		require.True(t, ok, "%s, line %d", file, i+1)
		if postgres.RaceDetector && i%8 != 0 { // a sample: it is about what is analysed, and slow
			continue
		}
		list = append(list, leak{fmt.Sprint(file, ", line ", i+1), strings.TrimSpace(class), strings.Split(strings.TrimSpace(asked), " ;; ")})
	}
	return list
}

// ask asks all of l on one connection; COPY has a way of its own.
func (l *leak) ask(ctx context.Context, conn *pgconn.PgConn, one func(context.Context, *pgconn.PgConn, string) answer) (all answer) {
	for _, text := range l.asked {
		f := one
		if strings.HasPrefix(text, "copy ") && strings.Contains(text, " to stdout") {
			f = copied
		}
		a := f(ctx, conn, text)
		all.rows, all.bytes = append(all.rows, a.rows...), append(all.bytes, a.bytes...)
		if a.err != nil && all.err == nil {
			all.err = a.err
		}
		if shown := a.shows(l.class == "hard"); shown != "" { // not only the first error
			all.err = fmt.Errorf("a mark came back: %s", shown)
			return all
		}
	}
	return all
}

// String is the answer as a client sees it.
func (a *answer) String() string {
	if a.err != nil {
		return fmt.Sprintf("%q %q %v", a.rows, a.bytes, a.err)
	}
	return fmt.Sprintf("%q %q", a.rows, a.bytes)
}

// TestLeaks asks what goes round a mask in other products, each with the simple
// and with the extended protocol.
func TestLeaks(t *testing.T) {
	r := tainted(t)
	direct := pgtest.Start(t, pgtest.Sample(), pgtest.SQL(querygen.Schema))
	answered, hard := 0, 0
	for _, l := range leaks(t) {
		t.Run(l.line, func(t *testing.T) {
			for name, one := range map[string]func(context.Context, *pgconn.PgConn, string) answer{"simple": texts, "extended": extended} {
				if name == "extended" && l.class == "hard" && len(l.asked) > 1 {
					continue // takes long, and the text is what matters in these
				}
				conn, err := pgconn.Connect(t.Context(), r.dsn(""))
				require.NoError(t, err)
				got := l.ask(t.Context(), conn, one)
				require.NoError(t, conn.Close(t.Context()))
				switch l.class {
				case "same":
					c, err := pgconn.Connect(t.Context(), direct.SuperuserDSN())
					require.NoError(t, err)
					want := l.ask(t.Context(), c, one)
					require.NoError(t, c.Close(t.Context()))
					require.Equal(t, want.String(), got.String(), "%s: %q", name, l.asked)
				case "masked":
					if name == "extended" && got.code() == "42601" { // several statements
						continue
					}
					require.NoError(t, got.err, "%s: %q", name, l.asked)
					require.False(t, len(got.rows) == 0 && len(got.bytes) == 0, "%s: %q", name, l.asked)
				case "refused":
					require.Error(t, got.err, "%s: %q", name, l.asked)
					require.NotContains(t, got.err.Error(), "a mark came back", "%s: %q", name, l.asked)
				case "hard":
					if got.err != nil {
						require.NotContains(t, got.err.Error(), "a mark came back", "%s: %q", name, l.asked)
					}
					if name == "simple" {
						hard++
						if got.err == nil {
							answered++
						} else {
							t.Log(got.err)
						}
					}
				default:
					t.Errorf("%s: class %q", l.line, l.class)
				}
			}
		})
	}
	t.Logf("%d of %d hard ones were answered with masks", answered, hard)
}

// What psql's own commands ask the catalog is answered as it is while masks apply.
func TestPsqlDescribesUnderMasks(t *testing.T) {
	r := tainted(t)
	direct := directSide(pgtest.Start(t, pgtest.Sample(), pgtest.SQL(querygen.Schema)))
	psql := func(s side, command string) string {
		cmd := exec.CommandContext(t.Context(), pgtest.Tool(t, "psql"), "-X", "-c", command)
		cmd.Env = s.env()
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s: %s", command, out)
		return string(out)
	}
	for _, command := range []string{`\d`, `\d people`, `\d+ people`, `\d+ contacts`, `\d+ summary`, `\d+ visits`, `\d visits_1`, `\dS pg_class`, `\dt+`, `\dv`, `\dm`, `\di`, `\ds`,
		`\df`, `\df+ shout`, `\sf mail_of`, `\sv contacts`, `\dn+`, `\du`, `\dg+`, `\dp`, `\ddp`, `\dT`, `\dT+ mood`, `\dx`, `\dD`, `\dL`, `\dP+`, `\dO`, `\dc`, `\dC`, `\dy`, `\dd`,
		`\dFd`, `\dl`, `\do+ public.*`, `\dA`, `\des`, `\deu`, `\dew`, `\det`, `\drds`, `\dRp`, `\dRs`, `\dX`, `\db`, `\conninfo`} {
		want, got := psql(direct, command), psql(r.side(), command)
		if command != `\conninfo` {
			require.Equal(t, want, got, command)
		}
	}
}
