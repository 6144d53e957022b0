package middleware

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/protocol"
)

// maskWith is one word, or a map with one key.
type maskWith struct {
	word string
	maskOptions
}

type maskOptions struct {
	Fixed     *string          `yaml:"fixed"`
	Partial   *maskPartial     `yaml:"partial"`
	Ends      *maskEnds        `yaml:"ends"`
	Card      *maskCard        `yaml:"card"`
	Replace   *maskReplace     `yaml:"replace"`
	Round     *int64           `yaml:"round"`
	Truncate  *string          `yaml:"truncate"`
	Network   *maskNetwork     `yaml:"network"`
	Hash      *maskHash        `yaml:"hash"`
	Pseudonym *maskPseudonym   `yaml:"pseudonym"`
	FF1       *maskFF1         `yaml:"ff1"`
	Bucket    *maskBucket      `yaml:"bucket"`
	Noise     *maskNoise       `yaml:"noise"`
	Elements  *maskWith        `yaml:"elements"`
	Found     *maskFound       `yaml:"found"`
	Record    map[int]maskWith `yaml:"record"`
}

// withWords are the transforms that need no settings, with what makes them.
var withWords = map[string]func() mask.Transform{
	"show": mask.Show, "null": mask.Null, "redact": mask.Redact, "default": mask.Default, "email": mask.Email, "shape": mask.Shape, "url": mask.URL,
	"card": func() mask.Transform { return mask.Card(false) },
}

// withNames are all transforms, for errors.
const withNames = "show, null, redact, default, email, shape, url, card, fixed, partial, ends, replace, round, truncate, network, hash, pseudonym, ff1, bucket, noise, elements, found, record"

type maskPartial struct {
	KeepFirst int    `yaml:"keep_first"`
	KeepLast  int    `yaml:"keep_last"`
	Mark      string `yaml:"mark"`
}

type maskEnds struct {
	First int `yaml:"first"`
	Last  int `yaml:"last"`
}

type maskCard struct {
	Issuer bool `yaml:"issuer"`
}

type maskReplace struct {
	Pattern string `yaml:"pattern"`
	With    string `yaml:"with"`
}

type maskNetwork struct {
	V4 int `yaml:"v4"`
	V6 int `yaml:"v6"`
}

// maskKey is what all transforms with a key have.
type maskKey struct {
	Key    protocol.Secret `yaml:"key"`
	KeyEnv string          `yaml:"key_env"`
	Domain string          `yaml:"domain"`
}

type maskHash struct {
	Keyed   maskKey `yaml:",inline"`
	KeyName string  `yaml:"key_name"`
}

type maskPseudonym struct {
	Keyed  maskKey     `yaml:",inline"`
	Format mask.Format `yaml:"format"`
}

type maskFF1 struct {
	Keyed      maskKey `yaml:",inline"`
	Alphabet   string  `yaml:"alphabet"`
	Characters string  `yaml:"characters"`
}

var alphabets = map[string]string{"decimal": mask.Decimal, "hexadecimal": mask.Hexadecimal, "base36": mask.Base36, "alphanumeric": mask.Alphanumeric}

type maskBucket struct {
	Keyed maskKey `yaml:",inline"`
	Of    int     `yaml:"of"`
}

type maskNoise struct {
	Keyed  maskKey `yaml:",inline"`
	Spread int64   `yaml:"spread"`
}

type maskFound struct {
	Kinds []string  `yaml:"kinds"`
	With  *maskWith `yaml:"with"`
}

// UnmarshalYAML accepts both forms.
func (w *maskWith) UnmarshalYAML(unmarshal func(any) error) error {
	if unmarshal(&w.word) == nil {
		return nil
	}
	w.word = ""
	return unmarshal(&w.maskOptions)
}

