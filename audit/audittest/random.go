package audittest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/protocol"
)

// entries reads a journal as an index has to understand it, oldest first, with
// the events that opened the sessions.
func entries(t testing.TB, dir string) (list []*audit.Entry, opened map[string]*audit.Event) {
	t.Helper()
	type op struct {
		session string
		command uint64
	}
	running := map[op]*audit.Entry{}
	opened = map[string]*audit.Event{}
	for e, err := range audit.Events(dir) {
		must(t, err)
		o := op{e.Session, e.Command}
		known := running[o]
		ends := e.Kind == audit.SessionClosed || e.Kind == audit.CommandUnknown || e.Kind == audit.CommandCompleted && e.Decision == nil
		switch {
		case e.Kind == audit.RecordingChunk:
		case ends && known != nil:
			known.End, known.Result = e.Seq, e.Result
			if e.Error != "" {
				known.Error = e.Error
			}
			delete(running, o)
		case known != nil && e.Session != "":
			known.Event = e
			if e.Kind == audit.CommandCompleted || e.Decision.Effect == "deny" {
				delete(running, o)
			}
		default:
			n := &audit.Entry{Event: e}
			list = append(list, n)
			if !ends && e.Session != "" && e.Kind != audit.CommandCompleted && (e.Decision == nil || e.Decision.Effect != "deny") {
				running[o] = n
			}
		}
		if e.Kind == audit.SessionOpened {
			opened[e.Session] = &e
		}
	}
	return list, opened
}

