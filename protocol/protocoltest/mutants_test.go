package protocoltest

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestToyPasses(t *testing.T) { Test(t, toyKit(newToy(""))) }

// The kit has to be right about connectors of every form before there is one.
func TestToyPassesInEveryForm(t *testing.T) {
	for _, f := range []form{streams, encrypted, keys} {
		t.Run(string(f), func(t *testing.T) {
			s := newToy("")
			s.form = f
			k := toyKit(s)
			k.TCPOnly = true
			Test(t, k)
		})
	}
}

// TestKitFindsBugsInEveryForm shows bugs of toys of other forms to the checks
// that look at them in another way.
func TestKitFindsBugsInEveryForm(t *testing.T) {
	if raceDetector { // see TestKitFindsBugs
		return
	}
	for _, m := range []struct {
		form       form
		bug, check string
	}{
		{streams, "ignores taps", "RowsAreRewritten"},
		{streams, "forgets what was held back", "RowsAreRewritten"},
		{streams, "forgets what was held back", "StreamsEndOnce"},
		{streams, "tells ends twice", "StreamsEndOnce"},
		{streams, "shows what a tap refused", "TapErrorShowsNothing"},
		{streams, "whole result", "HugeRow"},
		{streams, "believes its analysis", "UnexpectedResultShowsNothing"},
		{streams, "cut result is ok", "TargetDiesMidResult"},
		{encrypted, "ignores taps", "RowsAreRewritten"},
		{encrypted, "errors pass by", "ErrorTextPassesTaps"},
		{encrypted, "sends before asking", "HoldThenAllow"},
		{encrypted, "sends before the record", "JournalComesFirst"},
		{encrypted, "shared buffer", "TwoSessionsAreNotMixed"},
		{keys, "accepts all", "LoginRefusedNeverDials"},
	} {
		t.Run(string(m.form)+"/"+m.bug, func(t *testing.T) {
			var failures []string
			for range 3 {
				failures = collect(t, func(tb TB, s *toy) {
					s.form = m.form
					find(t, m.check).Run(tb, toyKit(s), TCP)
				}, m.bug)
				if len(failures) > 0 {
					break
				}
			}
			require.NotEmpty(t, failures, "the check did not notice")
			t.Log(failures[0])
		})
	}
}

