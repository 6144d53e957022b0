package servers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/sallyport-dev/gateway/protocol"
)

// ErrNoSSHD says that OpenSSH's server or clients are not on this machine and
// how to get them.
var ErrNoSSHD = errors.New("OpenSSH is not here as a whole: install it (Debian, Ubuntu: apt-get install openssh-server openssh-client; " +
	"Fedora: dnf install openssh-server openssh-clients)")

// SSHDConfig says what [StartSSHD] starts. The zero value is a server that
// knows one key, of its own making.
type SSHDConfig struct {
	// UserCA is the public key of an authority whose certificates are taken in
	// place of keys, in the form of authorized_keys; empty: none.
	UserCA string

	// Lines are added to sshd_config, before all others.
	Lines []string
}

// An SSHD is a running OpenSSH server.
type SSHD struct {
	Process
	Addr    string // host:port on loopback
	Host    string
	Port    int
	HostKey string // public, in the form of authorized_keys
	Account string // the only one that can log in: that of this process
	// Credentials are that account and its private key in PEM.
	Credentials protocol.Credentials
}

// FindSSHD returns the path of sshd, or [ErrNoSSHD] if it or one of OpenSSH's
// clients is missing.
func FindSSHD() (string, error) {
	for _, tool := range []string{"ssh", "scp", "sftp", "ssh-keygen"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", fmt.Errorf("%w (%w)", ErrNoSSHD, err)
		}
	}
	for _, path := range []string{"/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"} {
		if executable(path) {
			return path, nil
		}
	}
	return "", ErrNoSSHD
}

// InstallSSHD installs OpenSSH with apt-get if this is a Debian-like machine and
// the process runs as root; it tells w what it does. Everywhere else it returns
// [ErrNoSSHD].
func InstallSSHD(ctx context.Context, w io.Writer) (string, error) {
	if err := aptInstall(ctx, w, "openssh-server", "openssh-client"); err != nil {
		return "", fmt.Errorf("%w\n%w", err, ErrNoSSHD)
	}
	return FindSSHD()
}

// InstallTools installs packages with apt-get as [InstallSSHD] does, unless all
// of the programs are there already.
func InstallTools(ctx context.Context, w io.Writer, programs []string, packages ...string) error {
	missing := ""
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			missing = p
		}
	}
	if missing == "" {
		return nil
	}
	if err := aptInstall(ctx, w, packages...); err != nil {
		return fmt.Errorf("%s is missing: install %s: %w", missing, strings.Join(packages, " "), err)
	}
	return nil
}

// StartSSHD starts a server on a free port of 127.0.0.1 with a configuration of
// its own, and returns once it answers. The caller calls Stop. ctx bounds the
// start only.
func StartSSHD(ctx context.Context, c SSHDConfig) (*SSHD, error) {
	path, err := FindSSHD()
	if err != nil {
		return nil, err
	}
	me, err := user.Current()
	if err != nil {
		return nil, err
	}
	s := &SSHD{Host: "127.0.0.1", Account: me.Username, Process: Process{end: syscall.SIGTERM}}
	if s.dir, err = os.MkdirTemp("", "sp-sshd-"); err != nil {
		return nil, err
	}
	if err := s.start(ctx, path, c); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	return s, nil
}

// NewSSHKey makes an Ed25519 key with ssh-keygen and returns both halves: the
// private one in PEM, the public one in the form of authorized_keys.
func NewSSHKey(ctx context.Context) (private protocol.Secret, public string, err error) {
	dir, err := os.MkdirTemp("", "sp-key-")
	if err != nil {
		return private, "", err
	}
	defer os.RemoveAll(dir)
	return keygen(ctx, filepath.Join(dir, "key"))
}

func keygen(ctx context.Context, path string) (private protocol.Secret, public string, err error) {
	if out, err := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", path).CombinedOutput(); err != nil {
		return private, "", fmt.Errorf("ssh-keygen: %w: %s", err, tail(out))
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return private, "", err
	}
	pub, err := os.ReadFile(path + ".pub")
	return protocol.NewSecret(string(pem)), strings.TrimSpace(string(pub)), err
}

func (s *SSHD) file(name string) string { return filepath.Join(s.dir, name) }

func (s *SSHD) start(ctx context.Context, path string, c SSHDConfig) (err error) {
	if _, s.HostKey, err = keygen(ctx, s.file("host")); err != nil {
		return err
	}
	key, public, err := keygen(ctx, s.file("user"))
	if err != nil {
		return err
	}
	s.Credentials = protocol.Credentials{User: s.Account, Secret: key}
	if err := os.WriteFile(s.file("authorized_keys"), []byte(public+"\n"), 0o600); err != nil {
		return err
	}
	lines := append(append([]string{}, c.Lines...), "HostKey "+s.file("host"), "AuthorizedKeysFile "+s.file("authorized_keys"), "StrictModes no",
		"UsePAM no", "PidFile none", "PasswordAuthentication no", "PermitRootLogin prohibit-password", "PermitUserRC no",
		"Subsystem sftp internal-sftp", "AcceptEnv *", "MaxSessions 200", "MaxStartups 200", "PrintMotd no", "LogLevel VERBOSE",
		"AllowStreamLocalForwarding yes", "GatewayPorts no",
		"SetEnv HOME="+s.dir) // without the account's own .bashrc, which bash reads under sshd and which may do anything
	if c.UserCA != "" {
		if err := os.WriteFile(s.file("ca.pub"), []byte(c.UserCA+"\n"), 0o600); err != nil {
			return err
		}
		lines = append(lines, "TrustedUserCAKeys "+s.file("ca.pub"))
	}
	if err := os.WriteFile(s.file("sshd_config"), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	if os.Geteuid() == 0 { // sshd's folder for its unprivileged half
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			return err
		}
	}
	s.Port, err = s.launch(ctx, func(port int) *exec.Cmd {
		return exec.Command(path, "-D", "-e", "-f", s.file("sshd_config"), "-p", strconv.Itoa(port), "-o", "ListenAddress="+s.Host)
	}, account{}, func(port int) bool {
		return strings.Contains(s.Log(), fmt.Sprintf("Server listening on %s port %d", s.Host, port))
	})
	s.Addr = net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
	return err
}
