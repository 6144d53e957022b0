package httpproxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// settings are the options of a target.
type settings struct {
	scheme, host string
	auth, name   string // how the secret is sent, and under which name
	userHeader   string
	tls          *tls.Config // nil without TLS
	http2        bool
	trailers     bool // of requests pass
	pure         bool // safe methods change nothing: the operator's word
	assertion    bool
	openapi      string
	routes       routes       // nil without openapi
	described    bool         // what is not described is refused
	services     *descriptors // of gRPC; nil: none are known
	slashes      string       // how it reads an encoded slash: "keep", "slash", or "" for refused
	semicolons   string       // how it reads a semicolon: "keep", "parameters", or "" for refused
}

// authKinds are the ways to send a target's secret.
var authKinds = []string{"bearer", "basic", "header", "query", "none"}

// options are the names that a target may set.
var options = []string{"tls", "ca", "cert", "key", "server_name", "host", "auth", "auth_name", "user_header", "assertion", "http2", "safe_methods", "openapi", "undescribed",
	"encoded_slashes", "semicolons", "request_trailers", "descriptors"}

// CheckTarget implements [protocol.TargetChecker].
func (s *Server) CheckTarget(r protocol.Resource) error {
	t, err := s.settings(r)
	switch {
	case err != nil || !t.assertion:
		return err
	case s.Assertion == nil:
		return errors.New("assertion: the listener has no key to sign with")
	}
	return s.Assertion.Check()
}

// settings reads a target's options, and the files that they name.
func (s *Server) settings(r protocol.Resource) (*settings, error) {
	t, err := parseSettings(r)
	if err == nil && t.openapi != "" {
		if t.routes, err = s.descriptions.read(t.openapi, parseRoutes); err != nil {
			err = fmt.Errorf("openapi: %w", err)
		}
	}
	if file := r.Options["descriptors"]; err == nil && file != "" {
		if t.services, err = s.services.read(file, parseDescriptors); err != nil {
			err = fmt.Errorf("descriptors: %w", err)
		}
	}
	return t, err
}

func parseSettings(r protocol.Resource) (*settings, error) {
	o := r.Options
	for name := range o {
		if !slices.Contains(options, name) {
			return nil, fmt.Errorf("unknown option %q; known are %s", name, strings.Join(options, ", "))
		}
	}
	t := &settings{scheme: "https", host: o["host"], auth: o["auth"], name: o["auth_name"], userHeader: o["user_header"]}
	socket := strings.HasPrefix(r.Addr, "/")
	switch mode := o["tls"]; {
	case mode == "disable", mode == "" && socket:
		t.scheme = "http"
	case mode == "", mode == "verify":
	default:
		return nil, fmt.Errorf("tls: %q is not disable or verify", mode)
	}
	if t.host == "" {
		if socket {
			return nil, errors.New("host: an address without a host name needs one")
		}
		t.host = r.Addr
		host, port, err := net.SplitHostPort(r.Addr)
		if err == nil && port == map[string]string{"http": "80", "https": "443"}[t.scheme] {
			t.host = host
			if strings.Contains(host, ":") {
				t.host = "[" + host + "]"
			}
		}
	}
	if _, err := parseHost(t.host); err != nil {
		return nil, fmt.Errorf("host: %q is not a host name", t.host)
	}
	if t.auth == "" {
		t.auth = "bearer"
	}
	switch {
	case !slices.Contains(authKinds, t.auth):
		return nil, fmt.Errorf("auth: %q is not one of %s", t.auth, strings.Join(authKinds, ", "))
	case (t.auth == "header" || t.auth == "query") != (t.name != ""):
		return nil, errors.New("auth_name: belongs to auth header and query, which need it")
	case t.auth == "header" && !isToken(t.name), t.userHeader != "" && !isToken(t.userHeader):
		return nil, errors.New("auth_name, user_header: not the name of a header")
	}
	if err := yes(o["http2"], &t.http2); err != nil {
		return nil, fmt.Errorf("http2: %w", err)
	}
	if err := yes(o["request_trailers"], &t.trailers); err != nil {
		return nil, fmt.Errorf("request_trailers: %w", err)
	}
	if err := yes(o["assertion"], &t.assertion); err != nil {
		return nil, fmt.Errorf("assertion: %w", err)
	}
	switch o["safe_methods"] {
	case "pure":
		t.pure = true
	case "", "change":
	default:
		return nil, fmt.Errorf("safe_methods: %q is not pure or change", o["safe_methods"])
	}
	if err := reading(o["encoded_slashes"], "slash", &t.slashes); err != nil {
		return nil, fmt.Errorf("encoded_slashes: %w", err)
	}
	if err := reading(o["semicolons"], "parameters", &t.semicolons); err != nil {
		return nil, fmt.Errorf("semicolons: %w", err)
	}
	t.openapi = o["openapi"]
	switch mode := o["undescribed"]; {
	case mode == "refuse" && t.openapi != "":
		t.described = true
	case mode != "" && mode != "allow":
		return nil, errors.New("undescribed: is allow, or refuse together with openapi")
	}
	return t, t.readTLS(o)
}

