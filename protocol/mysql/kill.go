package mysql

import (
	"fmt"

	"github.com/sallyport-dev/gateway/protocol"
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

// killHeld ends what the target knows nothing of, and answers then.
func (c *session) killHeld(r *run, k *kill) (done bool, err error) {
	if !k.c.hold.Cancel() {
		return false, nil
	}
	if !k.query {
		k.c.ps.Terminate(errKilled)
	}
	if err := c.release(r); err != nil {
		return true, err
	}
	r.end(protocol.Outcome{Status: protocol.StatusOK})
	return true, c.reply(appendOK(nil, c.status))
}

var errKilled = &protocol.DeniedError{Step: "mysql", Reason: "the connection was killed on request"}
