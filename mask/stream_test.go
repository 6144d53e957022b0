package mask_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/mask/detect"
)

func detecting(t testing.TB, with mask.Transform, kinds ...string) *mask.Set {
	s, err := mask.Compile(mask.Rule{Name: "found", Detect: kinds, Transform: with})
	require.NoError(t, err)
	return s
}

// stream masks the chunks.
func stream(s *mask.Set, chunks ...string) string {
	var out strings.Builder
	st := s.Stream(nil)
	for i, c := range chunks {
		out.Write(st.Next([]byte(c), i == len(chunks)-1))
	}
	return out.String()
}

const privateKey = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIEowIBAAKCAQEAu1SU1LfVLPHCozMxH2Mo4lgOEePzNm0tRgeLezV6ffAt0gun\nVTLw7onL\n-----END RSA PRIVATE KEY-----"

var streamCases = []struct{ in, want string }{
	{"mail ada@example.com now", "mail *** now"},
	{"a 4111 1111 1111 1111\nb 536-90-4399\n", "a ***\nb ***\n"},
	{"\x1b[31mada@example.com\x1b[0m!", "\x1b[31m***\x1b[0m!"},
	{"a\x1b[01;31m\x1b[Kda@exam\x1b[m\x1b[Kple.com x", "***\x1b[01;31m\x1b[K\x1b[m\x1b[K x"},
	{"ada@\x1b[1mexam\x1b(B\x1b[mple.com ada@\x1b[1mexam\x1b[m\x0fple.com", "***\x1b[1m\x1b(B\x1b[m ***\x1b[1m\x1b[m\x0f"},                               // as tput sgr0 writes it
	{"m\x00a\x00i\x00l\x00 \x00a\x00@\x00x\x00.\x00o\x00r\x00g\x00\r\x00\n\x00", "m\x00a\x00i\x00l\x00 \x00***\x00\x00\x00\x00\x00\x00\x00\r\x00\n\x00"}, // UTF-16
	{"ada@exam\x1b[5;3Hple.com", "ada@exam\x1b[5;3Hple.com"},                                                                                             // interrupted: two places of the screen
	{"12\x1b[2J4111111111111111", "12\x1b[2J***"},
	{"\x1b]0;ada@example.com\x07$ ls", "\x1b]0;***\x07$ ls"},
	{"\x1b]8;;mailto:ada@example.com\x1b\\link\x1b]8;;\x1b\\", "\x1b]8;;mailto:***\x1b\\link\x1b]8;;\x1b\\"},
	{"\x1b(B\x1b7\x1b=plain\x1b[?2004h", "\x1b(B\x1b7\x1b=plain\x1b[?2004h"},
	{"x\n" + privateKey + "\ny\n", "x\n***\ny\n"},
	{privateKey[:32] + "plain text of another line\n", "***plain text of another line\n"},
	{"-----BEGIN RSA PRIVATE KEY----- is how a key begins", "***is how a key begins"},
	{strings.Repeat("x", 20000) + " ada@example.com " + strings.Repeat("y", 20000), strings.Repeat("x", 20000) + " *** " + strings.Repeat("y", 20000)},
	{strings.Repeat("x", 16<<10-8) + " ada@example.com", strings.Repeat("x", 16<<10-8) + " ***"},
	{strings.Repeat("x ", (16<<10-4<<10)/2-3) + "ada@example.com" + strings.Repeat(" y", 4000), strings.Repeat("x ", (16<<10-4<<10)/2-3) + "***" + strings.Repeat(" y", 4000)},
	{"eyJhbGciOiJub25lIn0.eyJh" + strings.Repeat("abcd", 5000) + ".c2ln;", "***;"},
	{"", ""},
}

func TestStream(t *testing.T) {
	s := detecting(t, mask.Redact(), "*")
	for _, c := range streamCases {
		require.Equal(t, c.want, stream(s, c.in), "%.80q", c.in)
		if len(c.in) < 1000 { // cut at every place, and into single bytes
			for i := range c.in {
				require.Equal(t, c.want, stream(s, c.in[:i], c.in[i:]), "%q and %q", c.in[:i], c.in[i:])
			}
			require.Equal(t, c.want, stream(s, strings.Split(c.in, "")...), "%q", c.in)
		}
	}
	last4 := detecting(t, mask.KeepLast(4), "card")
	require.Equal(t, "card ***************1111, ada@example.com", stream(last4, "card 4111 1111 1111", " 1111, ada@example.com"))
	var rules []string
	st := s.Stream(func(rule, _ string) { rules = append(rules, rule) })
	st.Next([]byte("ada@example.com 536-90-4399\n"), false)
	require.Equal(t, []string{"found", "found"}, rules)
}

