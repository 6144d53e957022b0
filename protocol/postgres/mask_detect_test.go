package postgres_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
)

// Without a rule that names a column, what looks like a secret is masked in text
// and binary results, documents and messages.
func TestMaskWhatIsFound(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{middleware.Mask(
		mask.Rule{Name: "card", Detect: []string{"card"}, Transform: mask.KeepLast(4)},
		mask.Rule{Name: "found", Detect: []string{"*"}, Transform: mask.Redact()})}})
	for q, want := range map[string]string{
		"select 'write to ada@example.com', 536904399 as ssn, 536904399 as id":                "write to ***|0|536904399",
		`select '{"mail": "ada@example.com", "n": 1}'::jsonb, array['ada@example.com']`:       `{"n": 1, "mail": "***"}|{}`,
		"select n, v from (values (1, '4111111111111111'), (2, '4111111111111112')) x (n, v)": "1|************1111\n2|************1112",
		"select date '1985-03-12' as born, date '1985-03-12' as sold":                         "1970-01-01|1985-03-12",
	} {
		out, err := r.psql(t, "-Atc", q)
		require.NoError(t, err, out)
		require.Equal(t, want, strings.TrimSpace(out))
	}
	out, err := r.psql(t, "-Atc", "select 'ada@example.com'::int")
	require.Error(t, err)
	require.Contains(t, out, `invalid input syntax for type integer: "***"`)
	out, err = r.psql(t, "-Atc", "copy (select 'ada@example.com') to stdout")
	require.NoError(t, err)
	require.Equal(t, "***", strings.TrimSpace(out))

	// Also in what cannot be analysed, where a chain allows that.
	out, err = r.psql(t, "-Atc", "set standard_conforming_strings = off", "-c", "set escape_string_warning = off", "-c", `select 'ada@example.com', '\\\\x'`)
	require.NoError(t, err, out)
	require.Contains(t, out, "***|")

	conn := r.connect(t, "")
	var s string
	var n int64
	require.NoError(t, conn.QueryRow(t.Context(), "select 'write to ada@example.com'::text, 4155552671::int8 as phone").Scan(&s, &n))
	require.Equal(t, "write to *** 0", s+" "+string(rune('0'+n)))
}