// inner returns the transform of a part, for name.
func (w *maskWith) inner(name string) (mask.Transform, error) {
	if w == nil {
		return nil, fmt.Errorf("%s: needs a transform for what it masks", name)
	}
	t, err := w.transform()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

func (w *maskWith) transform() (mask.Transform, error) {
	given := 0
	for _, there := range []bool{w.word != "", w.Fixed != nil, w.Partial != nil, w.Ends != nil, w.Card != nil, w.Replace != nil, w.Round != nil, w.Truncate != nil,
		w.Network != nil, w.Hash != nil, w.Pseudonym != nil, w.FF1 != nil, w.Bucket != nil, w.Noise != nil, w.Elements != nil, w.Found != nil, w.Record != nil} {
		if there {
			given++
		}
	}
	if given != 1 {
		return nil, errors.New("with: takes one of " + withNames)
	}
	switch {
	case w.Fixed != nil:
		return mask.Fixed(*w.Fixed), nil
	case w.Partial != nil:
		return w.Partial.transform()
	case w.Ends != nil:
		return mask.Ends{First: w.Ends.First, Last: w.Ends.Last}, nil
	case w.Card != nil:
		return mask.Card(w.Card.Issuer), nil
	case w.Replace != nil:
		return mask.Replace(w.Replace.Pattern, w.Replace.With), nil
	case w.Round != nil:
		return mask.Round(*w.Round), nil
	case w.Truncate != nil:
		return mask.Truncate(mask.Unit(*w.Truncate)), nil
	case w.Network != nil:
		return mask.Network(w.Network.V4, w.Network.V6), nil
	case w.Elements != nil:
		t, err := w.Elements.inner("elements")
		return mask.Elements(t), err
	case w.Found != nil:
		t, err := w.Found.With.inner("found")
		return mask.Found(t, w.Found.Kinds...), err
	case w.Record != nil:
		fields := map[int]mask.Transform{}
		for i, f := range w.Record {
			var err error
			if fields[i], err = f.inner("record"); err != nil {
				return nil, err
			}
		}
		return mask.Record(fields), nil
	case w.word == "":
		return w.keyed()
	case withWords[w.word] != nil:
		return withWords[w.word](), nil
	case strings.Contains(", "+withNames+",", ", "+w.word+","):
		return nil, fmt.Errorf("with: %s needs settings: write {%s: ...}", w.word, w.word)
	}
	return nil, fmt.Errorf("with: unknown transform %q; known are %s", w.word, withNames)
}

// keyed returns the transforms that have a key.
func (w *maskWith) keyed() (mask.Transform, error) {
	switch {
	case w.Hash != nil:
		k, err := w.Hash.Keyed.key("hash")
		if err == nil && w.Hash.KeyName != "" {
			if k, err = k.Named(w.Hash.KeyName); err != nil {
				err = fmt.Errorf("hash: %w", err)
			}
		}
		return mask.Hash(k, w.Hash.Keyed.Domain), err
	case w.Pseudonym != nil:
		k, err := w.Pseudonym.Keyed.key("pseudonym")
		return mask.Pseudonym(k, w.Pseudonym.Keyed.Domain, w.Pseudonym.Format), err
	case w.FF1 != nil:
		return w.FF1.transform()
	case w.Bucket != nil:
		k, err := w.Bucket.Keyed.key("bucket")
		return mask.Bucket(k, w.Bucket.Keyed.Domain, w.Bucket.Of), err
	}
	k, err := w.Noise.Keyed.key("noise")
	return mask.Noise(k, w.Noise.Keyed.Domain, w.Noise.Spread), err
}

func (f *maskFF1) transform() (mask.Transform, error) {
	k, err := f.Keyed.key("ff1")
	if err != nil {
		return nil, err
	}
	alphabet := f.Characters
	if f.Alphabet != "" {
		named, ok := alphabets[f.Alphabet]
		switch {
		case alphabet != "":
			return nil, errors.New("ff1: has both alphabet and characters; keep one")
		case !ok:
			return nil, fmt.Errorf("ff1: alphabet %q is none of decimal, hexadecimal, base36, alphanumeric", f.Alphabet)
		}
		alphabet = named
	}
	return mask.FF1(k, f.Keyed.Domain, alphabet), nil
}

func (p *maskPartial) transform() (mask.Transform, error) {
	t := mask.Partial{KeepFirst: p.KeepFirst, KeepLast: p.KeepLast}
	if p.Mark != "" {
		r, size := utf8.DecodeRuneInString(p.Mark)
		if size != len(p.Mark) || r == utf8.RuneError {
			return nil, fmt.Errorf("partial: mark %q is not one character", p.Mark)
		}
		t.With = r
	}
	return t, nil
}

// key returns the key for the transform of that name.
func (h *maskKey) key(name string) (mask.Key, error) {
	key := h.Key.Reveal()
	switch {
	case h.KeyEnv == "" && key == "":
		return mask.Key{}, errors.New(name + ": needs a key: name an environment variable in key_env")
	case h.KeyEnv != "" && key != "":
		return mask.Key{}, errors.New(name + ": has both key and key_env; keep one")
	case h.KeyEnv != "":
		if key = os.Getenv(h.KeyEnv); key == "" {
			return mask.Key{}, fmt.Errorf("%s: environment variable %s is not set", name, h.KeyEnv)
		}
	}
	if len(key) < 32 {
		return mask.Key{}, errors.New(name + ": the key is shorter than 32 characters; 'openssl rand -hex 32' makes one")
	}
	k, err := mask.NewKey([]byte(key))
	if err != nil {
		return mask.Key{}, fmt.Errorf("%s: %w", name, err)
	}
	return k, nil
}
