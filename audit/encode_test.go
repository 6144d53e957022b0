package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
)

var update = flag.Bool("update", false, "renew the golden files")

func encodeEvent(seq uint64, e *protocol.Event, d Detail) []byte {
	var session []byte
	if e.Session != nil {
		session = (&sessionState{constant: appendSession(nil, e.Session), brief: appendBrief(nil, e.Session)}).bytes(kindOf(e), e)
	}
	return (&leaf{kind: kindOf(e), event: e, session: session, detail: &d}).append(appendHead(nil, seq))
}

// samples are events that together use every field of the format.
func samples() map[string]*protocol.Event {
	agent := &protocol.Identity{Issuer: "https://id.example", Subject: "bot", Kind: protocol.Agent, Method: "token", OnBehalfOf: alice}
	s := sessionInfo("0192aa-s1")
	s.Identity = agent
	grants := []protocol.Decision{{Effect: protocol.AllowEffect, By: "bob", Rule: "two eyes", Reason: "looks right", Ticket: "T-1"}, {}}
	denied := protocol.Decision{Effect: protocol.DenyEffect, By: "freeze", Rule: "friday", Reason: "no changes on Friday", Ticket: "T-9"}
	op := func(id uint64, verb protocol.Verb, text string) *protocol.Operation {
		return &protocol.Operation{Session: s, ID: id, Verb: verb, Text: text}
	}
	connect := op(1, protocol.Connect, "")
	connect.Access = protocol.Control
	connect.Decide(protocol.Decision{Effect: protocol.AllowEffect}, nil)

	full := op(2, "update", "update users set email = $1 where id = $2 -- \x01\u2028<&>\t\"\\")
	full.Behind = "prepare it as update users"
	full.Access = protocol.Read | protocol.Write
	full.Objects = []protocol.Object{{Kind: "table", Name: "public.users", Access: protocol.Write}, {Kind: "function", Name: "now"}}
	full.Reads, full.ReadsKnown = []protocol.ColumnRef{{Schema: "public", Table: "users", Column: "id"}}, true
	full.Writes = []protocol.ColumnRef{{Schema: "public", Table: "users", Column: "email"}, {Schema: "public", Table: "us.ers", Column: "\xff"}}
	full.Fingerprint, full.State, full.Bounded, full.InTx, full.Prepare, full.Pure = "f00d", "search_path=public", true, true, true, true
	full.Args = []protocol.Arg{{Text: "a@b.example", Type: "text"}, {Null: true, Type: "int4"}, {Text: ""}}
	full.Why = "calls an unknown function"
	full.AddRisk(40, "many rows")
	full.AddRisk(80, "at night")
	_ = full.Rewrite("update users set email = $1 where id = $2 limit 1")
	allow := protocol.Decision{Effect: protocol.AllowEffect, By: "policy", Rule: "writers"}
	full.Decide(allow, grants)
	full.Result().Columns = []protocol.Column{{Name: "id"}, {Name: "e\xffmail"}}
	full.MarkMasked("e\xffmail").Values.Add(2)

	held := op(3, "delete", "delete from users")
	held.Access = protocol.Write
	lifted := op(5, "select", "/* unmask: T-1 */ select email from users")
	lifted.Access, lifted.Pure = protocol.Read, true
	lifted.Unmask = "T-1"
	lifted.Lifts = []protocol.Lift{{Column: "e\xffmail", From: []protocol.ColumnRef{{Schema: "public", Table: "users", Column: "email"}, {Schema: "public", Table: "users", Column: "phone"}}, Rule: "contact"}, {Column: "x", Rule: "r"}}
	lifted.Decide(allow, grants)
	refused := op(4, "drop table", "drop table \xc3\x28")
	refused.Decide(denied, nil)

	return map[string]*protocol.Event{
		"login-refused": {Kind: protocol.LoginRefused, Time: noon, Login: &protocol.Login{Protocol: "ssh", User: "root\xff", Resource: "web", Database: "d",
			Remote: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 99}, Tool: protocol.Tool{Raw: "SSH-2.0-x", Attested: true}},
			Err: &protocol.DeniedError{Step: "authenticate", Rule: "r", Reason: "unknown key", Ticket: "t"}},
		"login-failed":   {Kind: protocol.LoginRefused, Time: noon, Login: &protocol.Login{Protocol: "ssh"}, Err: errors.New("issuer unreachable")},
		"session-opened": {Kind: protocol.Decided, Time: noon, Session: s, Op: connect, Decision: connect.Decision()},
		"session-closed": {Kind: protocol.Ended, Time: noon, Session: s, Op: connect, Outcome: protocol.Outcome{Status: protocol.StatusOK, Duration: time.Minute}},
		"held": {Kind: protocol.Held, Time: noon, Session: s, Op: held,
			Decision: protocol.Decision{Effect: protocol.HoldEffect, By: "approve", Reason: "needs a second pair of eyes", Ticket: "T-1", Until: noon.Add(time.Hour)}},
		"lifted":       {Kind: protocol.Decided, Time: noon, Session: s, Op: lifted, Decision: allow},
		"decided":      {Kind: protocol.Decided, Time: noon, Session: s, Op: full, Decision: allow},
		"refused":      {Kind: protocol.Decided, Time: noon, Session: s, Op: refused, Decision: denied},
		"refused-fail": {Kind: protocol.Decided, Time: noon, Session: s, Op: refused, Decision: denied, Err: errors.New("step x: broken")},
		"completed": {Kind: protocol.Ended, Time: noon, Session: s, Op: full, Outcome: protocol.Outcome{Status: protocol.StatusFailed, Code: "23505", Tag: "UPDATE 3",
			Rows: 3, Bytes: 120, BytesIn: 7, Duration: 1500 * time.Microsecond, Err: errors.New("boom")}},
	}
}

