package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
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
