package postgres_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// TestDriversCannotTellTheGatewayFromTheServer runs a script of
// testdata/clients with a driver of another language, directly and through a
// gateway, once more with a step that looks at everything.
func TestDriversCannotTellTheGatewayFromTheServer(t *testing.T) {
	ctx := t.Context()
	python, err := servers.Psycopg2(ctx, os.Stderr)
	require.NoError(t, err)
	node, modules, err := servers.NodePostgres(ctx, os.Stderr)
	require.NoError(t, err)
	settings := pgtest.Setting("max_prepared_transactions", "4")
	direct := directSide(pgtest.Start(t, settings))
	plain := newRig(t, rigConfig{pg: []pgtest.Option{settings}}).side()
	looked := newRig(t, rigConfig{steps: []middleware.Step{looking()}, pg: []pgtest.Option{settings}}).side()
	for _, client := range [][]string{{python, "with_psycopg2.py"}, {node, "with_node-postgres.js"}} {
		run := func(t *testing.T, s side) string {
			t.Helper()
			ctx, cancel := context.WithTimeout(ctx, differentialLimit)
			defer cancel()
			cmd := exec.CommandContext(ctx, client[0], filepath.Join("testdata", "clients", client[1]))
			cmd.Env = append(s.env(), "NODE_PATH="+modules, "NODE_NO_WARNINGS=1")
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			return string(out)
		}
		t.Run(client[1], func(t *testing.T) {
			want := run(t, direct)
			for name, s := range map[string]side{"gateway": plain, "gateway that looks": looked} {
				if got := run(t, s); got != want {
					t.Errorf("%s: something else is printed:\n%s", name, firstDifference(want, got))
				}
			}
		})
	}
}

// PostgreSQL describes statements of more parameters than a message can count
// or bind.
func TestAStatementOfTooManyParameters(t *testing.T) {
	r := newRig(t, rigConfig{})
	conn := r.connect(t, "").PgConn()
	var text strings.Builder
	text.WriteString("VALUES ($1::text)")
	for i := 2; i <= 1<<16; i++ {
		fmt.Fprintf(&text, ", ($%d)", i)
	}
	sd, err := conn.Prepare(t.Context(), "many", text.String(), nil)
	require.NoError(t, err)
	require.Len(t, sd.ParamOIDs, 1<<16)
	result := conn.ExecPrepared(t.Context(), "many", make([][]byte, 1<<16), nil, nil).Read()
	require.ErrorContains(t, result.Err, "65535", "the client's own limit")
	_, err = conn.Exec(t.Context(), "SELECT 1").ReadAll()
	require.NoError(t, err)
}

// BASE_BACKUP answers with two sets of rows, a COPY and one more. What follows
// the log meanwhile is a second connection.
func TestPgBaseBackup(t *testing.T) {
	r := newRig(t, rigConfig{options: map[string]string{"sslmode": "disable", "replication": "allow"},
		pg: []pgtest.Option{pgtest.HBA("host replication all 127.0.0.1/32 scram-sha-256")}})
	dir := filepath.Join(t.TempDir(), "backup")
	cmd := exec.CommandContext(t.Context(), pgtest.Tool(t, "pg_basebackup"), "-D", dir, "-X", "stream", "-c", "fast")
	cmd.Env = r.side().env()
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	out, err = exec.CommandContext(t.Context(), pgtest.Tool(t, "pg_verifybackup"), dir).CombinedOutput()
	require.NoError(t, err, "%s", out)
}
