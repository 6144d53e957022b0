package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/approval"
	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/middleware/config"
	"github.com/sallyport-dev/gateway/protocol"
)

const explainHelp = `
Says which rule of the steps 'mask' of the configuration decides about

  column SCHEMA.TABLE.COLUMN   the values of a column
  statement TEXT               each column of a statement's result
  label NAME                   each column with that label
  field PATH                   a member of documents, such as customer.email
  stream VERB NAME             what comes back as text, such as: stream exec stdout

and why, and why the other rules do not. -as is a static identity of the
configuration, or anybody: then -groups, -kind, -for and -claim say the rest.
Nothing is run. For a statement the gateway logs in at the target and reads its
definitions, so that it takes the target's secret; where that fails it says what
is known of the text alone. Exit status 1: a statement is refused.
`

// An explainQuestion is what the flags of 'mask explain' say.
type explainQuestion struct {
	as, groups, kind, onBehalf, target, database string
	claims                                       []string
}

func (p *program) maskExplain(ctx context.Context, fs *flag.FlagSet, args []string) error {
	path := fs.String("config", defaultConfig, "the configuration `file`")
	asJSON := fs.Bool("json", false, "print JSON, a line for each step 'mask' and statement")
	var q explainQuestion
	fs.StringVar(&q.as, "as", "", "the `subject` of a static identity, or ISSUER|SUBJECT of anybody's")
	fs.StringVar(&q.groups, "groups", "", "its groups, `a,b`, instead of those in the configuration")
	fs.StringVar(&q.kind, "kind", "", "human, workload or `agent`")
	fs.StringVar(&q.onBehalf, "for", "", "the `subject` that it acts for")
	fs.Func("claim", "a claim that it has, `name=value`, such as purpose=support; may be given several times", func(s string) error {
		q.claims = append(q.claims, s)
		return nil
	})
	fs.StringVar(&q.target, "target", "", "the `name` of the target; not needed if there is one")
	fs.StringVar(&q.database, "database", "", "the `name` of the database, where not the target's own")
	rest, err := parse(fs, args, 2, 3)
	if err != nil {
		return err
	}
	file, err := readConfig(*path)
	if err != nil {
		return err
	}
	a := &assembly{dry: true, out: io.Discard}
	c, err := a.load(*path)
	if err != nil {
		return lines(err)
	}
	if len(c.masks) == 0 {
		return fmt.Errorf("%s: there is no step mask", *path)
	}
	info, err := q.session(file, c)
	if err != nil {
		return err
	}
	about, note, err := explained(ctx, c, info, rest)
	if err != nil {
		return err
	}
	refused, err := p.printExplained(c, info, about, note, *asJSON)
	if err == nil && refused {
		err = errors.New("refused")
	}
	return err
}

// session returns the session that is asked about.
func (q *explainQuestion) session(f *config.File, c *configuration) (*protocol.SessionInfo, error) {
	id, err := q.identity(f)
	if err != nil {
		return nil, err
	}
	if q.target == "" && len(c.Targets) == 1 {
		q.target = c.Targets[0].Name
	}
	i := slices.IndexFunc(c.Targets, func(t gateway.Target) bool { return t.Name == q.target })
	if i < 0 {
		var names []string
		for _, t := range c.Targets {
			names = append(names, t.Name)
		}
		return nil, usagef("-target %q is none of the targets: %s", q.target, strings.Join(names, ", "))
	}
	t := c.Targets[i]
	return &protocol.SessionInfo{ID: "explain", Protocol: t.Protocol, Identity: id, User: id.Subject, Database: q.database, Started: time.Now(),
		Resource: protocol.Resource{Name: t.Name, Protocol: t.Protocol, Addr: t.Addr, Labels: t.Labels, Options: t.Options}}, nil
}

// staticIdentities is what the steps that know static identities have in common.
type staticIdentities struct {
	Tokens   []staticIdentity `yaml:"tokens"`
	Accounts []staticIdentity `yaml:"accounts"`
	Keys     []staticIdentity `yaml:"keys"`
}

type staticIdentity struct {
	Subject    string                `yaml:"subject"`
	Name       string                `yaml:"name"`
	Email      string                `yaml:"email"`
	Groups     []string              `yaml:"groups"`
	Kind       protocol.IdentityKind `yaml:"kind"`
	OnBehalfOf string                `yaml:"on_behalf_of"`
}

