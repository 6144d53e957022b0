package protocol

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"time"
)

// A Login is a client's request for a session, as far as a connector has
// brought the handshake when nothing but a decision is missing. The connector
// owns it until [Handler.Open] returns; steps must not keep it.
type Login struct {
	Protocol string // the connector's name
	User     string // the account the client named, routing parts removed
	Resource string // the target the client named
	Database string // the database or namespace the client named, if it did
	Remote   net.Addr
	TLS      *tls.ConnectionState // nil without TLS
	Tool     Tool
	Proof    Proof

	// Tell shows a line of text to whoever connects; nil if the protocol
	// cannot before the login is done.
	Tell func(msg string) error

	// Ask asks whoever connects a question; nil if the protocol cannot.
	Ask func(prompt string, echo bool) (Secret, error)

	// WhileHeld runs wait while an operation of this session is held for a
	// decision. The connector tells the client, keeps watch, and ends the
	// context it passes to wait as soon as the client leaves, cancels or
	// withdraws. It returns wait's error. nil means that this protocol cannot
	// hold: what would be held is refused.
	WhileHeld func(ctx context.Context, h Waiting, wait func(context.Context) error) error
}

// Waiting is what a client may be told while an operation is held.
type Waiting struct {
	Tickets []string  // request ids, one for each hold
	Reason  string    // why it is held
	Hint    string    // where or how the decision is made: a link, a command
	Until   time.Time // when waiting ends with a refusal
}

// A Proof is what a client offers to show who it is. The set is closed: a
// connector that has another kind of proof adds it here.
type Proof interface{ proof() }

// Password is a password or a token in the password's place. TLS says whether
// it came over an encrypted connection.
type Password struct {
	Secret Secret
	TLS    bool
}

// Token is a bearer token sent as such.
type Token struct{ Secret Secret }

// PublicKey is a key whose possession the connector has verified.
type PublicKey struct {
	Algorithm   string // "ssh-ed25519"
	Blob        []byte // wire form
	Fingerprint string // "SHA256:..."
}

// SSHCertificate is an OpenSSH user certificate that the connector has checked:
// it was signed by an authority that the connector trusts, is valid now, from
// this address and for the account that the client named, and the client holds
// its key. What it says about commands and terminals is the connector's to keep.
type SSHCertificate struct {
	Authority   string // fingerprint of the authority's key, "SHA256:..."
	KeyID       string // what the authority calls the holder
	Serial      uint64
	Principal   string    // the account that the client named, one of its principals
	Expires     time.Time // zero: never
	Fingerprint string    // of the key that the client holds
}

// Certificate is a client certificate whose chain and possession were
// verified in the TLS handshake. Chain starts with the leaf.
type Certificate struct{ Chain []*x509.Certificate }

// Challenge is a challenge-response scheme in which the client never sends a
// secret. A step that knows the account's secret calls Verify once.
type Challenge struct {
	Scheme string // "SCRAM-SHA-256"

	// Verify runs the exchange against secret, which is a plain secret or the
	// scheme's stored verifier. It reports whether the client proved that it
	// knows the secret. Only the first call talks to the client; later calls
	// return an error.
	Verify func(ctx context.Context, secret Secret) (bool, error)
}

func (Password) proof()       {}
func (Token) proof()          {}
func (PublicKey) proof()      {}
func (SSHCertificate) proof() {}
func (Certificate) proof()    {}
func (Challenge) proof()      {}
