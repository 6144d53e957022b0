package middleware_test

import (
	"errors"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/approval"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/middleware/middlewaretest"
	"github.com/sallyport-dev/gateway/protocol"
)

func buildMask(text string) (middleware.Step, error) {
	return middleware.MaskKind().New(func(into any) error { return yaml.UnmarshalWithOptions([]byte(text), into, yaml.Strict()) })
}

func TestMaskKind(t *testing.T) {
	t.Setenv("MASK_KEY", "0123456789abcdef0123456789abcdef")
	step, err := buildMask(`
rules:
  - {name: n, columns: [public.t.n], with: null}
  - {name: q, columns: [public.t.q], with: "null"}
  - {name: r, columns: [public.t.r], with: redact}
  - {name: d, columns: [public.t.d], with: default}
  - {name: e, columns: ["*.*.e"], with: email}
  - {name: f, columns: [public.t.f], with: {fixed: "hidden"}}
  - {name: p, columns: [public.t.p], with: {partial: {keep_first: 1, keep_last: 2, mark: "·"}}}
  - {name: h, columns: [public.t.h], with: {hash: {key_env: MASK_KEY, domain: person}}}
  - name: k
    columns:
      - public.t.k
    with:
      hash:
        key: 0123456789abcdef0123456789abcdef
        domain: person
  - {name: x, detect: [card, "secret.*"], with: {partial: {keep_last: 4}}}
targets: [orders]
except_groups: [dba, sre]
`)
	require.NoError(t, err)
	session := func(groups ...string) *protocol.SessionInfo {
		return &protocol.SessionInfo{ID: "s", Protocol: "postgres", Resource: protocol.Resource{Name: "orders"},
			Identity: &protocol.Identity{Issuer: "i", Subject: "s", Groups: groups}}
	}
	op := sel("public.t.*")
	op.Session = session("dev")
	var cols []protocol.Column
	var row [][]byte
	for _, name := range []string{"n", "q", "r", "d", "e", "f", "p", "h", "k"} {
		cols = append(cols, col(name, "is public.t."+name))
		row = append(row, []byte("ada@example.com"))
	}
	rows, err := middlewaretest.Rows(step, op, cols, [][][]byte{row})
	require.NoError(t, err)
	const pseudonym = "85cada657f66a3469c4f762016b285cd"
	require.Equal(t, [][][]byte{bytesOf("NULL", "NULL", "***", "", "***@example.com", "hidden", "a············om", pseudonym, pseudonym)}, rows)

	op = sel("public.t.r")
	op.Session = session("sre")
	x, err := middlewaretest.Ask(step, op)
	require.NoError(t, err)
	require.True(t, x.Plain())
}

// Every form that the documentation names.
func TestMaskKindTransforms(t *testing.T) {
	t.Setenv("MASK_KEY", "0123456789abcdef0123456789abcdef")
	for with, want := range map[string][2]string{
		"shape":                       {"Ada 12", "Xxx 00"},
		"url":                         {"https://a@b.example/c", "https://b.example/***"},
		"card":                        {"4111111111111111", "************1111"},
		"{card: {issuer: true}}":      {"4111111111111111", "411111******1111"},
		"{ends: {first: 2, last: 2}}": {"1234567", "**345**"},
		`{replace: {pattern: "[0-9]+", with: "#"}}`: {"a 1", "a #"},
		"{round: 10}":                 {"37", "***"}, // of text
		"{truncate: year}":            {"1985-03-12", "***"},
		"{network: {v4: 24, v6: 64}}": {"10.1.2.3", "10.1.2.0"},
		"{pseudonym: {key_env: MASK_KEY, domain: x, format: digits}}":        {"4111 1111 1111 1111", "0265 4882 3024 7230"},
		"{ff1: {key_env: MASK_KEY, domain: card, alphabet: decimal}}":        {"4111 1111 1111 1111", "1516 1058 5027 1767"},
		"{ff1: {key_env: MASK_KEY, domain: card, characters: '0123456789'}}": {"4111111111111111", "1516105850271767"},
		"{bucket: {key_env: MASK_KEY, of: 2}}":                               {"a", "1"},
		"{noise: {key_env: MASK_KEY, spread: 2}}":                            {"a", "***"},
		"{hash: {key_env: MASK_KEY, domain: person, key_name: k2}}":          {"ada@example.com", "k2_85cada657f66a3469c4f762016b285cd"},
		"{elements: redact}":                     {"{a}", "***"},
		"{found: {kinds: [email], with: email}}": {"to ada@example.com", "to ***@example.com"},
		`{found: {with: "null"}}`:                {"to ada@example.com", "to ***"},
		"{record: {1: redact}}":                  {"(a)", "NULL"},
	} {
		step, err := buildMask("rules: [{name: r, columns: [public.t.c], with: " + with + "}]")
		require.NoError(t, err, with)
		rows, err := middlewaretest.Rows(step, sel("public.t.c"), []protocol.Column{col("c", "is public.t.c")}, [][][]byte{bytesOf(want[0])})
		require.NoError(t, err)
		require.Equal(t, [][][]byte{bytesOf(want[1])}, rows, with)
	}
}

