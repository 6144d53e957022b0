package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit"
)

// A client's text obeys nobody's terminal, in either form.
func TestAttackTerminal(t *testing.T) {
	const text = "select '\x1b[2J \x7f \u009b31m \u202e \U000e0041 \r ü 漢 \U0001f600'"
	e := audit.Event{Kind: audit.CommandDecided, Action: &audit.Action{Verb: "select", Text: &audit.Value{Text: text}},
		Identity: &audit.Identity{Subject: text}, Session: "s", Decision: &audit.Decision{Effect: "deny", Reason: text}, Error: text}
	var b strings.Builder
	require.NoError(t, jsonTo(&b).Encode(e))
	for _, s := range []string{strings.TrimSuffix(b.String(), "\n"), eventLine(&e)} {
		require.NotContains(t, s, "\n")
		for _, bad := range "\x1b\x7f\u009b\u202e\U000e0041\r" {
			require.NotContains(t, s, string(bad))
		}
	}
	require.Contains(t, b.String(), "ü 漢 \U0001f600")
	var back audit.Event
	require.NoError(t, json.Unmarshal([]byte(b.String()), &back))
	require.Equal(t, audit.Text(text), back.Action.Text.Text)
}
