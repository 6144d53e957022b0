// Package audittest tests what package audit leaves to others: an index of a
// journal.
package audittest

import (
	"fmt"
	"testing"
	"time"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/protocol"
)

// Noon is when a [World] begins.
var Noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Allow is a decision of the step authorize.
var Allow = protocol.Decision{Effect: protocol.AllowEffect, By: "authorize", Rule: "readers"}

// A World is a journal with people at work, each of whom does something a second
// after the other.
type World struct {
	Dir     string
	Journal *audit.Journal
	At      time.Time

	t testing.TB
	n uint64
}

// NewWorld begins a journal, which ends with the test. Its segments are short.
func NewWorld(t testing.TB) *World {
	t.Helper()
	return newWorld(t, t.TempDir(), audit.Options{MinFree: 1, SegmentSize: 32 << 10})
}

// NewLargeWorld is [NewWorld] with segments as gateways have them.
func NewLargeWorld(t testing.TB) *World {
	t.Helper()
	return newWorld(t, t.TempDir(), audit.Options{MinFree: 1})
}

func newWorld(t testing.TB, dir string, o audit.Options) *World {
	t.Helper()
	w := &World{Dir: dir, At: Noon, t: t}
	j, err := audit.Open(w.Dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	w.Journal = j
	return w
}

// Close closes the journal.
func (w *World) Close() {
	w.t.Helper()
	if err := w.Journal.Close(); err != nil {
		w.t.Fatal(err)
	}
}

// Flush makes what was recorded visible.
func (w *World) Flush() {
	w.t.Helper()
	if err := w.Journal.Flush(w.t.Context(), w.Journal.End()); err != nil {
		w.t.Fatal(err)
	}
}

// Session returns a session that is not open yet. An agent acts for carol.
func (w *World) Session(subject, target string, kind protocol.IdentityKind) *protocol.SessionInfo {
	w.n++
	s := &protocol.SessionInfo{ID: fmt.Sprintf("session-%d", w.n), Protocol: "postgres",
		Identity: &protocol.Identity{Issuer: "https://id.example", Subject: subject, Name: subject + " Doe", Email: subject + "@Example.com", Kind: kind},
		Resource: protocol.Resource{Name: target, Protocol: "postgres"}, Tool: protocol.Tool{Name: "psql", Raw: "psql (15)"}}
	if kind == protocol.Agent {
		s.Identity.OnBehalfOf = &protocol.Identity{Issuer: "https://id.example", Subject: "carol", Kind: protocol.Human}
	}
	return s
}

// Open opens a session, and returns its Connect operation.
func (w *World) Open(s *protocol.SessionInfo) *protocol.Operation {
	w.t.Helper()
	op := w.Op(s, protocol.Connect, "", protocol.Control)
	w.Decide(op, Allow)
	return op
}

// Record records e a second after what was recorded last.
func (w *World) Record(e *protocol.Event) {
	w.t.Helper()
	w.At = w.At.Add(time.Second)
	e.Time = w.At
	if _, err := w.Journal.Record(e, audit.Detail{}); err != nil {
		w.t.Fatal(err)
	}
}

// Op returns an operation.
func (w *World) Op(s *protocol.SessionInfo, verb protocol.Verb, text string, access protocol.Access) *protocol.Operation {
	w.n++
	return &protocol.Operation{Session: s, ID: w.n, Verb: verb, Text: text, Access: access}
}

// Decide records what was decided about op.
func (w *World) Decide(op *protocol.Operation, d protocol.Decision, grants ...protocol.Decision) {
	w.t.Helper()
	op.Decide(d, grants)
	w.Record(&protocol.Event{Kind: protocol.Decided, Session: op.Session, Op: op, Decision: d})
}

// Hold records that op waits for an approval.
func (w *World) Hold(op *protocol.Operation, ticket string) {
	w.t.Helper()
	w.Record(&protocol.Event{Kind: protocol.Held, Session: op.Session, Op: op, Decision: protocol.Decision{Effect: protocol.HoldEffect, Ticket: ticket}})
}

// End records how op ended.
func (w *World) End(op *protocol.Operation, status protocol.Status, rows int64) {
	w.t.Helper()
	w.Record(&protocol.Event{Kind: protocol.Ended, Session: op.Session, Op: op, Outcome: protocol.Outcome{Status: status, Rows: rows}})
}

// Pure decides and ends op, which changes nothing, in one event.
func (w *World) Pure(op *protocol.Operation, status protocol.Status, rows int64) {
	w.t.Helper()
	op.Pure = true
	op.Decide(Allow, nil)
	w.At = w.At.Add(time.Second)
	if err := w.Journal.Postpone(&protocol.Event{Kind: protocol.Decided, Time: w.At, Session: op.Session, Op: op, Decision: Allow}, audit.Detail{}); err != nil {
		w.t.Fatal(err)
	}
	w.End(op, status, rows)
}

// Story records what the questions of [TestIndex] are about.
func (w *World) Story() {
	w.t.Helper()
	alice, agent := w.Session("alice", "orders", protocol.Human), w.Session("bot", "billing", protocol.Agent)
	ca, cb := w.Open(alice), w.Open(agent)

	sel := w.Op(alice, "select", "select email from customers where name = 'Lovelace'", protocol.Read)
	sel.Objects = []protocol.Object{{Kind: "table", Name: "public.customers", Access: protocol.Read}}
	sel.Reads = []protocol.ColumnRef{{Schema: "public", Table: "customers", Column: "email"}}
	w.Decide(sel, Allow)
	w.End(sel, protocol.StatusOK, 3)

	upd := w.Op(alice, "update", "update orders set item = 'held' where id = 7", protocol.Write)
	upd.Objects = []protocol.Object{{Kind: "table", Name: "public.orders", Access: protocol.Write}}
	upd.Risk, upd.RiskWhy = 70, []string{"at night"}
	w.Hold(upd, "7k3d")
	w.Decide(upd, Allow, protocol.Decision{Effect: protocol.AllowEffect, By: "bob", Ticket: "7k3d", Rule: "four eyes", Reason: "ok"})
	w.End(upd, protocol.StatusOK, 1)

	drop := w.Op(agent, "drop", "drop table customers", protocol.Schema)
	w.Decide(drop, protocol.Decision{Effect: protocol.DenyEffect, By: "block", Rule: "no-drop", Reason: "no"})
	fails := w.Op(agent, "select", "select 1/0 -- lovelace", protocol.Read)
	w.Decide(fails, Allow)
	w.End(fails, protocol.StatusError, 0)
	w.Record(&protocol.Event{Kind: protocol.LoginRefused, Login: &protocol.Login{Protocol: "postgres", User: "mallory", Resource: "orders"}, Err: fmt.Errorf("no")})
	w.End(ca, protocol.StatusOK, 0)
	w.End(cb, protocol.StatusOK, 0)
}
