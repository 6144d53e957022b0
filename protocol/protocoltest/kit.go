package protocoltest

import (
	"context"
	"fmt"
	"net"
	"testing"

	"github.com/sallyport-dev/gateway/protocol"
)

// A Kit describes a connector to [Test]. NewServer, NewClient, ServeTarget,
// Read and Write are required.
type Kit struct {
	// NewServer returns the connector under test.
	NewServer func() protocol.Server

	// NewClient logs in over conn and returns when the client is ready for its
	// first text. If the server refuses the login it returns an error. It need
	// not close conn: the kit does. One check uses it to log in at ServeTarget
	// itself, to compare: see [Login].Direct.
	NewClient func(conn net.Conn, l Login) (Client, error)

	// ServeTarget serves one connection to a target until it ends: it checks
	// the login against [Target.Account] and answers each text with
	// [Target.Do]. It answers by itself what the connector asks on its own
	// account, such as lookups in the catalog. It need not close conn.
	ServeTarget func(conn net.Conn, t *Target) error

	// Read returns a text that reads rows, Write one that changes something
	// and returns none. Both contain the tag, which is made of lower-case
	// letters and digits, exactly once and literally.
	Read, Write func(tag string) string

	// Shape is how results can be shown: [protocol.Rows] when zero, or
	// [protocol.Bytes] for protocols whose results are streams.
	Shape protocol.Shape

	// Options are the target's, see [protocol.Resource].
	Options map[string]string

	// Knows reports whether the login is the good one of the kit. Protocols
	// whose proof is a password, a token or a challenge leave it nil.
	Knows func(l *protocol.Login) bool

	// Garbage are further first bytes of hostile clients. The kit has its own,
	// and spoils the handshake of NewClient in many ways.
	Garbage [][]byte

	// MaxRow is the size of the largest row that is tried; 0 means 8 MiB.
	MaxRow int

	// Encrypted says that equal messages differ on the wire, as in SSH. The
	// kit then compares and searches what the client reads and what the target
	// understands instead of the bytes on the wire.
	Encrypted bool

	// Reframed says that each hop divides a result into pieces of its own, as in
	// HTTP. The kit then compares what the client reads with what it reads
	// without a gateway, and not the bytes that carry it.
	Reframed bool

	// TCPOnly leaves out net.Pipe, which holds no bytes: protocols in which
	// both sides speak first cannot run over it.
	TCPOnly bool
}

// A Login is what a client of the kit logs in with.
type Login struct {
	Target string // the target to ask for
	User   string
	Proof  string // the password or token

	// Wrong says that this login must be refused, for clients that prove
	// themselves otherwise. Proof is a wrong one as well.
	Wrong bool

	// Direct says that ServeTarget answers, and no gateway. Proof is the secret
	// of the target's account, also for clients that else prove themselves
	// otherwise.
	Direct bool

	// Dial opens another connection to the same server, for protocols that
	// cancel over one. Connections are closed by the kit at the latest.
	Dial func() (net.Conn, error)
}

// A Client is a logged-in client. Do is called by one goroutine at a time.
type Client interface {
	// Do sends text, calls row for each row of the result with values that are
	// nil for NULL and valid during the call only, and returns when the result
	// is complete. What the server reported as an error is a *[ReplyError],
	// and the client remains usable. Every other error means that the
	// connection is of no use any more. For results that are streams row is
	// called with one value, a chunk.
	Do(text string, row func(values [][]byte) error) error
	// Close says goodbye as the protocol has it.
	Close() error
}

// A Canceler is a [Client] that can interrupt its own Do from another
// goroutine.
type Canceler interface{ Cancel() error }

// A Multiplexer is a [Client] whose session carries several operations at once,
// as SSH's channels and HTTP/2's streams do. Another returns a client of the same
// session for another goroutine; the kit closes the first one only.
type Multiplexer interface{ Another() (Client, error) }

// A ReplyError is an error that the server reported for one text, while the
// connection goes on.
type ReplyError struct{ Text string }

// Error returns the server's text.
func (e *ReplyError) Error() string { return "server: " + e.Text }

// TB is what a check needs of a test. *testing.T has it; so does whoever wants
// to see a check fail.
type TB interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Context() context.Context
}

// A Check is one rule that a connector is held to.
type Check struct {
	Name string
	Rule string // what is broken when the check fails
	run  func(*rig)

	setUp func(*rig) // before the gateway starts
}

// A Transport is what connections of the kit are made of.
type Transport string

// The transports.
const (
	TCP  Transport = "tcp"  // loopback
	Pipe Transport = "pipe" // net.Pipe
)

// Run runs the check against the connector of k over tr.
func (c Check) Run(t TB, k Kit, tr Transport) {
	t.Helper()
	r := newRig(t, k, tr, c)
	defer r.tearDown()
	c.run(r)
}

// Test runs all checks against the connector of k, each as a subtest.
func Test(t *testing.T, k Kit) {
	t.Helper()
	transports := []Transport{TCP, Pipe}
	if k.TCPOnly {
		transports = transports[:1]
	}
	for _, tr := range transports {
		for _, c := range Checks() {
			t.Run(fmt.Sprintf("%s/%s", tr, c.Name), func(t *testing.T) { c.Run(t, k, tr) })
		}
	}
}

// Checks returns all checks, in the order in which [Test] runs them.
func Checks() []Check {
	var all []Check
	all = append(all, loginChecks()...)
	all = append(all, decisionChecks()...)
	all = append(all, holdChecks()...)
	all = append(all, resultChecks()...)
	all = append(all, streamChecks()...)
	all = append(all, recordChecks()...)
	all = append(all, faultChecks()...)
	all = append(all, lifeChecks()...)
	return all
}
