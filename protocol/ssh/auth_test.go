package ssh_test

import (
	"context"
	"crypto/rand"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	xssh "golang.org/x/crypto/ssh"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/sshtest"
	"github.com/sallyport-dev/gateway/protocol/ssh"
)

// askpass makes ssh answer every question with the token.
func (r *rig) askpass(t testing.TB, cmd *exec.Cmd, answer string) *exec.Cmd {
	t.Helper()
	require.NoError(t, os.WriteFile(r.dir+"/askpass", []byte("#!/bin/sh\nprintf '%s\\n' \"$ANSWER\"\n"), 0o700))
	cmd.Env = append(cmd.Env, "SSH_ASKPASS="+r.dir+"/askpass", "SSH_ASKPASS_REQUIRE=force", "DISPLAY=none", "ANSWER="+answer)
	return cmd
}

func TestTokenAsPasswordAndAsAnswer(t *testing.T) {
	r := newRig(t, rigConfig{})
	for _, method := range []string{"password", "keyboard-interactive"} {
		args := []string{"-o", "BatchMode=no", "-o", "PubkeyAuthentication=no", "-o", "PreferredAuthentications=" + method, "-o", "NumberOfPasswordPrompts=1", "web1", "echo in"}
		got := run(t, r.askpass(t, r.command(t, "ssh", args...), r.token))
		require.Equal(t, result{"in\n", "", 0}, got, method)
		got = run(t, r.askpass(t, r.command(t, "ssh", args...), "wrong"))
		require.Equal(t, 255, got.code, method)
		require.NotContains(t, r.sshd.Log(), "wrong")
	}
}

func TestOnlyAProvenKeyCounts(t *testing.T) {
	r := newRig(t, rigConfig{})
	// A client that offers alice's public key and then signs with its own.
	pub, err := os.ReadFile(r.dir + "/key.pub")
	require.NoError(t, err)
	alice, _, _, _, err := xssh.ParseAuthorizedKey(pub)
	require.NoError(t, err)
	mine := hostKey(t)
	for name, key := range map[string]xssh.Signer{"another": mine, "forged": forged{mine, alice}} {
		_, err := xssh.Dial("tcp", r.addr, &xssh.ClientConfig{User: "alice@web1", HostKeyCallback: xssh.InsecureIgnoreHostKey(),
			Auth: []xssh.AuthMethod{xssh.PublicKeys(key)}})
		require.Error(t, err, name)
	}
	require.NotContains(t, r.sshd.Log(), "Connection from")
}

// forged is a key that says it is another.
type forged struct {
	xssh.Signer
	public xssh.PublicKey
}

func (f forged) PublicKey() xssh.PublicKey { return f.public }

// lockOut takes everybody's key away.
func (r *rig) lockOut(t testing.TB) {
	t.Helper()
	conf := r.config
	conf.Steps = append([]middleware.Step{}, conf.Steps...)
	for i, st := range conf.Steps {
		if st.Name == "public_keys" {
			conf.Steps[i] = middleware.PublicKeys() // nobody's
		}
	}
	require.NoError(t, r.gateway.Reload(t.Context(), conf))
}

func TestRevokedKeyEndsOpenSessions(t *testing.T) {
	r := newRig(t, rigConfig{})
	c := r.dial(t)
	s, err := c.NewSession()
	require.NoError(t, err)
	require.NoError(t, s.Start("sleep 60"))
	r.ops.find(t, protocol.Decided, "exec", "sleep")
	start := time.Now()
	r.lockOut(t)
	require.Error(t, c.Wait())
	require.Less(t, time.Since(start), time.Second)
	require.Equal(t, 255, r.ssh(t, "web1", "true").code)
}

func TestExpiredKey(t *testing.T) {
	r := newRig(t, rigConfig{key: func(k *middleware.PublicKey) { k.Expires = time.Now().Add(2 * time.Second) }})
	c := r.dial(t)
	require.Error(t, c.Wait(), "the session ends with the key")
	got := r.ssh(t, "-o", "LogLevel=INFO", "web1", "true")
	require.Equal(t, 255, got.code)
	require.Contains(t, got.err, "sallyport: the login has expired")
}

