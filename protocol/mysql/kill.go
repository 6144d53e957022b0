package mysql

import (
	"fmt"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/mysqlsql"
)

// A kill is a KILL of a session that the gateway knows, and its asker's own.
type kill struct {
	c     *session
	query bool   // its statement only
	text  string // what the target is asked
}

// killTarget returns what a KILL means, nil if first is none or is about a
// connection that is not of this gateway. Clients know a session by the id that
// the gateway greeted it with, or by what CONNECTION_ID() says, which is the
// target's own.
func (c *session) killTarget(first *run) (*kill, error) {
	if first.next != nil || first.stmt.Kill == nil {
		return nil, nil
	}
	id := first.stmt.Kill.ID
	other := c.srv.sessions.find(id, c)
	if other == nil {
		if id >= firstID && id>>32 == 0 {
			// Nobody's, or another person's: which of both is not told.
			return nil, fault(protocol.SideClient, codeNoThread, fmt.Sprintf("Unknown thread id: %d", id), nil)
		}
		return nil, nil
	}
	k := &kill{c: other, query: first.stmt.Kill.Query, text: fmt.Sprintf("KILL %d", other.t.id)}
	if k.query {
		k.text = fmt.Sprintf("KILL QUERY %d", other.t.id)
	}
	first.op.Access = protocol.Control // it is the asker's own
	return k, nil
}

// killTargets is killTarget for a text of several statements. asked is the text with
// the target's own ids, nil if there is nothing to change about it.
func (c *session) killTargets(first *run, text []byte) (list []*kill, asked []byte) {
	if first.next == nil {
		return nil, nil
	}
	ids := map[uint64]uint64{}
	for r := first; r != nil; r = r.next {
		if r.stmt.Kill == nil {
			continue
		}
		if other := c.srv.sessions.find(r.stmt.Kill.ID, c); other != nil {
			list = append(list, &kill{c: other, query: r.stmt.Kill.Query})
			ids[r.stmt.Kill.ID] = uint64(other.t.id)
			r.op.Access = protocol.Control
		}
	}
	if len(list) == 0 {
		return nil, nil
	}
	return list, mysqlsql.WithKills(text, c.tracker.mode, ids) // nil: the target knows none of them
}

// find returns the session that a client of c means by id, if it is one of the
// same person at the same target.
func (ss *sessions) find(id uint64, c *session) *session {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if id>>32 != 0 {
		return nil
	}
	own := func(o *session) bool {
		a, b := o.ps.Info(), c.ps.Info()
		return a.Resource.Name == b.Resource.Name && a.Identity != nil && b.Identity != nil && a.Identity.Key() == b.Identity.Key()
	}
	if o := ss.m[uint32(id)]; o != nil && own(o) {
		return o
	}
	if id >= firstID {
		return nil
	}
	for _, o := range ss.m {
		if o != nil && uint64(o.t.id) == id && own(o) {
			return o
		}
	}
	return nil
}

// withdraw ends what is held, and says whether there was such.
func (k *kill) withdraw() bool {
	held := k.c.hold.Cancel()
	if held && !k.query {
		k.c.ps.Terminate(errKilled)
	}
	return held
}

// expect has the session see soon that its target is gone, if it only waits for its
// client: who is connected directly is told at once.
func (k *kill) expect() {
	if !k.query {
		k.c.idle.Expect()
	}
}

// killHeld ends what the target knows nothing of, and answers then.
func (c *session) killHeld(r *run, k *kill) (done bool, err error) {
	if !k.withdraw() {
		return false, nil
	}
	if err := c.release(r); err != nil {
		return true, err
	}
	r.end(protocol.Outcome{Status: protocol.StatusOK})
	return true, c.reply(c.ok())
}

var errKilled = &protocol.DeniedError{Step: "mysql", Reason: "the connection was killed on request"}
