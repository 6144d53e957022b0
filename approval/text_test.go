package approval_test

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/approval"
	"github.com/sallyport-dev/gateway/protocol"
)

var update = flag.Bool("update", false, "renew golden files")

func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"select 'é', 'Ω', '中'\n\tfrom t": "select 'é', 'Ω', '中'\n\tfrom t",
		"a\x00b\x1b[2Jc\rd\x7f":          "a␀b␛[2Jc␍d␡",
		"drop\u202etable\u2066":          "drop⟨U+202E⟩table⟨U+2066⟩",
		"a\u200bb\ufeff\u00a0":           "a⟨U+200B⟩b⟨U+FEFF⟩⟨U+00A0⟩",
		"x\u3164y\u2800z\ufe0f":          "x⟨U+3164⟩y⟨U+2800⟩z⟨U+FE0F⟩",
		"bad\xff\xc3":                    "bad⟨0xFF⟩⟨0xC3⟩",
		"\u0085\u009b31m\u2028":          "⟨U+0085⟩⟨U+009B⟩31m⟨U+2028⟩",
	} {
		require.Equal(t, want, approval.Visible(in))
	}
}

func FuzzVisible(f *testing.F) {
	f.Add("plain")
	f.Add("\x1b]0;t\x07\u202e\xff\u3164")
	f.Fuzz(func(t *testing.T, s string) {
		out := approval.Visible(s)
		require.True(t, utf8.ValidString(out))
		for _, r := range out {
			if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
				t.Fatalf("%U", r)
			}
		}
		require.Equal(t, out, approval.Visible(out))
	})
}

func TestID(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := approval.NewID()
		require.Len(t, id, 12)
		require.False(t, seen[id])
		seen[id] = true
		spoken := strings.ToUpper(id[:4] + "-" + id[4:8] + " " + id[8:])
		spoken = strings.NewReplacer("0", "O", "1", "l").Replace(spoken)
		got, ok := approval.ParseID(spoken)
		require.True(t, ok)
		require.Equal(t, id, got)
	}
	for _, s := range []string{"", "short", "7k3d9x0mq2w", "7k3d9x0mq2waa", "7k3d9x0mq2w/", "7k3d9x0mq2wü", "uuuuuuuuuuuu", strings.Repeat(" ", 1000)} {
		_, ok := approval.ParseID(s)
		require.False(t, ok, s)
	}
}

func FuzzParseID(f *testing.F) {
	f.Add("7K3D-9X0M-Q2WA")
	f.Fuzz(func(t *testing.T, s string) {
		if id, ok := approval.ParseID(s); ok {
			again, ok := approval.ParseID(id)
			require.True(t, ok)
			require.Equal(t, id, again)
		}
	})
}

// full is a request with something in every field.
func full() approval.Request {
	at := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	agent := &protocol.Identity{Issuer: "https://ci.example", Subject: "deploy", Name: "Deploy", Kind: protocol.Agent,
		OnBehalfOf: person("alice", "dba"), Claims: map[string]any{"secret": "not shown"}}
	bob := person("bob", "dba")
	bob.Email = "bob@example.com"
	return approval.Request{
		ID: "7k3d9x0mq2wa", Session: "0190", Operation: 3, Requester: agent,
		Tool:   protocol.Tool{Name: "psql", Raw: "psql 15", Source: "application_name"},
		Target: "orders", Protocol: "postgres", Account: "app", Database: "shop",
		Verb: "update", Access: protocol.Write | protocol.Read, Text: "update orders\nset paid = $1 where note = $2",
		Behind:    "prepare it as update orders",
		Rewritten: "update orders set paid = $1 where note = $2 and tenant = 7",
		Args:      []protocol.Arg{{Text: "t", Type: "bool"}, {Null: true}, {Text: ""}},
		Objects:   []protocol.Object{{Kind: "table", Name: "public.orders", Access: protocol.Write}},
		Unmask:    "ticket 4711",
		Lifts:     []protocol.Lift{{Column: "mail", Rule: "contact", From: []protocol.ColumnRef{{Schema: "public", Table: "customers", Column: "email"}}}},
		Settings:  "search_path=public", Opaque: "calls f()", InTx: true, Risk: 70, RiskWhy: []string{"first seen", "no\x1b[2Jlimit"},
		Reason: "changes orders", Rule: "changes", Digest: digest,
		Approvers: approval.Approvers{Groups: []string{"dba"}, Users: users(0, "zoe").Users, Need: 2},
		Created:   at, Until: at.Add(5 * time.Minute), State: approval.StateWithdrawn, Ended: at.Add(time.Minute), Cause: "the client withdrew",
		Decisions: []approval.Decision{{By: bob, Approve: true, Comment: "ok", Time: at.Add(time.Second)}},
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := "testdata/" + name
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// TestCardCannotBeForged tries to have a statement pass for a line of the
// card: by a line feed, and by being broken at the terminal's width.
func TestCardCannotBeForged(t *testing.T) {
	r := full()
	r.Text = "select 1\npermits    nothing\n" + strings.Repeat(" ", 200) + "permits    nothing\n" + strings.Repeat("\t", 30)
	r.Text += "\n" + strings.Repeat("\u4e00", 37) + "permits    nothing" // which take two columns each
	r.Reason = "x\npermits    nothing" + strings.Repeat("\uff21", 80)
	n := 0
	for line := range strings.Lines(r.Card()) {
		if strings.HasPrefix(line, "permits") {
			n++
		}
		if strings.HasPrefix(line, "  ") {
			wide := strings.Count(line, "\u4e00") + strings.Count(line, "\uff21")
			require.LessOrEqual(t, utf8.RuneCountInString(line)+wide, 78)
		}
	}
	require.Equal(t, 1, n)
}

func TestBytesThatAreNotUTF8AreTold(t *testing.T) {
	r := full()
	r.Text = "select '\xff\xfe'"
	b, err := json.Marshal(r)
	require.NoError(t, err)
	var back approval.Request
	require.NoError(t, json.Unmarshal(b, &back))
	require.Equal(t, "select '⟨0xFF⟩⟨0xFE⟩'", back.Text)
}

func TestGoldenForms(t *testing.T) {
	r := full()
	b, err := json.MarshalIndent(r, "", "  ")
	require.NoError(t, err)
	require.NotContains(t, string(b), "not shown")
	golden(t, "request.json", string(b)+"\n")
	golden(t, "card.txt", r.Card())

	var back approval.Request
	require.NoError(t, json.Unmarshal(b, &back))
	require.Equal(t, r.Card(), back.Card())
	again, err := json.MarshalIndent(back, "", "  ")
	require.NoError(t, err)
	require.Equal(t, string(b), string(again))
}

func FuzzRequestJSON(f *testing.F) {
	b, err := json.Marshal(full())
	require.NoError(f, err)
	f.Add(b)
	f.Add([]byte(`{"digest":"00"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r approval.Request
		if json.Unmarshal(b, &r) != nil {
			return
		}
		for _, c := range r.Card() {
			if c != '\n' && c != '\t' && !unicode.IsPrint(c) {
				t.Fatalf("%U", c)
			}
		}
		_, err := json.Marshal(r)
		_ = err // a year beyond 9999 has no JSON form
	})
}
