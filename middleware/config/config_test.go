package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/middleware/config"
	"github.com/sallyport-dev/gateway/middleware/policy"
)

func kinds() []middleware.Kind {
	return []middleware.Kind{middleware.TokenKind(), policy.AuthorizeKind(), middleware.MaskKind(), policy.BlockKind()}
}

// problems returns the messages about a file, steps included.
func problems(t *testing.T, text string) []string {
	t.Helper()
	var log struct {
		Level string `yaml:"level"`
	}
	f, err := config.Read(strings.NewReader(text), "g.yaml", map[string]any{"log": &log})
	require.NotNil(t, f)
	_, err2 := f.Build(kinds())
	var out []string
	for _, e := range []error{err, err2} {
		if e != nil {
			out = append(out, strings.Split(e.Error(), "\n")...)
		}
	}
	return out
}

func TestMistakesHaveTheirPlace(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"empty", "", nil},
		{"comment", "# nothing yet\n", nil},
		{"unknown key", "listen: []\ntargetz: []\n", []string{`g.yaml:2:1: unknown key "targetz"; known are listen, log, steps, targets`}},
		{"not a mapping", "- a\n", []string{`g.yaml:1:1: want keys with values here, not sequence`}},
		{"not a list", "targets: {name: a}\n", []string{`g.yaml:1:1: targets: want a list here, each entry behind a dash`}},
		{"section", "log: {lvl: x}\n", []string{`g.yaml:1:7: log: unknown field "lvl"`}},
		{"listen", "listen:\n  - protocol: postgres\n  - {protocol: x, address: y, tls: z}\n", []string{
			"g.yaml:2:5: listen: an entry without address", `g.yaml:3:31: listen: unknown key "tls"; known are address, protocol, settings`}},
		{"target", "targets:\n  - name: a\n    secrt: x\n  - name: b\n    secret: {env: A, file: b}\n", []string{
			`g.yaml:3:5: target a: unknown field "secrt"`, "g.yaml:4:5: target b: secret: give one of env, file and value"}},
		{"two steps in one", "steps:\n  - tokens: {}\n    record: {}\n", []string{
			"g.yaml:2:5: steps: an entry with 2 keys; each entry is one step, such as '- record: {dir: ...}'"}},
		{"unknown step", "steps:\n  - tokns:\n      tokens: []\n", []string{
			`g.yaml:2:5: step: "tokns" is unknown; known are tokens, authorize, mask, block`}},
		{"everything at once", `steps:
  - tokens:
      tokens:
        - {hash: zz, subject: alice, kind: human}
  - authorize:
      rules:
        - name: a
          grups: [x]
  - block:
      rules:
        - name: no-drop
          when: operation.access.shema
  - mask:
      rules:
        - {name: mail, columns: [a], with: emale}
`, []string{
			"g.yaml:2:5: step tokens: token 1 (subject alice): the hash is not 64 hexadecimal digits",
			`g.yaml:8:11: step authorize: unknown field "grups"`,
			"g.yaml:12:17: step block: rule no-drop: column 17: undefined field 'shema' (did you mean 'schema'?)",
			"g.yaml:13:5: step mask: mask rule mail: with: unknown transform \"emale\"; known are show, null, redact, default, email, shape, url, card, fixed, partial, ends, replace, round, truncate, network, hash, pseudonym, ff1, bucket, noise, elements, found, record"}},
		{"not a text", "steps:\n  - mask: {rules: [{name: a, columns: [a.b.c], with: {hash: {key: [x]}}}]}\n", []string{
			"g.yaml:2:5: step mask: a list or keys in the place of a text"}},
		{"a key twice", "listen: []\nlisten: []\n", []string{"g.yaml:2:1: mapping key already defined at [1:1]"}},
		{"second document", "listen: []\n---\nsteps: []\n", []string{"g.yaml:3:1: a second document; everything belongs into one"}},
		{"syntax", "steps:\n  - a: [1\n", []string{"g.yaml:2:8: sequence end token ']' not found"}},
		{"merge", "targets:\n  - {<<: {name: a}}\nsteps:\n  - <<: {tokens: {}}\n", []string{"g.yaml:4:5: merge keys are not supported"}},
	} {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, problems(t, c.text)) })
	}
}

