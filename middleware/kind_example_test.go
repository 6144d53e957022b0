package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/middleware/config"
	"github.com/sallyport-dev/gateway/protocol"
)

// load builds the steps of a configuration file; gateway.Load does the same for
// a whole gateway.
func load(text string, kinds ...middleware.Kind) ([]middleware.Step, error) {
	f, err := config.Read(strings.NewReader(text), "gateway.yaml", nil)
	if err != nil {
		return nil, err
	}
	return f.Build(kinds)
}

func ExampleKindOf() {
	type settings struct {
		Verbs []protocol.Verb `yaml:"verbs"`
	}
	kind := middleware.KindOf("never", func(s settings) (middleware.Step, error) {
		if len(s.Verbs) == 0 {
			return middleware.Step{}, errors.New("verbs is missing")
		}
		var rules []middleware.BlockRule
		for _, v := range s.Verbs {
			rules = append(rules, middleware.BlockRule{Name: string(v),
				When: middleware.If(func(op *protocol.Operation) (bool, error) { return op.Verb == v, nil })})
		}
		step := middleware.Block(rules...)
		step.Name = "never"
		return step, nil
	})

	steps, err := load("steps: [{never: {verbs: [truncate]}}]", kind)
	fmt.Println(steps[0].Name, err)
	_, err = load("steps: [{never: {verb: truncate}}]", kind)
	fmt.Println(err)
	_, err = load("steps: [{never: {}}]", kind)
	fmt.Println(err)
	// Output:
	// never <nil>
	// gateway.yaml:1:18: step never: unknown field "verb"
	// gateway.yaml:1:10: step never: verbs is missing
}

func ExampleTokenKind() {
	steps, err := load(`
steps:
  - tokens:
      tokens:
        - {hash: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08, subject: ci, kind: workload, groups: [ci]}
`, middleware.TokenKind())
	fmt.Println(steps[0].Name, err)
	_, err = load("steps: [{tokens: {tokens: [{hash: x, subject: ci, kind: workload}]}}]", middleware.TokenKind())
	fmt.Println(err)
	// Output:
	// tokens <nil>
	// gateway.yaml:1:10: step tokens: token 1 (subject ci): the hash is not 64 hexadecimal digits
}

func ExampleScramKind() {
	steps, err := load(`
steps:
  - scram:
      accounts:
        - user: app
          verifier: "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
          subject: shop
          kind: workload
`, middleware.ScramKind())
	fmt.Println(steps[0].Name, err)
	// Output: scram <nil>
}

func ExampleCertificateKind() {
	steps, err := load(`
steps:
  - certificates:
      rules:
        - {ca: "CN=People,O=Example", subject: email, kind: human, organizational_units: true}
`, middleware.CertificateKind())
	fmt.Println(steps[0].Name, err)
	// Output: certificates <nil>
}

func ExampleNewToken() {
	token, hash := middleware.NewToken()
	fmt.Println(token, len(hash)) // hand token.Reveal() to its owner, and keep the hash
	// Output: [redacted] 64
}

func ExampleNewScramVerifier() {
	verifier, err := middleware.NewScramVerifier(protocol.NewSecret("correct horse battery"))
	fmt.Println(verifier.Reveal()[:19], err)
	_, err = middleware.NewScramVerifier(protocol.NewSecret("short"))
	fmt.Println(err)
	// Output:
	// SCRAM-SHA-256$4096: <nil>
	// the password has fewer than 12 characters
}

func ExampleAllowOpaque() {
	step := middleware.Block(middleware.AllowOpaque("nightly-report",
		middleware.If(func(op *protocol.Operation) (bool, error) { return op.Session.Identity.Subject == "report", nil })))
	ask := func(who string) protocol.Effect {
		d, err := step.Operation(context.Background(), &protocol.Operation{Verb: protocol.Unknown, Access: protocol.Opaque,
			Session: &protocol.SessionInfo{Identity: &protocol.Identity{Issuer: "static", Subject: who}}})
		if err != nil {
			fmt.Println(err)
		}
		return d.Effect
	}
	fmt.Println(ask("report")) // no opinion: another step has to allow it
	fmt.Println(ask("alice"))
	// Output:
	// none
	// deny
}

func ExampleGlob() {
	fmt.Println(middleware.Glob("orders-*", "orders-eu"), middleware.Glob("orders-?", "orders-eu"))
	// Output: true false
}

func ExampleParseColumnPattern() {
	p, err := middleware.ParseColumnPattern("public.customers.*mail*")
	fmt.Println(p.Matches(protocol.ColumnRef{Schema: "public", Table: "customers", Column: "EMail"}), err)
	// Output: true <nil>
}
