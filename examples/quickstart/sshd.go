package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"os/user"
	"strings"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// An sshd is the server that the story reaches by ssh: OpenSSH's, or where there
// are its clients only one in this process.
type sshd struct {
	addr, account, hostKey string
	key                    protocol.Secret // of the account
	stop                   func()
}

func startSSHD(ctx context.Context, s *stage) (sshd, error) {
	_, err := servers.FindSSHD()
	if errors.Is(err, servers.ErrNoSSHD) {
		if _, ierr := servers.InstallSSHD(ctx, s.w); ierr != nil {
			if servers.InstallTools(ctx, s.w, []string{"ssh", "scp", "ssh-keygen"}, "openssh-client") != nil {
				return sshd{}, ierr
			}
			s.say("An SSH server in this process, since there is no sshd.")
			return serveSSH()
		}
	} else if err != nil {
		return sshd{}, err
	}
	d, err := servers.StartSSHD(ctx, servers.SSHDConfig{})
	if err != nil {
		return sshd{}, err
	}
	s.say("OpenSSH's sshd at %s.", d.Addr)
	return sshd{d.Addr, d.Account, d.HostKey, d.Credentials.Secret, d.Stop}, nil
}

// serveSSH serves commands and sftp to whoever has one key.
func serveSSH() (sshd, error) {
	me, err := user.Current()
	if err != nil {
		return sshd{}, err
	}
	_, host, err := newKey()
	if err != nil {
		return sshd{}, err
	}
	private, client, err := newKey()
	if err != nil {
		return sshd{}, err
	}
	c := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
		if string(k.Marshal()) != string(client.PublicKey().Marshal()) {
			return nil, errors.New("unknown key")
		}
		return nil, nil
	}}
	c.AddHostKey(host)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return sshd{}, err
	}
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go serveSSHConn(nc, c)
		}
	}()
	return sshd{l.Addr().String(), me.Username, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(host.PublicKey()))), private, func() { _ = l.Close() }}, nil
}

func newKey() (protocol.Secret, ssh.Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return protocol.Secret{}, nil, err
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		return protocol.Secret{}, nil, err
	}
	block, err := ssh.MarshalPrivateKey(key, "quickstart")
	if err != nil {
		return protocol.Secret{}, nil, err
	}
	return protocol.NewSecret(string(pem.EncodeToMemory(block))), signer, nil
}

func serveSSHConn(nc net.Conn, c *ssh.ServerConfig) {
	conn, channels, reqs, err := ssh.NewServerConn(nc, c)
	if err != nil {
		_ = nc.Close()
		return
	}
	defer conn.Close()
	go ssh.DiscardRequests(reqs)
	for ch := range channels {
		if ch.ChannelType() != "session" {
			_ = ch.Reject(ssh.UnknownChannelType, "only sessions") // a client that is gone
			continue
		}
		if ch, reqs, err := ch.Accept(); err == nil {
			go serveSSHSession(ch, reqs)
		}
	}
}

func serveSSHSession(ch ssh.Channel, reqs <-chan *ssh.Request) {
	for r := range reqs {
		var text struct{ Value string }
		ok := (r.Type == "exec" || r.Type == "subsystem") && ssh.Unmarshal(r.Payload, &text) == nil && (r.Type == "exec" || text.Value == "sftp")
		_ = r.Reply(ok, nil) // a client that is gone
		if !ok {
			continue
		}
		go ssh.DiscardRequests(reqs)
		var status struct{ Code uint32 }
		if r.Type == "subsystem" {
			if s, err := sftp.NewServer(ch); err == nil {
				if err := s.Serve(); err != nil && !errors.Is(err, io.EOF) {
					status.Code = 1
				}
			}
		} else if err := run(ch, text.Value); err != nil {
			status.Code = 1
			var e *exec.ExitError
			if errors.As(err, &e) {
				status.Code = uint32(e.ExitCode())
			}
		}
		_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(status)) // nobody to tell
		_ = ch.Close()
		return
	}
}

func run(ch ssh.Channel, command string) error {
	cmd := exec.Command("sh", "-c", command)
	cmd.Stdout, cmd.Stderr = ch, ch.Stderr()
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("stdin: %w", err)
	}
	go func() {
		_, _ = io.Copy(in, ch) // ends with either
		_ = in.Close()
	}()
	return cmd.Run()
}