// TestKitFindsBugs shows each bug of the toy to the check that is there for it:
// a check that cannot fail proves nothing.
func TestKitFindsBugs(t *testing.T) {
	if raceDetector { // the bugs to order are judged by time and memory, which it changes
		return
	}
	found := map[string]bool{}
	mutants := []struct{ bug, check string }{
		{"accepts all", "LoginRefusedNeverDials"},
		{"proof to target", "SecretsStayOnTheirSide"},
		{"shows target's refusal", "SecretsStayOnTheirSide"},
		{"waits forever", "SilentClientIsClosed"},
		{"panics on short login", "GarbageHandshake"},
		{"endless login line", "GarbageHandshake"},
		{"believes a length", "GarbageHandshake"},
		{"panics on short login", "SpoiledHandshake"},
		{"tidies the text", "TextIsAsSent"},
		{"writes are pure", "WritesAreNotPure"},
		{"hangs up on denial", "DenialShowsReasonAndSessionLives"},
		{"hides reasons", "DenialShowsReasonAndSessionLives"},
		{"answers for the steps", "DenialShowsReasonAndSessionLives"},
		{"sends before asking", "DenialShowsReasonAndSessionLives"},
		{"shows all errors", "InternalErrorsStayInside"},
		{"ignores rewrites", "RewriteIsHonoured"},
		{"shared buffer", "TwoSessionsAreNotMixed"},
		{"one read is one line", "OneByteAtATime"},
		{"sends before asking", "HoldThenAllow"},
		{"sends before asking", "HoldThenDeny"},
		{"does not watch", "ClientGoneWhileHeld"},
		{"ignores cancel", "CancelledWhileHeld"},
		{"one lock", "HeldSessionBlocksNoOther"},
		{"ignores taps", "RowsAreRewritten"},
		{"samples nothing", "FirstRowsAreSampled"},
		{"samples what it shows", "FirstRowsAreSampled"},
		{"samples too much", "FirstRowsAreSampled"},
		{"holds rows for long", "FirstRowsAreSampled"},
		{"renames columns", "NoTapsSameBytes"},
		{"shows what a tap refused", "TapErrorShowsNothing"},
		{"believes its analysis", "UnexpectedResultShowsNothing"},
		{"errors pass by", "ErrorTextPassesTaps"},
		{"keeps rows", "RowsAreNotKept"},
		{"always ok", "OutcomeIsTold"},
		{"no end", "OutcomeIsTold"},
		{"whole result", "HugeRow"},
		{"one lock", "SlowClient"},
		{"sends before the record", "JournalComesFirst"},
		{"releases before the record", "JournalComesFirst"},
		{"ignores record errors", "RecordFailureStopsOperation"},
		{"no end", "EndIsTold"},
		{"cut result looks complete", "TargetDiesMidResult"},
		{"hangs on cut result", "TargetDiesMidResult"},
		{"cut result is ok", "TargetDiesMidResult"},
		{"believes its target", "HostileTarget"},
		{"ignores its client", "ClientLeavesMidResult"},
		{"survives panics", "PanicEndsItsSessionOnly"},
		{"no session close", "EndIsTold"},
		{"leaks a goroutine", "TextIsAsSent"},
		{"leaves target open", "TextIsAsSent"},
		{"ignores drain", "ShutdownDrainsIdle"},
		{"drains at once", "ShutdownDrainsIdle"},
		{"deaf to context", "ReloadAsksAgain"},
		{"deaf to context", "RevocationEndsSession"},
	}
	ran := 0
	for _, m := range mutants {
		t.Run(m.bug+"/"+m.check, func(t *testing.T) {
			c := find(t, m.check)
			// Some bugs show in a race or in memory only: one of a few tries has
			// to notice. That good connectors pass is TestToyPasses' to say.
			var failures []string
			for range 3 {
				if failures = collect(t, func(tb TB, s *toy) { c.Run(tb, toyKit(s), TCP) }, m.bug); len(failures) > 0 {
					break
				}
			}
			require.NotEmpty(t, failures, "the check did not notice")
			t.Log(failures[0])
			found[m.check] = true
			ran++
		})
	}
	if ran < len(mutants) {
		return // some failed, or were left out with -run
	}
	var blind []string
	for _, c := range Checks() {
		if !found[c.Name] {
			blind = append(blind, c.Name)
		}
	}
	// These fail through what every check looks at in the end: dials that come
	// too early. That a hold ends with its session is the engine's doing. The next is for toys of another form, and toys have one operation
	// at a time.
	require.Subset(t, []string{"ShutdownEndsHeld", "UnknownTargetNeverDials", "ConnectDeniedNeverDials", "ConnectHeldNeverDials", "TargetIsDown",
		"StreamsEndOnce", "ManyAtOnce", "HeldOperationBlocksNoOther"}, blind)
}

func find(t *testing.T, name string) Check {
	for _, c := range Checks() {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("there is no check %s", name)
	return Check{}
}

// collector is a TB that keeps failures to itself.
type collector struct {
	ctx      context.Context
	mu       sync.Mutex
	failures []string
}

func (c *collector) Helper()                  {}
func (c *collector) Logf(string, ...any)      {}
func (c *collector) Context() context.Context { return c.ctx }
func (c *collector) Errorf(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures = append(c.failures, strings.TrimSpace(fmt.Sprintf(format, args...)))
}
func (c *collector) Fatalf(format string, args ...any) {
	c.Errorf(format, args...)
	runtime.Goexit()
}

// collect returns the failures of f with a toy that has the bug.
func collect(t *testing.T, f func(TB, *toy), bug string) []string {
	s := newToy(bug)
	c := &collector{ctx: t.Context()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(c, s)
	}()
	<-done
	close(s.stuck)
	return c.failures
}
