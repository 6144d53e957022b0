package policy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware/policy"
	"github.com/sallyport-dev/gateway/protocol"
)

// FuzzCompile checks that no expression brings the gateway down, takes long,
// is true without saying so, or means something else translated than to CEL.
func FuzzCompile(f *testing.F) {
	for _, s := range []string{
		`operation.access.write && !operation.bounded && target.labels.env == "prod"`,
		`operation.objects.exists(o, o.kind == "table" && glob(o.name, "public.*"))`,
		`identity.groups.map(g, g + g).exists(g, g.matches("(a|b)*"))`,
		`operation.mayRead("public.customers.email") || has(identity.on_behalf_of)`,
		`target.labels[?"env"].orValue("none") == "none"`,
		`now - duration("1h") > timestamp("2026-01-01T00:00:00Z") && now.getHours("UTC") < 7`,
		`cidr("10.0.0.0/8").containsIP(session.remote)`,
		`[identity, identity.on_behalf_of].exists(i, i.claims.x == dyn(1))`,
		`type(operation) == Operation && size(operation.args + operation.reads) > 1`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		c, err := policy.Compile(expr)
		if err != nil {
			require.Nil(t, c)
			return
		}
		for _, op := range []*protocol.Operation{operation(), {}} {
			start := time.Now()
			ok, err := c.Eval(op)
			if !strings.Contains(expr, "now") {
				_, _ = eval(t, c, op)
			}
			require.False(t, ok && err != nil)
			require.Less(t, time.Since(start), 10*time.Second)
		}
	})
}

// FuzzUnmarshalYAML checks that a condition in a file is compiled or refused,
// and that a refusal can be printed, whatever form it is written in.
func FuzzUnmarshalYAML(f *testing.F) {
	for _, s := range []string{"when: true", "when: |\n  operation.pure &&\n    nope", "when: >-\n  nope\n\n  more", "when: 'a''b'", `when: "\x41"`,
		"when: [a]", "when: &x true", "when: !!str true", "when:", "a: &x nope\nwhen: *x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var v struct {
			When policy.Condition `yaml:"when"`
		}
		if err := yaml.Unmarshal([]byte(text), &v); err != nil {
			_ = err.Error()
			return
		}
		if v.When.String() == "" {
			_, err := v.When.Eval(operation())
			require.Error(t, err)
		}
	})
}
