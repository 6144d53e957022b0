package middleware_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// trail is a step that records what it is told, in memory.
type trail struct {
	mu     sync.Mutex
	lines  []string
	errs   []error
	fail   func(protocol.EventKind) error
	commit func(protocol.Point) error
}

func (r *trail) step() middleware.Step {
	return middleware.Step{Name: "trail", Role: middleware.RoleRecords,
		Event: func(_ context.Context, e *protocol.Event) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.fail != nil {
				if err := r.fail(e.Kind); err != nil {
					return err
				}
			}
			line := e.Kind.String()
			if e.Op != nil {
				line += fmt.Sprintf(" %d", e.Op.ID)
			}
			switch e.Kind {
			case protocol.Decided:
				line += " " + e.Decision.Effect.String() + " by " + e.Decision.By + ": " + e.Decision.Reason
			case protocol.Ended:
				line += " " + string(e.Outcome.Status)
			case protocol.Held:
				line += " " + e.Decision.Ticket
			case protocol.LoginRefused:
				if e.Login.Proof != nil {
					line += " with its proof"
				}
			}
			r.lines = append(r.lines, line)
			r.errs = append(r.errs, e.Err)
			return nil
		},
		Commit: func(_ context.Context, p protocol.Point, ops []*protocol.Operation) error {
			if r.commit != nil {
				return r.commit(p)
			}
			return nil
		},
	}
}

func (r *trail) has(t *testing.T, want string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	require.True(t, slices.ContainsFunc(r.lines, func(l string) bool { return strings.Contains(l, want) }), "%q is not in %q", want, r.lines)
}

// says is a step that answers every operation but Connect with d.
func says(name string, d protocol.Decision) middleware.Step {
	return middleware.Step{Name: name, Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if op.Verb == protocol.Connect {
			return protocol.Allow("connect"), nil
		}
		return d, nil
	}}
}

// chainSession opens a session on a chain of the steps with a trail behind them.
func chainSession(t *testing.T, r *trail, steps ...middleware.Step) *protocol.Session {
	t.Helper()
	chain, err := middleware.NewChain(append(steps, r.step())...)
	require.NoError(t, err)
	return sessionOn(t, chain)
}

func sessionOn(t *testing.T, chain *middleware.Chain) *protocol.Session {
	t.Helper()
	s := protocol.NewSession(t.Context(), protocol.SessionConfig{
		Info:   &protocol.SessionInfo{Protocol: "test", Identity: &protocol.Identity{Issuer: "test", Subject: "ada"}, Resource: protocol.Resource{Name: "orders"}},
		Engine: chain,
		WhileHeld: func(ctx context.Context, _ protocol.Waiting, wait func(context.Context) error) error {
			return wait(ctx)
		},
	})
	t.Cleanup(func() { s.Close(nil) })
	return s
}

func refused(t *testing.T, err error) *protocol.DeniedError {
	t.Helper()
	var d *protocol.DeniedError
	require.ErrorAs(t, err, &d)
	return d
}

func readOp() *protocol.Operation {
	return &protocol.Operation{Verb: "select", Text: "SELECT 'text'", Access: protocol.Read, Shape: protocol.Rows}
}

func TestZeroChainRefusesEverything(t *testing.T) {
	chain := &middleware.Chain{}
	_, err := chain.Authenticate(t.Context(), &protocol.Login{Proof: protocol.Password{}})
	refused(t, err)
	s := sessionOn(t, chain)
	refused(t, s.Connect(t.Context(), &protocol.Operation{}))
	_, err = s.Begin(t.Context(), readOp())
	refused(t, err)
	require.Error(t, chain.Commit(t.Context(), protocol.BeforeSend, nil))
	require.NoError(t, chain.Close())
}

func TestNoOpinionIsARefusal(t *testing.T) {
	r := &trail{}
	s := chainSession(t, r, says("silent", protocol.Pass))
	_, err := s.Begin(t.Context(), readOp())
	require.Equal(t, "no rule allows this", refused(t, err).Reason)
	r.has(t, "decided 1 deny by : no rule allows this")
}

