package postgres

import (
	"context"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// cancelRate bounds the cancel requests that one session passes on: a burst of
// cancelBurst, then one each cancelEvery.
const (
	cancelBurst = 10
	cancelEvery = 100 * time.Millisecond
)

// cancelID finds a session by the process id that its client was told, which
// is the target's own and may be the same at two targets.
type cancelID struct {
	pid uint32
	n   uint64
}

// cancels are the sessions by process id.
type cancels struct {
	mu sync.Mutex
	n  uint64
	m  map[uint32]map[uint64]*cancelEntry
}

type cancelEntry struct {
	c      *session
	tokens float64
	last   time.Time
}

func (cs *cancels) add(c *session) cancelID {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.n++
	id := cancelID{c.t.pid, cs.n}
	if cs.m == nil {
		cs.m = map[uint32]map[uint64]*cancelEntry{}
	}
	if cs.m[id.pid] == nil {
		cs.m[id.pid] = map[uint64]*cancelEntry{}
	}
	cs.m[id.pid][id.n] = &cancelEntry{c: c, tokens: cancelBurst, last: time.Now()}
	return id
}

func (cs *cancels) remove(id cancelID) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.m[id.pid], id.n)
	if len(cs.m[id.pid]) == 0 {
		delete(cs.m, id.pid)
	}
}

// find returns the session that a request with the right key means. Every
// session of that process id is compared in constant time.
func (cs *cancels) find(req *cancelRequest) (c *session, limited bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	var found *cancelEntry
	for _, e := range cs.m[req.pid] {
		if subtle.ConstantTimeCompare(e.c.cancelKey, req.key) == 1 {
			found = e
		}
	}
	if found == nil {
		return nil, false
	}
	now := time.Now()
	found.tokens = min(cancelBurst, found.tokens+float64(now.Sub(found.last))/float64(cancelEvery))
	found.last = now
	if found.tokens < 1 {
		return nil, true
	}
	found.tokens--
	return found.c, false
}

// cancel carries a CancelRequest through. As PostgreSQL does, it tells the
// client nothing about whether there was anything to cancel.
func (s *Server) cancel(ctx context.Context, remote net.Addr, req *cancelRequest) error {
	c, limited := s.cancels.find(req)
	if limited {
		s.log.Warn("cancel request over the rate limit", "remote", remote.String())
		return nil
	}
	if c == nil {
		s.log.Info("cancel request with a wrong key", "remote", remote.String())
		return nil
	}
	op := &protocol.Operation{Verb: protocol.Cancel, Access: protocol.Control, Pure: true, NoWait: true,
		Text: "cancel request from " + remote.String()}
	x, err := c.ps.Begin(ctx, op)
	if err != nil {
		return err
	}
	out := protocol.Outcome{Status: protocol.StatusOK}
	if !c.cancelHold() {
		if err = s.cancelAtTarget(ctx, c); err != nil {
			out = protocol.Outcome{Status: protocol.StatusFailed, Err: err}
		}
	}
	x.End(out)
	return err
}

// cancelHold ends a hold, if the session is in one.
func (c *session) cancelHold() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hold == nil {
		return false
	}
	c.hold(errCancelled)
	return true
}

// cancelAtTarget asks the target to cancel, over a connection of its own that
// is encrypted as the session's is.
func (s *Server) cancelAtTarget(ctx context.Context, c *session) error {
	if c.t.key == nil {
		return errors.New("the target gave no cancel key")
	}
	ctx, done := context.WithTimeout(ctx, s.loginTimeout())
	defer done()
	conn, err := s.dialTarget(ctx, c.ps.Info().Resource, c.ps.Dial)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	b := binary.BigEndian.AppendUint32(nil, uint32(4+4+4+len(c.t.key)))
	b = binary.BigEndian.AppendUint32(b, codeCancelRequest)
	b = binary.BigEndian.AppendUint32(b, c.t.pid)
	if _, err := conn.Write(append(b, c.t.key...)); err != nil {
		return err
	}
	// The target closes when it has sent the signal: only then may the
	// client's connection be closed, so that it may rely on the order.
	_, err = io.Copy(io.Discard, io.LimitReader(conn, 1<<10))
	return err
}
