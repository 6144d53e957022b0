package ssh

import (
	"encoding/binary"
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-dev/gateway/protocol"
)

// maxListens bounds the addresses at a target that one session listens on.
const maxListens = 64

// A listen is an address at the target whose connections come to the client.
type listen struct{ x *protocol.Exchange }

// channelTCP is the payload of direct-tcpip and forwarded-tcpip (RFC 4254,
// section 7.2).
type channelTCP struct {
	Host       string
	Port       uint32
	Origin     string
	OriginPort uint32
}

func hostPort(host string, port uint32) string {
	return net.JoinHostPort(host, strconv.FormatUint(uint64(port), 10))
}

// forwardOperation returns what a forward to or from an address is.
func forwardOperation(verb protocol.Verb, kind, address string) *protocol.Operation {
	return &protocol.Operation{Verb: verb, Text: string(verb) + " " + address, Access: protocol.Opaque, Shape: protocol.Bytes,
		Objects: []protocol.Object{{Kind: kind, Name: address, Access: protocol.Opaque}},
		Why:     "the gateway does not look into what is forwarded"}
}

var errNoForwarding = &protocol.DeniedError{Step: "certificate", Reason: "the certificate does not permit forwarding"}

func (s *session) directTCP(nc ssh.NewChannel) error {
	var v channelTCP
	if ssh.Unmarshal(nc.ExtraData(), &v) != nil || v.Port > 65535 {
		_ = nc.Reject(ssh.ConnectionFailed, "malformed request")
		return nil
	}
	return s.connect(nc, s.target, forwardOperation(Forward, "address", hostPort(v.Host, v.Port)))
}

func (s *session) directUnix(nc ssh.NewChannel) error {
	var v struct {
		Path, Reserved string
		ReservedPort   uint32
	}
	if ssh.Unmarshal(nc.ExtraData(), &v) != nil {
		_ = nc.Reject(ssh.ConnectionFailed, "malformed request")
		return nil
	}
	return s.connect(nc, s.target, forwardOperation(Forward, "socket", v.Path))
}

// forwardedTCP serves a connection to an address that the client listens on.
func (s *session) forwardedTCP(nc ssh.NewChannel) error {
	var v channelTCP
	if ssh.Unmarshal(nc.ExtraData(), &v) != nil {
		_ = nc.Reject(ssh.ConnectionFailed, "malformed request")
		return nil
	}
	address := hostPort(v.Host, v.Port)
	s.listening.Lock()
	_, ok := s.listens[address]
	s.listening.Unlock()
	if !ok {
		_ = nc.Reject(ssh.Prohibited, "nobody listens there")
		return nil
	}
	op := forwardOperation(Accept, "address", address)
	op.State = "from " + hostPort(v.Origin, v.OriginPort)
	return s.connect(nc, s.client, op)
}

// connect asks about op, opens the channel at the other side too, and copies
// both ways until both are done.
func (s *session) connect(nc ssh.NewChannel, to ssh.Conn, op *protocol.Operation) error {
	if s.limits.noForwarding || s.limits.command != "" {
		_ = nc.Reject(ssh.Prohibited, errNoForwarding.Reason)
		return nil
	}
	calls := calls{s: s}
	defer calls.Wait() // the channel counts for as long as something of it is left
	x, err := s.ps.Begin(s.ps.Context(), op)
	if err != nil {
		_ = nc.Reject(ssh.Prohibited, protocol.Reason(err))
		return nil
	}
	out := protocol.Outcome{Status: protocol.StatusError}
	defer func() { x.End(out) }()
	if op.Rewritten() != "" {
		out.Err = protocol.ErrFixed
		_ = nc.Reject(ssh.Prohibited, protocol.FixedReason)
		return nil
	}
	in, err := x.Bytes(protocol.Stream{Name: "forward", In: true})
	back, err2 := x.Bytes(protocol.Stream{Name: "forward"})
	if out.Err = errors.Join(err, err2); out.Err != nil {
		_ = nc.Reject(ssh.Prohibited, protocol.FixedReason)
		return nil
	}
	far, freqs, err := calls.open(s.ps.Context(), connecting*s.srv.answerTimeout(), to, nc.ChannelType(), nc.ExtraData())
	if err != nil {
		out = protocol.Outcome{Status: protocol.StatusFailed, Tag: "the other side did not open the channel"}
		rejectAs(nc, err)
		return nil
	}
	near, nreqs, err := nc.Accept()
	if err != nil {
		_ = far.Close()
		out = protocol.Outcome{Status: protocol.StatusUnknown, Err: err}
		return nil
	}
	if to == ssh.Conn(s.client) { // the client is the far side
		in, back = back, in
	}
	out = s.pipe(&calls, near, far, nreqs, freqs, in, back)
	if to == ssh.Conn(s.client) {
		out.Bytes, out.BytesIn = out.BytesIn, out.Bytes
	}
	return nil
}