func TestDenyBeatsHoldBeatsAllow(t *testing.T) {
	asked := false
	hold := protocol.Hold("t1", "four eyes", func(context.Context) (protocol.Decision, error) {
		asked = true
		return protocol.Allow("approved"), nil
	})
	allow, deny := protocol.Allow("rule"), protocol.Deny("never")
	for _, c := range []struct {
		steps  []protocol.Decision
		effect protocol.Effect
		asked  bool
	}{
		{[]protocol.Decision{allow}, protocol.AllowEffect, false},
		{[]protocol.Decision{protocol.Pass, allow, protocol.Pass}, protocol.AllowEffect, false},
		{[]protocol.Decision{allow, deny}, protocol.DenyEffect, false},
		{[]protocol.Decision{deny, allow}, protocol.DenyEffect, false},
		{[]protocol.Decision{hold, deny}, protocol.DenyEffect, false},
		{[]protocol.Decision{allow, hold, allow, deny}, protocol.DenyEffect, false},
		{[]protocol.Decision{hold, allow}, protocol.AllowEffect, true},
		{[]protocol.Decision{allow, hold}, protocol.AllowEffect, true},
		{[]protocol.Decision{hold}, protocol.AllowEffect, true},
		{[]protocol.Decision{allow, {Effect: 17, Reason: "unheard of"}}, protocol.DenyEffect, false},
	} {
		asked = false
		var steps []middleware.Step
		for i, d := range c.steps {
			steps = append(steps, says(fmt.Sprint("step", i), d))
		}
		op := readOp()
		s := chainSession(t, &trail{}, steps...)
		_, err := s.Begin(t.Context(), op)
		require.Equal(t, c.effect, op.Decision().Effect, c.steps)
		require.Equal(t, c.effect == protocol.AllowEffect, err == nil)
		require.Equal(t, c.asked, asked, "nobody is asked about what another rule denies: %v", c.steps)
	}
}

func TestAllHoldsMustBeGranted(t *testing.T) {
	wait := func(d protocol.Decision, err error) func(context.Context) (protocol.Decision, error) {
		return func(context.Context) (protocol.Decision, error) { return d, err }
	}
	forever := func(ctx context.Context) (protocol.Decision, error) {
		<-ctx.Done() // ends because the other hold was refused
		return protocol.Decision{}, context.Cause(ctx)
	}
	yes := wait(protocol.Allow("ok"), nil)
	for name, c := range map[string]struct {
		waits  []func(context.Context) (protocol.Decision, error)
		reason string
	}{
		"all grant":        {[]func(context.Context) (protocol.Decision, error){yes, yes}, ""},
		"second refuses":   {[]func(context.Context) (protocol.Decision, error){yes, wait(protocol.Deny("not today"), nil)}, "not today"},
		"first refuses":    {[]func(context.Context) (protocol.Decision, error){wait(protocol.Deny("not today"), nil), forever}, "not today"},
		"no opinion":       {[]func(context.Context) (protocol.Decision, error){yes, wait(protocol.Pass, nil)}, protocol.FixedReason},
		"a hold once more": {[]func(context.Context) (protocol.Decision, error){yes, wait(protocol.Hold("t", "again", yes), nil)}, "again"},
		"an error":         {[]func(context.Context) (protocol.Decision, error){yes, wait(protocol.Allow("x"), errors.New("store is down"))}, protocol.FixedReason},
		"a panic":          {[]func(context.Context) (protocol.Decision, error){yes, func(context.Context) (protocol.Decision, error) { panic("x") }}, protocol.FixedReason},
	} {
		t.Run(name, func(t *testing.T) {
			r := &trail{}
			steps := []middleware.Step{says("rule", protocol.Allow("rule"))}
			for i, w := range c.waits {
				steps = append(steps, says(fmt.Sprint("approve", i), protocol.Hold(fmt.Sprint("t", i), "four eyes", w)))
			}
			s := chainSession(t, r, steps...)
			op := readOp()
			x, err := s.Begin(t.Context(), op)
			r.has(t, "held 1 t0")
			r.has(t, "held 1 t1")
			if c.reason == "" {
				require.NoError(t, err)
				require.Len(t, op.Grants(), 2)
				x.End(protocol.Outcome{Status: protocol.StatusOK})
				return
			}
			require.Equal(t, c.reason, protocol.Reason(err))
			r.has(t, "decided 1 deny")
		})
	}
}

