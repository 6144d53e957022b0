package detect_test

import (
	"testing"

	"github.com/sallyport-dev/gateway/mask/detect"
)

const clean = "The quick brown fox jumps over the lazy dog again."

// In the processor's time, on 2 shared vCPUs (AMD EPYC), Go 1.26, beside others'
// work; no allocations. regexp is Go's and re2 wasilibs/go-re2, for eleven kinds
// and without looking at a check digit (the folder bench, which measures so):
//
//	               detect   regexp    re2   ns/op
//	clean             140    15000    590
//	numbers           540    16400    530
//	email             190     8700   1030
//	card and ssn      620     8500   1630
func BenchmarkFind(b *testing.B) {
	d := detector(b, detect.Config{})
	for _, c := range []struct{ name, text string }{
		{"clean", clean},
		{"numbers", "order 12345 shipped on 2024-01-15 10:30:00, 3 boxes"},
		{"email", "please write to ada.lovelace@example.com about it!"},
		{"card and ssn", "card 4111 1111 1111 1111 of ssn 536-90-4399 is held"},
	} {
		b.Run(c.name, func(b *testing.B) {
			text, out := []byte(c.text), make([]detect.Finding, 0, 8)
			b.ReportAllocs()
			for b.Loop() {
				out = d.Find(out[:0], text, detect.Field{})
			}
		})
	}
}