func (q *explainQuestion) identity(f *config.File) (*protocol.Identity, error) {
	if q.as == "" {
		return nil, usagef("-as is missing: say who asks")
	}
	issuer, subject, other := strings.Cut(q.as, "|")
	if !other {
		issuer, subject = middleware.StaticIssuer, q.as
	}
	id := &protocol.Identity{Issuer: issuer, Subject: subject, Claims: map[string]any{}}
	known := other
	for _, s := range f.Steps {
		var all staticIdentities
		if other || s.Settings.Peek(&all) != nil {
			continue
		}
		for _, have := range slices.Concat(all.Tokens, all.Accounts, all.Keys) {
			if have.Subject == subject {
				known = true
				id.Name, id.Email, id.Groups, id.Kind = have.Name, have.Email, have.Groups, have.Kind
				q.onBehalf = cmp.Or(q.onBehalf, have.OnBehalfOf)
			}
		}
	}
	if q.groups != "" {
		id.Groups = strings.Split(q.groups, ",")
	}
	switch k := protocol.IdentityKind(q.kind); k {
	case "":
	case protocol.Human, protocol.Workload, protocol.Agent:
		id.Kind = k
	default:
		return nil, usagef("-kind %q is none of human, workload, agent", q.kind)
	}
	if !known && q.groups == "" && q.kind == "" && len(q.claims) == 0 {
		return nil, usagef("-as %q is no static identity of the configuration; say who it is with -groups, -kind or -claim", q.as)
	}
	if q.onBehalf != "" {
		id.OnBehalfOf = &protocol.Identity{Issuer: issuer, Subject: q.onBehalf, Kind: protocol.Human}
	}
	for _, c := range q.claims {
		name, value, ok := strings.Cut(c, "=")
		if !ok {
			return nil, usagef("-claim %q is not NAME=VALUE", c)
		}
		id.Claims[name] = value
	}
	return id, nil
}

// explained returns what asks an explainer what args say. note is what is to be said
// before.
func explained(ctx context.Context, c *configuration, info *protocol.SessionInfo, args []string) (ask func(*middleware.MaskExplainer) ([]middleware.MaskExplanation, error), note string, err error) {
	one := func(x middleware.MaskExplanation, err error) ([]middleware.MaskExplanation, error) {
		return []middleware.MaskExplanation{x}, err
	}
	what, name := args[0], args[1]
	if len(args) > 2 && what != "stream" {
		return nil, "", usagef("unexpected argument %q; a statement is one argument, in quotes", args[2])
	}
	switch what {
	case "column":
		schema, table, column, err := mask.SplitColumn(name)
		if err != nil {
			return nil, "", usagef("column %q: %w", name, err)
		}
		return func(e *middleware.MaskExplainer) ([]middleware.MaskExplanation, error) {
			return one(e.Column(protocol.ColumnRef{Schema: schema, Table: table, Column: column}), nil)
		}, "", nil
	case "label":
		return func(e *middleware.MaskExplainer) ([]middleware.MaskExplanation, error) { return e.Label(name) }, "", nil
	case "field":
		return func(e *middleware.MaskExplainer) ([]middleware.MaskExplanation, error) { return one(e.Field(name)) }, "", nil
	case "stream":
		if len(args) < 3 {
			return nil, "", usagef("say the verb and the name of the stream, such as: stream exec stdout")
		}
		return func(e *middleware.MaskExplainer) ([]middleware.MaskExplanation, error) {
			return one(e.Stream(protocol.Verb(name), args[2]), nil)
		}, "", nil
	case "statement":
		ops, err := analyzed(ctx, c, info, name)
		if ops == nil && err != nil {
			return nil, "", err
		}
		if err != nil {
			note = "the target's definitions cannot be read, so this is what is known of the text alone: " + err.Error()
		}
		return func(e *middleware.MaskExplainer) (out []middleware.MaskExplanation, _ error) {
			for _, op := range ops {
				out = append(out, e.Operation(op))
			}
			return out, nil
		}, note, nil
	}
	return nil, "", usagef("%q is none of column, statement, label, field, stream", what)
}

