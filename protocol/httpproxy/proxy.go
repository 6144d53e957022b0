package httpproxy

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"

	"github.com/sallyport-dev/gateway/protocol"
)

// sameOrigin does not change.
var sameOrigin = http.NewCrossOriginProtection()

// own is the beginning of the paths that are the gateway's own, at each target.
const own = "/.sallyport/"

// ServeHTTP answers one request of the connection.
func (c *conn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !c.enter() {
		panic(http.ErrAbortHandler)
	}
	defer c.handlers.Done()
	if c.h1 == nil {
		defer func() { // what net/http has kept is written behind this
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(c.s.stallTimeout())) // every stream of HTTP/2 can
		}()
	}
	q := &request{c: c, w: w, in: r}
	if err := protocol.Guard(q.serve); err != nil {
		var p *protocol.PanicError
		switch {
		case errors.As(err, &p):
			if p.Value != http.ErrAbortHandler {
				c.fail(q.session, err)
			}
			panic(http.ErrAbortHandler) // net/http closes the connection, or resets the stream
		case c.h1 != nil && c.h1.bad.Load(): // the body went wrong, or what is behind it
			bad := badRequest("the request is not framed as HTTP has it")
			bad.header = closing(nil)
			err = bad
		case errors.Is(err, protocol.ErrClientGone):
			panic(http.ErrAbortHandler)
		}
		refusalOf(err).write(w, r)
	}
}

// fail ends the session that something went wrong in.
func (c *conn) fail(s *session, err error) {
	c.s.log.Error("a request failed", "remote", remoteHost(c.raw.RemoteAddr()), "err", err)
	c.mu.Lock()
	c.err = errors.Join(c.err, err)
	c.mu.Unlock()
	if s != nil && s.ps != nil {
		s.ps.Terminate(err)
	}
}

// A request is one request on its way through the gateway.
type request struct {
	c  *conn
	w  http.ResponseWriter
	in *http.Request

	*parsed
	prefix  string // of the path, names the target
	session *session
	target  *target
	op      [1]*protocol.Operation
	x       *protocol.Exchange // nil until it is allowed
	cred    *protocol.Credentials
	said    string // the assertion for the target
	body    []byte // if it is part of the operation
	bare    bool   // the answer to a HEAD, which has no body, goes to a GET

	cancel   context.CancelCauseFunc // ends all of it
	asking   context.CancelCauseFunc // ends it at the target; nil: cancel does
	released bool                    // the record is safe for the first byte of the response
	failed   error                   // why there is none

	status  int        // of the target's response
	whole   bool       // the response came to its end
	socket  *webSocket // if there is one that steps look at
	bytesIn atomic.Int64
	bytes   int64

	mu  sync.Mutex
	err error // why the gateway failed
}

func (q *request) fault(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil {
		q.err = err
	}
}

func (q *request) faulty() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.err
}

// serve answers, or returns why there is no answer.
func (q *request) serve() (err error) {
	p, bad := q.c.parse(q.in)
	if bad != nil {
		bad.header = closing(bad.header)
		return bad
	}
	q.parsed = p
	name, prefix := q.c.s.route(p)
	if q.prefix = prefix; name == "" {
		return refuse(http.StatusMisdirectedRequest, "no target has this host name")
	}
	if q.c.s.Login != nil && q.c.tls != nil {
		switch q.inner() {
		case own + "callback":
			return q.callback(q.in.Context())
		case own + "logout":
			return q.logout()
		}
	}
	k, bad := q.credential()
	if bad != nil {
		return bad
	}
	if k == nil {
		if q.navigates() {
			return q.login(q.in.Context())
		}
		return q.c.challenge("this is a gateway, and it has to know who you are")
	}
	// A browser adds a basic password or a certificate to what any page sends.
	if k.kind != "bearer" && sameOrigin.Check(q.in) != nil {
		return refuse(http.StatusForbidden, "a page of another origin wants to change something")
	}
	if q.session, err = q.c.session(q.in, name, k); err != nil {
		if k.kind == "cookie" && isChallenge(err) && q.navigates() {
			return q.login(q.in.Context()) // the token in it has expired
		}
		return err
	}
	defer q.c.release(q.session)
	q.target = q.session.target
	if q.path, bad = q.target.pathAt(q.path); bad != nil {
		bad.header = closing(nil)
		return bad
	}

	if rest := q.inner(); strings.HasPrefix(rest, own) {
		return q.ours(strings.TrimPrefix(rest, own))
	}
	if q.target.auth == "query" && hasParameter(p.query, q.target.name) {
		return badRequest("the query has the parameter %s, which is the gateway's to set", q.target.name)
	}
	op, err := q.operation()
	if err != nil {
		return err
	}
	return q.execute(op)
}