func yes(value string, to *bool) error {
	switch value {
	case "", "disable":
	case "enable":
		*to = true
	default:
		return fmt.Errorf("%q is not enable or disable", value)
	}
	return nil
}

// reading reads how a target takes a character in paths.
func reading(value, special string, to *string) error {
	switch value {
	case "", "refuse":
	case "keep", special:
		*to = value
	default:
		return fmt.Errorf("%q is not refuse, keep or %s", value, special)
	}
	return nil
}

func (t *settings) readTLS(o map[string]string) error {
	if t.scheme == "http" {
		for _, name := range []string{"ca", "cert", "key", "server_name"} {
			if o[name] != "" {
				return fmt.Errorf("%s: the target is reached without TLS", name)
			}
		}
		return nil
	}
	t.tls = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: o["server_name"]}
	if t.tls.ServerName == "" {
		t.tls.ServerName, _ = parseHost(t.host)
	}
	if ca := o["ca"]; ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return fmt.Errorf("ca: %w", err)
		}
		t.tls.RootCAs = x509.NewCertPool()
		if !t.tls.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("ca: %s: there is no certificate in it", ca)
		}
	}
	if (o["cert"] == "") != (o["key"] == "") {
		return errors.New("cert, key: one is missing")
	}
	if o["cert"] != "" {
		cert, err := tls.LoadX509KeyPair(o["cert"], o["key"])
		if err != nil {
			return fmt.Errorf("cert: %w", err)
		}
		t.tls.Certificates = []tls.Certificate{cert}
	}
	return nil
}

// A target is the side towards the target of one session.
type target struct {
	*settings
	s         *Server
	ps        *protocol.Session
	transport *http.Transport
	forwards  *httputil.ReverseProxy
	own       []string // headers that are the gateway's to set, as dashed returns them

	mu    sync.Mutex
	cred  *protocol.Credentials // as last fetched
	conns map[net.Conn]struct{}
	ended bool

	said   string // the last assertion, and when it was made
	saidAt time.Time
}

// Limits towards a target.
const (
	maxTargetConns = 2 * maxStreams // of one session
	dialTimeout    = 15 * time.Second
)