// certificate writes alice's certificate beside her key.
func (r *rig) certificate(t testing.TB, ca xssh.Signer, change func(*xssh.Certificate)) {
	t.Helper()
	pub, err := os.ReadFile(r.dir + "/key.pub")
	require.NoError(t, err)
	key, _, _, _, err := xssh.ParseAuthorizedKey(pub)
	require.NoError(t, err)
	cert := &xssh.Certificate{Key: key, CertType: xssh.UserCert, KeyId: "alice-id", Serial: 7, ValidPrincipals: []string{"alice"},
		ValidAfter: uint64(time.Now().Add(-time.Hour).Unix()), ValidBefore: uint64(time.Now().Add(time.Hour).Unix()),
		Permissions: xssh.Permissions{CriticalOptions: map[string]string{}, Extensions: map[string]string{"permit-pty": "", "permit-port-forwarding": ""}}}
	if change != nil {
		change(cert)
	}
	require.NoError(t, cert.SignCert(rand.Reader, ca))
	require.NoError(t, os.WriteFile(r.dir+"/key-cert.pub", xssh.MarshalAuthorizedKey(cert), 0o600))
}

func TestCertificatesOfAConfiguredAuthority(t *testing.T) {
	ca, other := hostKey(t), hostKey(t)
	r := newRig(t, rigConfig{server: &ssh.Server{UserCAs: []xssh.PublicKey{ca.PublicKey()}},
		key: func(k *middleware.PublicKey) { k.Key = authorized(other.PublicKey()) }, // alice's key alone is nobody's
		first: []middleware.Step{middleware.SSHCertificates(middleware.SSHCertificateRule{Authority: authorized(ca.PublicKey()), Subject: "key_id",
			Kind: protocol.Human, Groups: []string{"ops"}, Revoked: []string{"gone"}})}})
	for _, c := range []struct {
		name   string
		ca     xssh.Signer
		change func(*xssh.Certificate)
		ok     bool
	}{
		{"good", ca, nil, true},
		{"another authority", other, nil, false},
		{"expired", ca, func(c *xssh.Certificate) { c.ValidBefore = uint64(time.Now().Add(-time.Minute).Unix()) }, false},
		{"not yet", ca, func(c *xssh.Certificate) { c.ValidAfter = uint64(time.Now().Add(time.Minute).Unix()) }, false},
		{"another principal", ca, func(c *xssh.Certificate) { c.ValidPrincipals = []string{"bob"} }, false},
		{"a list as one principal", ca, func(c *xssh.Certificate) { c.ValidPrincipals = []string{"alice,root"} }, false},
		{"a host's", ca, func(c *xssh.Certificate) { c.CertType = xssh.HostCert }, false},
		{"from here", ca, func(c *xssh.Certificate) { c.CriticalOptions["source-address"] = "127.0.0.0/8" }, true},
		{"from elsewhere", ca, func(c *xssh.Certificate) { c.CriticalOptions["source-address"] = "10.0.0.0/8" }, false},
		{"an unknown option", ca, func(c *xssh.Certificate) { c.CriticalOptions["verify-required"] = "" }, false},
		{"revoked", ca, func(c *xssh.Certificate) { c.KeyId = "gone" }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.certificate(t, c.ca, c.change)
			got := r.ssh(t, "web1", "echo in")
			require.Equal(t, c.ok, got.out == "in\n", "%+v", got)
		})
	}
	t.Run("force-command", func(t *testing.T) {
		r.certificate(t, ca, func(c *xssh.Certificate) { c.CriticalOptions["force-command"] = "echo forced" })
		require.Equal(t, "forced\n", r.ssh(t, "web1", "echo mine").out)
		require.Contains(t, r.ops.ended(t, "exec", "echo forced").state, `in place of exec "echo mine"`)
		require.Empty(t, r.ssh(t, "-W", r.sshd.Addr, "web1").out, "no forward beside the command")
	})
	t.Run("without permits", func(t *testing.T) {
		r.certificate(t, ca, func(c *xssh.Certificate) { c.Extensions = nil })
		require.Contains(t, r.ssh(t, "-tt", "-o", "LogLevel=INFO", "web1", "tty").err, "PTY allocation request failed")
		require.Empty(t, r.ssh(t, "-W", r.sshd.Addr, "web1").out)
	})
}

func TestCertificateForTheTarget(t *testing.T) {
	pem, public, err := servers.NewSSHKey(t.Context())
	require.NoError(t, err)
	r := newRig(t, rigConfig{sshd: servers.SSHDConfig{UserCA: public}, secret: pem, options: map[string]string{"auth": "certificate"}})
	require.Equal(t, "in\n", r.ssh(t, "web1", "echo in").out)
	require.Regexp(t, `Accepted publickey for \S+ .*ED25519-CERT.* ID sallyport \S+ for alice`, r.sshd.Log(), "the target knows who it is")
}

func TestTargetWithAnotherKeyIsRefused(t *testing.T) {
	r := newRig(t, rigConfig{options: map[string]string{"host_key": authorized(hostKey(t).PublicKey())}})
	got := r.ssh(t, "-o", "LogLevel=INFO", "web1", "echo in")
	require.Equal(t, 255, got.code)
	require.Contains(t, got.err, "sallyport: target web1: it is not known by the key that it shows")
	require.NotContains(t, r.sshd.Log(), "Accepted")
}

