package postgres_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// differentialLimit bounds one script: what hangs is a difference too.
const differentialLimit = 60 * time.Second

// TestPsqlCannotTellTheGatewayFromTheServer runs each script of
// testdata/differential twice, on two servers that are alike: directly and
// through a gateway that allows and records everything. What psql prints must
// be the same to the byte.
func TestPsqlCannotTellTheGatewayFromTheServer(t *testing.T) {
	differential(t, nil)
}

// TestPsqlCannotTellThatStepsLook is the same with a step that looks at every
// row, stream and message, so that each is taken apart and put together again.
func TestPsqlCannotTellThatStepsLook(t *testing.T) {
	differential(t, []middleware.Step{looking()})
}

// looking is a step that looks at everything and changes nothing.
func looking() middleware.Step {
	return middleware.Step{Name: "look", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if op.Verb == protocol.Connect {
			return protocol.Decision{}, nil
		}
		if err := op.OnRows(func([]protocol.Column) (protocol.RowFunc, error) {
			return func([][]byte) error { return nil }, nil
		}); err != nil && !errors.Is(err, protocol.ErrShape) {
			return protocol.Decision{}, err
		}
		if err := op.OnText(func(*protocol.Message) error { return nil }); err != nil {
			return protocol.Decision{}, err
		}
		return protocol.Decision{}, nil
	}}
}

func differential(t *testing.T, steps []middleware.Step) {
	scripts, err := filepath.Glob("testdata/differential/*.sql")
	require.NoError(t, err)
	require.NotEmpty(t, scripts)
	settings := pgtest.Setting("max_prepared_transactions", "4")
	direct := pgtest.Start(t, pgtest.Sample(), settings)
	r := newRig(t, rigConfig{steps: steps, pg: []pgtest.Option{settings}})
	for _, script := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".sql"), func(t *testing.T) {
			want := runScript(t, directSide(direct), script)
			got := runScript(t, r.side(), script)
			if want != got {
				t.Errorf("psql prints something else through the gateway:\n%s", firstDifference(want, got))
			}
			require.NotContains(t, got, "TIMEOUT")
		})
	}
}

// A side is one of the two ways to a server, as the settings of libpq.
type side struct {
	host, port, user, password string
}

func directSide(pg *servers.Postgres) side {
	host, port, _ := strings.Cut(pg.Addr, ":")
	return side{host, port, pg.Superuser.User, pg.Superuser.Secret.Reveal()}
}

// side names the target in the user, so that databases keep their names.
func (r *rig) side() side { return side{r.host, r.port, "alice@pg", r.token} }

func (s side) env() []string {
	return append(os.Environ(), "PGHOST="+s.host, "PGPORT="+s.port, "PGUSER="+s.user, "PGPASSWORD="+s.password,
		"PGDATABASE=postgres", "PGSSLMODE=disable", "PGGSSENCMODE=disable", "LC_ALL=C", "PGTZ=UTC", "PGCONNECT_TIMEOUT=20")
}

// runScript returns all that psql prints while it runs a script as if typed.
// \! commands of the script see the side's settings and a folder of their own.
func runScript(t *testing.T, s side, script string) string {
	t.Helper()
	text, err := os.ReadFile(script)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), differentialLimit)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, pgtest.Tool(t, "psql"), "-X", "-a", "-q")
	cmd.Env = append(s.env(), "TMP_DIR="+t.TempDir())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(text), &out, &out
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	if ctx.Err() != nil {
		out.WriteString("\nTIMEOUT")
	} else if err != nil {
		out.WriteString("\n" + err.Error())
	}
	return out.String()
}

// firstDifference shows where two texts part.
func firstDifference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	from := max(0, i-5)
	cut := func(l []string) string { return strings.Join(l[min(from, len(l)):min(i+10, len(l))], "\n") }
	return "--- direct\n" + cut(a) + "\n--- gateway\n" + cut(b)
}
