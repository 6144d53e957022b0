package ssh_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	xssh "golang.org/x/crypto/ssh"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/sshtest"
	"github.com/sallyport-dev/gateway/protocol/ssh"
)

// A rig is a gateway in front of a real sshd.
type rig struct {
	sshd    *servers.SSHD
	addr    string
	host    string
	port    string
	token   string
	dir     string // of alice's files: key, config of ssh
	journal string
	config  gateway.Config
	gateway *gateway.Gateway
	ops     *opLog
}

type rigConfig struct {
	steps   []middleware.Step // between authorize and record
	first   []middleware.Step // before all others
	options map[string]string
	server  *ssh.Server
	sshd    servers.SSHDConfig
	secret  protocol.Secret
	key     func(*middleware.PublicKey)

	handshake time.Duration
	addr      string // of another target than the sshd
}

// An opLog notes what was asked and how it ended.
type opLog struct {
	mu  sync.Mutex
	all []noted
}

type noted struct {
	kind    protocol.EventKind
	verb    protocol.Verb
	text    string
	state   string
	access  protocol.Access
	objects []protocol.Object
	out     protocol.Outcome
	effect  protocol.Effect
}

func (l *opLog) step() middleware.Step {
	return middleware.Step{Name: "log", Event: func(_ context.Context, e *protocol.Event) error {
		if e.Op == nil {
			return nil
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.all = append(l.all, noted{e.Kind, e.Op.Verb, e.Op.Text, e.Op.State, e.Op.Access, append([]protocol.Object{}, e.Op.Objects...), e.Outcome, e.Decision.Effect})
		return nil
	}}
}

// ended waits for the end of an operation with the verb and the text.
func (l *opLog) ended(t testing.TB, verb protocol.Verb, text string) noted {
	t.Helper()
	return l.find(t, protocol.Ended, verb, text)
}

func (l *opLog) find(t testing.TB, kind protocol.EventKind, verb protocol.Verb, text string) (found noted) {
	t.Helper()
	require.Eventually(t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, n := range l.all {
			if n.kind == kind && n.verb == verb && strings.Contains(n.text, text) {
				found = n
				return true
			}
		}
		return false
	}, 10*time.Second, 5*time.Millisecond, "no %s of %s %q", kind, verb, text)
	return found
}

func hostKey(t testing.TB) xssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	k, err := xssh.NewSignerFromKey(private)
	require.NoError(t, err)
	return k
}

func authorized(k xssh.PublicKey) string {
	return strings.TrimSpace(string(xssh.MarshalAuthorizedKey(k)))
}

// newRig starts both; everything is allowed but what steps refuse.
func newRig(t testing.TB, c rigConfig) *rig {
	t.Helper()
	r := &rig{dir: t.TempDir(), journal: t.TempDir(), ops: &opLog{}}
	r.sshd = sshtest.Start(t, c.sshd)
	token, hash := middleware.NewToken()
	r.token = token.Reveal()
	journal, err := audit.Open(r.journal, audit.Options{})
	require.NoError(t, err)
	private, public, err := servers.NewSSHKey(t.Context())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(r.dir+"/key", []byte(private.Reveal()), 0o600))
	require.NoError(t, os.WriteFile(r.dir+"/key.pub", []byte(public+"\n"), 0o600))
	key := middleware.PublicKey{Key: public, Subject: "alice", Kind: protocol.Human, Groups: []string{"ops"}}
	if c.key != nil {
		c.key(&key)
	}
	steps := append(c.first,
		middleware.Tokens(middleware.Token{Hash: hash, Subject: "alice", Kind: protocol.Human, Groups: []string{"ops"}}),
		middleware.PublicKeys(key),
		middleware.Authorize(middleware.Access{Name: "all", Groups: []string{"ops"}, Targets: []string{"*"},
			Access: []string{"read", "write", "schema", "admin", "execute", "opaque"}}))
	steps = append(append(steps, c.steps...), r.ops.step(), middleware.Record(journal))
	options := map[string]string{"host_key": r.sshd.HostKey, "env": "LANG,LC_*,GIT_PROTOCOL"}
	for k, v := range c.options {
		options[k] = v
	}
	server := c.server
	if server == nil {
		server = &ssh.Server{}
	}
	if server.HostKeys == nil {
		server.HostKeys = []xssh.Signer{hostKey(t)}
	}
	hk := server.HostKeys[0]
	secret := r.sshd.Credentials.Secret
	if !c.secret.Empty() {
		secret = c.secret
	}
	addr := r.sshd.Addr
	if c.addr != "" {
		addr = c.addr
	}
	r.config = gateway.Config{Steps: steps, HandshakeTimeout: c.handshake, Targets: []gateway.Target{{
		Name: "web1", Protocol: "ssh", Addr: addr, User: r.sshd.Account, Secret: gateway.Fixed(secret), Options: options}}}
	r.gateway, err = gateway.New(r.config)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r.addr = l.Addr().String()
	r.host, r.port, _ = net.SplitHostPort(r.addr)
	go func() { _ = r.gateway.Serve(context.Background(), l, server) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = r.gateway.Shutdown(ctx)
		require.NoError(t, journal.Close())
		_, err := audit.Verify(r.journal)
		require.NoError(t, err)
	})
	require.NoError(t, os.WriteFile(r.dir+"/known_hosts", []byte(fmt.Sprintf("[%s]:%s %s\n", r.host, r.port, authorized(hk.PublicKey()))), 0o600))
	require.NoError(t, os.WriteFile(r.dir+"/config", []byte(strings.Join([]string{
		"Host web1", "HostName " + r.host, "Port " + r.port, "User alice@web1",
		"Host *", "IdentityFile " + r.dir + "/key", "IdentitiesOnly yes", "IdentityAgent none", "UserKnownHostsFile " + r.dir + "/known_hosts",
		"GlobalKnownHostsFile none", "StrictHostKeyChecking yes", "BatchMode yes", "LogLevel ERROR"}, "\n")+"\n"), 0o600))
	return r
}

// A result is what a client program gave back.
type result struct {
	out, err string
	code     int
}

// command returns a client program with the rig's configuration of ssh.
func (r *rig) command(t testing.TB, program string, args ...string) *exec.Cmd {
	t.Helper()
	packages := map[string]string{"ssh": "openssh-client", "scp": "openssh-client", "sftp": "openssh-client"}
	pkg := packages[program]
	if pkg == "" {
		pkg = program
	} else {
		args = append([]string{"-F", filepath.Join(r.dir, "config")}, args...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, sshtest.Tool(t, program, pkg), args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	cmd.WaitDelay = 20 * time.Second
	return cmd
}

func run(t testing.TB, cmd *exec.Cmd) result {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, exit := err.(*exec.ExitError); err != nil && !exit {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, errs.String())
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// ssh runs ssh.
func (r *rig) ssh(t testing.TB, args ...string) result {
	t.Helper()
	return run(t, r.command(t, "ssh", args...))
}
