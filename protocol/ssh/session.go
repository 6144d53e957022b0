package ssh

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-dev/gateway/protocol"
)

// A session relays between one client and one target: its channels, each on
// goroutines of its own, and its global requests, one after the other.
type session struct {
	srv    *Server
	ps     *protocol.Session
	client *ssh.ServerConn
	target ssh.Conn
	limits limits
	env    []string
	agent  bool // may be asked for
	lines  bool // what is typed is asked about
	calls  calls

	mu       sync.Mutex
	channels int
	draining bool
	lost     error                 // the target's connection has ended
	running  map[*channel]struct{} // on which something runs
	lent     int                   // channels for which the client's agent is lent

	noMore chan struct{} // the client opens no further session channels
	opened chan struct{} // closed when it opens no channels at all any more

	listening sync.Mutex
	listens   map[string]*listen // under listening, by address
}

// serve relays until either side ends.
func (s *session) serve(chans <-chan ssh.NewChannel, reqs <-chan *ssh.Request, tchans <-chan ssh.NewChannel, treqs <-chan *ssh.Request) error {
	ctx := s.ps.Context()
	hangUp := func() { _, _ = s.client.Close(), s.target.Close() } // they may be closed already
	defer hangUp()
	defer context.AfterFunc(ctx, func() {
		s.farewell(ctx)
		hangUp()
	})()
	defer s.ps.OnDrain(s.drain)()
	s.ps.Go(func() error { return s.globals(reqs) })
	s.ps.Go(func() error { return s.targetGlobals(treqs) })
	s.ps.Go(func() error {
		for nc := range tchans {
			s.admit(nc, s.fromTarget)
		}
		return nil
	})
	s.ps.Go(func() error { s.fromClients(chans); return nil })
	s.ps.Go(func() error {
		s.targetGone(s.target.Wait())
		return nil
	})
	err := s.client.Wait()
	s.listening.Lock()
	for _, l := range s.listens {
		l.x.End(protocol.Outcome{Status: protocol.StatusOK})
	}
	s.listening.Unlock()
	s.mu.Lock()
	lost := s.lost
	s.mu.Unlock()
	switch cause := context.Cause(ctx); {
	case cause != nil:
		return cause
	case lost != nil:
		return lost
	}
	return err
}

// admit opens a channel on a goroutine of its own, if there may be one more.
func (s *session) admit(nc ssh.NewChannel, open func(ssh.NewChannel) error) {
	s.mu.Lock()
	full, over := s.channels >= s.srv.maxChannels(), s.draining
	if !full && !over {
		s.channels++
	}
	s.mu.Unlock()
	switch {
	case over:
		_ = nc.Reject(ssh.Prohibited, errDrained.Reason)
		return
	case full:
		_ = nc.Reject(ssh.ResourceShortage, "too many channels in one connection")
		return
	}
	s.ps.Go(func() error {
		defer s.left()
		return open(nc)
	})
}

func (s *session) left() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.channels--
	switch {
	case s.channels > 0:
	case s.draining:
		s.ps.Terminate(errDrained)
	case s.lost != nil:
		_ = s.client.Close()
	}
}

// lastWords is how long the last of what a target has sent may take on its way
// to the client after the target's connection has ended.
const lastWords = 5 * time.Second

// targetGone ends the session when its channels are done.
func (s *session) targetGone(err error) {
	s.mu.Lock()
	s.lost = &protocol.Fault{Side: protocol.SideTarget, Msg: "the target has ended the connection", Err: err}
	over := s.channels == 0
	s.mu.Unlock()
	if over {
		_ = s.client.Close()
		return
	}
	t := time.AfterFunc(lastWords, func() { _ = s.client.Close() })
	context.AfterFunc(s.ps.Context(), func() { t.Stop() })
}

// drain ends the session as soon as no channel is open.
func (s *session) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	if s.channels == 0 {
		s.ps.Terminate(errDrained)
	}
}

// fromClients admits the channels that the client opens. Between them and global
// requests the library keeps no order: those that came before no-more-sessions, as
// the one that ssh opens right before it, are waiting when that is handled.
func (s *session) fromClients(chans <-chan ssh.NewChannel) {
	defer close(s.opened)
	closed := false
	admit := func(nc ssh.NewChannel) {
		if closed && nc.ChannelType() == "session" {
			_ = nc.Reject(ssh.Prohibited, "the client wanted no more sessions")
			return
		}
		s.admit(nc, s.fromClient)
	}
	for {
		select {
		case nc, ok := <-chans:
			if !ok {
				return
			}
			admit(nc)
		case <-s.noMore:
			for range len(chans) {
				if nc, ok := <-chans; ok {
					admit(nc)
				}
			}
			closed = true
		}
	}
}

// fromClient serves a channel that the client opens.
func (s *session) fromClient(nc ssh.NewChannel) error {
	switch nc.ChannelType() {
	case "session":
		return s.serveChannel(nc)
	case "direct-tcpip":
		return s.directTCP(nc)
	case "direct-streamlocal@openssh.com":
		return s.directUnix(nc)
	}
	return s.refuseChannel(nc)
}

// fromTarget serves a channel that the target opens.
func (s *session) fromTarget(nc ssh.NewChannel) error {
	switch nc.ChannelType() {
	case "forwarded-tcpip":
		return s.forwardedTCP(nc)
	case "forwarded-streamlocal@openssh.com":
		return s.forwardedUnix(nc)
	case agentChannel:
		return s.useAgent(nc)
	}
	return s.refuseChannel(nc)
}

func (s *session) refuseChannel(nc ssh.NewChannel) error {
	s.srv.log.Info("a channel of this type does not go through the gateway", "session", s.ps.Info().ID, "type", nc.ChannelType())
	_ = nc.Reject(ssh.UnknownChannelType, "the gateway does not pass this type of channel on")
	return nil
}

// reply answers a request, if an answer is wanted.
func reply(r *ssh.Request, ok bool, payload []byte) {
	if r.WantReply {
		_ = r.Reply(ok, payload) // a broken connection is noticed by whoever reads it
	}
}

// globals answers the client's global requests in their order.
func (s *session) globals(reqs <-chan *ssh.Request) error {
	for r := range reqs {
		switch r.Type {
		case "tcpip-forward":
			s.listenTCP(r)
		case "cancel-tcpip-forward":
			s.cancelTCP(r)
		case "streamlocal-forward@openssh.com":
			s.listenUnix(r)
		case "cancel-streamlocal-forward@openssh.com":
			s.cancelUnix(r)
		case "no-more-sessions@openssh.com":
			select {
			case s.noMore <- struct{}{}:
			case <-s.opened:
			}
			reply(r, true, nil)
		default: // keepalive@openssh.com too: any answer shows life
			reply(r, false, nil)
		}
	}
	return nil
}

// targetGlobals answers the target's: none of them is for the client. Its
// hostkeys-00@openssh.com is about keys that clients never see.
func (s *session) targetGlobals(reqs <-chan *ssh.Request) error {
	for r := range reqs {
		reply(r, false, nil)
	}
	return nil
}

// rejectAs passes the reason on for which a peer did not open a channel.
func rejectAs(nc ssh.NewChannel, err error) {
	var e *ssh.OpenChannelError
	if errors.As(err, &e) {
		_ = nc.Reject(e.Reason, printable(e.Message, "\n"))
		return
	}
	if errors.Is(err, errSilent) {
		_ = nc.Reject(ssh.ConnectionFailed, "there is no answer from behind the gateway")
		return
	}
	_ = nc.Reject(ssh.ConnectionFailed, "the connection behind the gateway has ended")
}