// analyzed returns the operations of a statement's text at the target of info.
func analyzed(ctx context.Context, c *configuration, info *protocol.SessionInfo, text string) ([]*protocol.Operation, error) {
	i := slices.IndexFunc(c.Targets, func(t gateway.Target) bool { return t.Name == info.Resource.Name })
	t := &c.Targets[i]
	for _, l := range c.Listeners {
		a, ok := l.Server.(protocol.Analyzer)
		if !ok || l.Server.Name() != t.Protocol {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		s := protocol.NewSession(ctx, protocol.SessionConfig{Info: info,
			Dial: func(ctx context.Context) (net.Conn, error) {
				network := "tcp"
				if strings.HasPrefix(t.Addr, "/") {
					network = "unix"
				}
				return (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, network, t.Addr)
			},
			Credentials: func(ctx context.Context) (protocol.Credentials, error) {
				cr := protocol.Credentials{User: t.User}
				var err error
				if t.Secret != nil {
					cr.Secret, err = t.Secret(ctx)
				}
				return cr, err
			}})
		defer s.Close(nil)
		return a.Analyze(ctx, s, text)
	}
	return nil, usagef("target %s has the protocol %s, which has no statements", t.Name, t.Protocol)
}

// wireExplained is a line of JSON.
type wireExplained struct {
	Step   int      `json:"step"` // which of the steps mask, from 1
	Who    string   `json:"who"`
	Issuer string   `json:"issuer"`
	Groups []string `json:"groups,omitempty"`
	Target string   `json:"target"`
	Note   string   `json:"note,omitempty"`
	middleware.MaskExplanation
}

// printExplained asks and prints. refused says that a step refuses one of the
// statements.
func (p *program) printExplained(c *configuration, info *protocol.SessionInfo, ask func(*middleware.MaskExplainer) ([]middleware.MaskExplanation, error), note string, asJSON bool) (refused bool, err error) {
	var b strings.Builder
	id := info.Identity
	who := approval.Person(id)
	if !asJSON {
		fmt.Fprintf(&b, "who      %s of %s%s\ntarget   %s (%s)\n", who, id.Issuer, before(", groups ", strings.Join(id.Groups, ", ")), info.Resource.Name, info.Protocol)
		if note != "" {
			fmt.Fprintf(&b, "note     %s\n", note)
		}
	}
	for i, m := range c.masks {
		e, err := middleware.NewMaskExplainer(m, info)
		if err != nil {
			return false, err
		}
		all, err := ask(e)
		if err != nil {
			return false, usageError{err}
		}
		for _, x := range all {
			refused = refused || x.Refused != "" && !x.Shadow
			if asJSON {
				if err := jsonTo(p.stdout).Encode(wireExplained{i + 1, who, id.Issuer, id.Groups, info.Resource.Name, note, x}); err != nil {
					return false, err
				}
				continue
			}
			if len(c.masks) > 1 {
				fmt.Fprintf(&b, "\nstep     mask number %d", i+1)
			}
			writeExplained(&b, &x)
		}
	}
	_, err = io.WriteString(p.stdout, b.String())
	return refused, err
}

func writeExplained(b *strings.Builder, x *middleware.MaskExplanation) {
	line := func(format string, args ...any) {
		b.WriteString(strings.ReplaceAll(approval.Visible(fmt.Sprintf(format, args...)), "\n", "␊") + "\n")
	}
	b.WriteString("\n")
	line("about    %s", x.About)
	if x.Shadow {
		line("shadow   nothing is masked or refused, only counted")
	}
	if x.Exempt != "" {
		line("exempt   %s", x.Exempt)
	}
	if x.Refused != "" {
		line("refused  %s%s", x.Refused, before(" (rule ", x.Rule)+strings.Repeat(")", min(len(x.Rule), 1)))
	}
	for i := range x.Inferred {
		t := &x.Inferred[i]
		line("tells    of %s without showing it (%s): %s, by rule %s (inference: %s)", t.Column, t.How, t.Effect, t.Rule, t.Policy)
	}
	for i := range x.Values {
		v := &x.Values[i]
		how := string(v.Effect)
		if v.Rule != "" {
			how += " by rule " + v.Rule
		}
		if v.With != "" && v.Effect != middleware.MaskShows {
			how += ": " + v.With
		}
		line("  %s  %s", v.Name, how)
		line("    why: %s", v.Why)
		for _, f := range v.From {
			line("    from: %s", f)
		}
		if len(v.Labels) > 0 {
			line("    labels: %s", strings.Join(v.Labels, ", "))
		}
		for _, l := range v.Looks {
			line("    looks for: %s", l)
		}
		if v.Inference != "" && v.Inference != "allow" {
			line("    inference: %s", v.Inference)
		}
		if len(v.Lifts) > 0 {
			line("    may be shown after approval: by lift %s, to a query that begins with /* unmask: why */", strings.Join(v.Lifts, ", "))
		}
		for _, o := range v.Passed {
			line("    passed over: %s: %s", o.Rule, o.Why)
		}
	}
}
