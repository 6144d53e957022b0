package ssh

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"path"
	"strconv"
	"strings"
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

// canonicalHost returns the one form of a host's name or address by which policy
// knows it: 127.1, 0x7f000001 and ::ffff:127.0.0.1 are 127.0.0.1, and names are in
// lower case without the last dot. Where a name leads is the target's to know. It
// reports false for what is neither.
func canonicalHost(host string) (string, bool) {
	if a, err := netip.ParseAddr(host); err == nil {
		if !a.IsLinkLocalUnicast() && !a.IsLinkLocalMulticast() { // a zone means nothing then
			a = a.WithZone("")
		}
		return a.Unmap().String(), true
	}
	if a, ok := numericHost(host); ok {
		return a, true
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return host, strings.IndexFunc(host, func(r rune) bool {
		return r <= ' ' || r == 0x7f || strings.ContainsRune("/\\@[]:#?%,;\"'<>*", r)
	}) < 0
}

// numericHost reads the old forms of an IPv4 address as inet_aton does: one to
// four numbers, decimal, octal or hexadecimal, the last of which fills the rest.
func numericHost(host string) (string, bool) {
	parts := strings.Split(host, ".")
	if len(parts) > 4 {
		return "", false
	}
	var v uint64
	for i, p := range parts {
		if p == "" || strings.ContainsAny(p, "_+-") || len(p) > 1 && strings.ContainsAny(p[1:2], "bBoO") { // forms of Go's alone
			return "", false
		}
		n, err := strconv.ParseUint(p, 0, 32)
		if err != nil {
			return "", false
		}
		rest := 8
		if i == len(parts)-1 {
			rest = 8 * (5 - len(parts))
		}
		if n >= 1<<rest {
			return "", false
		}
		v = v<<rest | n
	}
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}).String(), true
}

// forwardOperation returns what a forward to or from an address is. name is the
// address in the form that policy knows.
func forwardOperation(verb protocol.Verb, kind, address, name string) *protocol.Operation {
	return &protocol.Operation{Verb: verb, Text: string(verb) + " " + address, Access: protocol.Opaque, Shape: protocol.Bytes,
		Objects: []protocol.Object{{Kind: kind, Name: name, Access: protocol.Opaque}},
		Why:     "the gateway does not look into what is forwarded"}
}

// tcpOperation returns a forward to or from a host's port; nil: that is none.
func tcpOperation(verb protocol.Verb, host string, port uint32) *protocol.Operation {
	name, ok := canonicalHost(host)
	listens := verb == Listen || verb == Accept
	switch {
	case listens && host == "*":
		name, ok = "", true // the same: on all
	case !listens && name == "0.0.0.0": // the target connects to itself
		name = "127.0.0.1"
	case !listens && name == "::":
		name = "::1"
	}
	if port > 65535 || !ok || name == "" && !listens {
		return nil
	}
	return forwardOperation(verb, "address", hostPort(host, port), hostPort(name, port))
}

// unixOperation returns a forward to or from a socket; nil: that is none.
func unixOperation(verb protocol.Verb, socket string) *protocol.Operation {
	if socket == "" || len(socket) > maxPath || strings.Contains(socket, "\x00") || climbs(socket) {
		return nil
	}
	return forwardOperation(verb, "socket", socket, path.Clean(socket))
}

var errNoForwarding = &protocol.DeniedError{Step: "certificate", Reason: "the certificate does not permit forwarding"}

func (s *session) directTCP(nc ssh.NewChannel) error {
	var v channelTCP
	var op *protocol.Operation
	if ssh.Unmarshal(nc.ExtraData(), &v) == nil {
		op = tcpOperation(Forward, v.Host, v.Port)
	}
	return s.forward(nc, s.target, op)
}

// channelUnix is the payload of direct-streamlocal and forwarded-streamlocal; the
// former has a port that means nothing behind it (OpenSSH, PROTOCOL, 2.4).
type channelUnix struct {
	Path, Reserved string
	Rest           []byte `ssh:"rest"`
}

func (s *session) directUnix(nc ssh.NewChannel) error {
	var v channelUnix
	var op *protocol.Operation
	if ssh.Unmarshal(nc.ExtraData(), &v) == nil {
		op = unixOperation(Forward, v.Path)
	}
	return s.forward(nc, s.target, op)
}

// forwardedTCP serves a connection to an address that the client listens on.
func (s *session) forwardedTCP(nc ssh.NewChannel) error {
	var v channelTCP
	var op *protocol.Operation
	if ssh.Unmarshal(nc.ExtraData(), &v) == nil {
		op = tcpOperation(Accept, v.Host, v.Port)
	}
	if op != nil {
		op.State = "from " + hostPort(v.Origin, v.OriginPort)
	}
	return s.accept(nc, op, "address "+hostPort(v.Host, v.Port))
}

// forwardedUnix serves a connection to a socket that the client listens on.
func (s *session) forwardedUnix(nc ssh.NewChannel) error {
	var v channelUnix
	var op *protocol.Operation
	if ssh.Unmarshal(nc.ExtraData(), &v) == nil {
		op = unixOperation(Accept, v.Path)
	}
	return s.accept(nc, op, "socket "+v.Path)
}