// An error is read by more people than the file.
func TestErrorsDoNotQuoteSecrets(t *testing.T) {
	const word = "hunter2"
	for _, v := range []string{"*W", "&W", "&W x", "!W", "!W x", "!!bool W", "!!int W", "!!map W", "!!binary [W]", "|W", ">W", "%W", "@W", "`W",
		"W: x", "W:", "? W", "- W", `"W`, `'W`, `"W" W`, "[W]", "[W", "]W", "{W}", "{W", "{W: W, W: x}", ",W", "W, x: y", "W\n      more: x", "|\n W"} {
		v = strings.ReplaceAll(v, "W", word)
		for _, form := range []string{
			"targets:\n  - name: a\n    secret:\n      value: %s\n",
			"targets:\n  - name: a\n    secret: {value: %s}\n",
			"targets:\n  - name: a\n    secret: {value: %s, env: X}\n",
			"targets:\n  - name: a\n    secret: %s\n",
			"steps:\n  - mask:\n      rules:\n        - {name: r, columns: [a.b.c], with: {hash: {key: %s}}}\n",
			"steps:\n  - mask:\n      rules:\n        - name: r\n          columns: [a.b.c]\n          with:\n            hash:\n              key: %s\n",
		} {
			text := fmt.Sprintf(form, v)
			got := strings.Join(problems(t, text), "\n")
			require.NotContains(t, got, word, "about:\n%s", text)
		}
	}
}

// A password that is not read as it stands is worse than one that is refused.
func TestTextsAreReadAsWrittenOrRefused(t *testing.T) {
	for v, want := range map[string]string{"x1": "x1", `"0123"`: "0123", "'&x'": "&x", "x*y": "x*y",
		"&x": "", "&x y": "", "*x": "", "!x": "", "!x y": "", "0123": "", "0x10": "", "1_000": "", "1.10": "", "7": "", "true": "", "True": "", "~": "", "": ""} {
		f, err := config.Read(strings.NewReader("targets:\n  - name: a\n    secret:\n      value: "+v+"\n"), "g.yaml", nil)
		if want == "" {
			require.ErrorContains(t, err, "g.yaml:4:", v)
			continue
		}
		require.NoError(t, err, v)
		require.Equal(t, want, f.Targets[0].Secret.Value.Reveal())
	}
	for _, v := range []string{"0123", "1_000", "1.10", "&x y", "True"} {
		_, err := config.Read(strings.NewReader("targets:\n  - name: a\n    labels: {zip: "+v+"}\n"), "g.yaml", nil)
		require.ErrorContains(t, err, "g.yaml:3:", v)
	}
}

func TestTooLarge(t *testing.T) {
	_, err := config.Read(strings.NewReader(strings.Repeat("#", 4<<20+1)), "g.yaml", nil)
	require.EqualError(t, err, "g.yaml: larger than 4194304 bytes")
}

func FuzzRead(f *testing.F) {
	f.Add("listen:\n  - {protocol: postgres, address: ':1', settings: {a: 1}}\ntargets: [{name: a}]\nsteps:\n  - block:\n")
	f.Add("a: &x [1]\nb: *x\n<<: {}\n---\n")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := config.Read(strings.NewReader(text), "f", map[string]any{"log": &map[string]any{}})
		if file == nil {
			t.Fatal("no file", err)
		}
		for _, s := range file.Steps {
			var into any
			_ = s.Settings.Decode(&into)
		}
		steps, _ := file.Build(kinds())
		_ = config.Close(steps)
	})
}