func TestMaskKindRefuses(t *testing.T) {
	rule := func(with string) string { return "rules: [{name: r, columns: [a.b.c], " + with + "}]" }
	for text, want := range map[string]string{
		"rules: []":                                                  "has no rules",
		"rulez: []":                                                  `unknown field "rulez"`,
		rule("wiht: redact"):                                         `unknown field "wiht"`,
		"rules: [{name: r, columns: [a.b.c]}]":                       "rule r: has no transform",
		rule("with: readct"):                                         `rule r: with: unknown transform "readct"`,
		rule("with: hash"):                                           "rule r: with: hash needs settings",
		rule("with: {fixd: x}"):                                      `unknown field "fixd"`,
		rule("with: {partial: {keep: 4}}"):                           `unknown field "keep"`,
		rule("with: {partial: {}}"):                                  "rule r: partial: nothing is kept",
		rule(`with: {partial: {keep_last: 1, mark: ab}}`):            `mark "ab" is not one character`,
		rule("with: {fixed: x, partial: {keep_last: 4}}"):            "rule r: with: takes one of",
		rule("with: {}"):                                             "rule r: with: takes one of",
		rule("with: {hash: {}}"):                                     "rule r: hash: needs a key",
		rule("with: {hash: {key_env: NO_SUCH_VARIABLE}}"):            "NO_SUCH_VARIABLE is not set",
		rule("with: {hash: {key: a, key_env: b}}"):                   "both key and key_env",
		rule("with: {hash: {key: tooshort}}"):                        "shorter than 32 characters",
		"rules: [{name: r, columns: [email], with: null}]":           `column "email": has fewer`,
		rule("with: shap"):                                           `unknown transform "shap"`,
		rule("with: pseudonym"):                                      "with: pseudonym needs settings",
		rule("with: {pseudonym: {}}"):                                "rule r: pseudonym: needs a key",
		rule("with: {ff1: {key: 0123456789abcdef0123456789abcdef}}"): "rule r: ff1: the alphabet has fewer",
		rule("with: {ff1: {key: 0123456789abcdef0123456789abcdef, alphabet: decimla}}"):                 `alphabet "decimla" is none of`,
		rule("with: {ff1: {key: 0123456789abcdef0123456789abcdef, alphabet: decimal, characters: ab}}"): "both alphabet and characters",
		rule("with: {round: 1}"):                                                     "rule r: round: to is less than 2",
		rule("with: {truncate: week}"):                                               `rule r: truncate: "week" is not`,
		rule("with: {elements: redcat}"):                                             `elements: with: unknown transform "redcat"`,
		rule("members: [a..b], with: null"):                                          `rule r: member "a..b": has an empty part`,
		rule("members: [a], nulls: true, with: null"):                                "rule r: nulls is about whole columns",
		"rules: [{name: r, members: [a], detect: [email], with: null}]":              "rule r: members are those of documents in columns",
		rule("with: {record: {2: {fixd: x}}}"):                                       `unknown field "fixd"`,
		rule("with: {bucket: {key: 0123456789abcdef0123456789abcdef, of: 1}}"):       "rule r: bucket: n is not",
		rule("with: {hash: {key: 0123456789abcdef0123456789abcdef, key_name: a b}}"): "rule r: hash: a key's name",
		"rules: [{name: r, detect: [emial], with: null}]":                            `there is no kind "emial"`,
	} {
		_, err := buildMask(text)
		require.ErrorContains(t, err, want, text)
	}
}

func TestMaskKindLifts(t *testing.T) {
	const text = `
rules:
  - {name: contact, columns: [public.customers.email], with: email}
lifts:
  - name: support-case
    rules: [contact]
    groups: [support]
    approvers: {groups: [privacy], users: ["https://id|u7"]}
    need: 2
    for: 10m
    reason: support cases
    auto_deny_in_tx: true
`
	_, err := buildMask(text)
	require.ErrorContains(t, err, "no broker")
	b := approval.NewBroker(approval.Options{})
	var got middleware.MaskConfig
	kind := middleware.MaskKind(func(c *middleware.MaskConfig) error {
		c.Broker = b
		got = *c
		return nil
	})
	step, err := kind.New(func(into any) error { return yaml.UnmarshalWithOptions([]byte(text), into, yaml.Strict()) })
	require.NoError(t, err)
	require.Len(t, got.Lifts, 1)
	l := got.Lifts[0]
	require.Equal(t, []any{"support-case", []string{"contact"}, []string{"privacy"}, []string{"https://id|u7"}, 2, 10 * time.Minute, "support cases", true},
		[]any{l.Name, l.Rules, l.ApproveRule.Groups, l.Users, l.Need, l.For, l.Reason, l.AutoDenyInTx})
	op := unmasking(&protocol.Identity{Issuer: "i", Subject: "s", Groups: []string{"support"}}, []protocol.Column{col("m", "is public.customers.email")})
	d, err := step.Operation(t.Context(), op)
	require.NoError(t, err)
	require.Equal(t, protocol.HoldEffect, d.Effect)
	op = unmasking(&protocol.Identity{Issuer: "i", Subject: "s"}, []protocol.Column{col("m", "is public.customers.email")})
	d, err = step.Operation(t.Context(), op)
	require.NoError(t, err)
	require.Equal(t, protocol.DenyEffect, d.Effect)
	_, err = middleware.MaskKind(func(*middleware.MaskConfig) error { return errors.New("no") }).New(func(any) error { return nil })
	require.ErrorContains(t, err, "no")
}
