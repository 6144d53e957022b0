package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sallyport-dev/gateway/middleware/policy"
	"github.com/sallyport-dev/gateway/protocol"
)

// eval evaluates c as it is and by CEL alone, which must give the same.
func eval(t require.TestingT, c *policy.Condition, op *protocol.Operation) (bool, error) {
	got, err := c.Eval(op)
	want, wantErr := c.Interpret(op)
	require.Equal(t, want, got, c.String())
	require.Equal(t, fmt.Sprint(wantErr), fmt.Sprint(err), c.String())
	return got, err
}

// usual are conditions as people write them.
var usual = []string{
	`operation.access.write && !operation.bounded`,
	`operation.risk >= 90`,
	`identity.kind == "agent" && operation.access.write`,
	`identity.kind in ["workload", "agent"] || operation.verb in ["truncate", "drop table"]`,
	`"owners" in identity.groups`,
	`identity.groups.size() > 1 && size(tool.name) == 4`,
	`has(identity.on_behalf_of) && identity.on_behalf_of.kind == "human"`,
	`target.labels["env"] == "prod"`,
	`target.labels.env == "prod" && operation.access.schema`,
	`"env" in target.labels && target.labels["env"] == "prod"`,
	`"team" in target.labels && target.labels["team"] == "x"`,
	`has(target.labels.team) ? target.labels.team == "x" : session.tls`,
	`target.labels[?"team"].orValue("none") == "none" && target.labels.?env.orValue("") != "prod"`,
	`operation.text.startsWith("DELETE") || operation.text.contains("customers") || session.user.endsWith("_ro")`,
	`glob(target.name, "ord*") && operation.fingerprint <= "f"`,
	`operation.mayRead("public.customers.phone")`,
	`(operation.pure ? tool.name : tool.version) == "psql"`,
	`operation.pure == operation.bounded && operation.in_tx != true`,
}

func TestUsualConditionsNeedNoCELAndNoMemory(t *testing.T) {
	op := operation()
	for _, expr := range usual {
		c := policy.MustCompile(expr)
		_, ok := c.Translated(op)
		require.True(t, ok, expr)
		_, err := eval(t, c, op)
		require.NoError(t, err)
		require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = c.Eval(op) }), expr)
	}
}

// What costs little and stands before what needs CEL is looked at without it.
func TestCELIsAskedOnlyWhenItIsNeeded(t *testing.T) {
	for expr, want := range map[string]bool{
		`operation.access.admin && operation.objects.exists(o, o.name == "x")`:         true,
		`operation.access.write && operation.objects.exists(o, o.name == "x")`:         false,
		`operation.access.write || identity.claims.level > 3`:                          true,
		`"dba" in identity.groups || operation.objects.exists(o, o.name == "x")`:       true,
		`operation.text.contains("x") && operation.objects.exists(o, o.name == "x")`:   false, // it is long
		`operation.text != "" || operation.objects.exists(o, o.name == "x")`:           false,
		`"x" in operation.risk_why && operation.objects.exists(o, o.name == "x")`:      false,
		`operation.text.contains("y")`:                                                 true,  // no cost limit
		`target.labels.team == "x" && operation.access.admin`:                          false, // CEL absorbs the error
		`operation.access.admin && target.labels.team == "x"`:                          true,
		`operation.objects.exists(identity, identity.name == "table")`:                 false,
		`[1].exists(operation, operation == 1) || operation.pure`:                      false,
		`identity.claims.department == "billing" && "x" in ["x", operation.text, "y"]`: false,
	} {
		op := operation()
		op.Text = strings.Repeat("x", 300)
		op.RiskWhy = make([]string, 300)
		c := policy.MustCompile(expr)
		_, ok := c.Translated(op)
		require.Equal(t, want, ok, expr)
		_, _ = eval(t, c, op)
	}
}

// A condition about nothing fails and does not panic.
func TestNoOperation(t *testing.T) {
	for _, expr := range usual {
		_, err := policy.MustCompile(expr).Eval(nil)
		require.Error(t, err)
	}
}

