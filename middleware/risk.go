package middleware

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport-dev/gateway/protocol"
)

// RiskScores are the points that [Risk] adds for each finding. Zero takes the
// default, a negative number leaves the finding out.
type RiskScores struct {
	Unbounded    int // 40: changes data, and no condition limits how much (Operation.Bounded)
	Schema       int // 30: changes definitions
	Admin        int // 40: changes privileges, roles or the server
	Execute      int // 30: runs code whose effect cannot be seen here
	Opaque       int // 50: could not be analysed
	Sensitive    int // 40: reads a column of RiskConfig.Sensitive
	Inference    int // 20: tells of such a column without showing it, by more than whether it equals one value
	UnknownReads int // 15: what it reads could not be determined, and Sensitive is not empty
	FirstSeen    int // 20: this identity has not run this on this target before
}

// A RiskRule adds Score if When is true.
type RiskRule struct {
	Name  string // what RiskWhy says
	When  Condition
	Score int // 1 to 100
}

// RiskConfig are the settings of [Risk]. The zero value is usable.
type RiskConfig struct {
	Scores RiskScores
	Rules  []RiskRule

	// Sensitive names columns as patterns of the form schema.table.column, in
	// which * stands for any run of characters within one part. They are
	// matched, without regard to case, against the base columns that an
	// operation reads, whether a mask covers the result or not: whether a mask
	// applies is known only when the result comes back. List what no mask
	// covers, or what must be noticed in any case.
	Sensitive []string

	// DenyAt refuses operations whose risk reaches it, counting what earlier
	// risk steps have added. Zero never refuses.
	DenyAt int

	// Remember bounds how many combinations of identity, target and statement
	// are remembered for FirstSeen, 65536 by default. What has been forgotten
	// counts as new.
	Remember int
}

// Risk returns the step "risk", which adds to an operation's risk and says
// why, for the conditions of later steps, for approvers and for the record. It
// stands before the steps that look at the risk. It never allows and never
// lowers a risk; it refuses only from RiskConfig.DenyAt on.
//
// What an identity has run before is kept in memory by this process: after a
// restart everything is new once more. An operation is known from its first
// success on; repeating one that was refused does not make it familiar.
func Risk(c RiskConfig) Step {
	s := Step{Name: "risk", addsRisk: true}
	r := &risk{rules: c.Rules, denyAt: c.DenyAt, scores: c.Scores.withDefaults()}
	for i, rule := range c.Rules {
		switch {
		case rule.Name == "":
			s.err = fmt.Errorf("rule %d has no name", i+1)
		case rule.When == nil:
			s.err = fmt.Errorf("rule %s: has no condition", rule.Name)
		case rule.Score < 1 || rule.Score > 100:
			s.err = fmt.Errorf("rule %s: score %d is not between 1 and 100", rule.Name, rule.Score)
		}
	}
	for _, p := range c.Sensitive {
		pat, err := ParseColumnPattern(p)
		if err != nil {
			s.err = err
		}
		r.sensitive = append(r.sensitive, pat)
	}
	if c.DenyAt < 0 || c.DenyAt > 100 {
		s.err = fmt.Errorf("deny_at %d is not between 0 and 100", c.DenyAt)
	}
	if r.scores.FirstSeen > 0 {
		n := c.Remember
		if n == 0 {
			n = 65536
		}
		if n < 0 {
			s.err = errors.New("remember is negative: set the score of first-seen to -1 to leave it out")
		}
		r.seen = newSeenBefore(n)
	}
	r.steady = !slices.ContainsFunc(c.Rules, func(r RiskRule) bool { return !steady(r.When) })
	s.Operation = r.operation
	return s
}

func (s RiskScores) withDefaults() RiskScores {
	for _, f := range []struct {
		score *int
		def   int
	}{
		{&s.Unbounded, 40}, {&s.Schema, 30}, {&s.Admin, 40}, {&s.Execute, 30}, {&s.Opaque, 50},
		{&s.Sensitive, 40}, {&s.Inference, 20}, {&s.UnknownReads, 15}, {&s.FirstSeen, 20},
	} {
		if *f.score == 0 {
			*f.score = f.def
		}
	}
	return s
}

type risk struct {
	rules     []RiskRule
	scores    RiskScores
	sensitive []ColumnPattern
	seen      *seenBefore
	denyAt    int
	steady    bool // so are the conditions of the rules
}