func TestTargetKnownByAnAuthority(t *testing.T) {
	ca := hostKey(t)
	dir := t.TempDir()
	key, pub, err := servers.NewSSHKey(t.Context())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(dir+"/h", []byte(key.Reveal()), 0o600))
	k, _, _, _, err := xssh.ParseAuthorizedKey([]byte(pub))
	require.NoError(t, err)
	cert := &xssh.Certificate{Key: k, CertType: xssh.HostCert, ValidPrincipals: []string{"web1.internal"}, ValidBefore: xssh.CertTimeInfinity}
	require.NoError(t, cert.SignCert(rand.Reader, ca))
	require.NoError(t, os.WriteFile(dir+"/h-cert.pub", xssh.MarshalAuthorizedKey(cert), 0o600))
	sshd := servers.SSHDConfig{Lines: []string{"HostKey " + dir + "/h", "HostCertificate " + dir + "/h-cert.pub"}}
	for name, ok := range map[string]bool{"web1.internal": true, "web2.internal": false} {
		r := newRig(t, rigConfig{sshd: sshd, options: map[string]string{"host_key": "", "host_ca": authorized(ca.PublicKey()), "host_name": name}})
		require.Equal(t, ok, r.ssh(t, "web1", "echo in").out == "in\n", name)
	}
}

func TestOptionsOfATarget(t *testing.T) {
	for want, options := range map[string]map[string]string{
		"by what is the target known":   {},
		"unknown option \"hostkey\"":    {"hostkey": "x"},
		"is not a public key like":      {"host_key": "x"},
		"auth: \"agent\" is not":        {"auth": "agent"},
		"env: \"[\": syntax error in p": {"env": "[", "host_key": authorized(hostKey(t).PublicKey())},
	} {
		require.ErrorContains(t, (&ssh.Server{}).CheckTarget(protocol.Resource{Addr: "a:22", Options: options}), want)
	}
}

func TestTokensStayOnTheirSide(t *testing.T) {
	r := newRig(t, rigConfig{})
	got := run(t, r.askpass(t, r.command(t, "ssh", "-o", "BatchMode=no", "-o", "PubkeyAuthentication=no", "web1", "env"), r.token))
	require.Zero(t, got.code)
	require.NotContains(t, strings.ReplaceAll(got.out, "ANSWER=", "\n"), r.token)
	require.NotContains(t, r.sshd.Log(), r.token)
}

func TestPlinkAndParamiko(t *testing.T) {
	r := newRig(t, rigConfig{})
	plink := sshtest.Tool(t, "plink", "putty-tools")
	pub, err := os.ReadFile(r.dir + "/known_hosts")
	require.NoError(t, err)
	k, _, _, _, err := xssh.ParseAuthorizedKey([]byte(strings.SplitN(string(pub), " ", 2)[1]))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, plink, "-batch", "-ssh", "-hostkey", xssh.FingerprintSHA256(k), "-P", r.port, "-l", "alice@web1", "-pw", r.token, r.host, "echo out; exit 4")
	cmd.Env = append(os.Environ(), "HOME="+r.dir)
	got := run(t, cmd)
	require.Equal(t, "out\n", got.out, got.err)
	require.Equal(t, 4, got.code)

	if exec.Command("/usr/bin/python3", "-c", "import paramiko").Run() != nil {
		require.NoError(t, servers.InstallTools(t.Context(), os.Stderr, []string{"python3-paramiko"}, "python3-paramiko")) // no program: it is a library
	}
	cmd = exec.CommandContext(ctx, "/usr/bin/python3", "-c", `
import paramiko, sys
c = paramiko.SSHClient()
c.set_missing_host_key_policy(paramiko.AutoAddPolicy())
c.connect(sys.argv[1], int(sys.argv[2]), "alice@web1", password=sys.argv[3], look_for_keys=False, allow_agent=False)
i, o, e = c.exec_command("cat; echo err >&2; exit 5")
i.write("hello"); i.channel.shutdown_write()
print(o.read().decode(), e.read().decode().strip(), o.channel.recv_exit_status())
s = c.open_sftp()
with s.open(sys.argv[4], "w") as f: f.write("x" * 100000)
print(s.stat(sys.argv[4]).st_size)
c.close()
`, r.host, r.port, r.token, r.dir+"/p")
	got = run(t, cmd)
	require.Equal(t, "hello err 5\n100000\n", got.out, got.err)
}
