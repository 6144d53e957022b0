package mask

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMySQLTypes(t *testing.T) {
	for name, want := range map[string]Kind{"varchar": Text, "varbinary": Text, "int": Int4, "int unsigned": Int4, "bigint unsigned": Int8, "datetime": Timestamp,
		"decimal": Numeric, "json": JSON, "geometry": Unknown, "bit": Unknown, "text in a wide character set": Unknown, "": Unknown} {
		require.Equal(t, Type{Kind: want}, MySQL(name), name)
	}
}
