package mask

import (
	"slices"

	"github.com/sallyport-dev/gateway/mask/detect"
)

// HasDetectors reports whether any rule is about what detectors find.
func (s *Set) HasDetectors() bool { return s.detector != nil }

// hasPatterns reports whether any rule has patterns of its own.
func (s *Set) hasPatterns() bool {
	return slices.ContainsFunc(s.rules, func(r Rule) bool { return len(r.Custom) > 0 })
}

// detectors makes the one detector that looks for what all rules want found.
func (s *Set) detectors() error {
	var c detect.Config
	masks := false
	for i := range s.rules {
		r := &s.rules[i]
		masks = masks || !r.shows() && len(r.Detect)+len(r.Custom) > 0
		c.Kinds = append(c.Kinds, r.Detect...)
		for _, k := range r.Custom {
			c.Kinds = append(c.Kinds, string(k.Kind))
		}
		c.Custom = append(c.Custom, r.Custom...)
	}
	if len(c.Kinds) == 0 {
		return nil
	}
	d, err := detect.New(c)
	if err != nil {
		return err
	}
	kinds := map[detect.Kind]int{}
	c.Kinds = nil
	for _, k := range d.Kinds() {
		for i := range s.rules {
			if s.rules[i].detects(k) {
				if !s.rules[i].shows() {
					kinds[k] = i
					c.Kinds = append(c.Kinds, string(k))
				}
				break
			}
		}
	}
	if !masks || len(kinds) == 0 {
		return nil
	}
	s.kinds = kinds
	s.detector, err = detect.New(c)
	return err
}

// detects reports whether the rule is about values of that kind.
func (r *Rule) detects(k detect.Kind) bool {
	for _, p := range r.Detect {
		if detect.Match(p, k) {
			return true
		}
	}
	for i := range r.Custom {
		if r.Custom[i].Kind == k {
			return true
		}
	}
	return false
}

// Texts masks what the rules' detectors find in texts. It is for one goroutine
// at a time.
type Texts struct {
	set    *Set
	masked func(rule, what string)
	funcs  map[detect.Kind]Func
	found  []detect.Finding
	buf    []byte
}

// Texts returns a new masker of texts by the rules' Detect and Custom. masked, if
// it is not nil, is called for each value that was masked, with the name of the rule
// and the kind of the value.
func (s *Set) Texts(masked func(rule, what string)) *Texts {
	return &Texts{set: s, masked: masked, funcs: map[detect.Kind]Func{}}
}

// Field returns what the name of a column or of a member says about its texts,
// for [Texts.Mask].
func (t *Texts) Field(name string) detect.Field {
	if t.set.detector == nil {
		return detect.Field{}
	}
	return t.set.detector.Field(name)
}

// Mask appends in to dst with what the rules say in the place of the values that
// are found, and returns it; if nothing is found it returns nil, and in may be
// shown as it is. A transform that has no text for a value puts stars there. dst
// must not overlap in.
func (t *Texts) Mask(dst, in []byte, field detect.Field) []byte {
	if t.set.detector == nil {
		return nil
	}
	t.found = t.set.detector.Find(t.found[:0], in, field)
	if len(t.found) == 0 {
		return nil
	}
	return t.fill(dst, in)
}

// fill appends in to dst with what takes the place of the values that were found.
func (t *Texts) fill(dst, in []byte) []byte {
	at := 0
	for i := range t.found {
		f := &t.found[i]
		dst = append(append(dst, in[at:f.Start]...), t.replace(f.Kind, in[f.Start:f.End])...)
		at = f.End
	}
	return append(dst, in[at:]...)
}

// replace returns what takes the place of a value, valid until the next call.
func (t *Texts) replace(k detect.Kind, value []byte) []byte {
	rule := &t.set.rules[t.set.kinds[k]]
	if t.masked != nil {
		t.masked(rule.Name, string(k))
	}
	f := t.funcs[k]
	if f == nil {
		var err error
		if f, err = rule.Transform.Bind(Type{Kind: Text}); err != nil { // Compile has tried
			f = constant([]byte(stars))
		}
		t.funcs[k] = f
	}
	out := f(t.buf[:0], value)
	if out == nil {
		return []byte(stars)
	}
	t.buf = out
	return out
}

// rule returns the rule that f is masked by.
func (t *Texts) rule(f *detect.Finding) *Rule { return &t.set.rules[t.set.kinds[f.Kind]] }

// only reports whether all that was found is masked by r.
func (t *Texts) only(r *Rule) bool {
	return !slices.ContainsFunc(t.found, func(f detect.Finding) bool { return t.rule(&f) != r })
}

// hides reports whether r shows nothing that another rule of those for what is found
// would not show.
func (s *Set) hides(r *Rule) bool {
	switch Describe(r.Transform) {
	case "redact", "null", "default":
		return true
	}
	for _, i := range s.kinds {
		if &s.rules[i] != r {
			return false
		}
	}
	return true
}

// isKey reports whether k is the kind of private keys, which go on in the next
// line.
func (s *Set) isKey(k detect.Kind) bool { return k == "secret.private_key" }