// accept serves a connection from the target to where the client listens.
func (s *session) accept(nc ssh.NewChannel, op *protocol.Operation, where string) error {
	s.listening.Lock()
	_, ok := s.listens[where]
	s.listening.Unlock()
	if !ok {
		_ = nc.Reject(ssh.Prohibited, "nobody listens there")
		return nil
	}
	return s.forward(nc, s.client, op)
}

// forward connects a channel with the other side, if op, which is nil for what
// cannot be read, is allowed.
func (s *session) forward(nc ssh.NewChannel, to ssh.Conn, op *protocol.Operation) error {
	switch {
	case op == nil:
		_ = nc.Reject(ssh.ConnectionFailed, "malformed request")
		return nil
	case s.limits.noForwarding || s.limits.command != "":
		_ = nc.Reject(ssh.Prohibited, errNoForwarding.Reason)
		return nil
	}
	return s.connect(nc, to, op)
}

// connect asks about op, opens the channel at the other side too, and copies
// both ways until both are done.
func (s *session) connect(nc ssh.NewChannel, to ssh.Conn, op *protocol.Operation) error {
	calls := calls{s: s}
	defer calls.Wait() // the channel counts for as long as something of it is left
	x, err := s.ps.Begin(s.ps.Context(), op)
	if err != nil {
		s.note(err)
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
		s.note(out.Err)
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
	broken := func(err error) error {
		var tap *tapError
		var panicked *protocol.PanicError
		if !errors.As(err, &tap) && !errors.As(err, &panicked) {
			return nil
		}
		mu.Lock()
		out = protocol.Outcome{Status: protocol.StatusError, Err: err}
		mu.Unlock()
		_, _ = near.Close(), far.Close()
		if panicked != nil {
			return err // ends the session
		}
		return nil
	}
	cut := func(err error) { s.ps.Go(func() error { return broken(err) }) }
	direction := func(dst, src ssh.Channel, f protocol.BytesFunc, n *atomic.Int64) {
		err := copyStream(dst, src, f, n, pause, cut)
		_ = dst.CloseWrite()
		_ = broken(err) // no panic, which would have come here as one
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
	var op *protocol.Operation
	if ssh.Unmarshal(r.Payload, &v) == nil {
		op = tcpOperation(Listen, v.Host, v.Port)
	}
	s.listen(r, op, func(answer []byte) string {
		if v.Port == 0 && len(answer) >= 4 { // the target has chosen
			v.Port = binary.BigEndian.Uint32(answer)
		}
		return "address " + hostPort(v.Host, v.Port)
	})
}

// listenUnix asks whether the client may listen on a socket at the target.
func (s *session) listenUnix(r *ssh.Request) {
	var v struct{ Path string }
	var op *protocol.Operation
	if ssh.Unmarshal(r.Payload, &v) == nil {
		op = unixOperation(Listen, v.Path)
	}
	s.listen(r, op, func([]byte) string { return "socket " + v.Path })
}

// listen asks about op, nil for what cannot be read, and then the target. where
// names the place, once the target has answered.
func (s *session) listen(r *ssh.Request, op *protocol.Operation, where func(answer []byte) string) {
	if op == nil || s.limits.noForwarding || s.limits.command != "" {
		reply(r, false, nil)
		return
	}
	// The target may connect as soon as it listens: whoever looks for the
	// place waits until it is known.
	s.listening.Lock()
	defer s.listening.Unlock()
	if _, twice := s.listens[where(nil)]; twice || len(s.listens) >= maxListens {
		reply(r, false, nil)
		return
	}
	op.Shape, op.NoWait = 0, true // answers come in order: others would wait behind this one
	x, err := s.ps.Begin(s.ps.Context(), op)
	if err != nil {
		s.note(err)
		reply(r, false, nil)
		return
	}
	if op.Rewritten() != "" {
		x.End(protocol.Outcome{Status: protocol.StatusError, Err: protocol.ErrFixed})
		reply(r, false, nil)
		return
	}
	ok, answer, err := s.calls.global(s.target, r.Type, r.Payload)
	key := where(answer)
	if _, twice := s.listens[key]; err != nil || !ok || twice || strings.HasPrefix(key, "address ") && strings.HasSuffix(key, ":0") {
		x.End(protocol.Outcome{Status: protocol.StatusFailed, Tag: "the target refused the request", Err: err})
		reply(r, false, nil)
		return
	}
	s.listens[key] = &listen{x}
	reply(r, true, answer)
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
	s.cancel(r, "address "+hostPort(v.Host, v.Port))
}

// cancelUnix ends what listenUnix began.
func (s *session) cancelUnix(r *ssh.Request) {
	var v struct{ Path string }
	if ssh.Unmarshal(r.Payload, &v) != nil {
		reply(r, false, nil)
		return
	}
	s.cancel(r, "socket "+v.Path)
}

func (s *session) cancel(r *ssh.Request, where string) {
	s.listening.Lock()
	l := s.listens[where]
	delete(s.listens, where)
	s.listening.Unlock()
	if l == nil {
		reply(r, false, nil)
		return
	}
	ok, payload, err := s.calls.global(s.target, r.Type, r.Payload)
	l.x.End(protocol.Outcome{Status: protocol.StatusOK})
	reply(r, ok && err == nil, payload)
}
