// Package bench compares the detectors with regular expressions for the same
// kinds: Go's and RE2's. These look for e-mail addresses, cards, IBANs, social
// security numbers, telephones and six sorts of tokens only, and check no digits.
package bench

import (
	"regexp"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasilibs/go-re2"

	"github.com/sallyport-dev/gateway/mask/detect"
)

const pattern = `[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}` +
	`|\b(?:\d[ -]?){13,19}\b` +
	`|\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}\b` +
	`|\b\d{3}-\d{2}-\d{4}\b` +
	`|\+\d[\d ().-]{7,18}\d|\(?\b\d{3}\)?[ .-]\d{3}[ .-]\d{4}\b` +
	`|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b|\bxox[abprs]-[A-Za-z0-9-]{10,}\b` +
	`|\bsk_live_[A-Za-z0-9]{24}\b|\bAIza[A-Za-z0-9_-]{35}\b|\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*`

var texts = []struct{ name, text string }{
	{"clean", "The quick brown fox jumps over the lazy dog again."},
	{"numbers", "order 12345 shipped on 2024-01-15 10:30:00, 3 boxes"},
	{"email", "please write to ada.lovelace@example.com about it!"},
	{"card and ssn", "card 4111 1111 1111 1111 of ssn 536-90-4399 is held"},
}

// cpu is the processor's time of this process, in ns: what others do on the
// machine is not in it.
func cpu(b *testing.B) float64 {
	var r syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &r))
	return float64(r.Utime.Nano() + r.Stime.Nano())
}

// See the table at BenchmarkFind in the folder above.
func BenchmarkFind(b *testing.B) {
	d, err := detect.New(detect.Config{})
	require.NoError(b, err)
	std, wasm := regexp.MustCompile(pattern), re2.MustCompile(pattern)
	out := make([]detect.Finding, 0, 8)
	for _, c := range texts {
		text := []byte(c.text)
		for _, f := range []struct {
			name string
			f    func()
		}{
			{"detect", func() { out = d.Find(out[:0], text, detect.Field{}) }},
			{"regexp", func() { std.FindAllIndex(text, -1) }},
			{"re2", func() { wasm.FindAllIndex(text, -1) }},
		} {
			b.Run(c.name+"/"+f.name, func(b *testing.B) {
				b.ReportAllocs()
				before := cpu(b)
				for b.Loop() {
					f.f()
				}
				b.ReportMetric((cpu(b)-before)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}