func TestFormat(t *testing.T) {
	for name, e := range samples() {
		for variant, d := range map[string]Detail{"": {}, "-hidden": {HideArgs: true, HideText: true, Key: protocol.NewSecret("k")}} {
			if variant != "" && name != "decided" {
				continue
			}
			t.Run(name+variant, func(t *testing.T) {
				leaf := encodeEvent(7, e, d)
				golden := filepath.Join("testdata", name+variant+".json")
				if *update {
					require.NoError(t, os.MkdirAll("testdata", 0o755))
					require.NoError(t, os.WriteFile(golden, append(leaf, '\n'), 0o644))
				}
				want, err := os.ReadFile(golden)
				require.NoError(t, err)
				require.Equal(t, string(bytes.TrimSuffix(want, []byte("\n"))), string(leaf))
				roundTrip(t, leaf)
			})
		}
	}
}

// roundTrip requires that a leaf decodes, and that encoding/json makes the
// very same bytes of what it decoded to: the format has one writer's view.
func roundTrip(t testing.TB, leaf []byte) Event {
	t.Helper()
	require.True(t, json.Valid(leaf), "%q", leaf)
	require.True(t, utf8.Valid(leaf))
	e, err := ParseEvent(leaf)
	require.NoError(t, err, "%s", leaf)
	again, err := e.encode()
	require.NoError(t, err)
	require.Equal(t, string(leaf), string(again))
	return e
}

func TestHidden(t *testing.T) {
	e := samples()["decided"]
	leaf := encodeEvent(7, e, Detail{HideArgs: true, HideText: true, Key: protocol.NewSecret("k")})
	for _, secret := range []string{"a@b.example", "update users", "limit 1"} {
		require.NotContains(t, string(leaf), secret)
	}
	got, err := ParseEvent(leaf)
	require.NoError(t, err)
	require.Equal(t, len("a@b.example"), got.Action.Args[0].Value.Len)
	require.Len(t, got.Action.Args[0].Value.MAC, 64)
	require.Nil(t, got.Action.Args[1].Value)
	other, err := ParseEvent(encodeEvent(7, e, Detail{HideArgs: true, Key: protocol.NewSecret("other")}))
	require.NoError(t, err)
	require.NotEqual(t, got.Action.Args[0].Value.MAC, other.Action.Args[0].Value.MAC)
	require.EqualValues(t, e.Op.Text, other.Action.Text.Text)
}

func TestTextKeepsEveryByte(t *testing.T) {
	e := samples()["decided"]
	got := roundTrip(t, encodeEvent(1, e, Detail{}))
	require.Equal(t, e.Op.Text, string(got.Action.Text.Text))
	require.EqualValues(t, "\xff", got.Action.Writes[1][2])
	require.EqualValues(t, "e\xffmail", roundTrip(t, encodeEvent(1, samples()["completed"], Detail{})).Result.Masked[0])
}

func TestIdentityRing(t *testing.T) {
	ring := &protocol.Identity{Issuer: "i", Subject: "s"}
	ring.OnBehalfOf = ring
	require.True(t, json.Valid(appendIdentity(nil, ring)))
}

func TestOddTimes(t *testing.T) {
	for _, tm := range []time.Time{{}, time.Unix(1<<40, 0), time.Unix(-1<<40, 0), noon.In(time.FixedZone("x", 3600))} {
		e := *samples()["session-opened"]
		e.Time = tm
		roundTrip(t, encodeEvent(1, &e, Detail{}))
	}
}

