package middleware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// A Chain asks its steps, in list order, and is the engine behind every
// session. The zero Chain refuses everything. A Chain is immutable and safe
// for use by many goroutines.
type Chain struct {
	steps []Step

	authenticate, operation, event, commit []*Step // the steps that have the hook

	events *sync.Pool // of *protocol.Event
	memory *memory    // nil: nothing is remembered

	log *slog.Logger
	tel *telemetry
}

var _ protocol.Engine = (*Chain)(nil)

// NewChain returns the chain of steps. It refuses a list that could not be
// trusted: a step without hooks, no step that records, and, with a [StepError], one
// that masks behind one that records or keeps results, that hashes recordings
// into a journal that no step records in, or that looks at the risk before the step
// that adds to it.
func NewChain(steps ...Step) (*Chain, error) {
	steps = slices.Clone(steps) // the caller's may change
	c := &Chain{steps: steps, events: &sync.Pool{New: func() any { return new(protocol.Event) }}, memory: newMemory()}
	recorder, keeper := "", ""
	for i := range steps {
		s := &steps[i]
		if err := s.check(); err != nil {
			return nil, err
		}
		switch s.Role {
		case RoleRecords:
			recorder, keeper = s.Name, s.Name
		case RoleKeeps:
			keeper = s.Name
		case RoleMasks:
			if keeper != "" {
				return nil, &StepError{i, s.Name, fmt.Errorf("masks but stands behind %s, which would record values in the clear: move it before", keeper)}
			}
		}
		if s.Authenticate != nil {
			c.authenticate = append(c.authenticate, s)
		}
		if s.Operation != nil {
			c.operation = append(c.operation, s)
		}
		if s.Event != nil {
			c.event = append(c.event, s)
		}
		if s.Commit != nil {
			c.commit = append(c.commit, s)
		}
	}
	if recorder == "" {
		return nil, errors.New("no step records: add one, such as middleware.Record")
	}
	if err := journals(steps); err != nil {
		return nil, err
	}
	if err := risks(steps); err != nil {
		return nil, err
	}
	return c, nil
}

// continues returns an error if c does not record in the journals that before records
// in.
func (c *Chain) continues(before *Chain) error {
	for _, s := range before.steps {
		if s.Role == RoleRecords && s.journal != "" && !slices.ContainsFunc(c.steps, func(n Step) bool {
			return n.Role == RoleRecords && n.journal != "" && sameDir(n.journal, s.journal)
		}) {
			return fmt.Errorf("step %s: %s is the journal of what has begun: another one needs a restart", s.Name, s.journal)
		}
	}
	return nil
}

// risks refuses a step that looks at the risk where the first that adds to it stands
// behind: it would always find none.
func risks(steps []Step) error {
	first := slices.IndexFunc(steps, func(s Step) bool { return s.addsRisk })
	for i := range max(first, 0) {
		if s := &steps[i]; s.usesRisk {
			return &StepError{i, s.Name, fmt.Errorf("looks at the risk, but stands before %s, which adds to it: move it behind", steps[first].Name)}
		}
	}
	return nil
}

// journals refuses a step that needs the journal of another, which none has: it
// would refuse everything.
func journals(steps []Step) error {
	for i := range steps {
		into := steps[i].into
		if into == "" || slices.ContainsFunc(steps, func(s Step) bool { return s.Role == RoleRecords && (s.journal == "" || sameDir(s.journal, into)) }) {
			continue
		}
		return &StepError{i, steps[i].Name, fmt.Errorf("journal: no step records in %s: name the dir of the step record", into)}
	}
	return nil
}

// sameDir reports whether a and b are one directory, which need not exist yet.
func sameDir(a, b string) bool {
	x, err := filepath.Abs(a)
	y, yerr := filepath.Abs(b)
	if err == nil && yerr == nil && x == y {
		return true
	}
	sa, err := os.Stat(a)
	sb, yerr := os.Stat(b)
	return err == nil && yerr == nil && os.SameFile(sa, sb)
}

// WithLogger returns a chain that reports to the operator through log.
func (c *Chain) WithLogger(log *slog.Logger) *Chain {
	d := *c
	d.log = log
	return &d
}