// leaving returns a context that ends when the client leaves, for that reason.
func leaving(r *http.Request) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.Context()))
	unhook := context.AfterFunc(r.Context(), func() { cancel(protocol.ErrClientGone) })
	return ctx, func() {
		unhook()
		cancel(nil)
	}
}

// run sends what was allowed and answers with what comes back.
func (q *request) run(ctx context.Context) (err error) {
	defer q.end()
	if q.op[0].Rewritten() != "" {
		q.fault(protocol.ErrFixed)
		return protocol.ErrFixed
	}
	if q.cred, err = q.target.credentials(ctx); err != nil {
		q.fault(err)
		q.c.s.log.Error("no credentials for a target", "session", q.session.ps.Info().ID, "err", err)
		return refuse(http.StatusBadGateway, protocol.FixedReason)
	}
	if q.target.assertion {
		if q.said, err = q.target.assert(); err != nil {
			q.fault(err)
			return err
		}
	}
	return q.forward(ctx)
}

// closing says that the connection ends with this answer.
func closing(h http.Header) http.Header {
	if h == nil {
		h = http.Header{}
	}
	h.Set("Connection", "close")
	return h
}

// hasParameter reports whether a query has the parameter, however a target
// separates and decodes it.
func hasParameter(query, name string) bool {
	for pair := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		key, _, _ := strings.Cut(pair, "=")
		decoded, err := url.QueryUnescape(key)
		if err != nil || strings.EqualFold(decoded, name) || strings.HasPrefix(strings.ToLower(decoded), strings.ToLower(name)+"[") {
			return true
		}
	}
	return false
}

// ours answers for the gateway's own paths.
func (q *request) ours(path string) error {
	if ticket, ok := strings.CutPrefix(path, "held/"); ok && q.in.Method == http.MethodGet {
		return q.collect(ticket)
	}
	if path != "whoami" {
		return refuse(http.StatusNotFound, "the gateway has no such page")
	}
	i := q.session.ps.Info()
	body, err := json.Marshal(map[string]string{"subject": i.Identity.Subject, "issuer": i.Identity.Issuer, "target": i.Resource.Name, "session": i.ID})
	if err != nil {
		return err
	}
	h := q.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	_, _ = q.w.Write(append(body, '\n')) // a client that is gone reads nothing
	return nil
}

// operation says what the request asks for. A body of announced and small size
// is part of it. What a method does is what RFC 9110 says; that a target keeps
// to it is not proven, and counts only where the operator vouches for it.
func (q *request) operation() (*protocol.Operation, error) {
	r := q.in
	header := lasting(r.Header)
	q.strip(header)
	op := &protocol.Operation{Verb: protocol.Verb(strings.ToLower(r.Method)), Text: r.Method + " " + r.RequestURI,
		Shape: protocol.Docs | protocol.Bytes, Detail: &Request{Method: r.Method, Path: q.inner(), Query: q.query, Header: header}}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		op.Access, op.Bounded = protocol.Read, true
		op.Pure = q.target.pure && !q.upgrade && r.ContentLength == 0
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		op.Access = protocol.Write
	default:
		op.Verb, op.Access, op.Why = protocol.Unknown, protocol.Opaque, "not a method that is known"
	}
	if q.upgrade {
		op.Verb, op.Access, op.Bounded = "websocket", protocol.Read|protocol.Write, false
	}
	op.Objects = []protocol.Object{{Kind: "path", Name: q.inner(), Access: op.Access}}
	if r := q.target.routes.find(r.Method, q.inner()); r != nil {
		op.Objects = append(op.Objects, protocol.Object{Kind: "route", Name: r.name, Access: op.Access})
		op.Fingerprint = string(op.Verb) + " " + r.template
	} else if q.target.described {
		return nil, refuse(http.StatusNotFound, "the target's description has no such operation")
	}
	op.Raw = [][]byte{headerBytes(header)}
	switch {
	case r.ContentLength == 0: // of a server's request: there is no body; its Body says so for HTTP/1 only
	case r.ContentLength > 0 && r.ContentLength <= q.c.s.maxBody():
		body, err := q.readBody()
		if err != nil {
			return nil, err
		}
		op.Raw = append(op.Raw, body)
		if q.target.trailers && len(r.Trailer) > 0 { // which have come by now
			op.Raw = append(op.Raw, headerBytes(q.passing(r.Trailer)))
		}
		kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
		arg := protocol.Arg{Text: string(body), Type: kind}
		if !utf8.Valid(body) {
			arg.Text = `\x` + hex.EncodeToString(body)
		}
		op.Args = []protocol.Arg{arg}
	default:
		op.NoWait = true // what would be approved is not known
	}
	return op, nil
}