func TestHoldNeedsSomebodyWhoCanWait(t *testing.T) {
	hold := says("approve", protocol.Hold("t", "four eyes", func(context.Context) (protocol.Decision, error) { return protocol.Allow("x"), nil }))
	s := chainSession(t, &trail{}, hold)
	op := readOp()
	op.NoWait = true
	_, err := s.Begin(t.Context(), op)
	require.Contains(t, refused(t, err).Reason, "cannot wait")

	_, err = chainSession(t, &trail{}, says("approve", protocol.Decision{Effect: protocol.HoldEffect})).Begin(t.Context(), readOp())
	require.ErrorContains(t, err, "a hold that cannot be waited for")

	// A connector that says it waited, but did not.
	chain, err := middleware.NewChain(hold, (&trail{}).step())
	require.NoError(t, err)
	s = protocol.NewSession(t.Context(), protocol.SessionConfig{Info: &protocol.SessionInfo{}, Engine: chain,
		WhileHeld: func(context.Context, protocol.Waiting, func(context.Context) error) error { return nil }})
	_, err = s.Begin(t.Context(), readOp())
	require.ErrorContains(t, err, "not waited for")
}

func TestPreparationIsHeldOnlyIfItRunsCode(t *testing.T) {
	hold := says("approve", protocol.Hold("t", "four eyes", func(context.Context) (protocol.Decision, error) { return protocol.Allow("x"), nil }))
	s := chainSession(t, &trail{}, hold)
	op := readOp()
	op.NoWait, op.Prepare = true, true
	_, err := s.Begin(t.Context(), op)
	require.NoError(t, err)
	op = readOp()
	op.NoWait, op.Prepare, op.RunsEarly = true, true, true
	_, err = s.Begin(t.Context(), op)
	require.Contains(t, refused(t, err).Reason, "cannot wait")
}

func TestHeldOperationMustNotChange(t *testing.T) {
	op := readOp()
	s := chainSession(t, &trail{}, says("approve", protocol.Hold("t", "four eyes", func(context.Context) (protocol.Decision, error) {
		op.Text = "DROP TABLE customers"
		return protocol.Allow("x"), nil
	})))
	_, err := s.Begin(t.Context(), op)
	require.ErrorContains(t, err, "changed while it was held")
}

func TestSeveralOperationsAreDecidedTogether(t *testing.T) {
	r := &trail{}
	s := chainSession(t, r, middleware.Step{Name: "rule", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if op.Access.Has(protocol.Write) {
			return protocol.Deny("no writes"), nil
		}
		return protocol.Allow("reads"), nil
	}})
	write := readOp()
	write.Access = protocol.Write
	released := 0
	first := readOp()
	first.OnEnd(func(o protocol.Outcome) error { released++; return nil })
	ops := []*protocol.Operation{first, write, readOp()}
	require.Equal(t, "no writes", refused(t, s.Ask(t.Context(), ops)).Reason)
	for _, op := range ops {
		require.Equal(t, protocol.DenyEffect, op.Decision().Effect, "all or none")
	}
	require.Equal(t, 1, released, "what a hook acquired is released when the operation is refused")
	r.has(t, "decided 2 deny by rule: no writes")
	r.has(t, "decided 1 deny by rule: another statement")
	r.has(t, "decided 3 deny by rule: another statement")

	ops = []*protocol.Operation{readOp(), readOp()}
	require.NoError(t, s.Ask(t.Context(), ops))
	for _, op := range ops {
		op.Exchange().End(protocol.Outcome{Status: protocol.StatusOK})
		op.Exchange().End(protocol.Outcome{Status: protocol.StatusFailed})
	}
	r.has(t, "ended 4 ok")
	r.has(t, "ended 5 ok")
}

