package words_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit/internal/words"
)

func all(s string) (list []string) {
	words.Each(s, func(w string) { list = append(list, w) })
	return list
}

func TestWords(t *testing.T) {
	require.Equal(t, []string{"select", "e_mail", "from", "public", "users", "where", "id", "17"}, all(`SELECT e_mail FROM "public".users where id=17`))
	require.Empty(t, all(" \t\n--"))
	require.Equal(t, []string{strings.Repeat("a", 64)}, all(strings.Repeat("a", 1000)))
}

func TestAccents(t *testing.T) {
	require.Equal(t, []string{"cafe", "cafe", "ab", "c"}, all("Café CAFE\u0301 aB\xffC"))
}

func FuzzWords(f *testing.F) {
	f.Add("select Ünïcode\xff from x", "y")
	f.Fuzz(func(t *testing.T, a, b string) {
		// What stands in a text is found by its own words.
		in := all(a + " " + b)
		for _, w := range all(b) {
			if !slices.Contains(in, w) {
				t.Fatalf("%q is no word of %q", w, a+" "+b)
			}
		}
		for _, w := range in {
			if got := all(w); len(got) != 1 || got[0] != w {
				t.Fatalf("the words of the word %q are %q", w, got)
			}
		}
	})
}
