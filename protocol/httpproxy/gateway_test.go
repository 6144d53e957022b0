package httpproxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/httpproxy"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

const secret = "the-targets-own-secret"

// A rig is a gateway in front of a real HTTP server.
type rig struct {
	addr      string // of the gateway
	token     string // alice's
	other     string // bob's
	ca        string // file
	tls       *tls.Config
	gateway   *gateway.Gateway
	journal   string
	authority *servers.Authority

	mu   sync.Mutex
	seen []*http.Request // by the target
}

type rigConfig struct {
	steps   []middleware.Step // between authorize and record
	server  *httpproxy.Server
	plain   bool // no TLS
	options map[string]string
	handler http.HandlerFunc // the target
	addr    string           // of a target that runs already
	target  func(*gateway.Target)
}

// newRig starts both; everything is allowed but what steps refuse.
func newRig(t testing.TB, c rigConfig) *rig {
	t.Helper()
	r := &rig{journal: t.TempDir()}
	authority, err := servers.NewAuthority("test")
	require.NoError(t, err)
	r.authority = authority
	r.ca = filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(r.ca, authority.PEM(), 0o600))
	cert, err := authority.Issue(servers.Subject{CommonName: "gateway", Hosts: []string{"app.gw.test", "other.gw.test", "gw.test", "127.0.0.1"}})
	require.NoError(t, err)
	alice, aliceHash := middleware.NewToken()
	bob, bobHash := middleware.NewToken()
	r.token, r.other = alice.Reveal(), bob.Reveal()
	journal, err := audit.Open(r.journal, audit.Options{})
	require.NoError(t, err)
	steps := []middleware.Step{
		middleware.Tokens(middleware.Token{Hash: aliceHash, Subject: "alice", Kind: protocol.Human, Groups: []string{"dev"}},
			middleware.Token{Hash: bobHash, Subject: "bob", Kind: protocol.Human, Groups: []string{"dev"}}),
		middleware.Authorize(middleware.Access{Name: "all", Groups: []string{"dev"}, Targets: []string{"*"}}),
		middleware.Block(),
	}
	steps = append(append(steps, c.steps...), middleware.Record(journal))
	if c.addr == "" {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		c.addr = l.Addr().String()
		srv := &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			r.mu.Lock()
			r.seen = append(r.seen, req.Clone(context.Background()))
			r.mu.Unlock()
			if c.handler != nil {
				c.handler(w, req)
				return
			}
			_ = http.NewResponseController(w).EnableFullDuplex()
			_, _ = io.Copy(w, req.Body)
		})}
		srv.Protocols.SetHTTP1(true)
		srv.Protocols.SetUnencryptedHTTP2(true)
		go func() { _ = srv.Serve(l) }()
		t.Cleanup(func() { _ = srv.Close() })
	}
	if c.server == nil {
		c.server = &httpproxy.Server{}
	}
	if c.plain {
		c.server.AllowPlaintext = true
	} else {
		c.server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: authority.Pool(), ClientAuth: tls.VerifyClientCertIfGiven}
	}
	r.tls = &tls.Config{RootCAs: authority.Pool(), ServerName: "app.gw.test"}
	if c.server.Domain == "" {
		c.server.Domain = "gw.test"
	}
	options := map[string]string{"tls": "disable"}
	for k, v := range c.options {
		options[k] = v
	}
	target := gateway.Target{Name: "app", Protocol: "http", Addr: c.addr, User: "svc", Secret: gateway.Fixed(protocol.NewSecret(secret)), Options: options}
	if c.target != nil {
		c.target(&target)
	}
	other := target
	other.Name = "other"
	r.gateway, err = gateway.New(gateway.Config{Steps: steps, Targets: []gateway.Target{target, other}})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r.addr = l.Addr().String()
	go func() { _ = r.gateway.Serve(context.Background(), l, c.server) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = r.gateway.Shutdown(ctx)
		require.NoError(t, journal.Close())
		_, err := audit.Verify(r.journal)
		require.NoError(t, err)
	})
	return r
}

// requests returns what the target has seen.
func (r *rig) requests() []*http.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen
}

// client returns an HTTP client of HTTP/1.1 or 2 that finds every host at the
// gateway.
func (r *rig) client(h2 bool) *http.Client {
	tr := &http.Transport{TLSClientConfig: r.tls.Clone(), DisableCompression: true, Protocols: new(http.Protocols),
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", r.addr)
		}}
	tr.TLSClientConfig.ServerName = ""
	tr.Protocols.SetHTTP1(!h2)
	tr.Protocols.SetHTTP2(h2)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// do sends a request as alice and returns the response with its body.
func (r *rig) do(t testing.TB, h2 bool, method, url string, body io.Reader, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+r.token)
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		} else {
			req.Header.Set(header[i], header[i+1])
		}
	}
	c := r.client(h2)
	defer c.CloseIdleConnections()
	res, err := c.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res, string(b)
}

// raw sends bytes as HTTP/1.1 and returns the status of the first response, 0
// if there is none, and all that comes until the gateway closes. AUTH stands for
// alice's token; with the last of them the client asks for that.
func (r *rig) raw(t testing.TB, text string) (status int, all string) {
	t.Helper()
	nc, err := net.Dial("tcp", r.addr)
	require.NoError(t, err)
	defer nc.Close()
	auth := "Authorization: Bearer " + r.token
	if i := strings.LastIndex(text, "AUTH"); i >= 0 {
		text = strings.ReplaceAll(text[:i], "AUTH", auth) + auth + "\r\nConnection: close" + text[i+len("AUTH"):]
	}
	_, err = nc.Write([]byte(text))
	require.NoError(t, err)
	_ = nc.SetReadDeadline(time.Now().Add(10 * time.Second))
	b, err := io.ReadAll(nc)
	var timeout net.Error
	require.False(t, errors.As(err, &timeout) && timeout.Timeout(), "the connection stays open: %q", b)
	res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(string(b))), nil)
	if err != nil {
		return 0, string(b)
	}
	_ = res.Body.Close()
	return res.StatusCode, string(b)
}

// clientCert returns a certificate that the gateway verifies.
func (r *rig) clientCert(t testing.TB) tls.Certificate {
	t.Helper()
	cert, err := r.authority.Issue(servers.Subject{CommonName: "carol"})
	require.NoError(t, err)
	return cert
}