// A private key is hidden whole also where its lines have something around them.
func TestStreamPrivateKey(t *testing.T) {
	s := detecting(t, mask.Redact(), "secret.private_key")
	for around, want := range map[[2]string]string{
		{"\x1b[31m", "\x1b[m"}:            "\x1b[31m***" + strings.Repeat("\x1b[m\x1b[31m", 5) + "\x1b[m\n",
		{"", "\x1b[K\r"}:                  "***" + strings.Repeat("\x1b[K", 6) + "\r\n",
		{"\x1b[32m+\x1b[m", ""}:           "\x1b[32m+\x1b[m***" + strings.Repeat("\x1b[32m\x1b[m", 5) + "\n",
		{"-", ""}:                         "-***\n",
		{"> ", ""}:                        "> ***\n",
		{"    12\t", ""}:                  "    12\t***\n",
		{"key.pem:12:", ""}:               "key.pem:12:***\n",
		{"// ", ""}:                       "// ***\n",
		{`"`, `\n" +`}:                    "\"***\\n\" +\n",
		{"", " \\"}:                       "*** \\\n",
		{"", "$"}:                         "***$\n",
		{"app-1  | ", ""}:                 "app-1  | ***\n",
		{"2026-01-02T03:04:05Z ", "<br>"}: "2026-01-02T03:04:05Z ***<br>\n",
	} {
		in := ""
		for line := range strings.SplitSeq(privateKey, "\n") {
			in += around[0] + line + around[1] + "\n"
		}
		require.Equal(t, want, stream(s, in), "%q", around)
		require.Equal(t, want, stream(s, strings.Split(in, "")...), "%q", around)
		cut, _, _ := strings.Cut(in, "-----END")
		require.NotContains(t, stream(s, cut), "VTLw", "%q", around)
		require.NotContains(t, string(s.Texts(nil).Mask(nil, []byte(in), detect.Field{})), "VTLw", "%q", around)
	}
	for _, end := range []string{" ", `\n`, `\r\n`, `\\n`, "%0A", `\u000a`, "&#10;"} { // in one line
		require.Equal(t, "x ***.\n", stream(s, "x "+strings.ReplaceAll(privateKey, "\n", end)+".\n"), "%q", end)
	}
}

// What a person waits for is shown; of a value whose beginning was shown, the
// rest is not.
func TestStreamFlush(t *testing.T) {
	s := detecting(t, mask.Redact(), "*").Stream(nil)
	var out strings.Builder
	for _, part := range []string{"ada@example.com:~$ ", "l", "s", " 4111 1111", " 1111 11", "11", " x\n", "next ada@exa", "mple.co", "m\n"} {
		out.Write(s.Next([]byte(part), false))
		out.Write(s.Flush())
	}
	require.Equal(t, "ada@example.com:~$ ls 4111 1111*** x\nnext ada@exa***\n", strings.ReplaceAll(out.String(), " 1111 11***", "***"))
	require.Empty(t, s.Flush())
	require.Empty(t, s.Next(nil, true))
}