func TestParseEventIsStrict(t *testing.T) {
	for name, leaf := range map[string]string{
		"version":       `{"v":2,"seq":1,"time":"2026-03-01T12:00:00Z","kind":"audit.opened"}`,
		"kind":          `{"v":1,"seq":1,"time":"2026-03-01T12:00:00Z","kind":"audit.burnt"}`,
		"field":         `{"v":1,"seq":1,"time":"2026-03-01T12:00:00Z","kind":"audit.opened","mood":"good"}`,
		"twice":         `{"v":1,"seq":1,"time":"2026-03-01T12:00:00Z","kind":"audit.opened","seq":2}`,
		"version twice": `{"v":1,"seq":1,"time":"2026-03-01T12:00:00Z","kind":"audit.opened","v":2}`,
		"trailer":       `{"v":1,"seq":1,"time":"2026-03-01T12:00:00Z","kind":"audit.opened"}{}`,
		"order":         `{"seq":1,"v":1,"time":"2026-03-01T12:00:00Z","kind":"audit.opened"}`,
		"text":          `{"v":1,"seq":1,"time":"2026-03-01T12:00:00Z","kind":"audit.opened","user":{"x":1}}`,
		"hidden":        `{"v":1,"seq":1,"time":"2026-03-01T12:00:00Z","kind":"audit.opened","action":{"verb":"x","access":[],"text":{"hidden":-1}}}`,
		"empty":         ``,
	} {
		_, err := ParseEvent([]byte(leaf))
		require.Error(t, err, name)
	}
	_, err := ParseEvent([]byte(`{"v":1,"seq":1,"time":"2026-03-01T12:00:00Z","kind":"audit.opened"}`))
	require.NoError(t, err)
}

// FuzzEncode holds that whatever bytes a client sends, the leaf is valid JSON
// from which they come back.
func FuzzEncode(f *testing.F) {
	f.Add("select 1", "a", "table", uint16(1))
	f.Add("\xff\x00\"\\\u2028", `","kind":"x`, `{"v":1,"seq":`, uint16(0xffff))
	f.Fuzz(func(t *testing.T, text, arg, name string, access uint16) {
		s := sessionInfo(name)
		s.User, s.Tool.Raw, s.Tool.Name = arg, text, text
		s.Resource.Labels = map[string]string{"k" + arg: text}
		op := &protocol.Operation{Session: s, ID: 3, Verb: protocol.Verb(name), Text: text, Access: protocol.Access(access),
			Args: []protocol.Arg{{Text: arg}}, Objects: []protocol.Object{{Kind: "x", Name: name}}, Why: arg}
		op.Decide(protocol.Decision{Effect: protocol.DenyEffect, Reason: text}, nil)
		leaf := encodeEvent(9, &protocol.Event{Kind: protocol.Decided, Time: noon, Session: s, Op: op, Decision: op.Decision()}, Detail{})
		e, err := ParseEvent(leaf)
		if err != nil {
			t.Fatalf("%v: %q", err, leaf)
		}
		if bytes.Count(leaf, []byte(leafStart)) != 1 {
			t.Fatalf("a frame could seem to begin inside %q", leaf)
		}
		if bytes.Contains(leaf, allowed) {
			t.Fatalf("a refusal could seem an allowance: %q", leaf)
		}
		if string(e.Tool.Name) != text || string(e.Action.Objects[0].Name) != name || e.Decision.Reason != Text(text) {
			t.Fatalf("%q came back as %+v", leaf, e)
		}
		if text != "" && string(e.Action.Text.Text) != text {
			t.Fatalf("%q came back as %q", text, e.Action.Text.Text)
		}
		// What opens a session says everything about it.
		op = &protocol.Operation{Session: s, ID: 1, Verb: protocol.Connect}
		op.Decide(protocol.Decision{Effect: protocol.DenyEffect, Reason: text}, nil)
		leaf = encodeEvent(9, &protocol.Event{Kind: protocol.Decided, Time: noon, Session: s, Op: op, Decision: op.Decision()}, Detail{})
		if e, err = ParseEvent(leaf); err != nil || string(e.User) != arg || string(e.Tool.Raw) != text {
			t.Fatalf("%v: %q", err, leaf)
		}
	})
}

// FuzzParseEvent holds that no leaf makes the decoder panic, and that what it
// accepts it can write again.
func FuzzParseEvent(f *testing.F) {
	for _, e := range samples() {
		f.Add(encodeEvent(7, e, Detail{}))
		f.Add(encodeEvent(7, e, Detail{HideArgs: true, HideText: true}))
	}
	f.Fuzz(func(t *testing.T, leaf []byte) {
		e, err := ParseEvent(leaf)
		if err != nil {
			return
		}
		again, err := e.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseEvent(again); err != nil {
			t.Fatalf("%v: %q", err, again)
		}
	})
}
