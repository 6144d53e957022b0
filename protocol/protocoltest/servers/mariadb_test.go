package servers

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMariaDBsBesideEachOther: one that starts leaves the temporary tables of others
// alone.
func TestMariaDBsBesideEachOther(t *testing.T) {
	start := func() (m *MariaDB, tmp string) {
		m, err := StartMariaDB(t.Context(), MariaDBConfig{})
		require.NoError(t, err)
		t.Cleanup(m.Stop)
		out, err := m.Exec(t.Context(), "SELECT @@tmpdir")
		require.NoError(t, err)
		return m, strings.TrimSpace(out)
	}
	_, one := start()
	_, other := start()
	require.NotEqual(t, filepath.Clean(one), filepath.Clean(other))
}