func TestStepErrorRefusesAndStaysInside(t *testing.T) {
	r := &trail{}
	s := chainSession(t, r, says("rule", protocol.Allow("rule")), middleware.Step{Name: "broken",
		Operation: func(context.Context, *protocol.Operation) (protocol.Decision, error) {
			return protocol.Allow("anyway"), errors.New("ldap://10.1.2.3 is down")
		}})
	_, err := s.Begin(t.Context(), readOp())
	require.ErrorContains(t, err, "step broken: ldap://10.1.2.3 is down", "the operator sees why")
	require.Equal(t, protocol.FixedReason, protocol.Reason(err), "the client does not")
	r.has(t, "decided 1 deny by : "+protocol.FixedReason)
	require.ErrorContains(t, r.errs[len(r.errs)-1], "10.1.2.3")
}

func TestPanicInAHookRefusesAndEndsTheSession(t *testing.T) {
	boom := func() { panic("boom") }
	for name, step := range map[string]middleware.Step{
		"Operation": {Name: "bad", Operation: func(context.Context, *protocol.Operation) (protocol.Decision, error) {
			boom()
			return protocol.Allow(""), nil
		}},
		"Event": {Name: "bad", Event: func(context.Context, *protocol.Event) error { boom(); return nil }},
	} {
		t.Run(name, func(t *testing.T) {
			s := chainSession(t, &trail{}, says("rule", protocol.Allow("rule")), step)
			_, err := s.Begin(t.Context(), readOp())
			require.Equal(t, protocol.FixedReason, protocol.Reason(err))
			var p *protocol.PanicError
			require.ErrorAs(t, err, &p)
			require.Error(t, s.Context().Err(), "the session ends")
		})
	}
	t.Run("Commit", func(t *testing.T) {
		r := &trail{commit: func(protocol.Point) error { panic("boom") }}
		s := chainSession(t, r, says("rule", protocol.Allow("rule")))
		_, err := s.Begin(t.Context(), readOp())
		require.Error(t, err)
		r.has(t, "ended 1 error")
	})
	t.Run("Authenticate", func(t *testing.T) {
		r := &trail{}
		chain, err := middleware.NewChain(middleware.Step{Name: "bad",
			Authenticate: func(context.Context, *protocol.Login) (*protocol.Identity, error) {
				boom()
				return &protocol.Identity{Issuer: "x", Subject: "y"}, nil
			}}, r.step())
		require.NoError(t, err)
		id, err := chain.Authenticate(t.Context(), &protocol.Login{})
		require.Nil(t, id)
		require.Error(t, err)
		r.has(t, "login refused")
	})
	t.Run("Close", func(t *testing.T) {
		closed := false
		chain, err := middleware.NewChain(
			middleware.Step{Name: "good", Operation: says("", protocol.Pass).Operation, Close: func() error { closed = true; return nil }},
			middleware.Step{Name: "bad", Operation: says("", protocol.Pass).Operation, Close: func() error { boom(); return nil }}, (&trail{}).step())
		require.NoError(t, err)
		require.ErrorContains(t, chain.Close(), "step bad")
		require.True(t, closed, "the others are closed all the same")
	})
}

