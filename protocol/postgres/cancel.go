package postgres

import (
	"context"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/serve"
)

// Cancel requests are let through in a burst of cancelBurst and then one at a
// time: those that one session passes on, so that the target is not flooded,
// and those with a wrong key from one address, so that keys, which have 32 bits
// in protocol 3.0, are not guessed.
const (
	cancelBurst = 10
	cancelEvery = 100 * time.Millisecond
	guessEvery  = time.Second
	maxGuessers = 4 << 10 // addresses; those behind share what is left
)

// A bucket counts down a burst and fills again with time.
type bucket struct {
	tokens float64
	last   time.Time
}

func (b *bucket) fill(now time.Time, every time.Duration) {
	if b.last.IsZero() {
		b.tokens = cancelBurst
	} else {
		b.tokens = min(cancelBurst, b.tokens+float64(now.Sub(b.last))/float64(every))
	}
	b.last = now
}

// cancelID finds a session by the process id that its client was told, which
// is the target's own and may be the same at two targets.
type cancelID struct {
	pid uint32
	n   uint64
}

// cancels are the sessions by process id.
type cancels struct {
	mu       sync.Mutex
	n        uint64
	m        map[uint32]map[uint64]*cancelEntry
	guessers map[netip.Prefix]*bucket
	swept    time.Time // when guessers was last looked through
}

type cancelEntry struct {
	c      *session
	passed bucket
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
	cs.m[id.pid][id.n] = &cancelEntry{c: c}
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

// What becomes of a cancel request that is not passed on.
var (
	errWrongKey    = errors.New("cancel request with a wrong key")
	errManyKeys    = errors.New("cancel requests with wrong keys: no more from there are looked at for a while")
	errManyCancels = errors.New("cancel request over the rate limit of its session")
	errIgnored     = errors.New("cancel request not looked at")
)

// find returns the session that a request with the right key means. Every
// session of that process id is compared in constant time.
func (cs *cancels) find(req *cancelRequest, remote net.Addr) (*session, error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	now := time.Now()
	guesses := cs.guesser(remote, now)
	if guesses.tokens < 1 {
		return nil, errIgnored
	}
	var found *cancelEntry
	for _, e := range cs.m[req.pid] {
		if subtle.ConstantTimeCompare(e.c.cancelKey, req.key) == 1 {
			found = e
		}
	}
	if found == nil {
		if guesses.tokens--; guesses.tokens < 1 {
			return nil, errManyKeys
		}
		return nil, errWrongKey
	}
	found.passed.fill(now, cancelEvery)
	if found.passed.tokens < 1 {
		return nil, errManyCancels
	}
	found.passed.tokens--
	return found.c, nil
}

// guesser returns the bucket of wrong keys from an address. Of IPv6 the network
// counts, since who has one address there has many.
func (cs *cancels) guesser(remote net.Addr, now time.Time) *bucket {
	var from netip.Prefix // also that of all who have no address
	if a, err := netip.ParseAddrPort(remote.String()); err == nil {
		ip := a.Addr().Unmap().WithZone("")
		from, _ = ip.Prefix(min(ip.BitLen(), 64))
	}
	if cs.guessers[from] == nil && len(cs.guessers) >= maxGuessers {
		if now.Sub(cs.swept) >= guessEvery { // not for each: many addresses would make it slow
			cs.swept = now
			for p, b := range cs.guessers {
				if now.Sub(b.last) > cancelBurst*guessEvery {
					delete(cs.guessers, p)
				}
			}
		}
		if len(cs.guessers) >= maxGuessers {
			from = netip.Prefix{}
		}
	}
	b := cs.guessers[from]
	if b == nil {
		if b = new(bucket); cs.guessers == nil {
			cs.guessers = map[netip.Prefix]*bucket{}
		}
		cs.guessers[from] = b
	}
	b.fill(now, guessEvery)
	return b
}

// cancel carries a CancelRequest through. As PostgreSQL does, it tells the
// client nothing about whether there was anything to cancel.
func (s *Server) cancel(ctx context.Context, remote net.Addr, req *cancelRequest) error {
	c, err := s.cancels.find(req, remote)
	if err != nil {
		if err != errIgnored {
			s.log.Warn(err.Error(), "remote", remote.String())
		}
		return nil
	}
	op := &protocol.Operation{Verb: protocol.Cancel, Access: protocol.Control, Pure: true, NoWait: true,
		Text: "cancel request from " + remote.String()}
	x, err := c.ps.Begin(ctx, op)
	if err != nil {
		return err
	}
	out := protocol.Outcome{Status: protocol.StatusOK}
	if !c.hold.Cancel() {
		if err = s.cancelAtTarget(ctx, c); err != nil {
			out = protocol.Outcome{Status: protocol.StatusFailed, Err: err}
		}
	}
	x.End(out)
	return err
}

// cancelAtTarget asks the target to cancel, over a connection of its own that
// is encrypted as the session's is.
func (s *Server) cancelAtTarget(ctx context.Context, c *session) error {
	t := c.running()
	if t.key == nil {
		return errors.New("the target gave no cancel key")
	}
	ctx, done := context.WithTimeout(ctx, s.loginTimeout())
	defer done()
	conn, err := s.dialTarget(ctx, c.ps.Info().Resource, c.ps.Dial)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := serve.Expire(ctx, conn)
	defer stop()
	b := binary.BigEndian.AppendUint32(nil, uint32(4+4+4+len(t.key)))
	b = binary.BigEndian.AppendUint32(b, codeCancelRequest)
	b = binary.BigEndian.AppendUint32(b, t.pid)
	if _, err := conn.Write(append(b, t.key...)); err != nil {
		return err
	}
	// The target closes when it has sent the signal: only then may the
	// client's connection be closed, so that it may rely on the order.
	_, err = io.Copy(io.Discard, io.LimitReader(conn, 1<<10))
	return err
}
