package ssh

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport-dev/gateway/protocol"
)

// The options of a target; doc.go explains them.
const (
	optHostKey  = "host_key"
	optHostCA   = "host_ca"
	optHostName = "host_name"
	optAuth     = "auth"
	optEnv      = "env"
	optAgent    = "agent_forwarding"
	optLines    = "typed_lines"
)

const (
	authCertificate = "certificate"
	authKey         = "key"
	authPassword    = "password"
)

// defaultEnv is what Debian's sshd accepts.
var defaultEnv = []string{"LANG", "LC_*"}

// A target is a logged-in connection to a target.
type target struct {
	conn  ssh.Conn
	chans <-chan ssh.NewChannel
	reqs  <-chan *ssh.Request
	env   []string // patterns of the variables that clients may set
	agent bool     // the agent of clients may be asked for
	lines bool     // what is typed into shells is asked about line by line
}

// hostKeys say by what a target is known.
type hostKeys struct {
	pinned, authorities []ssh.PublicKey
	name                string // the principal of its certificate
}

// CheckTarget implements [protocol.TargetChecker].
func (s *Server) CheckTarget(r protocol.Resource) error {
	for name := range r.Options {
		switch name {
		case optHostKey, optHostCA, optHostName, optAuth, optEnv, optAgent, optLines:
		default:
			return fmt.Errorf("unknown option %q; there are %s, %s, %s, %s, %s, %s, %s", name, optHostKey, optHostCA, optHostName, optAuth, optEnv, optAgent, optLines)
		}
	}
	for _, name := range []string{optAgent, optLines} {
		if v := r.Options[name]; v != "" && v != "no" && v != "yes" {
			return fmt.Errorf("%s: %q is not yes or no", name, v)
		}
	}
	switch r.Options[optAuth] {
	case "", authKey, authPassword, authCertificate:
	default:
		return fmt.Errorf("%s: %q is not %s, %s or %s", optAuth, r.Options[optAuth], authKey, authPassword, authCertificate)
	}
	if _, err := hostKeysOf(r); err != nil {
		return err
	}
	_, err := envOf(r)
	return err
}

func hostKeysOf(r protocol.Resource) (hostKeys, error) {
	k := hostKeys{name: r.Options[optHostName]}
	if k.name == "" {
		k.name, _, _ = net.SplitHostPort(r.Addr)
	}
	var err error
	if k.pinned, err = parseKeys(r.Options[optHostKey]); err != nil {
		return k, fmt.Errorf("%s: %w", optHostKey, err)
	}
	if k.authorities, err = parseKeys(r.Options[optHostCA]); err != nil {
		return k, fmt.Errorf("%s: %w", optHostCA, err)
	}
	if len(k.pinned) == 0 && len(k.authorities) == 0 {
		return k, fmt.Errorf("by what is the target known? Give %s, from 'ssh-keyscan' checked against the host itself, or %s", optHostKey, optHostCA)
	}
	return k, nil
}

