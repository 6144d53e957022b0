package ssh

import (
	"errors"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-dev/gateway/protocol"
)

// Agent is the verb of lending the keys of the client's agent to the target.
const Agent protocol.Verb = "agent"

// The names of agent forwarding on the wire.
const (
	agentRequest = "auth-agent-req@openssh.com"
	agentChannel = "auth-agent@openssh.com"
)

var errNoAgent = &protocol.DeniedError{Step: "target", Reason: "agent forwarding is refused here", Hint: "reach further hosts with ssh -J, or as targets of their own"}

func agentOperation(verb protocol.Verb) *protocol.Operation {
	return &protocol.Operation{Verb: verb, Text: "agent", Access: protocol.Opaque,
		Objects: []protocol.Object{{Kind: "agent", Name: "agent", Access: protocol.Opaque}},
		Why:     "who rules the target can use the keys of the client's agent"}
}

// lendAgent asks whether the target may open channels to the client's agent.
// Clients do not wait for the answer, so a terminal is told why it was refused.
func (c *channel) lendAgent(r *ssh.Request) {
	refused := func(err error) {
		c.s.note(err)
		c.notes += refusal(err, "\r\n")
		reply(r, false, nil)
	}
	if !c.is(idle) || c.lent != nil || !c.s.agent || c.s.limits.noAgent {
		refused(errNoAgent)
		return
	}
	x, err := c.s.ps.Begin(c.asking, agentOperation(Agent))
	if err != nil {
		refused(err)
		return
	}
	if x.Operation().Rewritten() != "" {
		x.End(protocol.Outcome{Status: protocol.StatusError, Err: protocol.ErrFixed})
		refused(protocol.ErrFixed)
		return
	}
	ok, err := c.calls.request(c.target, r.Type, r.Payload)
	if err != nil || !ok {
		x.End(protocol.Outcome{Status: protocol.StatusFailed, Tag: "the target refused the request"})
		if errors.Is(err, errSilent) {
			c.silent(r, err)
			return
		}
		reply(r, false, nil)
		return
	}
	c.lent = x
	c.s.lend(1)
	reply(r, true, nil)
}

// takeAgent ends what lendAgent began.
func (c *channel) takeAgent() {
	if c.lent != nil {
		c.s.lend(-1)
		c.lent.End(protocol.Outcome{Status: protocol.StatusOK})
	}
}

func (s *session) lend(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lent += n
}

// useAgent serves a channel from the target to the client's agent.
func (s *session) useAgent(nc ssh.NewChannel) error {
	s.mu.Lock()
	lent := s.lent > 0
	s.mu.Unlock()
	if !lent {
		return s.refuseChannel(nc)
	}
	op := agentOperation(Accept)
	op.Shape = protocol.Bytes
	return s.connect(nc, s.client, op)
}
