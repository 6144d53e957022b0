// Package config reads the file that a gateway is assembled from. Most
// programs want gateway.Load, which builds what the file describes; this
// package knows only the file's form:
//
//	listen:
//	  - protocol: postgres
//	    address: :5432
//	    settings: {...}        # the connector's
//	targets:
//	  - name: orders
//	    protocol: postgres
//	    address: 10.0.0.5:5432
//	    user: svc_gateway
//	    secret: {env: ORDERS_PASSWORD}   # or file, or value
//	    labels: {env: prod}              # facts for policy
//	    options: {sslmode: require}      # the connector's
//	steps:                     # in this order
//	  - tokens: {...}
//	  - record: {...}
//
// Reading is strict: a key that nobody knows, a second document and a value of
// the wrong type are errors. So is what YAML would take for something else than
// what is written: anchors, aliases, tags, and numbers such as 0123 or 1.10.
// Every error names file, line and column, and none of them quotes a line of
// the file or a secret.
package config

import (
	"errors"
	"fmt"
	"io"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxFile keeps a mistyped path, such as a device, from filling the memory.
const maxFile = 4 << 20

// A File is a configuration file, taken apart.
type File struct {
	Listen  []Listener
	Targets []Target
	Steps   []Step
}

// A Listener is an entry of listen.
type Listener struct {
	Protocol string
	Address  string
	Settings Section
	Section  Section // the entry as a whole, to point at
}

// A Target is an entry of targets.
type Target struct {
	Name     string
	Protocol string
	Address  string
	User     string
	Secret   Secret
	Labels   map[string]string
	Options  map[string]string
	Section  Section
}

// A Step is an entry of steps: the name of a kind and its settings.
type Step struct {
	Name     string
	Settings Section
}

// Read takes a file apart; name is the file's name for messages, more the
// further top-level keys of the caller and the pointers that they are decoded
// into. It reports all mistakes that it finds, joined, and returns the entries
// that have none; the File is never nil.
func Read(r io.Reader, name string, more map[string]any) (*File, error) {
	src, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return &File{}, fmt.Errorf("%s: %w", name, err)
	}
	if len(src) > maxFile {
		return &File{}, fmt.Errorf("%s: larger than %d bytes", name, maxFile)
	}
	doc, err := parser.ParseBytes(src, 0)
	if err != nil {
		return &File{}, Section{file: name}.at("", unquoted(err))
	}
	f := &File{}
	known := map[string]func(Section) error{"listen": f.listen, "targets": f.targets, "steps": f.steps}
	for key, into := range more {
		known[key] = func(s Section) error {
			if err := s.Decode(into); err != nil {
				return s.Fail(key, err)
			}
			return nil
		}
	}
	var errs []error
	bodies := 0
	for _, d := range doc.Docs {
		if d.Body == nil || d.Body.Type() == ast.NullType || d.Body.Type() == ast.CommentType {
			continue
		}
		whole := Section{file: name, node: d.Body}
		if bodies++; bodies > 1 {
			errs = append(errs, whole.Fail("", errors.New("a second document; everything belongs into one")))
			break
		}
		if err := plain(d.Body); err != nil {
			errs = append(errs, whole.Fail("", err))
			continue
		}
		errs = append(errs, whole.each(func(key string, s Section) error {
			read, ok := known[key]
			if !ok {
				return s.Fail("", fmt.Errorf("unknown key %q; known are %s", key, names(known)))
			}
			return read(s)
		}))
	}
	return f, errors.Join(errs...)
}

func (f *File) listen(s Section) error {
	return s.items(func(item Section) error {
		l := Listener{Settings: item.empty(), Section: item}
		err := item.each(func(key string, s Section) error {
			switch key {
			case "protocol":
				return s.Decode(&l.Protocol)
			case "address":
				return s.Decode(&l.Address)
			case "settings":
				l.Settings = s
				return nil
			}
			return s.Fail("listen", fmt.Errorf("unknown key %q; known are address, protocol, settings", key))
		})
		switch {
		case err != nil:
			return err
		case l.Protocol == "":
			return item.Fail("listen", errors.New("an entry without protocol"))
		case l.Address == "":
			return item.Fail("listen", errors.New("an entry without address"))
		}
		f.Listen = append(f.Listen, l)
		return nil
	})
}

func (f *File) targets(s Section) error {
	return s.items(func(item Section) error {
		var t struct {
			Name     string            `yaml:"name"`
			Protocol string            `yaml:"protocol"`
			Address  string            `yaml:"address"`
			User     string            `yaml:"user"`
			Secret   Secret            `yaml:"secret"`
			Labels   map[string]string `yaml:"labels"`
			Options  map[string]string `yaml:"options"`
		}
		if err := item.Decode(&t); err != nil {
			return item.Fail("target "+t.Name, err)
		}
		if err := t.Secret.check(); err != nil {
			return item.Fail("target "+t.Name, err)
		}
		f.Targets = append(f.Targets, Target{t.Name, t.Protocol, t.Address, t.User, t.Secret, t.Labels, t.Options, item})
		return nil
	})
}

func (f *File) steps(s Section) error {
	return s.items(func(item Section) error {
		var step Step
		n := 0
		err := item.each(func(key string, s Section) error {
			n++
			step = Step{key, s}
			return nil
		})
		if err == nil && n != 1 {
			err = item.Fail("steps", fmt.Errorf("an entry with %d keys; each entry is one step, such as '- record: {dir: ...}'", n))
		}
		if err == nil {
			f.Steps = append(f.Steps, step)
		}
		return err
	})
}
