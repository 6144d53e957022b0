package export

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit"
)

// readCEF reads a message as the standard says: seven fields that end with a bar
// which no backslash stands before, and keys with values up to the next key.
func readCEF(t *testing.T, m string) (header []string, extension map[string]string) {
	t.Helper()
	var field strings.Builder
	for len(header) < 7 {
		require.NotEmpty(t, m, "the header ends early")
		c := m[0]
		m = m[1:]
		switch {
		case c == '\\':
			require.Contains(t, `\|`, m[:1], "an escape that the header does not have")
			field.WriteByte(m[0])
			m = m[1:]
		case c == '|':
			header = append(header, field.String())
			field.Reset()
		default:
			require.NotContains(t, "\r\n", string(c))
			field.WriteByte(c)
		}
	}
	extension = map[string]string{}
	keys := regexp.MustCompile(`(?:^| )([A-Za-z0-9]+)=`).FindAllStringSubmatchIndex(m, -1)
	for i, k := range keys {
		end := len(m)
		if i+1 < len(keys) {
			end = keys[i+1][0]
		}
		raw := m[k[1]:end]
		var v strings.Builder
		for j := 0; j < len(raw); j++ {
			switch raw[j] {
			case '\\':
				j++
				require.Less(t, j, len(raw), "an escape at the end")
				require.Contains(t, `\=nr`, raw[j:j+1], "an escape that values do not have")
				v.WriteString(map[byte]string{'\\': `\`, '=': "=", 'n': "\n", 'r': "\r"}[raw[j]])
			case '=', '\n', '\r':
				t.Errorf("%q stands in a value as it is: %s", raw[j], raw)
			default:
				v.WriteByte(raw[j])
			}
		}
		name := m[k[2]:k[3]]
		require.NotContains(t, extension, name, "a key stands twice")
		extension[name] = v.String()
	}
	return header, extension
}

// Whatever is in an event comes out as it was, in its field and in no other.
func TestCEFEscapes(t *testing.T) {
	for _, evil := range []string{`a|b`, `a\`, `\`, `a=b`, "two\nlines", `end \n`, `x act=drop suser=root`, `\|`, `\=`, "ü€𝄞", ` act=drop`, "a\tb"} {
		e := audit.Event{V: 1, Seq: 3, Time: noon, Kind: audit.CommandDecided, Session: "s1", Identity: &audit.Identity{Subject: audit.Text(evil), Name: audit.Text(evil)},
			Target: &audit.Target{Name: audit.Text(evil)}, Action: &audit.Action{Verb: audit.Text(evil), Text: &audit.Value{Text: audit.Text(evil)}},
			Decision: &audit.Decision{Effect: "deny", Reason: audit.Text(evil), By: "block"}}
		b, err := CEF("origin", &e)
		require.NoError(t, err)
		header, extension := readCEF(t, string(b))
		line := strings.ReplaceAll(evil, "\n", " ")
		want := strings.ReplaceAll(evil, "\t", " ")
		require.Equal(t, []string{"CEF:0", "Sallyport", "gateway", "1", "command.decided", "command.decided " + strings.ReplaceAll(line, "\t", " "), "5"}, header)
		for _, k := range []string{"suser", "suid", "dhost", "msg", "reason", "act"} {
			require.Equal(t, want, extension[k], "%s of %q", k, evil)
		}
		require.Equal(t, "s1", extension["cs6"])
	}
	for _, evil := range []string{"\x00\x1b[2J", "\xff", "\u0085"} {
		b, err := CEF("origin", &audit.Event{Kind: audit.LoginRefused, User: audit.Text(evil)})
		require.NoError(t, err)
		readCEF(t, string(b))
		require.NotContains(t, string(b), evil)
	}
	long := audit.Text(strings.Repeat("é", 5000))
	b, err := CEF("origin", &audit.Event{Kind: audit.CommandDecided, Action: &audit.Action{Verb: "x", Text: &audit.Value{Text: long}}})
	require.NoError(t, err)
	_, extension := readCEF(t, string(b))
	require.Len(t, []rune(extension["msg"]), 1023)
	require.True(t, strings.HasSuffix(extension["msg"], "é..."))
}
