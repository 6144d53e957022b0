package postgres

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sslmode"
)

// An authenticator proves to a target who the gateway is, in whatever way the
// target asks for, as long as that does not give the secret away: a password in
// the clear goes to a target only that has shown by certificate who it is.
type authenticator struct {
	keys  *keyCache
	conn  net.Conn
	mode  string // sslmode
	creds protocol.Credentials
	rule  authRule

	asked bool // for anything but SCRAM's own steps
	scram *scramClient
	done  bool // the target is content
}

// answer answers one authentication request; nil means that none is due. body
// is the message's.
func (a *authenticator) answer(body []byte) ([]byte, error) {
	c := cursor{b: body}
	kind := c.u32()
	switch {
	case c.bad:
		return nil, errMalformed
	case a.done:
		return nil, errors.New("the target asks for authentication twice")
	}
	switch kind {
	case authOK:
		if a.scram != nil && !a.scram.verified {
			return nil, errors.New("the target did not prove that it knows the password")
		}
		if err := a.rule.end(a.asked, a.scram); err != nil {
			return nil, err
		}
		a.done = true
		return nil, c.done()
	case authSASLContinue:
		if a.scram == nil || a.scram.server != nil {
			return nil, errors.New("SCRAM out of order")
		}
		answer, err := a.scram.final(string(c.b))
		return []byte(answer), err
	case authSASLFinal:
		if a.scram == nil || a.scram.verified {
			return nil, errors.New("SCRAM out of order")
		}
		return nil, a.scram.verify(string(c.b))
	case authCleartext, authMD5, authSASL:
	default:
		return nil, fmt.Errorf("the target asks for authentication method %d, which is not supported", kind)
	}
	if a.asked {
		return nil, errors.New("the target asks for a password twice")
	}
	a.asked = true
	if err := a.rule.ask(kind); err != nil {
		return nil, err
	}
	if a.creds.Secret.Empty() {
		return nil, fmt.Errorf("the target asks for a password (method %d) and no secret is configured", kind)
	}
	switch kind {
	case authCleartext:
		if _, ok := a.conn.(*tls.Conn); !ok || !sslmode.Verifies(a.mode) {
			return nil, errors.New("the target asks for a clear-text password, which is sent under verified TLS only (sslmode=verify-full)")
		}
		return append([]byte(a.creds.Secret.Reveal()), 0), c.done()
	case authMD5:
		if len(c.b) != 4 {
			return nil, errMalformed
		}
		return append([]byte(md5Password(a.creds.User, a.creds.Secret, c.b)), 0), nil
	}
	return a.startSCRAM(c.b)
}

// startSCRAM answers with the first message of the best mechanism that the
// target offers.
func (a *authenticator) startSCRAM(data []byte) ([]byte, error) {
	offered, err := decodeMechanisms(data)
	if err != nil {
		return nil, err
	}
	var state *tls.ConnectionState
	if tc, ok := a.conn.(*tls.Conn); ok {
		cs := tc.ConnectionState()
		state = &cs
	}
	mech, sc, err := newScramClient(a.keys, a.creds.Secret, offered, state, a.rule.binding)
	if err != nil {
		return nil, err
	}
	a.scram = sc
	first := sc.first()
	b := append([]byte(mech), 0)
	b = binary.BigEndian.AppendUint32(b, uint32(len(first)))
	return append(b, first...), nil
}

// decodeMechanisms reads the list of an AuthenticationSASL.
func decodeMechanisms(data []byte) ([]string, error) {
	c := cursor{b: data}
	var list []string
	for {
		m := string(c.str())
		if c.bad {
			return nil, errMalformed
		}
		if m == "" {
			return list, c.done()
		}
		list = append(list, m)
	}
}
