package protocol_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sallyport-dev/gateway/protocol"
)

func TestZeroAccessIsOpaque(t *testing.T) {
	var a protocol.Access
	require.True(t, a.Has(protocol.Opaque))
	require.False(t, a.Has(protocol.Read|protocol.Write))
	require.Equal(t, "opaque", a.String())
	require.Equal(t, []string{"read", "write"}, (protocol.Write | protocol.Read).Names())
	require.True(t, (protocol.Read | protocol.Write).Has(protocol.Write|protocol.Schema))
	require.False(t, protocol.Read.Has(protocol.Write))
	require.False(t, protocol.Read.Has(protocol.Opaque))
}

func TestZeroDecisionIsNoOpinion(t *testing.T) {
	require.Equal(t, protocol.NoOpinion, protocol.Pass.Effect)
	require.Equal(t, "none", protocol.Pass.Effect.String())
	for _, c := range []struct {
		d    protocol.Decision
		want string
	}{{protocol.Allow("r"), "allow"}, {protocol.Deny("r"), "deny"}, {protocol.Hold("t", "r", nil), "hold"}} {
		require.Equal(t, c.want, c.d.Effect.String())
	}
}

func TestReasonShowsRefusalsOnly(t *testing.T) {
	d := &protocol.DeniedError{Step: "s", Rule: "r", Reason: "why"}
	require.Equal(t, "why", protocol.Reason(d))
	require.Equal(t, "why", protocol.Reason(fmt.Errorf("dial 10.0.0.1: %w", d)))
	require.Equal(t, "refused by s (rule r): why", d.Error())
	require.Equal(t, protocol.FixedReason, protocol.Reason(fmt.Errorf("dial 10.0.0.1")))
	require.Equal(t, protocol.FixedReason, protocol.Reason(&protocol.DeniedError{}))
}

// request is what a digest has to tell apart.
type request struct {
	Issuer, Subject, Boss, Target, Protocol, Addr, User, Database, Session string
	Verb, Text, Behind, Rewrite, State                                     string
	Raw                                                                    [][]byte
}

func (r request) digest() [32]byte {
	id := &protocol.Identity{Issuer: r.Issuer, Subject: r.Subject}
	if r.Boss != "" {
		id.OnBehalfOf = &protocol.Identity{Issuer: r.Issuer, Subject: r.Boss}
	}
	op := &protocol.Operation{Session: &protocol.SessionInfo{ID: r.Session, Identity: id, User: r.User, Database: r.Database,
		Resource: protocol.Resource{Name: r.Target, Protocol: r.Protocol, Addr: r.Addr}},
		Verb: protocol.Verb(r.Verb), Text: r.Text, Behind: r.Behind, State: r.State, Raw: r.Raw}
	if r.Rewrite != "" {
		_ = op.Rewrite(r.Rewrite) // the first rewrite is never refused
	}
	return op.Digest()
}

func (r request) key() string { return fmt.Sprintf("%#v", r) }

func TestDigestTellsEverythingApart(t *testing.T) {
	base := request{"i", "s", "", "t", "p", "a", "u", "d", "x", "v", "text", "", "", "state", [][]byte{[]byte("1")}}
	require.Equal(t, base.digest(), base.digest())
	seen := map[[32]byte]string{base.digest(): "base"}
	for name, change := range map[string]func(*request){
		"issuer":            func(r *request) { r.Issuer = "j" },
		"subject":           func(r *request) { r.Subject = "bob" },
		"on behalf of":      func(r *request) { r.Boss = "boss" },
		"target":            func(r *request) { r.Target = "other" },
		"protocol":          func(r *request) { r.Protocol = "other" },
		"address":           func(r *request) { r.Addr = "other" },
		"user":              func(r *request) { r.User = "other" },
		"database":          func(r *request) { r.Database = "other" },
		"session":           func(r *request) { r.Session = "other" },
		"verb":              func(r *request) { r.Verb = "other" },
		"text":              func(r *request) { r.Text = "text " },
		"text behind":       func(r *request) { r.Behind = "other" },
		"case of text":      func(r *request) { r.Text = "Text" },
		"rewrite":           func(r *request) { r.Rewrite = "text" },
		"state":             func(r *request) { r.State = "other" },
		"argument":          func(r *request) { r.Raw = [][]byte{[]byte("2")} },
		"NULL":              func(r *request) { r.Raw = [][]byte{nil} },
		"empty argument":    func(r *request) { r.Raw = [][]byte{{}} },
		"the word null":     func(r *request) { r.Raw = [][]byte{[]byte("null")} },
		"no argument":       func(r *request) { r.Raw = nil },
		"one more argument": func(r *request) { r.Raw = [][]byte{[]byte("1"), nil} },
		"moved boundary":    func(r *request) { r.Verb, r.Text = "vt", "ext" },
		"moved boundary 2":  func(r *request) { r.User, r.Database = "ud", "" },
		"moved boundary 4":  func(r *request) { r.Text, r.Behind = "te", "xt" },
		"moved boundary 3":  func(r *request) { r.Text, r.State = "textstate", "" },
	} {
		r := base
		change(&r)
		d := r.digest()
		require.Empty(t, seen[d], "%s has the digest of another", name)
		seen[d] = name
	}
}