// headerBytes are the headers that the target is to see, for the digest.
func headerBytes(h http.Header) []byte {
	var b bytes.Buffer
	_ = h.Write(&b) // a Buffer takes everything
	return b.Bytes()
}

func (q *request) readBody() ([]byte, error) {
	r := q.in
	rc := http.NewResponseController(q.w)
	_ = rc.SetReadDeadline(time.Now().Add(q.c.s.stallTimeout())) // fails on a closed connection, as reading will
	body := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, body); err != nil {
		return nil, protocol.ErrClientGone
	}
	if _, err := r.Body.Read(make([]byte, 1)); err != io.EOF { // behind which the trailers are
		return nil, protocol.ErrClientGone
	}
	_ = rc.SetReadDeadline(time.Time{})
	r.Body = io.NopCloser(bytes.NewReader(body))
	q.body = body
	q.bytesIn.Add(int64(len(body)))
	return body, nil
}

// lasting returns h without what is between the client and the gateway only,
// which net/http's proxy takes out of what it sends.
func lasting(h http.Header) http.Header {
	out := maps.Clone(h)
	for _, v := range h["Connection"] {
		for name := range strings.SplitSeq(v, ",") {
			out.Del(strings.Trim(name, " \t"))
		}
	}
	for _, name := range []string{"Connection", "Keep-Alive", "Te", "Trailer", "Upgrade"} {
		delete(out, name)
	}
	return out
}

// strip takes out of a client's headers what a target may not see: its proof,
// the gateway's cookies, what targets are used to believe, and what the gateway
// says itself.
func (q *request) strip(h http.Header) {
	for name := range h {
		if name == "Authorization" || !keep(name) || q.target.sets(name) {
			delete(h, name)
		}
	}
	if cookies := h["Cookie"]; cookies != nil {
		if left := withoutOwn(cookies); left == "" {
			delete(h, "Cookie")
		} else {
			h["Cookie"] = []string{left}
		}
	}
}

// ownCookie is what the names of the gateway's cookies begin with.
const ownCookie = "__Host-sallyport"

func withoutOwn(cookies []string) string {
	var left []string
	for _, line := range cookies {
		for c := range strings.SplitSeq(line, ";") {
			if c = strings.Trim(c, " \t"); c != "" && !isOwnCookie(c) {
				left = append(left, c)
			}
		}
	}
	return strings.Join(left, "; ")
}

// isOwnCookie reports whether somebody could take pair for a cookie of the
// gateway. One without a name is sent by its value alone, which has a name then.
func isOwnCookie(pair string) bool {
	return strings.HasPrefix(strings.ToLower(strings.TrimLeft(pair, "= \t\"")), strings.ToLower(ownCookie))
}

type copyBuffer [32 << 10]byte

// buffers are the proxies' copy buffers.
type buffers struct{ sync.Pool }

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte { return b.Pool.Get().(*copyBuffer)[:] }

// Put implements httputil.BufferPool.
func (b *buffers) Put(p []byte) { b.Pool.Put((*copyBuffer)(p)) }

var copyBuffers = &buffers{sync.Pool{New: func() any { return new(copyBuffer) }}}

// proxy returns what forwards the requests of a session to t, each of which is in its
// context.
func (t *target) proxy() *httputil.ReverseProxy {
	of := func(ctx context.Context) *request { return ctx.Value(requestKey{}).(*request) }
	return &httputil.ReverseProxy{
		Rewrite:    func(pr *httputil.ProxyRequest) { of(pr.In.Context()).rewrite(pr) },
		Transport:  t.transport,
		BufferPool: copyBuffers,
		ModifyResponse: func(res *http.Response) error {
			ctx := res.Request.Context()
			q := of(ctx)
			if err := q.release(ctx); err != nil {
				_ = res.Body.Close()
				return err
			}
			return q.response(res)
		},
		ErrorLog: t.s.std,
		ErrorHandler: func(_ http.ResponseWriter, r *http.Request, err error) {
			q := of(r.Context())
			q.failed = q.explain(r.Context(), err)
		},
	}
}