func TestEventErrorRefuses(t *testing.T) {
	for _, kind := range []protocol.EventKind{protocol.Asked, protocol.Held, protocol.Decided} {
		t.Run(kind.String(), func(t *testing.T) {
			asked := false
			r := &trail{fail: func(k protocol.EventKind) error {
				if k == kind {
					return errors.New("the disk is full")
				}
				return nil
			}}
			d := protocol.Hold("t", "four eyes", func(context.Context) (protocol.Decision, error) { asked = true; return protocol.Allow("x"), nil })
			if kind == protocol.Decided {
				d = protocol.Allow("rule")
			}
			op := readOp()
			_, err := chainSession(t, r, says("rule", d)).Begin(t.Context(), op)
			require.Equal(t, protocol.FixedReason, protocol.Reason(err))
			require.Equal(t, protocol.DenyEffect, op.Decision().Effect)
			require.False(t, asked, "nobody is asked about what cannot be recorded")
		})
	}
	t.Run("ended", func(t *testing.T) {
		r := &trail{fail: func(k protocol.EventKind) error {
			if k == protocol.Ended {
				return errors.New("the disk is full")
			}
			return nil
		}}
		s := chainSession(t, r, says("rule", protocol.Allow("rule")))
		x, err := s.Begin(t.Context(), readOp())
		require.NoError(t, err)
		require.NoError(t, s.Context().Err())
		x.End(protocol.Outcome{Status: protocol.StatusOK})
		require.Error(t, s.Context().Err(), "an end that is not recorded ends the session")
	})
}

func TestCommitErrorEndsTheOperation(t *testing.T) {
	for _, point := range []protocol.Point{protocol.BeforeSend, protocol.BeforeRelease} {
		r := &trail{commit: func(p protocol.Point) error {
			if p == point {
				return errors.New("the disk is full")
			}
			return nil
		}}
		_, err := chainSession(t, r, says("rule", protocol.Allow("rule"))).Begin(t.Context(), readOp())
		require.Equal(t, protocol.FixedReason, protocol.Reason(err))
		r.has(t, "ended 1 error")
	}
}

func TestAuthenticate(t *testing.T) {
	knows := func(id *protocol.Identity, err error) middleware.Step {
		return middleware.Step{Name: "auth", Authenticate: func(context.Context, *protocol.Login) (*protocol.Identity, error) { return id, err }}
	}
	ada := &protocol.Identity{Issuer: "i", Subject: "ada"}
	bob := &protocol.Identity{Issuer: "i", Subject: "bob"}
	circle := &protocol.Identity{Issuer: "i", Subject: "agent"}
	circle.OnBehalfOf = circle
	for name, c := range map[string]struct {
		steps  []middleware.Step
		id     *protocol.Identity
		reason string
	}{
		"first who knows":    {[]middleware.Step{knows(nil, nil), knows(ada, nil), knows(bob, nil)}, ada, ""},
		"nobody knows":       {[]middleware.Step{knows(nil, nil)}, nil, "the login was not accepted"},
		"no step":            {nil, nil, "the login was not accepted"},
		"refused at once":    {[]middleware.Step{knows(nil, &protocol.DeniedError{Reason: "locked"}), knows(ada, nil)}, nil, "locked"},
		"broken":             {[]middleware.Step{knows(nil, errors.New("x")), knows(ada, nil)}, nil, protocol.FixedReason},
		"identity and error": {[]middleware.Step{knows(ada, errors.New("x"))}, nil, protocol.FixedReason},
		"without subject":    {[]middleware.Step{knows(&protocol.Identity{Issuer: "i"}, nil)}, nil, protocol.FixedReason},
		"without issuer":     {[]middleware.Step{knows(&protocol.Identity{Subject: "s"}, nil)}, nil, protocol.FixedReason},
		"acts for nobody":    {[]middleware.Step{knows(&protocol.Identity{Issuer: "i", Subject: "s", OnBehalfOf: &protocol.Identity{Subject: "ada"}}, nil)}, nil, protocol.FixedReason},
		"acts for itself":    {[]middleware.Step{knows(circle, nil)}, nil, protocol.FixedReason},
		"expired":            {[]middleware.Step{knows(&protocol.Identity{Issuer: "i", Subject: "s", Expires: time.Now().Add(-time.Second)}, nil)}, nil, "the login has expired"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &trail{}
			chain, err := middleware.NewChain(append(c.steps, r.step())...)
			require.NoError(t, err)
			l := &protocol.Login{Proof: protocol.Password{Secret: protocol.NewSecret("pw")}}
			id, err := chain.Authenticate(t.Context(), l)
			require.Same(t, c.id, id)
			if c.reason == "" {
				require.NoError(t, err)
				return
			}
			require.Equal(t, c.reason, protocol.Reason(err))
			require.Equal(t, []string{"login refused"}, r.lines, "steps are told, without the proof")
			require.NotNil(t, l.Proof, "the connector's login is left alone")
		})
	}
}

