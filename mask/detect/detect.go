package detect

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Config says what a [Detector] looks for.
type Config struct {
	// Kinds names what is looked for: kinds, or their beginning with a star
	// behind it ("secret.*", "id.us.*", "*"). Empty means [Default] and all of
	// Custom.
	Kinds []string

	// Custom are kinds of one's own, at most 64.
	Custom []Custom

	// Min is the lowest score of a finding, 1 to 100; 0 means 50. Without
	// context a card number has 80 and more, a dashed social security number 70,
	// and nine bare digits have 20.
	Min int
}

// A Custom is a kind of one's own.
type Custom struct {
	Kind Kind // not one of the built-in ones

	// Pattern is a regular expression in Go's syntax for what is found. It must
	// not match the empty text.
	Pattern string

	// Near are texts of which one is in every text that can match, such as a
	// prefix, in the case that they have there. Without it the pattern costs its
	// time for every text.
	Near []string

	// Valid reports whether what the pattern matched is such a value, by its
	// check digit say; nil means that it is. It is called from many goroutines.
	Valid func(match []byte) bool

	// Words are words in the neighbourhood or the field's name, in lower case,
	// without which a match counts for nothing; none means that it counts always.
	Words []string

	// MaxLen bounds what is found, in bytes; 0 means 128.
	MaxLen int
}

type custom struct {
	Custom
	re   *regexp.Regexp
	near [][]byte
	bit  uint64
}

// A Finding is one value in a text.
type Finding struct {
	Kind       Kind
	Start, End int // the value is text[Start:End]
	Score      int // how sure it is, 1 to 100
}

// A Detector finds values of the kinds that it was made for. It is immutable
// and safe for use by many goroutines.
type Detector struct {
	on       [builtin]bool
	min      int
	custom   []custom
	kinds    []Kind
	words    map[string]Field
	shapes   *shapes // of words
	thisYear int
}

// New returns the detector that c describes.
func New(c Config) (*Detector, error) {
	d := &Detector{min: c.Min, words: builtinWords, shapes: builtinShapes, thisYear: time.Now().Year()}
	switch {
	case c.Min == 0:
		d.min = 50
	case c.Min < 1 || c.Min > 100:
		return nil, fmt.Errorf("detect: the lowest score is %d, and is 1 to 100", c.Min)
	case len(c.Custom) > 64:
		return nil, errors.New("detect: more than 64 kinds of one's own")
	}
	patterns := c.Kinds
	if len(patterns) == 0 {
		for _, k := range Default() {
			patterns = append(patterns, string(k))
		}
		for _, k := range c.Custom {
			patterns = append(patterns, string(k.Kind))
		}
	}
	seen := map[Kind]bool{}
	for _, k := range kindNames {
		seen[k] = true
	}
	known := Kinds()
	for i, k := range c.Custom {
		if seen[k.Kind] {
			return nil, fmt.Errorf("detect: there are two kinds %q", k.Kind)
		}
		seen[k.Kind] = true
		known = append(known, k.Kind)
		made, err := d.compile(k, i)
		if err != nil {
			return nil, fmt.Errorf("detect: kind %q: %w", k.Kind, err)
		}
		for _, p := range patterns {
			if Match(p, k.Kind) {
				d.custom = append(d.custom, made)
				d.kinds = append(d.kinds, k.Kind)
				break
			}
		}
	}
	for _, p := range patterns {
		found := false
		for i, k := range known {
			if Match(p, k) {
				found = true
				if i < int(builtin) && !d.on[i] {
					d.on[i] = true
					d.kinds = append(d.kinds, k)
				}
			}
		}
		if !found {
			return nil, fmt.Errorf("detect: there is no kind %q", p)
		}
	}
	return d, nil
}