// errStopped ends a request whose response nobody reads to its end.
var errStopped = errors.New("httpproxy: the response is not wanted any more")

// forward sends the request and copies the response.
func (q *request) forward(ctx context.Context) error {
	if err := q.tapBody(); err != nil {
		q.fault(err)
		return err
	}
	if q.c.h1 != nil { // a target may answer before it has read everything, as HTTP/2 can
		_ = http.NewResponseController(q.w).EnableFullDuplex() // every net/http server of HTTP/1 can
	}
	asking := ctx
	if q.in.ContentLength != 0 { // what is left of the body is for the server to read
		asking, q.asking = context.WithCancelCause(ctx)
		defer q.asking(nil)
	}
	w := newWriter(q.w, q.c)
	defer w.close()
	func() {
		defer w.cut()
		q.target.forwards.ServeHTTP(w, q.in.WithContext(q.target.traced(asking)))
		w.whole = true
	}()
	if q.failed != nil { // which tells of the target too
		if err := q.release(ctx); err != nil {
			return err
		}
	}
	return q.failed
}

// stop ends the request at the target.
func (q *request) stop() {
	if q.asking != nil {
		q.asking(errStopped)
	} else {
		q.cancel(errStopped)
	}
}

// release makes the record safe for the first byte of what the target answers.
func (q *request) release(ctx context.Context) error {
	if q.released {
		return nil
	}
	if err := q.session.ps.Commit(ctx, protocol.BeforeRelease, q.op[:]); err != nil {
		q.fault(err)
		if errors.Is(err, protocol.ErrUnavailable) && q.op[0].Access == protocol.Read {
			return unavailable() // the target has been asked, for what can be asked for twice
		}
		return &stepError{err}
	}
	q.released = true
	return nil
}

// rewrite makes the request to the target.
func (q *request) rewrite(pr *httputil.ProxyRequest) {
	out, t := pr.Out, q.target
	raw := encoded(strings.TrimPrefix(q.rawPath, q.prefix))
	path, _ := url.PathUnescape(raw) // is well formed
	*out.URL = url.URL{Scheme: t.scheme, Host: t.host, Path: path, RawPath: raw, RawQuery: q.query, ForceQuery: q.hasMark && q.query == ""}
	out.Host = t.host
	out.GetBody = nil // a body is sent once
	if q.x.Operation().Access != protocol.Read && (out.Body == nil || out.Body == http.NoBody) {
		out.Body = io.NopCloser(strings.NewReader("")) // and what has none as well: the transport sees that it had one
	}
	q.strip(out.Header)
	if q.trailers(out); out.ContentLength < 0 {
		out.Header.Del("Content-Length")
	}
	via, scheme := "2.0 sallyport", "http"
	if q.in.ProtoMajor == 1 {
		via = "1." + strconv.Itoa(q.in.ProtoMinor) + " sallyport"
	}
	if q.c.tls != nil {
		scheme = "https"
	}
	values := []string{q.c.remote, q.in.Host, scheme, via}
	for i, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Via"} {
		out.Header[name] = values[i : i+1 : i+1]
	}
	if !q.x.Plain() { // a step has to see all of the body, and as it is
		out.Header.Set("Accept-Encoding", "identity")
		if out.Header["Grpc-Accept-Encoding"] != nil {
			out.Header.Set("Grpc-Accept-Encoding", "identity")
		}
		out.Header.Del("Sec-Websocket-Extensions") // which compress
		for _, name := range []string{"Range", "If-Range", "If-None-Match", "If-Modified-Since", "A-Im", "Want-Digest", "Want-Content-Digest", "Want-Repr-Digest"} {
			out.Header.Del(name)
		}
		if q.x.Operation().Access == protocol.Read { // else they guard what is changed
			out.Header.Del("If-Match")
			out.Header.Del("If-Unmodified-Since")
		}
	}
	if q.said != "" {
		out.Header.Set(t.s.Assertion.header(), q.said)
	}
	t.inject(out, q.cred)
}