func TestNewChainRefuses(t *testing.T) {
	r := (&trail{}).step()
	hook := says("x", protocol.Pass).Operation
	masks := middleware.Step{Name: "mask", Role: middleware.RoleMasks, Operation: hook}
	authenticates := middleware.Step{Name: "auth", Authenticate: func(context.Context, *protocol.Login) (*protocol.Identity, error) { return nil, nil }}
	always := func(*protocol.Operation) bool { return true }
	for want, steps := range map[string][]middleware.Step{
		"no step records":                    {says("rule", protocol.Pass)},
		"no step records: add one":           nil,
		"step mask: masks but stands behind": {r, masks},
		"masks but stands behind record":     {middleware.Recordings(middleware.RecordingConfig{Dir: "x"}), masks, r},
		"no step records: add one, such":     {middleware.Recordings(middleware.RecordingConfig{Dir: "x"})},
		"a step without a name":              {{Operation: hook}, r},
		"step idle: has no hook":             {{Name: "idle"}, r},
		"step idle: has no hook, so":         {{Name: "idle", Close: func() error { return nil }}, r},
		"needs the hooks Event and Comm":     {{Name: "half", Role: middleware.RoleRecords, Event: r.Event}},
		"step auth: When takes":              {middleware.When(always, authenticates), r},
		"step trail: When takes":             {middleware.When(always, r), r},
		"step x: When takes":                 {middleware.When(always, middleware.Step{Name: "x", Operation: hook, Commit: r.Commit}), r},
	} {
		_, err := middleware.NewChain(steps...)
		require.ErrorContains(t, err, want)
	}
	_, err := middleware.NewChain(masks, r)
	require.NoError(t, err)
}

func TestWhen(t *testing.T) {
	writes := func(op *protocol.Operation) bool { return op.Access.Has(protocol.Write) }
	s := chainSession(t, &trail{}, says("rule", protocol.Allow("rule")), middleware.When(writes, says("freeze", protocol.Deny("frozen"))))
	_, err := s.Begin(t.Context(), readOp())
	require.NoError(t, err)
	w := readOp()
	w.Access = protocol.Write
	_, err = s.Begin(t.Context(), w)
	require.Equal(t, "frozen", refused(t, err).Reason)
}

func TestCloseRunsLastFirst(t *testing.T) {
	var order []string
	closes := func(name string) middleware.Step {
		s := says(name, protocol.Pass)
		s.Close = func() error { order = append(order, name); return errors.New(name + " failed") }
		return s
	}
	chain, err := middleware.NewChain(closes("a"), closes("b"), (&trail{}).step())
	require.NoError(t, err)
	err = chain.Close()
	require.ErrorContains(t, err, "step a: a failed")
	require.ErrorContains(t, err, "step b: b failed")
	require.Equal(t, []string{"b", "a"}, order)
}

func TestOperatorReadsWhatTheClientDoesNot(t *testing.T) {
	var out bytes.Buffer
	chain, err := middleware.NewChain(middleware.Step{Name: "broken", Operation: func(context.Context, *protocol.Operation) (protocol.Decision, error) {
		return protocol.Pass, errors.New("the reason why")
	}}, (&trail{}).step())
	require.NoError(t, err)
	_, err = sessionOn(t, chain.WithLogger(slog.New(slog.NewTextHandler(&out, nil)))).Begin(t.Context(), readOp())
	require.Error(t, err)
	require.Contains(t, out.String(), "the reason why")
}

