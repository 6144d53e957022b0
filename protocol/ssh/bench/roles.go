//go:build linux

package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"runtime/pprof"
	"sync"

	xssh "golang.org/x/crypto/ssh"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/approval"
	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/middleware/policy"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/ssh"
)

// role serves in one of the roles until standard input is closed.
func role(name string, args []string) error {
	flags := flag.NewFlagSet(name, flag.ExitOnError)
	target := flags.String("target", "", "")
	account := flags.String("account", "", "")
	secret := flags.String("secret", "", "file with the key for the target")
	hostKey := flags.String("host-key", "", "the target's")
	public := flags.String("public", "", "the client's key")
	dir := flags.String("dir", "", "of journal and recordings")
	profile := flags.String("profile", "", "")
	_ = flags.Parse(args)   // exits
	debug.SetGCPercent(400) // as examples/gateway does
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	own, err := xssh.NewSignerFromKey(private)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	failed := make(chan error, 2)
	switch name {
	case "target":
		go func() { failed <- each(l, own, idle) }()
	case "relay":
		pem, err := os.ReadFile(*secret)
		if err != nil {
			return err
		}
		key, err := xssh.ParsePrivateKey(pem)
		if err != nil {
			return err
		}
		config := &xssh.ClientConfig{User: *account, Auth: []xssh.AuthMethod{xssh.PublicKeys(key)}, HostKeyCallback: xssh.InsecureIgnoreHostKey()}
		go func() { failed <- each(l, own, func(c *conn) error { return relay(c, *target, config) }) }()
	case "gateway":
		if *profile != "" {
			f, err := os.Create(*profile)
			if err != nil {
				return err
			}
			if err := pprof.StartCPUProfile(f); err != nil {
				return err
			}
			defer pprof.StopCPUProfile()
		}
		gw, closeAll, err := newGateway(*target, *account, *secret, *hostKey, *public, *dir)
		if err != nil {
			return err
		}
		defer closeAll()
		go func() {
			failed <- gw.Serve(context.Background(), l, &ssh.Server{HostKeys: []xssh.Signer{own}})
		}()
	default:
		return fmt.Errorf("there is no role %q", name)
	}
	fmt.Printf("%s %s", l.Addr(), xssh.MarshalAuthorizedKey(own.PublicKey()))
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		failed <- err
	}()
	return <-failed
}

// A conn is a client that has logged in.
type conn struct {
	*xssh.ServerConn
	chans <-chan xssh.NewChannel
	reqs  <-chan *xssh.Request
}

// each lets everybody in and serves every client on a goroutine of its own.
func each(l net.Listener, own xssh.Signer, serve func(*conn) error) error {
	config := &xssh.ServerConfig{PublicKeyCallback: func(xssh.ConnMetadata, xssh.PublicKey) (*xssh.Permissions, error) { return nil, nil }}
	config.AddHostKey(own)
	for {
		nc, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			sc, chans, reqs, err := xssh.NewServerConn(nc, config)
			if err == nil {
				err = serve(&conn{sc, chans, reqs})
			}
			if err != nil && !errors.Is(err, io.EOF) {
				fmt.Fprintln(os.Stderr, "bench:", err)
			}
		}()
	}
}

// idle is a target where nothing happens.
func idle(c *conn) error {
	go xssh.DiscardRequests(c.reqs)
	for nc := range c.chans {
		if err := nc.Reject(xssh.Prohibited, "nothing happens here"); err != nil {
			return err
		}
	}
	return nil
}

// relay connects a client with the target and looks at nothing.
func relay(c *conn, target string, config *xssh.ClientConfig) error {
	defer c.Close()
	go xssh.DiscardRequests(c.reqs)
	t, err := xssh.Dial("tcp", target, config)
	if err != nil {
		return err
	}
	defer t.Close()
	for nc := range c.chans {
		far, freqs, err := t.OpenChannel(nc.ChannelType(), nc.ExtraData())
		if err != nil {
			_ = nc.Reject(xssh.ConnectionFailed, err.Error())
			continue
		}
		near, nreqs, err := nc.Accept()
		if err != nil {
			return err
		}
		go func() {
			pass(far, nreqs)
			_ = far.Close()
		}()
		go func() {
			_, _ = io.Copy(far, near) // either side may be gone
			_ = far.CloseWrite()
		}()
		var out sync.WaitGroup
		out.Go(func() { _, _ = io.Copy(near, far) })
		out.Go(func() { _, _ = io.Copy(near.Stderr(), far.Stderr()) })
		go func() {
			pass(near, freqs)
			out.Wait()
			_ = near.Close()
		}()
	}
	return nil
}

// pass passes requests on.
func pass(to xssh.Channel, reqs <-chan *xssh.Request) {
	for r := range reqs {
		ok, err := to.SendRequest(r.Type, r.WantReply, r.Payload)
		if r.WantReply {
			_ = r.Reply(ok && err == nil, nil)
		}
	}
}

// newGateway is a gateway as a careful team would assemble it: every step looks
// at every command, and what commands and shells print is recorded.
func newGateway(target, account, secret, hostKey, public, dir string) (*gateway.Gateway, func(), error) {
	journal, err := audit.Open(dir+"/journal", audit.Options{})
	if err != nil {
		return nil, nil, err
	}
	gw, err := gateway.New(gateway.Config{
		Steps: []middleware.Step{
			middleware.PublicKeys(middleware.PublicKey{Key: public, Subject: "bench", Kind: protocol.Workload, Groups: []string{"dev"}}),
			middleware.Authorize(middleware.Access{Name: "dev", Groups: []string{"dev"}, Targets: []string{"bench"}}),
			middleware.Block(middleware.BlockRule{Name: "no-root", When: policy.MustCompile(`operation.access.admin`)}),
			middleware.Risk(middleware.RiskConfig{Rules: []middleware.RiskRule{{Name: "an agent changes data", Score: 30,
				When: policy.MustCompile(`identity.kind == "agent" && operation.access.write`)}}}),
			middleware.Approve(approval.NewBroker(approval.Options{}), middleware.ApproveRule{Name: "four-eyes",
				When: policy.MustCompile(`identity.kind == "agent" && operation.risk >= 90`), Groups: []string{"leads"}}),
			middleware.Recordings(middleware.RecordingConfig{Dir: dir + "/recordings"}),
			middleware.Record(journal),
		},
		Targets: []gateway.Target{{Name: "bench", Protocol: "ssh", Addr: target, User: account, Secret: gateway.File(secret), Options: map[string]string{"host_key": hostKey}}},
	})
	return gw, func() { _ = journal.Close() }, err
}
