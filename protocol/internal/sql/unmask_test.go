package sql_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

func TestUnmask(t *testing.T) {
	for text, want := range map[string]string{
		"/* unmask: ticket 4711 */ select 1": "ticket 4711",
		"\n /*+ UnMask: a\nb */\nselect 1":   "a\nb",
		"/*unmask:x*/select 1":               "x",
		"":                                   "",
		"/*":                                 "",
		"select 1":                           "",
		"/* unmask: */ select 1":             "",
		"/* unmask: never ends select 1":     "",
		"/* please unmask: x */ select 1":    "",
		"select 1 /* unmask: x */":           "",
		"/* a */ /* unmask: x */ select 1":   "",
		"select '/* unmask: x */'":           "",
		"-- /* unmask: x */\nselect 1":       "",
		"/* unmask: a /* b */ c */ select 1": "",
		"/*! unmask: x */ select 1":          "", // which MySQL runs
		"/*M!999999 unmask: x */ select 1":   "x",
		"/*M!9999990 unmask: x */ select 1":  "",
		"/*M!100000 unmask: x */ select 1":   "",
		"/*!999999 unmask: x */ select 1":    "",
		"/*M! unmask: x */ select 1":         "",
		"/* unmask x */ select 1":            "",
		"/*++ unmask: x */ select 1":         "",
		"(/* unmask: x */ select 1)":         "",
		"\u00a0/* unmask: x */ select 1":     "",
		"/* unmask: x */; select 1":          "x",
	} {
		require.Equal(t, want, sql.Unmask(text), "%q", text)
	}
}