func TestTapsRunInListOrder(t *testing.T) {
	tap := func(name string) middleware.Step {
		return middleware.Step{Name: name, Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
			if op.Verb == protocol.Connect {
				return protocol.Pass, nil
			}
			return protocol.Allow(name), op.OnRows(func([]protocol.Column) (protocol.RowFunc, error) {
				return func(row [][]byte) error { row[0] = append(row[0], name...); return nil }, nil
			})
		}}
	}
	x, err := chainSession(t, &trail{}, tap("first "), tap("second ")).Begin(t.Context(), readOp())
	require.NoError(t, err)
	require.False(t, x.Plain())
	f, err := x.Rows([]protocol.Column{{Name: "a"}})
	require.NoError(t, err)
	row := [][]byte{nil}
	require.NoError(t, f(row))
	require.Equal(t, "first second ", string(row[0]))
}

func ExampleNewChain() {
	frozen := middleware.Step{Name: "freeze", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if op.Access.Has(protocol.Write) {
			return protocol.Deny("changes are frozen"), nil
		}
		return protocol.Pass, nil
	}}
	_, err := middleware.NewChain(frozen)
	fmt.Println(err)

	chain, err := middleware.NewChain(frozen, (&trail{}).step())
	if err != nil {
		log.Fatal(err)
	}
	s := protocol.NewSession(context.Background(), protocol.SessionConfig{Info: &protocol.SessionInfo{}, Engine: chain})
	_, err = s.Begin(context.Background(), &protocol.Operation{Access: protocol.Write})
	fmt.Println(err)
	_, err = s.Begin(context.Background(), &protocol.Operation{Access: protocol.Read})
	fmt.Println(err)
	// Output:
	// no step records: add one, such as middleware.Record
	// refused by freeze: changes are frozen
	// refused: no rule allows this
}

// A session that is ended, by an operator or because its login has expired, ends
// what is held in it: nobody is left to decide about something that must not run.
func TestAHoldEndsWithItsSession(t *testing.T) {
	r := &trail{}
	waits := make(chan struct{})
	s := chainSession(t, r, says("approve", protocol.Hold("t", "four eyes", func(ctx context.Context) (protocol.Decision, error) {
		close(waits)
		<-ctx.Done()
		return protocol.Pass, context.Cause(ctx)
	})))
	go func() {
		<-waits
		s.Terminate(&protocol.DeniedError{Step: "session", Reason: "an operator ended it"})
	}()
	_, err := s.Begin(t.Context(), readOp())
	require.Equal(t, "an operator ended it", refused(t, err).Reason)
	r.has(t, "decided 1 deny")
}

// What is decided together is recorded each by its own rule.
func TestEachOperationHasItsOwnRule(t *testing.T) {
	var rules []string
	tell := middleware.Step{Name: "tell", Event: func(_ context.Context, e *protocol.Event) error {
		if e.Kind == protocol.Decided && e.Op.Verb != protocol.Connect {
			rules = append(rules, string(e.Op.Verb)+" by "+e.Decision.By+"/"+e.Decision.Rule)
		}
		return nil
	}}
	allow := middleware.Step{Name: "allow", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if op.Verb == "held" {
			return protocol.Pass, nil
		}
		return protocol.Allow("may " + string(op.Verb)), nil
	}}
	hold := middleware.Step{Name: "hold", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if op.Verb != "held" {
			return protocol.Pass, nil
		}
		return protocol.Hold("t", "four eyes", func(context.Context) (protocol.Decision, error) { return protocol.Allow("x"), nil }), nil
	}}
	s := chainSession(t, &trail{}, allow, hold, tell)
	ops := []*protocol.Operation{{Verb: "select"}, {Verb: "held"}, {Verb: "drop table"}}
	require.NoError(t, s.Ask(t.Context(), ops))
	require.Equal(t, []string{"select by allow/may select", "held by /", "drop table by allow/may drop table"}, rules)
	require.Equal(t, "may select", ops[0].Decision().Rule)
}