// pipe copies between two channels until both directions have ended. A side that
// does not answer to the end of a channel is left to rest.
func (s *session) pipe(rest *calls, near, far ssh.Channel, nreqs, freqs <-chan *ssh.Request, there, back protocol.BytesFunc) protocol.Outcome {
	var bytesThere, bytesBack atomic.Int64
	out := protocol.Outcome{Status: protocol.StatusOK}
	var mu sync.Mutex
	var all sync.WaitGroup
	run := func(wg *sync.WaitGroup, f func()) {
		wg.Add(1)
		s.ps.Go(func() error { defer wg.Done(); f(); return nil })
	}
	direction := func(dst, src ssh.Channel, f protocol.BytesFunc, n *atomic.Int64) {
		err := copyStream(dst, src, f, n)
		_ = dst.CloseWrite()
		var tap *tapError
		if errors.As(err, &tap) {
			mu.Lock()
			out = protocol.Outcome{Status: protocol.StatusError, Err: err}
			mu.Unlock()
			_, _ = near.Close(), far.Close()
		}
	}
	// A side that closes the channel takes no more: what comes for it is in vain.
	one := make(chan struct{}) // closed when the channel is to be closed
	var once sync.Once
	closed := func(reqs <-chan *ssh.Request, other ssh.Channel, copied *sync.WaitGroup) {
		for r := range reqs {
			reply(r, false, nil)
		}
		once.Do(func() { close(one) })
		defer time.AfterFunc(closeAfter, func() { _ = other.Close() }).Stop()
		copied.Wait()
		_ = other.Close()
	}
	var wgThere, wgBack sync.WaitGroup
	run(&wgThere, func() { direction(far, near, there, &bytesThere) })
	run(&wgBack, func() { direction(near, far, back, &bytesBack) })
	run(&all, func() { closed(nreqs, far, &wgThere) })
	run(&all, func() { closed(freqs, near, &wgBack) })
	over := make(chan struct{})
	rest.Add(1)
	s.ps.Go(func() error {
		defer rest.Done()
		wgThere.Wait()
		wgBack.Wait()
		_, _ = near.Close(), far.Close()
		once.Do(func() { close(one) })
		all.Wait()
		close(over)
		return nil
	})
	select {
	case <-over:
	case <-one:
		select {
		case <-over:
		case <-time.After(closeAfter + s.srv.answerTimeout()):
		}
	}
	mu.Lock()
	defer mu.Unlock()
	out.BytesIn, out.Bytes = bytesThere.Load(), bytesBack.Load()
	return out
}

// listenTCP asks whether the client may listen on an address at the target.
func (s *session) listenTCP(r *ssh.Request) {
	var v struct {
		Host string
		Port uint32
	}
	if ssh.Unmarshal(r.Payload, &v) != nil || v.Port > 65535 || s.limits.noForwarding || s.limits.command != "" {
		reply(r, false, nil)
		return
	}
	// The target may connect as soon as it listens: whoever looks for the
	// address waits until it is known.
	s.listening.Lock()
	defer s.listening.Unlock()
	if _, twice := s.listens[hostPort(v.Host, v.Port)]; twice || len(s.listens) >= maxListens {
		reply(r, false, nil)
		return
	}
	op := forwardOperation(Listen, "address", hostPort(v.Host, v.Port))
	op.Shape, op.NoWait = 0, true // answers come in order: others would wait behind this one
	x, err := s.ps.Begin(s.ps.Context(), op)
	if err != nil {
		reply(r, false, nil)
		return
	}
	if op.Rewritten() != "" {
		x.End(protocol.Outcome{Status: protocol.StatusError, Err: protocol.ErrFixed})
		reply(r, false, nil)
		return
	}
	ok, payload, err := s.calls.global(s.target, r.Type, r.Payload)
	if v.Port == 0 && len(payload) >= 4 { // the target has chosen
		v.Port = binary.BigEndian.Uint32(payload)
	}
	if ok = ok && err == nil && v.Port != 0; ok {
		s.listens[hostPort(v.Host, v.Port)] = &listen{x}
	} else {
		x.End(protocol.Outcome{Status: protocol.StatusFailed, Tag: "the target refused the request"})
	}
	reply(r, ok, payload)
}

// cancelTCP ends what listenTCP began.
func (s *session) cancelTCP(r *ssh.Request) {
	var v struct {
		Host string
		Port uint32
	}
	if ssh.Unmarshal(r.Payload, &v) != nil {
		reply(r, false, nil)
		return
	}
	address := hostPort(v.Host, v.Port)
	s.listening.Lock()
	l := s.listens[address]
	delete(s.listens, address)
	s.listening.Unlock()
	if l == nil {
		reply(r, false, nil)
		return
	}
	ok, payload, err := s.calls.global(s.target, r.Type, r.Payload)
	l.x.End(protocol.Outcome{Status: protocol.StatusOK})
	reply(r, ok && err == nil, payload)
}