// Close closes the steps, last first, and returns their errors.
func (c *Chain) Close() error {
	var errs []error
	for i := len(c.steps) - 1; i >= 0; i-- {
		if s := &c.steps[i]; s.Close != nil {
			if err := protocol.Guard(s.Close); err != nil {
				errs = append(errs, fmt.Errorf("step %s: %w", s.Name, err))
			}
		}
	}
	return errors.Join(errs...)
}

func (c *Chain) warn(msg string, args ...any) {
	if c.log != nil {
		c.log.Warn(msg, args...)
	}
}

// Authenticate returns the identity that the first step to know the proof
// gives. No step knowing it is a refusal.
func (c *Chain) Authenticate(ctx context.Context, l *protocol.Login) (*protocol.Identity, error) {
	var id *protocol.Identity
	var err error
	for _, s := range c.authenticate {
		gerr := protocol.Guard(func() (e error) { id, e = s.Authenticate(ctx, l); return e })
		if gerr != nil {
			id, err = nil, fmt.Errorf("step %s: %w", s.Name, gerr)
			break
		}
		if id != nil {
			break
		}
	}
	switch {
	case err != nil:
	case id == nil:
		err = &protocol.DeniedError{Step: "authenticate", Reason: "the login was not accepted",
			Hint: "check that the token or password is meant for this gateway and has not expired"}
	case !known(id):
		id, err = nil, errors.New("an identity without issuer or subject, or that acts for one, or for too many")
	case !id.Expires.IsZero() && !time.Now().Before(id.Expires):
		id, err = nil, &protocol.DeniedError{Step: "authenticate", Reason: "the login has expired", Hint: "get a new token"}
	}
	if err != nil {
		c.LoginRefused(ctx, l, err)
		return nil, err
	}
	return id, nil
}

// maxBehalf bounds how many act for one another. It is what approvals take, and ends
// those that go round in a circle.
const maxBehalf = 8

// known reports whether id and all that it acts for can be told from others.
func known(id *protocol.Identity) bool {
	depth := 0
	for ; id != nil; id = id.OnBehalfOf {
		if depth++; id.Issuer == "" || id.Subject == "" || depth > maxBehalf {
			return false
		}
	}
	return true
}

// vouches reports whether a step would still let in whom it let in as id.
func (c *Chain) vouches(ctx context.Context, id *protocol.Identity) bool {
	for _, s := range c.authenticate {
		if s.Recheck == nil || id != nil && s.Recheck(ctx, id) {
			return true
		}
	}
	return false
}

// LoginRefused tells the steps about a login that came to nothing.
func (c *Chain) LoginRefused(ctx context.Context, l *protocol.Login, cause error) {
	known := *l
	known.Proof = nil
	e := &protocol.Event{Kind: protocol.LoginRefused, Time: time.Now(), Login: &known, Err: cause}
	if err := c.tell(ctx, e); err != nil {
		c.warn("a refused login was not recorded", "err", err)
	}
	c.tel.loginRefused(ctx, l)
}

// moment returns the event of one moment of op, for report. Events are reused:
// hooks must not keep them, and one for each moment of each operation would be
// most of the garbage.
func (c *Chain) moment(kind protocol.EventKind, when time.Time, op *protocol.Operation) *protocol.Event {
	if c.events == nil { // the zero Chain has nobody to tell
		return &protocol.Event{}
	}
	e := c.events.Get().(*protocol.Event)
	e.Kind, e.Time, e.Session, e.Op = kind, when, op.Session, op
	return e
}

// report tells every step about a moment, which is not used afterwards.
func (c *Chain) report(ctx context.Context, e *protocol.Event) error {
	err := c.tell(ctx, e)
	if c.events != nil {
		*e = protocol.Event{}
		c.events.Put(e)
	}
	return err
}

// tell passes e to every step with an Event hook and returns the first error,
// but tells them all.
func (c *Chain) tell(ctx context.Context, e *protocol.Event) (err error) {
	for _, s := range c.event {
		if e1 := c.tellOne(ctx, s, e); e1 != nil && err == nil {
			err = fmt.Errorf("step %s: %w", s.Name, e1)
		}
	}
	return err
}

func (c *Chain) tellOne(ctx context.Context, s *Step, e *protocol.Event) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &protocol.PanicError{Value: v}
		}
	}()
	return s.Event(ctx, e)
}