var sample = struct{ people, targets, verbs, tables, words []string }{
	[]string{"alice", "bob", "Zoë", "ALAN", "a*b", "x_y", "100%"},
	[]string{"orders", "billing", "web-1"},
	[]string{"select", "update", "drop"},
	[]string{"public.users", "public.Orders", "audit.x", "pub\x00lic", strings.Repeat("long/", 400)},
	[]string{"ada", "Lovelace", "émile", "東京", "42", "_x", "null", "a-b"},
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// work records n operations of some sessions. The clock is set now and then.
func (w *World) work(r *rand.Rand, n int) {
	type open struct {
		s       *protocol.SessionInfo
		connect *protocol.Operation
		running []*protocol.Operation
	}
	var all []*open
	for range n {
		if len(all) < 3 || r.IntN(20) == 0 {
			s := w.Session(pick(r, sample.people), pick(r, sample.targets), pick(r, []protocol.IdentityKind{protocol.Human, protocol.Agent}))
			s.Tool = protocol.Tool{Name: pick(r, []string{"psql", "", "pgx"}), Raw: pick(r, []string{"", "raw 1"})}
			all = append(all, &open{s: s, connect: w.Open(s)})
		}
		i := r.IntN(len(all))
		o := all[i]
		if r.IntN(40) == 0 {
			w.At = w.At.Add(time.Duration(r.IntN(120)-60) * time.Minute)
		}
		access := pick(r, []protocol.Access{protocol.Read, protocol.Write, protocol.Schema, protocol.Read | protocol.Write})
		op := w.Op(o.s, protocol.Verb(pick(r, sample.verbs)), pick(r, sample.words)+" "+pick(r, sample.words)+fmt.Sprint(" ", r.IntN(10)), access)
		table := pick(r, sample.tables)
		op.Objects = []protocol.Object{{Kind: "table", Name: table, Access: access}}
		op.Reads = []protocol.ColumnRef{{Schema: "public", Table: "t", Column: pick(r, sample.words)}}
		op.Args = []protocol.Arg{{Text: pick(r, sample.words)}, {Null: true}}
		if r.IntN(3) == 0 {
			op.Risk = r.IntN(100)
		}
		deny := protocol.Decision{Effect: protocol.DenyEffect, By: "block", Rule: pick(r, []string{"no-drop", "Freeze"})}
		status := pick(r, []protocol.Status{protocol.StatusOK, protocol.StatusOK, protocol.StatusError})
		switch r.IntN(8) {
		case 0, 1, 2:
			w.Pure(op, status, int64(r.IntN(9)))
		case 3:
			w.Decide(op, deny)
		case 4:
			ticket := fmt.Sprint("t", w.n)
			w.Hold(op, ticket)
			switch r.IntN(3) {
			case 0: // it waits
			case 1:
				w.Decide(op, deny)
			case 2:
				w.Decide(op, Allow, protocol.Decision{Effect: protocol.AllowEffect, By: "bob", Ticket: ticket, Rule: "four eyes"})
				w.End(op, status, 1)
			}
		case 5:
			w.Decide(op, Allow)
			o.running = append(o.running, op)
		case 6:
			if len(o.running) > 0 {
				w.End(o.running[0], status, 2)
				o.running = o.running[1:]
			}
		case 7:
			w.Record(&protocol.Event{Kind: protocol.LoginRefused, Login: &protocol.Login{Protocol: "ssh", User: pick(r, sample.people), Resource: pick(r, sample.targets)}})
			if len(all) > 3 && len(o.running) == 0 {
				w.End(o.connect, protocol.StatusOK, 0)
				all = slices.Delete(all, i, i+1)
			}
		}
	}
}

// question returns a query by a few of the fields.
func (w *World) question(r *rand.Rand) (q audit.Query) {
	pattern := func(s string) string {
		switch i := r.IntN(len(s)); r.IntN(6) {
		case 0:
			return s[:i] + "*"
		case 1:
			return "*" + s[i:]
		case 2:
			return s[:i/2] + "*" + s[i:]
		case 3:
			return strings.ToUpper(s)
		}
		return s
	}
	at := func() time.Time { return Noon.Add(time.Duration(r.Int64N(max(int64(w.At.Sub(Noon)), 0) + 1))) }
	for range 1 + r.IntN(3) {
		switch r.IntN(14) {
		case 0:
			q.Who = pattern(pick(r, append([]string{"carol", "Zoë Doe", "alice@example.com"}, sample.people...)))
		case 1:
			q.Target = pattern(pick(r, sample.targets))
		case 2:
			q.Verb = pattern(pick(r, sample.verbs))
		case 3:
			q.Access = pick(r, []string{"read", "write", "schema", "exec*"})
		case 4:
			q.Object = pattern(pick(r, sample.tables[:4]))
		case 5:
			q.Column = pattern("public.t." + pick(r, sample.words))
		case 6:
			q.Tool = pick(r, []string{"psql", "p*", "raw 1"})
		case 7:
			q.Outcome = pick(r, []string{"allow", "deny", "hold", "ok", "error", "OK"})
		case 8:
			q.Approval = pick(r, []string{"*", "bob", "b*", "t1*"})
		case 9:
			q.Rule = pick(r, []string{"readers", "no-drop", "freeze", "*e*"})
		case 10:
			q.Text = pick(r, append([]string{"EMILE ada", "1", "a b"}, sample.words...))
		case 11:
			q.MinRisk = 1 + r.IntN(100)
		case 12:
			q.Since = at()
		case 13:
			q.Until = at()
		}
	}
	if r.IntN(10) == 0 {
		q.Kind = pick(r, []audit.Kind{audit.CommandDecided, audit.CommandCompleted, audit.ApprovalRequested, audit.SessionOpened, audit.LoginRefused})
	}
	if r.IntN(10) == 0 {
		q.Session = fmt.Sprintf("session-%d", 1+r.IntN(30))
	}
	q.Limit = 1 + r.IntN(60)
	return q
}

// What an index finds is what is in the journal, by a reading of its own.
func random(t *testing.T, open Opener) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	w := NewWorld(t)
	x := open(t, "random", w.Dir)
	for range 3 { // it is brought up to date in between
		w.work(r, 300)
		w.Flush()
		must(t, x.Update(t.Context()))
	}
	w.Close()
	must(t, x.Update(t.Context()))
	list, opened := entries(t, w.Dir)
	questions := 300
	if slow {
		questions = 60
	}
	for range questions {
		q := w.question(r)
		var want, got []uint64
		for _, e := range slices.Backward(list) {
			if q.Matches(e, opened[e.Session]) {
				want = append(want, e.Seq)
			}
		}
		ask := q
		for {
			p, err := x.Search(t.Context(), ask)
			must(t, err)
			for _, e := range p.Entries {
				got = append(got, e.Seq)
			}
			if ask.Cursor = p.Next; p.Next == "" {
				break
			}
			equal(t, len(p.Entries), q.Limit, ask)
		}
		equal(t, got, want, q.String())
	}
}
