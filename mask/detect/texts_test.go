package detect_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask/detect"
)

var marked = regexp.MustCompile(`⟦([a-z0-9._]+)\|([^⟧]*)⟧`)

// TestTexts holds the quality that TestCorpus holds over texts of another hand: logs,
// records, SQL and prose in several languages.
func TestTexts(t *testing.T) {
	file, err := os.ReadFile("testdata/texts.txt")
	require.NoError(t, err)
	d, err := detect.New(detect.Config{})
	require.NoError(t, err)
	type count struct{ found, missed, wrong int }
	counts := map[string]*count{}
	of := func(kind string) *count {
		if counts[kind] == nil {
			counts[kind] = &count{}
		}
		return counts[kind]
	}
	without, bad := 0, 0
	for line := range strings.Lines(string(file)) {
		line = strings.ReplaceAll(strings.TrimSuffix(line, "\n"), "‖", "")
		if line == "" || line[0] == '#' {
			continue
		}
		m := marked.FindStringSubmatch(line)
		text := marked.ReplaceAllString(line, "$2")
		found := d.Find(nil, []byte(text), detect.Field{})
		if m == nil {
			if without++; len(found) > 0 {
				bad++
				t.Logf("false: %q %v", text, found)
			}
			continue
		}
		hit := false
		for _, f := range found {
			if string(f.Kind) == m[1] && f.Start == strings.Index(line, "⟦") && f.End == f.Start+len(m[2]) {
				hit = true
				continue
			}
			of(string(f.Kind)).wrong++
			t.Logf("wrong: %q %v", text, f)
		}
		if hit {
			of(m[1]).found++
		} else {
			of(m[1]).missed++
			t.Logf("missed %s: %q %v", m[1], text, found)
		}
	}
	for kind, c := range counts {
		precision := float64(c.found) / float64(max(1, c.found+c.wrong))
		recall := float64(c.found) / float64(max(1, c.found+c.missed))
		p, r := wanted(kind)
		t.Logf("%-22s precision %.3f recall %.3f (%d found, %d missed, %d wrong)", kind, precision, recall, c.found, c.missed, c.wrong)
		if precision < p || recall < r {
			t.Errorf("%s: precision %.3f, at least %.2f wanted; recall %.3f, at least %.2f", kind, precision, p, recall, r)
		}
	}
	t.Logf("%d texts without a value: false spans in %d", without, bad)
	require.LessOrEqual(t, bad, without/100)
}