// Ask decides ops together; see [protocol.Engine].
func (c *Chain) Ask(ctx context.Context, s *protocol.Session, ops []*protocol.Operation) error {
	decided := 0
	err := c.ask(ctx, s, ops, &decided)
	if err == nil {
		return nil
	}
	// Whatever went wrong, each operation's refusal is told to every step.
	var denied *protocol.DeniedError
	if !errors.As(err, &denied) {
		denied = nil
	}
	for i, op := range ops {
		d := protocol.Decision{Effect: protocol.DenyEffect, Reason: protocol.Reason(err)}
		switch {
		case denied == nil:
		case decided == i || len(ops) == 1:
			d.By, d.Rule, d.Hint, d.Ticket = denied.Step, denied.Rule, denied.Hint, denied.Ticket
		default:
			d.Reason, d.By = "another statement of the same request was refused", denied.Step
		}
		op.Decide(d, op.Grants())
		e := &protocol.Event{Kind: protocol.Decided, Time: time.Now(), Session: op.Session, Op: op, Decision: d}
		if denied == nil {
			e.Err = err
		}
		if terr := c.tell(ctx, e); terr != nil {
			c.warn("a refusal was not recorded", "session", op.Session.ID, "operation", op.ID, "err", terr)
			err = terr
		}
		c.tel.decided(ctx, op, d)
	}
	var p *protocol.PanicError
	if errors.As(err, &p) {
		s.Terminate(err)
	}
	if denied == nil {
		c.warn("operation refused after a failure", "session", s.Info().ID, "err", err)
	}
	return err
}

// ask does the work of Ask; *at is the index of the operation it stopped at.
func (c *Chain) ask(ctx context.Context, s *protocol.Session, ops []*protocol.Operation, at *int) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &protocol.PanicError{Value: v}
		}
	}()
	c.tel.asked(ctx, ops)
	var holds []hold
	var one [1]protocol.Decision
	allowed := one[:] // by what each is, holds apart
	if len(ops) > 1 {
		allowed = make([]protocol.Decision, len(ops))
	}
	for i, op := range ops {
		*at = i
		if err := c.report(ctx, c.moment(protocol.Asked, op.Started(), op)); err != nil {
			return err
		}
		if op.Verb == protocol.Recheck && !c.vouches(ctx, op.Session.Identity) {
			return &protocol.DeniedError{Step: "authenticate", Reason: "the login is no longer accepted", Hint: "connect again"}
		}
		opinion, same := false, len(ops) == 1 && op.Risk == 0
		if same {
			if a := c.memory.recall(op); a != nil {
				op.Risk, op.RiskWhy = a.risk, slices.Clip(a.riskWhy)
				return c.allow(ctx, op, a.decision, nil)
			}
		}
		for _, st := range c.operation {
			t := c.tel.stepStart()
			d, err := st.Operation(ctx, op)
			c.tel.stepDone(ctx, st.Name, t)
			if err != nil {
				return fmt.Errorf("step %s: %w", st.Name, err)
			}
			if d.By == "" {
				d.By = st.Name
			}
			same = same && d.Steady
			switch d.Effect {
			case protocol.NoOpinion:
				continue
			case protocol.AllowEffect:
				allowed[i] = d
			case protocol.HoldEffect:
				if d.Wait == nil {
					return fmt.Errorf("step %s: a hold that cannot be waited for", st.Name)
				}
				if op.Prepare && !op.RunsEarly {
					allowed[i] = protocol.Allow(d.Rule)
					allowed[i].By = d.By
					break
				}
				holds = append(holds, hold{i, op, d})
			default:
				return denial(d)
			}
			opinion = true
		}
		if !opinion {
			return &protocol.DeniedError{Reason: "no rule allows this", Hint: "ask whoever runs the gateway for access"}
		}
		if len(ops) == 1 && len(holds) == 0 {
			if same {
				c.memory.keep(op, allowed[i])
			}
			return c.allow(ctx, op, allowed[i], nil)
		}
	}
	grants, err := c.wait(ctx, s, holds, at)
	if err != nil {
		return err
	}
	for i, op := range ops {
		*at = i
		if err := c.allow(ctx, op, allowed[i], grants[op]); err != nil {
			return err
		}
	}
	return nil
}

func denial(d protocol.Decision) error {
	return &protocol.DeniedError{Step: d.By, Rule: d.Rule, Reason: d.Reason, Hint: d.Hint, Ticket: d.Ticket}
}