func (d *Detector) compile(k Custom, i int) (custom, error) {
	m := custom{Custom: k}
	var err error
	switch {
	case k.Kind == "" || strings.ContainsAny(string(k.Kind), " *"):
		return m, errors.New("a kind has a name without spaces and stars")
	case k.MaxLen < 0 || k.MaxLen > 4<<10:
		return m, errors.New("MaxLen is not between 0 and 4096")
	case k.MaxLen == 0:
		m.MaxLen = 128
	}
	if m.re, err = regexp.Compile(k.Pattern); err != nil {
		return m, err
	}
	if m.re.MatchString("") {
		return m, errors.New("its pattern matches the empty text")
	}
	for _, n := range k.Near {
		if n == "" {
			return m, errors.New("an empty text is near everything")
		}
		m.near = append(m.near, []byte(n))
	}
	if len(k.Words) == 0 {
		return m, nil
	}
	m.bit = 1 << i
	words := map[string]Field{}
	for w, f := range d.words {
		words[w] = f
	}
	for _, w := range k.Words {
		f := words[w]
		f.custom |= m.bit
		words[w] = f
		if first, _, pair := strings.Cut(w, " "); pair {
			f = words[first]
			f.words |= begins
			words[first] = f
		}
	}
	d.words, d.shapes = words, shapesOf(words)
	return m, nil
}

// Kinds returns the kinds that d looks for.
func (d *Detector) Kinds() []Kind { return slices.Clone(d.kinds) }

// HasCustom reports whether d looks for kinds of one's own.
func (d *Detector) HasCustom() bool { return len(d.custom) > 0 }

// Find appends what it finds in text to dst, in order and without overlaps, and
// returns it. field is what the text's column or member is called, from
// [Detector.Field]; the zero Field says nothing. Text without anything to find
// costs no allocation. text is neither changed nor kept.
func (d *Detector) Find(dst []Finding, text []byte, field Field) []Finding {
	s := scan{d: d, text: text, field: field, out: dst, first: len(dst), nearAt: -1, beforeAt: -1}
	s.run()
	if field.secret != noSecret {
		s.called()
	}
	for i := range d.custom {
		s.custom(&d.custom[i])
	}
	if len(s.out) > s.first+1 {
		s.resolve()
	}
	return s.out
}

func (s *scan) custom(c *custom) {
	if len(c.near) > 0 {
		there := false
		for _, n := range c.near {
			if there = contains(s.text, n); there {
				break
			}
		}
		if !there {
			return
		}
	}
	for at := 0; at < len(s.text); {
		m := c.re.FindIndex(s.text[at:])
		if m == nil {
			return
		}
		start, end := at+m[0], at+m[1]
		at = max(end, at+1)
		if end-start > c.MaxLen || end == start {
			continue
		}
		if c.bit != 0 && s.near(start, end).custom&c.bit == 0 {
			continue
		}
		if c.Valid == nil || c.Valid(s.text[start:end]) {
			s.out = append(s.out, Finding{c.Kind, start, end, 95})
		}
	}
}

// resolve sorts what was found and leaves no overlaps, and nothing out: of what is in
// one another the longer stays, of equals the one with the higher score, and of others
// that one takes the part that both have.
func (s *scan) resolve() {
	f := s.out[s.first:]
	if byStart := func(a, b Finding) int { return a.Start - b.Start }; !slices.IsSortedFunc(f, byStart) {
		slices.SortStableFunc(f, byStart)
	}
	n := 0
	for _, x := range f {
		if n > 1 { // the last one's beginning may be taken
			x.Start = max(x.Start, f[n-2].End)
		}
		if n > 0 && f[n-1].End > x.Start {
			switch o := &f[n-1]; {
			case o.Start == x.Start && (o.End < x.End || o.End == x.End && o.Score < x.Score):
				*o = x
				continue
			case x.End <= o.End:
				continue
			case x.Score > o.Score:
				o.End = x.Start
			default:
				x.Start = o.End
			}
		}
		f[n] = x
		n++
	}
	s.out = s.out[:s.first+n]
}
