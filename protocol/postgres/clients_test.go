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
