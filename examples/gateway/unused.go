package main

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/middleware/config"
	"github.com/sallyport-dev/gateway/protocol"
)

const unusedHelp = `
Compares the configuration with the journal in DIR, by default the journal of
the configuration, and names what the journal knows no use of: targets, rules,
lifts of masks and static identities. A right that nobody uses is one to take away.

A rule counts as used when it decided, added to a risk, or covers a column that
was read; a lift, when by its approval an operation went through whose values came
in the clear. Where several rules permit one operation, the journal names the one
that decided.
`

// An item is something of a configuration that may be used or not.
type item struct {
	what string // "target", "rule", "lift", "identity"
	name string // as it is printed
	used func(*audit.Event) bool
}

func (p *program) unused(_ context.Context, fs *flag.FlagSet, args []string) error {
	path := fs.String("config", defaultConfig, "the configuration `file`")
	since := fs.Duration("since", 0, "look back only so far, such as 720h; 0 is the whole journal")
	rest, err := parse(fs, args, 0, 1)
	if err != nil {
		return err
	}
	dir, err := journalDir(rest, *path)
	if err != nil {
		return err
	}
	f, err := readConfig(*path)
	if err != nil {
		return err
	}
	left, err := items(f)
	if err != nil {
		return err
	}
	all := len(left)
	for e, err := range audit.Events(dir) {
		if err != nil {
			return err // what cannot be read may be a use
		}
		if *since > 0 && time.Since(e.Time) > *since {
			continue
		}
		n := 0
		for _, i := range left {
			if !i.used(&e) {
				left[n] = i
				n++
			}
		}
		left = left[:n]
	}
	for _, i := range left {
		if _, err := fmt.Fprintf(p.stdout, "unused  %-8s  %s\n", i.what, i.name); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(p.stdout, "%d of %d targets, rules, lifts and static identities were not used\n", len(left), all)
	return err
}

// rules is what unused understands of a step's settings.
type rules struct {
	Rules    []rule `yaml:"rules"`
	Lifts    []rule `yaml:"lifts"`
	Tokens   []rule `yaml:"tokens"`
	Accounts []rule `yaml:"accounts"`
}

type rule struct {
	Name    string   `yaml:"name"`
	Columns []string `yaml:"columns"`
	Subject string   `yaml:"subject"`
}

func items(f *config.File) ([]item, error) {
	var out []item
	for _, t := range f.Targets {
		out = append(out, item{"target", t.Name, func(e *audit.Event) bool {
			return e.Kind == audit.SessionOpened && targetName(e) == t.Name
		}})
	}
	for _, s := range f.Steps {
		var n rules
		if err := s.Settings.Peek(&n); err != nil {
			return nil, s.Settings.Fail("step "+s.Name, err)
		}
		for _, r := range n.Rules {
			used := decidedBy(s.Name, r.Name)
			switch s.Name {
			case "risk":
				used = func(e *audit.Event) bool { return e.Action != nil && contains(e.Action.RiskWhy, r.Name) }
			case "mask":
				if len(r.Columns) == 0 {
					continue // what is found in results is in no event
				}
				patterns, err := patterns(r.Columns)
				if err != nil {
					return nil, s.Settings.Fail("step mask: rule "+r.Name, err)
				}
				used = reads(patterns)
			}
			out = append(out, item{"rule", s.Name + " " + r.Name, used})
		}
		for _, l := range n.Lifts {
			out = append(out, item{"lift", s.Name + " " + l.Name, liftedBy(l.Name)})
		}
		for _, t := range append(n.Tokens, n.Accounts...) {
			out = append(out, item{"identity", t.Subject, func(e *audit.Event) bool {
				for id := e.Identity; id != nil; id = id.OnBehalfOf {
					if id.Issuer == middleware.StaticIssuer && string(id.Subject) == t.Subject {
						return true
					}
				}
				return false
			}})
		}
	}
	return out, nil
}

func decidedBy(step, rule string) func(*audit.Event) bool {
	return func(e *audit.Event) bool {
		d := e.Decision
		if d == nil {
			return false
		}
		if string(d.By) == step && string(d.Rule) == rule {
			return true
		}
		for _, g := range d.Grants { // By is who approved
			if step == "approve" && string(g.Rule) == rule {
				return true
			}
		}
		return false
	}
}

// liftedBy reports operations that went through with masks lifted by that lift.
func liftedBy(lift string) func(*audit.Event) bool {
	return func(e *audit.Event) bool {
		return e.Action != nil && len(e.Action.Lifts) > 0 && e.Decision != nil && e.Decision.Effect == "allow" &&
			slices.ContainsFunc(e.Decision.Grants, func(g audit.Grant) bool { return string(g.Rule) == lift })
	}
}

func patterns(columns []string) ([]middleware.ColumnPattern, error) {
	var out []middleware.ColumnPattern
	for _, c := range columns {
		p, err := middleware.ParseColumnPattern(c)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// reads reports operations whose result a mask over these columns is about.
func reads(patterns []middleware.ColumnPattern) func(*audit.Event) bool {
	return func(e *audit.Event) bool {
		if e.Action == nil {
			return false
		}
		for _, r := range e.Action.Reads {
			for _, p := range patterns {
				if p.Matches(protocol.ColumnRef{Schema: string(r[0]), Table: string(r[1]), Column: string(r[2])}) {
					return true
				}
			}
		}
		return false
	}
}

func contains(list []audit.Text, s string) bool {
	for _, t := range list {
		if string(t) == s {
			return true
		}
	}
	return false
}
