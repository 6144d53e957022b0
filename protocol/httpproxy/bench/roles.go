//go:build linux

package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"runtime/debug"
	"runtime/pprof"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/approval"
	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/middleware/policy"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/httpproxy"
)

// role serves in one of the roles until standard input is closed.
func role(name string, args []string) error {
	flags := flag.NewFlagSet(name, flag.ExitOnError)
	target := flags.String("target", "", "")
	hash := flags.String("hash", "", "")
	journal := flags.String("journal", "", "")
	profile := flags.String("profile", "", "")
	_ = flags.Parse(args)   // exits
	debug.SetGCPercent(400) // as examples/gateway does
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	failed := make(chan error, 2)
	switch name {
	case "target":
		go func() { failed <- serve(l, http.HandlerFunc(answer)) }()
	case "reverseproxy":
		u := &url.URL{Scheme: "http", Host: *target}
		tr := &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true}
		p := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) }, Transport: tr, ErrorLog: log.New(io.Discard, "", 0)} // wrk leaves in the middle
		go func() { failed <- serve(l, p) }()
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
		gw, closeAll, err := newGateway(*target, *hash, *journal)
		if err != nil {
			return err
		}
		defer closeAll()
		go func() {
			failed <- gw.Serve(context.Background(), l, &httpproxy.Server{AllowPlaintext: true, Paths: true})
		}()
	default:
		return fmt.Errorf("there is no role %q", name)
	}
	fmt.Println(l.Addr())
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		failed <- err
	}()
	return <-failed
}

func serve(l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, Protocols: new(http.Protocols)}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	return s.Serve(l)
}

var bodies = map[string][]byte{"/1k": bytes.Repeat([]byte("x"), 1<<10), "/64k": bytes.Repeat([]byte("x"), 64<<10)}

// answer is the target: /bench/1k and, through the gateway, /1k.
func answer(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if len(path) > len("/bench") && path[:len("/bench")] == "/bench" {
		path = path[len("/bench"):]
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(bodies[path]) // a client that is gone reads nothing
}

// newGateway is a gateway as a careful team would assemble it: every step looks
// at every request.
func newGateway(target, hash, dir string) (*gateway.Gateway, func(), error) {
	journal, err := audit.Open(dir, audit.Options{})
	if err != nil {
		return nil, nil, err
	}
	gw, err := gateway.New(gateway.Config{
		Steps: []middleware.Step{
			middleware.Tokens(middleware.Token{Hash: hash, Subject: "bench", Kind: protocol.Workload, Groups: []string{"dev"}}),
			middleware.Authorize(middleware.Access{Name: "dev", Groups: []string{"dev"}, Targets: []string{"bench"}}),
			middleware.Block(middleware.BlockRule{Name: "no-delete", When: policy.MustCompile(`operation.verb == "delete"`)}),
			middleware.Risk(middleware.RiskConfig{Rules: []middleware.RiskRule{{Name: "an agent changes data", Score: 30,
				When: policy.MustCompile(`identity.kind == "agent" && operation.access.write`)}}}),
			middleware.Approve(approval.NewBroker(approval.Options{}), middleware.ApproveRule{Name: "four-eyes",
				When: policy.MustCompile(`operation.risk >= 90`), Groups: []string{"leads"}}),
			middleware.Record(journal),
		},
		Targets: []gateway.Target{{Name: "bench", Protocol: "http", Addr: target, Options: map[string]string{"tls": "disable", "auth": "none", "safe_methods": "pure"}}},
	})
	return gw, func() { _ = journal.Close() }, err
}
