package detect_test

import (
	"testing"

	"github.com/sallyport-dev/gateway/mask/detect"
)

const clean = "The quick brown fox jumps over the lazy dog again."

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