func newTarget(s *Server, ps *protocol.Session) (*target, error) {
	st, err := s.settings(ps.Info().Resource)
	if err != nil {
		return nil, err
	}
	t := &target{settings: st, s: s, ps: ps, conns: map[net.Conn]struct{}{}}
	for _, name := range []string{st.name, st.userHeader} {
		if name != "" {
			t.own = append(t.own, dashed(name))
		}
	}
	if s.Assertion != nil { // also at targets that are told nothing
		t.own = append(t.own, dashed(s.Assertion.header()))
	}
	t.transport = &http.Transport{
		DialContext:            t.dialPlain,
		DialTLSContext:         t.dialTLS,
		TLSClientConfig:        st.tls,
		TLSHandshakeTimeout:    dialTimeout, // of HTTP/2; dialTLS has its own
		DisableCompression:     true,        // the client's own wish is passed on
		MaxConnsPerHost:        maxTargetConns,
		MaxIdleConnsPerHost:    maxTargetConns,
		IdleConnTimeout:        idleTimeout,
		ResponseHeaderTimeout:  s.responseTimeout(),
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: int64(s.maxHead()),
		Protocols:              new(http.Protocols),
	}
	if st.http2 {
		t.transport.DialContext, t.transport.DialTLSContext = t.dial, nil // which negotiates h2
	}
	t.transport.Protocols.SetHTTP1(!st.http2)
	t.transport.Protocols.SetHTTP2(st.http2 && st.tls != nil)
	t.transport.Protocols.SetUnencryptedHTTP2(st.http2 && st.tls == nil)
	t.forwards = t.proxy()
	return t, nil
}

// dial connects to the session's target, whatever the transport thinks its name
// is.
func (t *target) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	nc, err := t.ps.Dial(ctx)
	if err != nil {
		return nil, err
	}
	c := &targetConn{&stalling{Conn: nc, timeout: t.s.responseTimeout()}, t}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended || t.ps.Context().Err() != nil {
		_ = nc.Close()
		return nil, protocol.ErrClosed
	}
	t.conns[c] = struct{}{}
	return c, nil
}

// dialPlain returns a connection for HTTP/1.1 without TLS, and dialTLS one with.
func (t *target) dialPlain(ctx context.Context, network, addr string) (net.Conn, error) {
	nc, err := t.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &quiet{Conn: nc}, nil
}

func (t *target) dialTLS(ctx context.Context, network, addr string) (net.Conn, error) {
	nc, err := t.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	tc := tls.Client(nc, t.tls)
	if err := tc.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	return &quiet{Conn: tc}, nil
}

// quiet is an HTTP/1.1 connection that ends when the target speaks without being
// asked, or says more than it was asked. net/http would end it too, but print
// what was said, or take it for the answer to a request that comes just then.
type quiet struct {
	net.Conn

	mu     sync.Mutex
	uses   int     // at most one request, and one that is over and not yet put away
	fresh  bool    // nothing of the request was sent
	begun  bool    // something was
	f      framing // of the answer
	lost   bool    // where the answer ends is not known: net/http may know better
	behind bool    // there was something behind an answer
}

var errUnasked = errors.New("httpproxy: the target sent something that nobody asked for")

// Read implements net.Conn.
func (c *quiet) Read(b []byte) (int, error) {
	if c.behind { // only Read sets it, and one at a time
		return 0, errUnasked
	}
	n, err := c.Conn.Read(b)
	if n == 0 {
		return n, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.begun {
		return 0, errUnasked
	}
	if c.lost {
		return n, err
	}
	good, ferr := c.f.feed(b[:n])
	if c.lost = ferr != nil; c.lost || good == n {
		return n, err
	}
	if c.behind = true; good == 0 {
		return 0, errUnasked
	}
	return good, nil
}

// Write implements net.Conn.
func (c *quiet) Write(b []byte) (int, error) {
	c.mu.Lock()
	if c.fresh {
		c.fresh, c.begun, c.lost = false, true, false
		c.f = framing{max: 1 << 20, line: c.f.line[:0], responses: true, head: bytes.HasPrefix(b, []byte("HEAD "))}
	}
	c.mu.Unlock()
	return c.Conn.Write(b)
}

// use counts a request that gets the connection, or puts it away.
func (c *quiet) use(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.uses += n
	switch {
	case n > 0:
		c.fresh = true
	case c.uses == 0:
		c.begun = false
	}
}

// traced returns a context for one request, which counts where it is asked.
func (t *target) traced(ctx context.Context) context.Context {
	if t.http2 {
		return ctx
	}
	var c *quiet
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) {
			if q, ok := i.Conn.(*quiet); ok {
				c = q
				c.use(1)
			}
		},
		PutIdleConn: func(error) {
			if c != nil {
				c.use(-1)
			}
		},
	})
}

