package postgres

import (
	"math/rand/v2"
	"testing"
)

// A doubt is one about everything that has a name by then, former meanings included.
func TestNamesAreDoubted(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		c := &session{statements: newNames(statementMeaning), portals: newNames(portalMeaning)}
		n := &c.portals
		want := map[*portal]bool{}
		var waiting []*portal
		for range 100 {
			switch k := rnd.IntN(10); {
			case k < 5:
				p := &portal{name: []string{"", "a", "b"}[rnd.IntN(3)]}
				n.give(p.name, p, 1)
				waiting = append(waiting, p)
			case k < 8 && len(waiting) > 0:
				n.settle(waiting[0].name, waiting[0], rnd.IntN(3) > 0)
				waiting = waiting[1:]
			case k == 8:
				var but *portal
				if rnd.IntN(2) > 0 {
					but = n.get("a")
				}
				for name, p := range n.all {
					for ; p != nil && name != ""; p = p.meaning.prev {
						want[p] = want[p] || p != but
					}
				}
				c.doubtNames(but)
			}
			for name, p := range n.all {
				for ; p != nil; p = p.meaning.prev {
					if got := n.doubted(name, p); got != want[p] {
						t.Fatalf("seed %d: %q doubted: %v", seed, name, got)
					}
				}
			}
		}
	}
}

// Whatever is given, answered and cleared in whatever order, the size is that
// of the meanings that are still of use.
func TestNamesCountWhatTheyHold(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		n := newNames(statementMeaning)
		var waiting []*statement
		answer := func() {
			n.settle(waiting[0].name, waiting[0], rnd.IntN(3) > 0)
			waiting = waiting[1:]
		}
		for range 100 {
			switch k := rnd.IntN(10); {
			case k < 5:
				s := &statement{name: string('a' + rune(rnd.IntN(3))), meaning: meaning[statement]{gone: k == 0}}
				n.give(s.name, s, 1+rnd.IntN(100))
				waiting = append(waiting, s)
			case k < 8 && len(waiting) > 0:
				answer()
			case k == 8:
				n.clear(true)
			case k == 9:
				n.grow(n.m["a"], 7)
			}
			want := 0
			for _, s := range n.m {
				for ; s != nil; s = s.meaning.prev {
					want += s.meaning.size
				}
			}
			if n.size != want {
				t.Fatalf("seed %d: %d bytes counted, %d held", seed, n.size, want)
			}
		}
		for len(waiting) > 0 {
			answer()
		}
		n.clear(true)
		if n.size != 0 || len(n.m) != 0 {
			t.Fatalf("seed %d: %d bytes in %d names are left", seed, n.size, len(n.m))
		}
	}
}
