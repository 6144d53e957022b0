package middleware_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/approval"
	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/middleware/policy"
	"github.com/sallyport-dev/gateway/protocol"
)

// steadySteps are steps of every kind, whose answers differ with all that
// operations differ in. rules are further block rules.
func steadySteps(rules ...middleware.BlockRule) []middleware.Step {
	is := func(text string) middleware.Condition { return policy.MustCompile(text) }
	return []middleware.Step{
		middleware.Authorize(
			middleware.Access{Name: "opened", Kinds: []protocol.IdentityKind{protocol.Human}, Targets: []string{"*"}, Verbs: []protocol.Verb{protocol.Connect}},
			middleware.Access{Name: "reads", Kinds: []protocol.IdentityKind{protocol.Human}, Targets: []string{"*"}, Access: []string{"read"}, When: is(`operation.pure || operation.bounded`)},
			middleware.Access{Name: "rest", Users: []string{"test|bob"}, Targets: []string{"*"}}),
		middleware.Block(append([]middleware.BlockRule{{Name: "objects", When: is(`operation.bounded && operation.objects.exists(o, o.name == "b")`)}}, rules...)...),
		middleware.Risk(middleware.RiskConfig{Sensitive: []string{"public.a.*"}, DenyAt: 95,
			Rules: []middleware.RiskRule{{Name: "writes b", Score: 20, When: is(`"public.b.x" in operation.writes`)}}}),
		middleware.Approve(approval.NewBroker(approval.Options{}), middleware.ApproveRule{Name: "risky", Users: []string{"test|eve"}, When: is(`operation.risk >= 90`)}),
		middleware.Mask(mask.Rule{Name: "m", Columns: []string{"public.c.x"}, Transform: mask.Redact()}),
	}
}

// answers are what a chain decides about operations.
func answer(t *testing.T, s *protocol.Session, op *protocol.Operation) string {
	t.Helper()
	x, err := s.Begin(t.Context(), op)
	if err != nil {
		d := refused(t, err)
		return fmt.Sprint("refused ", d.Step, d.Rule, d.Reason, op.Risk, op.RiskWhy)
	}
	out := fmt.Sprint("allowed ", op.Decision().By, op.Decision().Rule, op.Risk, op.RiskWhy, x.Plain())
	x.End(protocol.Outcome{Status: protocol.StatusOK})
	return out
}

func sessionOf(t *testing.T, chain *middleware.Chain, who string) *protocol.Session {
	t.Helper()
	s := protocol.NewSession(t.Context(), protocol.SessionConfig{Engine: chain, Info: &protocol.SessionInfo{Protocol: "test",
		Identity: &protocol.Identity{Issuer: "test", Subject: who, Kind: protocol.Human}, Resource: protocol.Resource{Name: "orders"}}})
	t.Cleanup(func() { s.Close(nil) })
	require.NoError(t, s.Connect(t.Context(), &protocol.Operation{}))
	return s
}

