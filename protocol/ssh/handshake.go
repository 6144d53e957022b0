package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-dev/gateway/protocol"
)

// nextProof is how long a client whose proof was refused may take for the next,
// typing included.
const nextProof = time.Minute

// serverVersion is what clients hear first, before anybody knows their target. Many
// ask for nothing of OpenSSH's where it does not begin as OpenSSH's does, and send a
// link's two paths in the other order (PROTOCOL, 4.1): most targets are that. The
// number is one for which no client knows an error to be mended.
const serverVersion = "SSH-2.0-OpenSSH_9.9 Sallyport"

// A handshake is a client's login. Its callbacks run one after the other, on
// the goroutine that serves the connection.
type handshake struct {
	srv     *Server
	ctx     context.Context
	conn    *watchedConn
	handler protocol.Handler
	pre     ssh.ServerPreAuthConn

	// Set once the login is accepted.
	sess   *protocol.Session
	target *target
	limits limits

	refused error // for good: other proofs would not help
}

// limits are what a certificate keeps from its holder.
type limits struct {
	command             string // runs in place of whatever is asked for
	noPty, noForwarding bool
	noAgent             bool
}

func (h *handshake) config() *ssh.ServerConfig {
	c := &ssh.ServerConfig{
		ServerVersion:               serverVersion,
		MaxAuthTries:                h.srv.MaxAuthTries, // 0 means 6 there too
		PublicKeyCallback:           h.offered,
		VerifiedPublicKeyCallback:   h.publicKey,
		PasswordCallback:            h.password,
		KeyboardInteractiveCallback: h.interactive,
		PreAuthConnCallback:         func(c ssh.ServerPreAuthConn) { h.pre = c },
	}
	if b := h.srv.Banner; b != "" {
		c.BannerCallback = func(ssh.ConnMetadata) string { return strings.TrimRight(b, "\n") + "\n" }
	}
	for _, k := range h.srv.HostKeys {
		c.AddHostKey(k)
	}
	return c
}

// offered is asked about a key whose possession the client may not even claim.
// Nothing is decided here: whose key it is is asked when the client has proven
// that it holds it. Certificates that cannot be good are refused at once.
func (h *handshake) offered(meta ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	cert, ok := key.(*ssh.Certificate)
	if !ok {
		return &ssh.Permissions{}, nil
	}
	account, _ := splitUser(meta.User())
	check := ssh.CertChecker{
		SupportedCriticalOptions: []string{"force-command", "source-address"},
		IsUserAuthority: func(auth ssh.PublicKey) bool {
			return slices.ContainsFunc(h.srv.UserCAs, func(ca ssh.PublicKey) bool { return string(ca.Marshal()) == string(auth.Marshal()) })
		},
	}
	switch {
	case cert.CertType != ssh.UserCert:
		return nil, errors.New("a certificate that is not a user's")
	case !check.IsUserAuthority(cert.SignatureKey):
		return nil, errors.New("a certificate of an authority that is not known")
	}
	if err := check.CheckCert(account, cert); err != nil { // the principal is compared as a whole
		return nil, err
	}
	return &ssh.Permissions{CriticalOptions: cert.CriticalOptions, Extensions: cert.Extensions}, nil // source-address is checked by the caller
}

// publicKey is told about a key that the client has proven to hold.
func (h *handshake) publicKey(meta ssh.ConnMetadata, key ssh.PublicKey, perms *ssh.Permissions, _ string) (*ssh.Permissions, error) {
	cert, ok := key.(*ssh.Certificate)
	if !ok {
		return let(perms, h.open(meta, protocol.PublicKey{Algorithm: key.Type(), Blob: key.Marshal(), Fingerprint: ssh.FingerprintSHA256(key)}, nil))
	}
	account, _ := splitUser(meta.User())
	p := protocol.SSHCertificate{Authority: ssh.FingerprintSHA256(cert.SignatureKey), KeyID: cert.KeyId, Serial: cert.Serial,
		Principal: account, Fingerprint: ssh.FingerprintSHA256(cert.Key)}
	if cert.ValidBefore != ssh.CertTimeInfinity {
		p.Expires = time.Unix(int64(cert.ValidBefore), 0) // checked: it is not negative
	}
	h.limits.command = cert.CriticalOptions["force-command"]
	_, pty := cert.Extensions["permit-pty"]
	_, forwarding := cert.Extensions["permit-port-forwarding"]
	_, agent := cert.Extensions["permit-agent-forwarding"]
	h.limits.noPty, h.limits.noForwarding, h.limits.noAgent = !pty, !forwarding, !agent
	perms, err := let(perms, h.open(meta, p, nil))
	if err != nil {
		h.limits = limits{} // another proof has its own
	}
	return perms, err
}

// let returns perms unless there is an error.
func let(perms *ssh.Permissions, err error) (*ssh.Permissions, error) {
	if err != nil {
		return nil, err
	}
	return perms, nil
}

func (h *handshake) password(meta ssh.ConnMetadata, pw []byte) (*ssh.Permissions, error) {
	return let(&ssh.Permissions{}, h.open(meta, protocol.Password{Secret: protocol.NewSecret(string(pw)), TLS: true}, nil))
}

