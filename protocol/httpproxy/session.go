package httpproxy

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// maxSessions bounds how many identities and targets one connection may have
// at a time; a session that is not used makes room for another.
const maxSessions = 32

// maxRefused is how many refused logins end a connection.
const maxRefused = 5

// sessionKey is what the requests of one session have in common.
type sessionKey struct {
	target, kind, user string
	proof              [sha256.Size]byte
}

// A session is what a connection has for one identity at one target: the
// gateway's session, and connections to the target that serve no other.
type session struct {
	c      *conn
	key    sessionKey
	opened chan struct{} // closed when ps or err is there
	ps     *protocol.Session
	err    error
	target *target
	turns  turns
	stops  []func() bool
	once   sync.Once

	// Guarded by the conn's mu.
	users int
	used  time.Time
	dead  bool // no longer in the table
}

// session returns the session of k at the target named, opened if this is the
// first request of its kind on the connection. The caller releases it.
func (c *conn) session(r *http.Request, name string, k *credential) (*session, error) {
	key := sessionKey{name, k.kind, k.user, k.sum}
	for {
		s, ours, err := c.take(key)
		if err != nil {
			return nil, err
		}
		if ours {
			return s, c.open(r, s, name, k)
		}
		select {
		case <-s.opened:
		case <-r.Context().Done():
			c.release(s)
			return nil, protocol.ErrClientGone
		}
		switch {
		case s.err != nil:
			c.release(s)
			if isGone(s.err) {
				continue // whoever opened it left: that is not ours to suffer for
			}
			return nil, s.err
		case s.ps.Context().Err() != nil:
			c.forget(s)
			c.release(s)
			continue
		}
		return s, nil
	}
}

func isGone(err error) bool {
	return errors.Is(err, protocol.ErrClientGone) || errors.Is(err, context.Canceled)
}

// take returns the session of that key; ours says that it is new and to be
// opened.
func (c *conn) take(key sessionKey) (s *session, ours bool, err error) {
	c.mu.Lock()
	if s = c.sessions[key]; s != nil {
		s.users++
		c.mu.Unlock()
		return s, false, nil
	}
	var old *session
	if len(c.sessions) >= maxSessions {
		for _, o := range c.sessions {
			if o.users == 0 && (old == nil || o.used.Before(old.used)) {
				old = o
			}
		}
		if old == nil {
			c.mu.Unlock()
			return nil, false, refuse(http.StatusServiceUnavailable, "too many identities and targets are in use on one connection")
		}
		delete(c.sessions, old.key)
		old.dead = true
	}
	s = &session{c: c, key: key, opened: make(chan struct{}), users: 1, used: time.Now()}
	c.sessions[key] = s
	c.mu.Unlock()
	if old != nil {
		old.close(nil)
	}
	return s, true, nil
}

// open logs in.
func (c *conn) open(r *http.Request, s *session, name string, k *credential) error {
	defer close(s.opened)
	ctx, stop := leaving(r)
	defer stop()
	login := &protocol.Login{Protocol: c.s.Name(), User: k.user, Resource: name, Remote: c.raw.RemoteAddr(), TLS: c.tls,
		Tool: tool(r), Proof: k.proof, WhileHeld: c.whileHeld}
	ps, err := c.h.Open(ctx, login)
	login.Proof = nil
	var t *target
	if err == nil {
		if t, err = newTarget(c.s, ps); err != nil {
			ps.Close(err)
		}
	}
	if err != nil {
		var d *protocol.DeniedError
		if errors.As(err, &d) && d.Step == "authenticate" {
			e := c.challenge(d.Reason)
			e.d = *d
			err = e
			c.mu.Lock()
			if c.refused++; c.refused >= maxRefused {
				e.header.Set("Connection", "close")
			}
			c.mu.Unlock()
		}
		s.err = err
		c.forget(s)
		return err
	}
	s.ps, s.target = ps, t
	s.stops = []func() bool{context.AfterFunc(ps.Context(), s.ended), ps.OnDrain(c.drain)}
	return nil
}

// forget takes s out of the table and returns how many are left in it.
func (c *conn) forget(s *session) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !s.dead {
		delete(c.sessions, s.key)
		s.dead = true
	}
	return len(c.sessions)
}

// release ends one use of s.
func (c *conn) release(s *session) {
	c.mu.Lock()
	s.users--
	s.used = time.Now()
	last := s.dead && s.users == 0
	c.mu.Unlock()
	if last && s.ps != nil {
		s.close(context.Cause(s.ps.Context()))
	}
}

// ended runs when the gateway ends the session. Its requests have ended with
// it; a connection that nobody else uses is closed, which a client notices.
func (s *session) ended() {
	if !s.c.enter() {
		return // the connection ends, and everything with it
	}
	defer s.c.handlers.Done()
	if s.c.forget(s) == 0 {
		_ = s.c.raw.Close()
	}
	s.c.mu.Lock()
	idle := s.users == 0
	s.c.mu.Unlock()
	if idle {
		s.close(context.Cause(s.ps.Context()))
	}
}

// close ends the session and its connections to the target.
func (s *session) close(err error) {
	s.once.Do(func() {
		<-s.opened
		if s.ps == nil {
			return
		}
		for _, stop := range s.stops {
			stop()
		}
		s.ps.Close(err)
		s.turns.close()
		s.target.close()
	})
}