func (c *Chain) allow(ctx context.Context, op *protocol.Operation, d protocol.Decision, grants []protocol.Decision) error {
	d.Effect = protocol.AllowEffect
	op.Decide(d, grants)
	when := op.Started()
	if len(grants) > 0 {
		when = time.Now()
	}
	e := c.moment(protocol.Decided, when, op)
	e.Decision = d
	if err := c.report(ctx, e); err != nil {
		return err
	}
	c.tel.decided(ctx, op, d)
	return nil
}

type hold struct {
	index int
	op    *protocol.Operation
	d     protocol.Decision
}

// wait waits for all holds at once; the first refusal ends the others, and so does
// the end of the session.
func (c *Chain) wait(ctx context.Context, s *protocol.Session, holds []hold, at *int) (map[*protocol.Operation][]protocol.Decision, error) {
	if len(holds) == 0 {
		return nil, nil
	}
	w := protocol.Waiting{Reason: holds[0].d.Reason, Hint: holds[0].d.Hint}
	for _, h := range holds {
		*at = h.index
		if h.op.NoWait || s.WhileHeld() == nil {
			return nil, &protocol.DeniedError{Step: h.d.By, Rule: h.d.Rule, Reason: "needs approval (" + h.d.Reason + "), and this client cannot wait for it"}
		}
		w.Tickets = append(w.Tickets, h.d.Ticket)
		if !h.d.Until.IsZero() && (w.Until.IsZero() || h.d.Until.Before(w.Until)) {
			w.Until = h.d.Until
		}
		e := &protocol.Event{Kind: protocol.Held, Time: time.Now(), Session: h.op.Session, Op: h.op, Decision: h.d}
		if err := c.tell(ctx, e); err != nil {
			return nil, err
		}
	}
	before := make([][32]byte, len(holds))
	for i, h := range holds {
		before[i] = h.op.Digest()
	}
	start := time.Now()
	grants := map[*protocol.Operation][]protocol.Decision{}
	results := make([]protocol.Decision, len(holds))
	err := s.WhileHeld()(ctx, w, func(ctx context.Context) error {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		defer context.AfterFunc(s.Context(), func() { cancel(context.Cause(s.Context())) })()
		var wg sync.WaitGroup
		for i, h := range holds {
			wg.Go(func() {
				err := protocol.Guard(func() (e error) { results[i], e = h.d.Wait(ctx); return e })
				if err == nil && results[i].Effect != protocol.AllowEffect {
					if results[i].By == "" {
						results[i].By = h.d.By
					}
					if results[i].Rule == "" {
						results[i].Rule = h.d.Rule
					}
					err = denial(results[i])
				}
				if err != nil {
					cancel(err)
				}
			})
		}
		wg.Wait()
		return context.Cause(ctx)
	})
	c.tel.waited(ctx, start)
	if err != nil {
		return nil, err
	}
	for i, h := range holds {
		if results[i].Effect != protocol.AllowEffect { // the connector never waited
			return nil, errors.New("a hold was not waited for")
		}
		if h.op.Digest() != before[i] {
			*at = h.index
			return nil, errors.New("the operation changed while it was held")
		}
		grants[h.op] = append(grants[h.op], results[i])
	}
	return grants, nil
}

// Commit makes the records of ops as safe as p asks; see [protocol.Engine].
func (c *Chain) Commit(ctx context.Context, p protocol.Point, ops []*protocol.Operation) error {
	if len(c.commit) == 0 {
		return errors.New("no step records")
	}
	for _, s := range c.commit {
		if err := c.commitOne(ctx, s, p, ops); err != nil {
			c.warn("records could not be made safe", "step", s.Name, "err", err)
			return fmt.Errorf("step %s: %w", s.Name, err)
		}
	}
	return nil
}

func (c *Chain) commitOne(ctx context.Context, s *Step, p protocol.Point, ops []*protocol.Operation) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &protocol.PanicError{Value: v}
		}
	}()
	return s.Commit(ctx, p, ops)
}

// End tells every step how op ended; see [protocol.Engine].
func (c *Chain) End(s *protocol.Session, op *protocol.Operation, out protocol.Outcome) {
	c.tel.ended(op, out)
	e := c.moment(protocol.Ended, op.Started().Add(out.Duration), op)
	e.Outcome = out
	if err := c.report(context.Background(), e); err != nil {
		c.warn("an end was not recorded", "session", op.Session.ID, "operation", op.ID, "err", err)
		s.Terminate(err)
	}
}