// What comes in the clear is part of what is approved.
func TestDigestHasLifts(t *testing.T) {
	seen := map[[32]byte]int{}
	ref := func(name string) protocol.ColumnRef {
		return protocol.ColumnRef{Schema: "s", Table: "t", Column: name}
	}
	for i, lifts := range [][]protocol.Lift{
		nil,
		{{}},
		{{Column: "a", Rule: "r", From: []protocol.ColumnRef{ref("x")}}},
		{{Column: "b", Rule: "r", From: []protocol.ColumnRef{ref("x")}}},
		{{Column: "a", Rule: "q", From: []protocol.ColumnRef{ref("x")}}},
		{{Column: "a", Rule: "r", From: []protocol.ColumnRef{ref("y")}}},
		{{Column: "a", Rule: "r", From: []protocol.ColumnRef{ref("x"), ref("y")}}},
		{{Column: "a", Rule: "r", From: []protocol.ColumnRef{ref("x")}}, {Column: "b", Rule: "r", From: []protocol.ColumnRef{ref("y")}}},
	} {
		op := &protocol.Operation{Text: "t", Lifts: lifts}
		other, same := seen[op.Digest()]
		require.False(t, same, "%d has the digest of %d", i, other)
		seen[op.Digest()] = i
	}
}

// No two requests share an encoding, wherever the boundaries of their parts
// fall.
func TestDigestIsInjective(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.SampledFrom([]string{"", "a", "b", "aa", "ab", "value", "null", "\x00", "\x00\x00\x00\x00\x00\x00\x00\x01a"})
		gen := rapid.Custom(func(t *rapid.T) request {
			p := func() string { return part.Draw(t, "part") }
			r := request{p(), p(), p(), p(), p(), p(), p(), p(), p(), p(), p(), p(), p(), p(), nil}
			for range rapid.IntRange(0, 3).Draw(t, "args") {
				if rapid.Bool().Draw(t, "null") {
					r.Raw = append(r.Raw, nil)
				} else {
					r.Raw = append(r.Raw, []byte(p()))
				}
			}
			return r
		})
		a, b := gen.Draw(t, "a"), gen.Draw(t, "b")
		if (a.key() == b.key()) != (a.digest() == b.digest()) {
			t.Fatalf("%#v and %#v", a, b)
		}
	})
}

func TestDecidedOperationsAreFixed(t *testing.T) {
	op := &protocol.Operation{Shape: protocol.Rows | protocol.Bytes | protocol.Docs}
	op.Decide(protocol.Allow("r"), nil)
	require.ErrorIs(t, op.OnRows(nil), protocol.ErrDecided)
	require.ErrorIs(t, op.OnBytes(nil), protocol.ErrDecided)
	require.ErrorIs(t, op.OnDocs(nil), protocol.ErrDecided)
	require.ErrorIs(t, op.OnText(nil), protocol.ErrDecided)
	require.ErrorIs(t, op.Rewrite("x"), protocol.ErrDecided)
}

func TestTapsNeedTheirShape(t *testing.T) {
	op := &protocol.Operation{}
	require.ErrorIs(t, op.OnRows(nil), protocol.ErrShape)
	require.ErrorIs(t, op.OnBytes(nil), protocol.ErrShape)
	require.ErrorIs(t, op.OnDocs(nil), protocol.ErrShape)
	require.NoError(t, op.OnText(func(*protocol.Message) error { return nil }))
}

func TestTwoRewritesMustAgree(t *testing.T) {
	op := &protocol.Operation{Text: "a"}
	require.NoError(t, op.Rewrite("b"))
	require.NoError(t, op.Rewrite("b"))
	require.ErrorIs(t, op.Rewrite("c"), protocol.ErrFixed)
	require.Equal(t, "a", op.Text)
	require.Equal(t, "b", op.Rewritten())
}

func TestRefusalReleasesLastFirst(t *testing.T) {
	var order []string
	op := &protocol.Operation{}
	for _, name := range []string{"a", "b"} {
		op.OnEnd(func(o protocol.Outcome) error { order = append(order, name+" "+string(o.Status)); return nil })
	}
	op.Decide(protocol.Deny("x"), nil)
	require.Equal(t, []string{"b denied", "a denied"}, order)
}

func TestRiskIsBounded(t *testing.T) {
	op := &protocol.Operation{}
	op.AddRisk(70, "a")
	op.AddRisk(70, "b")
	require.Equal(t, 100, op.Risk)
	require.Equal(t, []string{"a", "b"}, op.RiskWhy)
}

func TestMarkMaskedOnce(t *testing.T) {
	op := &protocol.Operation{}
	op.MarkMasked("email")
	op.MarkMasked("email")
	op.MarkMasked("ssn")
	require.Equal(t, []string{"email", "ssn"}, op.Result().Labels())
}

func TestSameActor(t *testing.T) {
	ada := &protocol.Identity{Issuer: "i", Subject: "ada", Email: "same@example.com"}
	bob := &protocol.Identity{Issuer: "i", Subject: "bob", Email: "same@example.com"}
	other := &protocol.Identity{Issuer: "j", Subject: "ada"}
	agent := &protocol.Identity{Issuer: "i", Subject: "agent", OnBehalfOf: ada}
	require.True(t, ada.Same(ada))
	require.True(t, agent.Same(ada), "nobody approves through their own agent")
	require.True(t, ada.Same(agent))
	require.False(t, ada.Same(bob), "an email is no key")
	require.False(t, ada.Same(other), "nor is a subject without its issuer")
	require.False(t, agent.Same(bob))
}