// targetConn is a connection that its session closes.
type targetConn struct {
	net.Conn
	t *target
}

// Close implements net.Conn.
func (c *targetConn) Close() error {
	c.t.mu.Lock()
	delete(c.t.conns, c)
	c.t.mu.Unlock()
	return c.Conn.Close()
}

// close closes all connections.
func (t *target) close() {
	t.mu.Lock()
	t.ended = true
	var all []net.Conn
	for c := range t.conns {
		all = append(all, c)
	}
	t.mu.Unlock()
	for _, c := range all {
		_ = c.Close()
	}
	t.transport.CloseIdleConnections()
}

// credentials returns the gateway's own, fetched when the session needs them
// first, and again after the target refused them.
func (t *target) credentials(ctx context.Context) (*protocol.Credentials, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.cred == nil {
		c, err := t.ps.Credentials(ctx)
		if err != nil {
			return nil, err
		}
		t.cred = &c
	}
	return t.cred, nil
}

func (t *target) refused() {
	t.mu.Lock()
	t.cred = nil
	t.mu.Unlock()
}

// sets reports whether a header of that name is the gateway's to set.
func (t *target) sets(name string) bool {
	return slices.ContainsFunc(t.own, func(own string) bool { return strings.EqualFold(own, name) })
}

// inject puts the gateway's credentials and its word about the client into a
// request to the target.
func (t *target) inject(out *http.Request, cred *protocol.Credentials) {
	if id := t.ps.Info().Identity; t.userHeader != "" && id != nil {
		out.Header.Set(t.userHeader, headerText(id.Subject))
	}
	secret := cred.Secret.Reveal()
	if secret == "" {
		return
	}
	switch t.auth {
	case "bearer":
		out.Header.Set("Authorization", "Bearer "+secret)
	case "basic":
		out.SetBasicAuth(cred.User, secret)
	case "header":
		out.Header.Set(t.name, secret)
	case "query":
		q := url.QueryEscape(t.name) + "=" + url.QueryEscape(secret)
		if out.URL.RawQuery != "" {
			q = out.URL.RawQuery + "&" + q
		}
		out.URL.RawQuery = q
	}
}

// conceal takes the secret that was sent in the query out of the headers of a
// response: who adds a slash to a path, or asks for a login, says the query again. It
// reports whether the address was one of them where the client is sent to.
func (t *target) conceal(h http.Header, cred *protocol.Credentials) (sent bool) {
	secret := cred.Secret.Reveal()
	if t.auth != "query" || secret == "" {
		return false
	}
	own, twice := url.QueryEscape(t.name)+"="+url.QueryEscape(secret), url.QueryEscape(url.QueryEscape(secret))
	for name, values := range h {
		for i, v := range values {
			for _, more := range []string{"&" + own, own + "&", "?" + own} {
				v = strings.ReplaceAll(v, more, "")
			}
			left := strings.Contains(v, secret) || strings.Contains(v, url.QueryEscape(secret)) || strings.Contains(v, twice)
			sent = sent || name == "Location" && (left || v != values[i])
			if values[i] = v; left {
				delete(h, name)
				break
			}
		}
	}
	return sent
}

// assert returns the assertion about the session's identity, which serves for
// half its life.
func (t *target) assert() (string, error) {
	a, i, now := t.s.Assertion, t.ps.Info(), time.Now()
	if a == nil {
		return "", errors.New("httpproxy: there is no key to sign with")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.said == "" || now.Sub(t.saidAt) > a.ttl()/2 {
		said, err := a.sign(i.Identity, i.Resource.Name, now)
		if err != nil {
			return "", err
		}
		t.said, t.saidAt = said, now
	}
	return t.said, nil
}

// headerText makes s fit into a header.
func headerText(s string) string {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return url.PathEscape(s)
		}
	}
	return s
}