// A chain that remembers decides as one that asks every step each time.
func TestRememberingChangesNothing(t *testing.T) {
	chain := func(steps ...middleware.Step) *middleware.Chain {
		c, err := middleware.NewChain(append(steps, (&trail{}).step())...)
		require.NoError(t, err)
		return c
	}
	asked := 0
	count := middleware.Step{Name: "count", Operation: func(context.Context, *protocol.Operation) (protocol.Decision, error) {
		asked++
		return protocol.Decision{Steady: true}, nil
	}}
	remembers := chain(append([]middleware.Step{count}, steadySteps()...)...)
	forgets := chain(append(steadySteps(), middleware.When(func(*protocol.Operation) bool { return true }, middleware.Block()))...)
	var sessions [2][2]*protocol.Session
	for i, who := range []string{"alice", "bob"} {
		sessions[i] = [2]*protocol.Session{sessionOf(t, remembers, who), sessionOf(t, forgets, who)}
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	// Memory is used again, as a connector may.
	reads, writes, objects := make([]protocol.ColumnRef, 2), make([]protocol.ColumnRef, 1), make([]protocol.Object, 1)
	const n = 20_000
	table := func() string { return string("abcd"[rnd.IntN(4)]) }
	facts, pair := &protocol.Operation{Verb: "select", Text: "x", Access: protocol.Read, NoWait: true, Fingerprint: "f"}, sessions[0]
	for range n {
		switch rnd.IntN(10) { // each is mostly like the one before
		case 0:
			facts.Access = []protocol.Access{protocol.Read, protocol.Write, protocol.Schema, protocol.Control}[rnd.IntN(4)]
		case 1:
			facts.Pure = !facts.Pure
		case 2:
			facts.Bounded = !facts.Bounded
		case 3:
			facts.Prepare = !facts.Prepare
		case 4:
			facts.ReadsKnown = !facts.ReadsKnown
		case 5:
			facts.Shape ^= protocol.Rows
		case 6:
			facts.Reads = reads[:rnd.IntN(3)]
			reads[0], reads[1] = columnOf(table()), columnOf(table())
		case 7:
			facts.Writes = writes[:rnd.IntN(2)]
			writes[0] = columnOf(table())
		case 8:
			facts.Objects = objects[:rnd.IntN(2)]
			objects[0].Name = table()
		default:
			pair = sessions[rnd.IntN(2)]
		}
		one, two := clone(facts), clone(facts)
		require.Equal(t, answer(t, pair[1], two), answer(t, pair[0], one), "%+v", facts)
	}
	require.Less(t, asked, n, "nothing was ever remembered")
}

func columnOf(table string) protocol.ColumnRef {
	return protocol.ColumnRef{Schema: "public", Table: table, Column: "x"}
}

// clone copies the facts of op, but not what they are made of.
func clone(op *protocol.Operation) *protocol.Operation {
	return &protocol.Operation{Verb: op.Verb, Text: op.Text, Access: op.Access, Pure: op.Pure, Bounded: op.Bounded, Prepare: op.Prepare, ReadsKnown: op.ReadsKnown,
		Shape: op.Shape, NoWait: op.NoWait, Fingerprint: op.Fingerprint, Reads: op.Reads, Writes: op.Writes, Objects: op.Objects}
}

// Conditions on what differs between operations with the same facts are asked
// each time, and so is a step that has not said that it is steady.
func TestWhatIsNotRemembered(t *testing.T) {
	at := func(text string) *protocol.Operation {
		return &protocol.Operation{Verb: "select", Text: text, Access: protocol.Read, Pure: true, Fingerprint: "f", ReadsKnown: true, NoWait: true,
			Args: []protocol.Arg{{Text: text}}, InTx: text == "no"}
	}
	for _, when := range []middleware.Condition{
		policy.MustCompile(`operation.text == "no"`), policy.MustCompile(`"no" in operation.args`), policy.MustCompile(`operation.in_tx`),
		policy.MustCompile(`[operation].exists(o, o.text == "no")`),
		middleware.If(func(op *protocol.Operation) (bool, error) { return op.Text == "no", nil }),
	} {
		no := middleware.BlockRule{Name: "no", When: when}
		only := func(op *protocol.Operation) bool { hit, err := when.Eval(op); return hit || err != nil }
		for _, steps := range [][]middleware.Step{steadySteps(no), append(steadySteps(), middleware.When(only, middleware.Block(
			middleware.BlockRule{Name: "no", When: policy.MustCompile("true")}))),
			{middleware.When(func(op *protocol.Operation) bool { return !only(op) }, middleware.Authorize(
				middleware.Access{Name: "all", Kinds: []protocol.IdentityKind{protocol.Human}, Targets: []string{"*"}}))}} {
			chain, err := middleware.NewChain(append(steps, (&trail{}).step())...)
			require.NoError(t, err)
			s := sessionOf(t, chain, "alice")
			for range 3 {
				require.Contains(t, answer(t, s, at("yes")), "allowed")
				require.Contains(t, answer(t, s, at("no")), "refused", "%v", when)
			}
		}
	}
}

// What one session may do is remembered for it alone, however many there are.
func TestSessionsRememberForThemselves(t *testing.T) {
	chain, err := middleware.NewChain(append(steadySteps(), (&trail{}).step())...)
	require.NoError(t, err)
	ask := func(s *protocol.Session) string {
		return answer(t, s, &protocol.Operation{Verb: "select", Access: protocol.Read, Fingerprint: "f", ReadsKnown: true, NoWait: true})
	}
	alice := make([]*protocol.Session, 100)
	for i := range alice {
		alice[i] = sessionOf(t, chain, "alice")
	}
	for range 1500 { // more than there is room for
		s := sessionOf(t, chain, "bob")
		for range 3 {
			require.Contains(t, ask(s), "allowed")
		}
		require.Contains(t, ask(alice[0]), "refused")
	}
	for _, s := range alice {
		require.Contains(t, ask(s), "refused")
	}
}

// What is remembered is asked about again after a second.
func TestRememberingEnds(t *testing.T) {
	open := true
	steps := append(steadySteps(), middleware.Step{Name: "window", Operation: func(context.Context, *protocol.Operation) (protocol.Decision, error) {
		if !open {
			return protocol.Deny("closed"), nil
		}
		return protocol.Decision{Steady: true}, nil // which is not true
	}}, (&trail{}).step())
	chain, err := middleware.NewChain(steps...)
	require.NoError(t, err)
	s := sessionOf(t, chain, "alice")
	ask := func() string {
		return answer(t, s, &protocol.Operation{Verb: "select", Access: protocol.Read, Pure: true, Fingerprint: "f", ReadsKnown: true, NoWait: true})
	}
	for range 3 {
		require.Contains(t, ask(), "allowed")
	}
	open = false
	require.Eventually(t, func() bool { return ask()[:7] == "refused" }, 10*time.Second, 50*time.Millisecond)
}

// Every field of an operation is a fact, or one that no steady condition may
// look at.
func TestEveryFieldIsAFactOrNot(t *testing.T) {
	facts := []string{"Session", "Verb", "Access", "Pure", "Bounded", "Objects", "Reads", "ReadsKnown", "Returned", "Writes", "Inferred", "InferredKnown", "Fingerprint", "Why", "Shape", "Prepare", "Risk", "RiskWhy"}
	loose := []string{"ID", "Text", "Args", "Behind", "Columns", "State", "Raw", "Detail", "RunsEarly", "InTx", "NoWait", "Terminal", "Unmask", "Lifts", "MayRestrict"}
	typ := reflect.TypeFor[protocol.Operation]()
	for i := range typ.NumField() {
		if f := typ.Field(i); f.IsExported() {
			require.True(t, slices.Contains(facts, f.Name) != slices.Contains(loose, f.Name), "is %s a fact of what is remembered?", f.Name)
		}
	}
	kept := []string{"Session", "Risk", "RiskWhy"} // beside the facts
	for i := range reflect.TypeFor[protocol.Facts]().NumField() {
		kept = append(kept, reflect.TypeFor[protocol.Facts]().Field(i).Name)
	}
	require.ElementsMatch(t, facts, kept)
	for cel, steady := range map[string]bool{
		`operation.verb == "x" && operation.access.read && operation.mayRead("a.b.c") && identity.kind == "human" && session.tls`: true,
		`operation.objects.exists(o, o.name == "x") && has(operation.reads) && operation.risk > 3`:                                true,
		`operation.text == ""`: false, `operation.args.size() > 0`: false, `operation.in_tx`: false, `operation.no_wait`: false,
		`now.getHours() > 3`: false, `operation.verb == operation.text`: false, `operation.mayRead(operation.text)`: false,
		`[operation].exists(o, o.verb == "x")`:                                       false,
		`["a"].exists(operation, .operation.in_tx)`:                                  false,
		`["a"].exists(operation, .operation.verb == "x")`:                            false,
		`identity.groups.all(operation, .operation.args == [])`:                      false,
		`["a"].exists(now, .now > timestamp("2026-01-01T00:00:00Z"))`:                false,
		`["a"].exists(operation, .operation.text.contains("x") && operation == "a")`: false,
	} {
		require.Equal(t, steady, policy.MustCompile(cel).Steady(), cel)
	}
}