// TestTranslationsSayWhatCELSays makes conditions out of all that has a
// translation and of some that has none or fails.
func TestTranslationsSayWhatCELSays(t *testing.T) {
	answered, total := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		expr := boolExpr(t, 4)
		c, err := policy.Compile(expr)
		require.NoError(t, err, expr)
		for range 3 {
			op := anyOperation(t)
			_, _ = eval(t, c, op)
			total++
			if _, ok := c.Translated(op); ok {
				answered++
			}
		}
	})
	require.Greater(t, answered, total/4, "hardly any was translated")
}

var words = []string{"", "a", "b", "prod", "agent", "human", "env", "x.y", "ä", "\xff", "a*"}

func word(t *rapid.T) string { return rapid.SampledFrom(words).Draw(t, "word") }

// quoted is a word as a literal. A byte that is no text has no literal.
func quoted(t *rapid.T) string { return fmt.Sprintf("%q", strings.ToValidUTF8(word(t), "?")) }

func pick(t *rapid.T, of ...string) string { return rapid.SampledFrom(of).Draw(t, "pick") }

func identityExpr(t *rapid.T) string {
	return pick(t, "identity", "identity.on_behalf_of", "identity.on_behalf_of.on_behalf_of")
}

func stringExpr(t *rapid.T, depth int) string {
	if depth > 0 && rapid.IntRange(0, 9).Draw(t, "choice") == 0 {
		return "(" + boolExpr(t, depth-1) + " ? " + stringExpr(t, depth-1) + " : " + stringExpr(t, depth-1) + ")"
	}
	switch rapid.IntRange(0, 8).Draw(t, "string") {
	case 0, 1:
		return quoted(t)
	case 2:
		return identityExpr(t) + "." + pick(t, "issuer", "subject", "name", "email", "method")
	case 3:
		return pick(t, "tool.name", "tool.version", "tool.raw", "target.name", "target.protocol", "session.user", "session.database", "session.remote")
	case 4:
		return "operation." + pick(t, "verb", "text", "fingerprint", "why")
	case 5:
		return pick(t, `target.labels.env`, `target.labels["env"]`, `target.labels[operation.text]`)
	case 6:
		return pick(t, `target.labels[?"env"]`, `target.labels.?env`, `target.labels[?operation.text]`, `target.labels[?target.labels.a]`) + ".orValue(" + stringExpr(t, depth-1) + ")"
	case 7:
		return pick(t, `identity.groups[0]`, `operation.text.lowerAscii()`, `string(operation.risk)`, `identity.claims.x`)
	}
	return quoted(t)
}

func listExpr(t *rapid.T) string {
	switch rapid.IntRange(0, 3).Draw(t, "list") {
	case 0:
		return pick(t, "operation.risk_why", "operation.args", "operation.reads", "operation.writes")
	case 1:
		return "[" + quoted(t) + ", " + quoted(t) + "]"
	case 2:
		return "[" + quoted(t) + ", operation.text]"
	}
	return identityExpr(t) + ".groups"
}

func intExpr(t *rapid.T) string {
	switch rapid.IntRange(0, 3).Draw(t, "int") {
	case 0:
		return fmt.Sprint(rapid.IntRange(-2, 4).Draw(t, "n"))
	case 1:
		return "size(" + stringExpr(t, 0) + ")"
	case 2:
		return listExpr(t) + ".size()"
	}
	return pick(t, "operation.risk", "operation.risk", "operation.risk + 1", "1 / operation.risk")
}