// What a program waits for is shown as far as it can be told: no part of a value is.
func TestStreamSettled(t *testing.T) {
	all := detecting(t, mask.Redact(), "*")
	for in, want := range map[string]string{
		"thinking about it":              "thinking about |it",
		"ask: ":                          "ask: |",
		"write to ada@exa":               "write to |ada@exa",
		"write to ada@example.com, and ": "write to ***, and |",
		"paid with 4111 1111":            "paid with |4111 1111",
		"paid with 4111 1111 ":           "paid with |4111 1111 ",
		"iban DE89 3704 0044 ":           "iban |DE89 3704 0044 ",
		"call +1 (415) 555-":             "call |+1 (415) 555-",
		"password=":                      "|password=",
		"a password: ":                   "a password: |",
		"\x1b[31mred\x1b[0m text":        "|\x1b[31mred\x1b[0m text",
		"":                               "|",
	} {
		s := all.Stream(nil)
		before, after, _ := strings.Cut(want, "|")
		require.Empty(t, s.Next([]byte(in), false), in)
		require.Equal(t, before, string(s.Settled()), in)
		require.Empty(t, s.Settled(), in)
		require.Equal(t, after, strings.ReplaceAll(string(s.Next([]byte("\n"), false)), "\n", ""), in)
	}
	own := detecting(t, mask.Redact(), "email")
	words := func(s *mask.Stream, in string) (out string) {
		for _, word := range strings.SplitAfter(in, "e") {
			out += string(s.Next([]byte(word), false)) + string(s.Settled())
		}
		return out + string(s.Next(nil, true))
	}
	require.Equal(t, "the mail of *** and of *** there\n", words(own.Stream(nil), "the mail of ada@example.com and of eve@example.org there\n"))
	keys := words(all.Stream(nil), "key "+privateKey+" end\n")
	require.Equal(t, stream(all, "key "+privateKey+" end\n"), keys)

	set, err := mask.Compile(mask.Rule{Name: "own", Custom: []detect.Custom{{Kind: "own", Pattern: `from .* to [a-z]+`}}, Transform: mask.Redact()})
	require.NoError(t, err)
	s := set.Stream(nil)
	require.Empty(t, s.Next([]byte("from here "), false))
	require.Empty(t, s.Settled(), "nobody knows where such a value ends")
	require.Equal(t, "***\n", string(s.Next([]byte("to there\n"), false)))
}

func TestStreamHoldsLittle(t *testing.T) {
	s := detecting(t, mask.Redact(), "*").Stream(nil)
	in, out := 0, 0
	for range 100 {
		chunk := strings.Repeat("some words without a line's end ", 100)
		in += len(chunk)
		out += len(s.Next([]byte(chunk), false))
		require.LessOrEqual(t, in-out, mask.HoldBack)
	}
	require.Empty(t, s.Next([]byte("a"), false), "the end of the line")
}

// Pieces of everything in any order, cut anywhere.
func TestStreamInChunks(t *testing.T) {
	s := detecting(t, mask.Redact(), "*")
	r := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"ada@example.com", " ", "\n", "\x1b[31m", "\x1b[2J", "\x1b]0;", "\x07", "\x1b", "4111 1111", " 1111 1111", privateKey, privateKey[:70], "-----END RSA PRIVATE KEY-----",
		"password=", "hunter2", ".", "-", "536-90-4399", "ssn ", "eyJhbGciOiJub25lIn0.eyJh", strings.Repeat("a", 300), strings.Repeat("b c ", 1000), "\r\n", "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "\xff"}
	for range 300 {
		var in string
		for range 1 + r.IntN(30) {
			in += pieces[r.IntN(len(pieces))]
		}
		want := stream(s, in)
		for range 4 {
			var chunks []string
			for rest := in; rest != ""; {
				n := min(len(rest), 1+r.IntN(1<<r.IntN(14)))
				chunks = append(chunks, rest[:n])
				rest = rest[n:]
			}
			if got := stream(s, chunks...); got != want {
				t.Fatalf("%q became %q, and in chunks %q", in, want, got)
			}
		}
		require.Equal(t, string(mask.Controls([]byte(in))), string(mask.Controls([]byte(want))), "%q", in)
	}
}

// FuzzStream: however a stream is cut into chunks, what comes out is the same,
// and so are the control sequences in it.
func FuzzStream(f *testing.F) {
	for _, c := range streamCases {
		f.Add([]byte(c.in), uint64(len(c.in)))
	}
	f.Add([]byte("\x1b[\x1b]\x1b\\ada@\x1b[1mexample.com\x1bP\n\x07"), uint64(0x12345))
	s := detecting(f, mask.Redact(), "*")
	f.Fuzz(func(t *testing.T, in []byte, cuts uint64) {
		want := stream(s, string(in))
		st := s.Stream(nil)
		var out []byte
		for rest := in; ; {
			n := min(len(rest), int(cuts%7+cuts%1000%300))
			cuts = cuts*6364136223846793005 + 1442695040888963407
			out = append(out, st.Next(rest[:n], len(rest) == n)...)
			if rest = rest[n:]; len(rest) == 0 {
				break
			}
		}
		if string(out) != want {
			t.Fatalf("%q became %q, and in chunks %q", in, want, out)
		}
		if a, b := mask.Controls(in), mask.Controls(out); string(a) != string(b) {
			t.Fatalf("%q became %q: control sequences %q became %q", in, want, a, b)
		}
	})
}