func (h *handshake) interactive(meta ssh.ConnMetadata, challenge ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
	ask := func(prompt string, echo bool) (protocol.Secret, error) {
		answers, err := challenge("", "", []string{prompt}, []bool{echo})
		if err != nil || len(answers) != 1 {
			return protocol.Secret{}, errors.Join(err, errors.New("the client did not answer"))
		}
		return protocol.NewSecret(answers[0]), nil
	}
	// Programs that were given a password answer by themselves what has "password:"
	// in it (sshpass, JSch, asyncssh). Many try no other method once they have given
	// this one up.
	question, instruction := "Token as password: ", ""
	var link *browserLogin
	page := h.srv.LoginPage
	if page != nil {
		if link = page.begin(meta.User(), meta.RemoteAddr().String()); link == nil {
			return nil, errors.New("too many logins wait for a browser")
		}
		defer page.forget(link)
		_ = h.conn.SetDeadline(link.until) // fails on a closed connection only
		instruction = "To log in, open " + page.URL + "/" + link.id + " in a browser"
		question = "Code that it shows, or token as password: "
	}
	answers, err := challenge("", instruction, []string{question}, []bool{false})
	if err != nil || len(answers) != 1 {
		return nil, errors.Join(err, errors.New("the client did not answer"))
	}
	token := protocol.NewSecret(answers[0])
	if link != nil {
		if t, ok := page.token(link, answers[0]); ok {
			token = t
		}
	}
	return let(&ssh.Permissions{}, h.open(meta, protocol.Token{Secret: token}, ask))
}

// open asks whether the login is accepted and connects to the target. The
// client's authentication succeeds when all of that has.
func (h *handshake) open(meta ssh.ConnMetadata, proof protocol.Proof, ask func(string, bool) (protocol.Secret, error)) error {
	account, resource := splitUser(meta.User())
	if resource == "" {
		return h.refuse(&protocol.Fault{Side: protocol.SideClient, Msg: fmt.Sprintf("which target? Name it behind the user: ssh %s@TARGET@GATEWAY", account)})
	}
	login := &protocol.Login{Protocol: h.srv.Name(), User: account, Resource: resource, Remote: meta.RemoteAddr(),
		Tool: tool(string(meta.ClientVersion())), Proof: proof, Ask: ask, Tell: h.tell, WhileHeld: h.whileHeld}
	sess, err := h.handler.Open(h.ctx, login)
	login.Proof = nil
	if err != nil {
		var d *protocol.DeniedError
		if errors.As(err, &d) && d.Step == "authenticate" { // nobody knows the proof; the client may have another
			_ = h.conn.SetDeadline(time.Now().Add(nextProof)) // fails on a closed connection only
			switch proof.(type) {
			case protocol.Password, protocol.Token: // typed for this gateway; keys are tried one after the other
				return &ssh.BannerError{Err: err, Message: refusal(err, "\n")}
			}
			return err
		}
		return h.refuse(err)
	}
	t, err := h.srv.connectTarget(sess.Context(), sess)
	if err != nil {
		sess.Close(err)
		h.srv.log.Warn("target", "session", sess.Info().ID, "target", resource, "err", err)
		return h.refuse(err)
	}
	h.sess, h.target = sess, t
	return h.conn.SetDeadline(time.Time{})
}

// refuse ends the login: the client hears why, and is not asked for the other
// proofs that it has.
func (h *handshake) refuse(err error) error {
	h.refused = err
	_ = h.pre.SendAuthBanner(refusal(err, "\n")) // the client may be gone
	return &ssh.PartialSuccessError{}            // with no method left, the connection ends
}

// tell shows a line to a client that is logging in.
func (h *handshake) tell(msg string) error {
	return h.pre.SendAuthBanner("sallyport: " + printable(msg, "\n") + "\n")
}

// splitUser takes a user name apart: the target is what stands behind the last
// '@' or ':'.
func splitUser(user string) (account, target string) {
	if i := strings.LastIndexAny(user, "@:"); i >= 0 {
		return user[:i], user[i+1:]
	}
	return user, ""
}

// tool returns the program that a client's version string names, as in
// "SSH-2.0-OpenSSH_9.2p1 Debian-2".
func tool(version string) protocol.Tool {
	t := protocol.Tool{Raw: version, Source: "version string"}
	software, _, _ := strings.Cut(strings.TrimPrefix(version, "SSH-2.0-"), " ")
	t.Name, t.Version, _ = strings.Cut(software, "_")
	return t
}

// A watchedConn tells when its peer has gone. The SSH library reads all the
// time, so that this is known also while something else is waited for.
type watchedConn struct {
	net.Conn
	gone context.Context
	lost context.CancelFunc
}

func watch(c net.Conn) *watchedConn {
	w := &watchedConn{Conn: bulk(c)}
	w.gone, w.lost = context.WithCancel(context.Background())
	return w
}

// Read implements net.Conn.
func (w *watchedConn) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil {
		w.lost()
	}
	return n, err
}

// Close implements net.Conn.
func (w *watchedConn) Close() error {
	w.lost()
	return w.Conn.Close()
}