func boolExpr(t *rapid.T, depth int) string {
	compare := func() string { return pick(t, " == ", " != ", " < ", " <= ", " > ", " >= ") }
	if depth > 0 {
		x := func() string { return boolExpr(t, depth-1) }
		switch rapid.IntRange(0, 8).Draw(t, "inner") {
		case 0, 1, 2:
			return "(" + x() + " && " + x() + ")"
		case 3, 4, 5:
			return "(" + x() + " || " + x() + ")"
		case 6:
			return "!(" + x() + ")"
		case 7:
			return "(" + x() + " ? " + x() + " : " + x() + ")"
		}
	}
	switch rapid.IntRange(0, 13).Draw(t, "bool") {
	case 0:
		return pick(t, "true", "false", "tool.attested", "session.tls")
	case 1, 2:
		return "operation." + pick(t, "pure", "bounded", "reads_known", "prepare", "in_tx", "no_wait")
	case 3, 4:
		return "operation.access." + pick(t, "read", "write", "schema", "admin", "execute", "control", "opaque")
	case 5, 6:
		return "(" + stringExpr(t, depth) + compare() + stringExpr(t, depth) + ")"
	case 7:
		return "(" + intExpr(t) + compare() + intExpr(t) + ")"
	case 8:
		return "(" + stringExpr(t, depth) + " in " + listExpr(t) + ")"
	case 9:
		return "(" + stringExpr(t, depth) + " in target.labels)"
	case 10:
		return pick(t, `"x" in identity.claims`, `operation.objects.exists(o, o.kind == "a")`, `identity.groups.all(g, g < operation.text)`,
			`operation.text.matches(session.user)`, `(identity == identity.on_behalf_of)`, `(operation.pure == operation.bounded)`)
	case 11:
		return `operation.mayRead(` + pick(t, `"a.b.*"`, `"*.*.env"`, `operation.text`) + ")"
	case 12:
		return "has(" + pick(t, "target.labels.env", "identity.on_behalf_of", "identity.on_behalf_of.on_behalf_of", "identity.name", "operation.access.read", "identity.claims.x") + ")"
	}
	s, arg := stringExpr(t, depth), stringExpr(t, depth)
	return pick(t, s+".startsWith("+arg+")", s+".endsWith("+arg+")", s+".contains("+arg+")", "glob("+s+", "+arg+")")
}

func anyOperation(t *rapid.T) *protocol.Operation {
	flag := func() bool { return rapid.Bool().Draw(t, "flag") }
	list := func() []string {
		if rapid.IntRange(0, 9).Draw(t, "long") == 0 {
			return make([]string, 300)
		}
		return rapid.SliceOfN(rapid.SampledFrom(words), 0, 3).Draw(t, "list")
	}
	text := func() string {
		if rapid.IntRange(0, 9).Draw(t, "long") == 0 {
			return strings.Repeat("a", 300)
		}
		return word(t)
	}
	columns := func() (out []protocol.ColumnRef) {
		for range rapid.IntRange(0, 2).Draw(t, "columns") {
			out = append(out, protocol.ColumnRef{Schema: word(t), Table: word(t), Column: word(t)})
		}
		return out
	}
	var identity func(depth int) *protocol.Identity
	identity = func(depth int) *protocol.Identity {
		if depth == 0 || rapid.IntRange(0, 3).Draw(t, "nobody") == 0 {
			return nil
		}
		return &protocol.Identity{Issuer: word(t), Subject: word(t), Name: word(t), Email: word(t), Kind: protocol.IdentityKind(word(t)),
			Method: word(t), Groups: list(), OnBehalfOf: identity(depth - 1), Claims: map[string]any{word(t): word(t)}}
	}
	op := &protocol.Operation{
		Verb: protocol.Verb(word(t)), Text: text(), Fingerprint: word(t), Why: word(t),
		Access: protocol.Access(rapid.IntRange(0, 127).Draw(t, "access")),
		Pure:   flag(), Bounded: flag(), ReadsKnown: flag(), Prepare: flag(), InTx: flag(), NoWait: flag(),
		Risk: rapid.IntRange(0, 3).Draw(t, "risk"), RiskWhy: list(), Reads: columns(), Writes: columns(),
		Args: []protocol.Arg{{Text: word(t)}}, Objects: []protocol.Object{{Kind: word(t)}},
	}
	if rapid.IntRange(0, 3).Draw(t, "session") > 0 {
		op.Session = &protocol.SessionInfo{User: word(t), Database: text(), Remote: word(t), TLS: flag(), Identity: identity(3),
			Tool: protocol.Tool{Name: word(t), Version: word(t), Raw: text(), Attested: flag()}, Resource: protocol.Resource{Name: word(t), Protocol: word(t)}}
		if flag() {
			op.Session.Resource.Labels = map[string]string{pick(t, "env", "", "a"): text()}
		}
	}
	return op
}