// parseKeys reads public keys in the form of authorized_keys, one a line.
func parseKeys(text string) ([]ssh.PublicKey, error) {
	var keys []ssh.PublicKey
	for _, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		k, _, options, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil || len(options) > 0 {
			return nil, fmt.Errorf("%q is not a public key like \"ssh-ed25519 AAAA...\"", line)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

func envOf(r protocol.Resource) ([]string, error) {
	list, ok := r.Options[optEnv]
	if !ok {
		return defaultEnv, nil
	}
	var env []string
	for _, p := range strings.Split(list, ",") {
		if p = strings.TrimSpace(p); p == "" {
			continue
		}
		if _, err := path.Match(p, ""); err != nil {
			return nil, fmt.Errorf("%s: %q: %w", optEnv, p, err)
		}
		env = append(env, p)
	}
	return env, nil
}

// connectTarget logs in at the target of sess. Its error does not contain the
// secret.
func (s *Server) connectTarget(ctx context.Context, sess *protocol.Session) (*target, error) {
	res := sess.Info().Resource
	failed := func(msg string, err error) error {
		return &protocol.Fault{Side: protocol.SideTarget, Msg: fmt.Sprintf("target %s: %s", res.Name, msg), Err: err}
	}
	ours := func(err error) error {
		return &protocol.Fault{Side: protocol.SideGateway, Msg: protocol.FixedReason, Err: err}
	}
	keys, err := hostKeysOf(res)
	if err != nil {
		return nil, ours(err)
	}
	env, err := envOf(res)
	if err != nil {
		return nil, ours(err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.loginTimeout())
	defer cancel()
	creds, err := sess.Credentials(ctx)
	if err != nil {
		return nil, ours(err)
	}
	auth, err := authMethods(sess.Info(), creds)
	if err != nil {
		return nil, ours(err)
	}
	conn, err := sess.Dial(ctx)
	if err != nil {
		return nil, failed("it cannot be reached", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // the handshake has no context of its own
	var unknown error
	sc, chans, reqs, err := ssh.NewClientConn(bulk(conn), res.Addr, &ssh.ClientConfig{User: creds.User, Auth: auth,
		ClientVersion: "SSH-2.0-Sallyport", HostKeyAlgorithms: keys.algorithms(),
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			unknown = keys.check(key)
			return unknown
		}})
	switch {
	case err == nil && stop():
		return &target{sc, chans, reqs, env, res.Options[optAgent] == "yes", res.Options[optLines] == "yes"}, nil
	case err == nil:
		return nil, failed("it does not answer", errors.Join(context.Cause(ctx), sc.Close()))
	case unknown != nil:
		err = failed("it is not known by the key that it shows", unknown)
	case ctx.Err() != nil:
		err = failed("it does not answer", context.Cause(ctx))
	default:
		err = failed("the gateway could not log in there", err)
	}
	stop()
	_ = conn.Close()
	return nil, err
}

// algorithms are those of the keys by which the target is known, so that it
// shows one of them and no other.
func (k hostKeys) algorithms() []string {
	var out []string
	if len(k.authorities) > 0 {
		out = append(out, ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01,
			ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01)
	}
	for _, p := range k.pinned {
		algs := []string{p.Type()}
		if p.Type() == ssh.KeyAlgoRSA {
			algs = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
		}
		for _, a := range algs {
			if !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	return out
}

func (k hostKeys) check(key ssh.PublicKey) error {
	is := func(other ssh.PublicKey) bool { return bytes.Equal(key.Marshal(), other.Marshal()) }
	cert, ok := key.(*ssh.Certificate)
	switch {
	case !ok && slices.ContainsFunc(k.pinned, is):
		return nil
	case !ok:
		return fmt.Errorf("host key %s is not pinned", ssh.FingerprintSHA256(key))
	case cert.CertType != ssh.HostCert:
		return errors.New("the host's certificate is not a host's")
	}
	if key = cert.SignatureKey; !slices.ContainsFunc(k.authorities, is) {
		return fmt.Errorf("the host's certificate is of the unknown authority %s", ssh.FingerprintSHA256(key))
	}
	return (&ssh.CertChecker{}).CheckCert(k.name, cert)
}

// authMethods returns how the gateway proves itself.
func authMethods(info *protocol.SessionInfo, creds protocol.Credentials) ([]ssh.AuthMethod, error) {
	secret, how := creds.Secret.Reveal(), info.Resource.Options[optAuth]
	if how == "" {
		how = authPassword
		if strings.HasPrefix(strings.TrimSpace(secret), "-----BEGIN ") {
			how = authKey
		}
	}
	if how == authPassword {
		answer := func(_, _ string, questions []string, echos []bool) ([]string, error) {
			switch {
			case len(questions) == 0:
				return nil, nil
			case len(questions) == 1 && !echos[0]:
				return []string{secret}, nil
			}
			return nil, errors.New("the target asks for more than a password")
		}
		return []ssh.AuthMethod{ssh.Password(secret), ssh.KeyboardInteractive(answer)}, nil
	}
	key, err := ssh.ParsePrivateKey([]byte(secret))
	if err != nil {
		return nil, errors.New("the target's secret is not a private key that can be read") // the cause may quote it
	}
	if how == authCertificate {
		if key, err = sessionCertificate(info, key, creds.User); err != nil {
			return nil, err
		}
	}
	return []ssh.AuthMethod{ssh.PublicKeys(key)}, nil
}

// sessionCertificate returns a new key with a certificate of ca that is good for
// the login of one session. Its key id says for whom, which targets log.
func sessionCertificate(info *protocol.SessionInfo, ca ssh.Signer, account string) (ssh.Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	cert := &ssh.Certificate{Key: key.PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{account},
		KeyId:       fmt.Sprintf("sallyport %s for %s", info.ID, printable(info.Identity.Subject, "\n")),
		ValidAfter:  uint64(now.Add(-time.Minute).Unix()), // clocks differ
		ValidBefore: uint64(now.Add(2 * time.Minute).Unix()),
		Permissions: ssh.Permissions{Extensions: map[string]string{"permit-pty": "", "permit-port-forwarding": ""}}}
	if info.Resource.Options[optAgent] == "yes" {
		cert.Extensions["permit-agent-forwarding"] = ""
	}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		return nil, err
	}
	return ssh.NewCertSigner(cert, key)
}