// trailers has those trailers of the request follow its body to the target that
// it wants. No others do: targets are known to take trailers for headers.
func (q *request) trailers(out *http.Request) {
	out.Trailer = nil
	if !q.target.trailers || len(q.in.Trailer) == 0 || out.Body == nil { // of HTTP/2, a request without a body can announce some
		return
	}
	announced := q.passing(q.in.Trailer)
	if len(announced) == 0 {
		return
	}
	out.Trailer, out.ContentLength = announced, -1
	out.Body = readCloser{&counter{out.Body, func(int) {}, func() {
		for name := range announced {
			announced[name] = q.in.Trailer[name]
		}
	}}, out.Body}
}

// passing returns those of a request's trailers that a target may see.
func (q *request) passing(trailer http.Header) http.Header {
	out := maps.Clone(trailer)
	q.strip(out)
	for name := range out {
		if !httpguts.ValidTrailerHeader(name) || name == "Cookie" || slices.Contains(reroute, name) || slices.Contains(single, name) {
			delete(out, name)
		}
	}
	return out
}

// explain turns a failure of the proxy into an answer.
func (q *request) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		if cause := context.Cause(ctx); cause != nil && cause != errStopped {
			return cause
		}
	}
	q.fault(err)
	var r *refusal
	var d *protocol.DeniedError
	if errors.As(err, &r) || errors.As(err, &d) {
		return err
	}
	var f *stepError
	if errors.As(err, &f) {
		return err // only its fixed reason is shown
	}
	q.c.s.log.Warn("a target did not answer", "session", q.session.ps.Info().ID, "target", q.session.ps.Info().Resource.Name, "err", err)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return refuse(http.StatusGatewayTimeout, "the target did not answer in time")
	}
	return refuse(http.StatusBadGateway, "the target could not be reached, or did not answer as HTTP has it")
}

// end closes the operation.
func (q *request) end() {
	if q.socket != nil {
		q.socket.end()
	}
	out := protocol.Outcome{Status: protocol.StatusUnknown, Bytes: q.bytes, BytesIn: q.bytesIn.Load(), Err: q.faulty()}
	if q.status > 0 {
		out.Code = strconv.Itoa(q.status)
	}
	switch {
	case out.Err != nil:
		out.Status = protocol.StatusError
	case q.whole && q.status < 400:
		out.Status = protocol.StatusOK
	case q.whole:
		out.Status = protocol.StatusFailed
	}
	q.x.End(out)
}

// A Request is the [protocol.Operation].Detail of this connector's operations.
// Steps must not change it.
type Request struct {
	Method string
	Path   string      // decoded, as the target reads it; without the part that names the target
	Query  string      // as it was sent
	Header http.Header // as far as the target may see it
}

// locals rewrites what the target says about itself in a response.
func (q *request) locals(h http.Header) {
	delete(h, "Alt-Svc") // ways round the gateway
	delete(h, "Alt-Used")
	if loc := h.Get("Location"); loc != "" {
		if u, err := url.Parse(loc); err == nil && (u.Host == "" || strings.EqualFold(u.Host, q.target.host)) {
			if u.Host != "" {
				u.Scheme, u.Host, u.User = "", "", nil
				if u.Path == "" {
					u.Path = "/"
				}
			}
			before := q.prefix
			if before == "" && strings.HasPrefix(u.Path, "//") { // else the first segment would be another host
				before = "/."
			}
			if before != "" && strings.HasPrefix(u.Path, "/") {
				u.Path, u.RawPath = before+u.Path, before+u.EscapedPath()
			}
			h.Set("Location", u.String())
		}
	}
	cookies := h["Set-Cookie"]
	if cookies == nil {
		return
	}
	out := slices.Clone(cookies)[:0]
	for _, c := range cookies {
		if !isOwnCookie(c) {
			out = append(out, q.cookie(c))
		}
	}
	h["Set-Cookie"] = out
}

// cookie makes a target's cookie one of its own host and path only.
func (q *request) cookie(c string) string {
	parts := strings.Split(c, ";")
	out := parts[:1]
	for _, attr := range parts[1:] {
		name, value, _ := strings.Cut(strings.Trim(attr, " \t"), "=")
		switch strings.ToLower(name) {
		case "domain":
			continue
		case "path":
			if q.prefix != "" && strings.HasPrefix(value, "/") {
				attr = " Path=" + q.prefix + strings.TrimSuffix(value, "/")
			}
		}
		out = append(out, attr)
	}
	return strings.Join(out, ";")
}