func (r *risk) operation(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
	add := func(score int, why string) {
		if score > 0 {
			op.AddRisk(score, why)
		}
	}
	a := op.Access
	if a.Has(protocol.Opaque) {
		why := "could not be analysed"
		if op.Why != "" {
			why += ": " + op.Why
		}
		add(r.scores.Opaque, why)
	}
	if a.Has(protocol.Write) && !op.Bounded {
		add(r.scores.Unbounded, "changes data, and no condition limits how much")
	}
	if a.Has(protocol.Schema) {
		add(r.scores.Schema, "changes definitions")
	}
	if a.Has(protocol.Admin) {
		add(r.scores.Admin, "changes privileges, roles or the server")
	}
	if a.Has(protocol.Execute) {
		add(r.scores.Execute, "runs code whose effect cannot be seen here")
	}
	if len(r.sensitive) > 0 {
		if hits := r.sensitiveReads(op); len(hits) > 0 {
			add(r.scores.Sensitive, "reads sensitive columns: "+strings.Join(hits, ", "))
			if told := r.sensitiveInferred(op); len(told) > 0 {
				add(r.scores.Inference, "tells of sensitive columns without showing them: "+strings.Join(told, ", "))
			}
		} else if !op.ReadsKnown && a != protocol.Control {
			add(r.scores.UnknownReads, "may read sensitive columns: what it reads could not be determined")
		}
	}
	for i := range r.rules {
		rule := &r.rules[i]
		hit, err := rule.When.Eval(op)
		if err != nil {
			return protocol.Pass, fmt.Errorf("rule %s: %w", rule.Name, err)
		}
		if hit {
			add(rule.Score, rule.Name)
		}
	}
	same := r.steady
	// What only opens the session or steers it says nothing about its user.
	if r.seen != nil && a != protocol.Control {
		same = same && op.Fingerprint != "" // else the text counts
		if k := keyOf(op); !r.seen.has(k) {
			same = false
			add(r.scores.FirstSeen, "first time that this identity runs this here")
			if !op.Prepare { // preparing runs nothing
				op.OnEnd(func(out protocol.Outcome) error {
					if out.Status == protocol.StatusOK {
						r.seen.add(k)
					}
					return nil
				})
			}
		}
	}
	if r.denyAt > 0 && op.Risk >= r.denyAt {
		d := protocol.Deny(fmt.Sprintf("the risk is too high (%d of 100): %s", op.Risk, strings.Join(op.RiskWhy, "; ")))
		d.Rule, d.Hint = "deny_at", "narrow the statement, or ask whoever runs the gateway for another way"
		return d, nil
	}
	return protocol.Decision{Steady: same}, nil
}

// sensitiveReads returns the first few sensitive columns that op reads.
func (r *risk) sensitiveReads(op *protocol.Operation) []string {
	const most = 5 // enough for people to understand; a wide table would fill the card
	var hits []string
	ruled := false
	for i := range op.Reads {
		c := &op.Reads[i]
		// A table's columns mostly stand together: look the table up once.
		if i == 0 || c.Table != op.Reads[i-1].Table || c.Schema != op.Reads[i-1].Schema {
			ruled = slices.ContainsFunc(r.sensitive, func(p ColumnPattern) bool { return p.matchesTable(c) })
		}
		if !ruled {
			continue
		}
		for i := range r.sensitive {
			if !r.sensitive[i].Matches(*c) {
				continue
			}
			if len(hits) == most {
				return append(hits, "...")
			}
			hits = append(hits, c.String())
			break
		}
	}
	return hits
}

// sensitiveInferred returns the first few sensitive columns of which op tells more
// than whether there is a value and whether it equals one that whoever asks knows.
func (r *risk) sensitiveInferred(op *protocol.Operation) []string {
	const most = 5
	var told []string
	for i := range op.Inferred {
		c := &op.Inferred[i]
		if c.How == protocol.HowNull || c.How == protocol.HowEquality ||
			!slices.ContainsFunc(r.sensitive, func(p ColumnPattern) bool { return p.Matches(c.ColumnRef) }) {
			continue
		}
		if len(told) == most {
			return append(told, "...")
		}
		told = append(told, c.String())
	}
	return told
}
