package httpproxy

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// parsed is what a request asks for, in a form that can be read in one way only.
type parsed struct {
	host    string // without port, lower case
	path    string // decoded: begins with /, has no empty, . or .. segments; as the target reads it once that is known
	rawPath string // as it was sent
	query   string // as it was sent, without ?
	hasMark bool   // there was a ?
	upgrade bool   // to WebSocket
}

// methods that make no sense through a gateway: one asks for a tunnel, the
// others for the request's own headers, which have the target's secret.
func forbidden(method string) bool {
	return method == http.MethodConnect || strings.EqualFold(method, "TRACE") || strings.EqualFold(method, "TRACK")
}

// parse refuses a request that target and gateway could read differently.
func (c *conn) parse(r *http.Request) (*parsed, *refusal) {
	p := &parsed{}
	switch {
	case forbidden(r.Method):
		e := refuse(http.StatusMethodNotAllowed, "the method "+r.Method+" is not for gateways")
		e.header = http.Header{"Allow": {"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"}}
		return nil, e
	case r.URL.Host != "" || r.URL.Scheme != "" || r.URL.Opaque != "" || !strings.HasPrefix(r.RequestURI, "/"):
		return nil, badRequest("the request's target has to be a path")
	case len(r.Header["Host"]) > 1 || len(r.Header["Host"]) == 1 && r.Header["Host"][0] != r.Host: // HTTP/2 has :authority too
		return nil, badRequest("there are two hosts")
	}
	delete(r.Header, "Host")
	var err *refusal
	if p.host, err = parseHost(r.Host); err != nil {
		return nil, err
	}
	if c.tls != nil && c.tls.ServerName != "" && !strings.EqualFold(strings.TrimSuffix(c.tls.ServerName, "."), p.host) {
		return nil, refuse(http.StatusMisdirectedRequest, "this connection was opened for another host")
	}
	p.rawPath, p.query, p.hasMark = strings.Cut(r.RequestURI, "?")
	if p.path, err = parsePath(p.rawPath); err != nil {
		return nil, err
	}
	if strings.ContainsFunc(p.query, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '#' }) { // HTTP/2 can have them
		return nil, badRequest("the query has a character that has to be percent-encoded")
	}
	if !escapesAreWhole(p.query) {
		return nil, badRequest("the query has a %% that is not an escape")
	}
	return p, p.headers(c, r)
}

// parseHost returns the host name of a Host header.
func parseHost(s string) (string, *refusal) {
	host, ok := hostOf(s)
	if !ok {
		return "", badRequest("the host name makes no sense")
	}
	return host, nil
}

func hostOf(s string) (host string, ok bool) {
	host = s
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		port, err := strconv.ParseUint(s[i+1:], 10, 16)
		if err != nil || port == 0 || s[i+1] == '+' {
			return "", false
		}
		host = s[:i]
	}
	if in, ok := strings.CutPrefix(host, "["); ok {
		in, ok = strings.CutSuffix(in, "]")
		a, err := netip.ParseAddr(in)
		if !ok || err != nil || !a.Is6() || a.Zone() != "" {
			return "", false
		}
		return a.String(), true
	}
	host = strings.ToLower(host)
	if len(host) > 253 {
		return "", false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return "", false
		}
		for i := range len(label) {
			if c := label[i]; !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return "", false
			}
		}
	}
	return host, true
}

// parsePath returns what a path means, decoded once, but for encoded slashes and
// semicolons: they stay %2F and %3B, which nothing else in the path becomes. It
// refuses paths that servers are known to read in several ways. A path that is
// decoded again, as some do, must not mean another either.
func parsePath(raw string) (string, *refusal) {
	for i := range len(raw) {
		switch c := raw[i]; {
		case c <= ' ' || c >= 0x7f, c == '"', c == '#', c == '?', c == '<', c == '>', c == '\\', c == '`', c == '{', c == '}':
			return "", badRequest("the path has a character that has to be percent-encoded")
		}
	}
	path, err := unescapePath(raw)
	if err != nil {
		return "", badRequest("the path has a %% that is not an escape")
	}
	if !utf8.ValidString(path) {
		return "", badRequest("the path is not UTF-8")
	}
	again := raw
	for level := 0; ; level++ {
		if level == 8 {
			return "", badRequest("the path is encoded many times")
		}
		if err := checkPath(again); err != nil {
			return "", err
		}
		if !strings.Contains(again, "%") {
			break
		}
		next, err := url.PathUnescape(again)
		if err != nil { // a % of its own is well formed after decoding
			break
		}
		if level > 0 && (strings.Count(next, "/") != strings.Count(again, "/") || strings.Count(next, ";") != strings.Count(again, ";")) {
			return "", badRequest("the path has a slash or a semicolon that is encoded twice")
		}
		again = next
	}
	return path, nil
}

const (
	encodedSlash     = "%2F"
	encodedSemicolon = "%3B"
)

// unescapePath decodes all escapes but those of slashes and semicolons.
func unescapePath(raw string) (string, error) {
	if !strings.Contains(raw, "%") {
		return raw, nil
	}
	var b strings.Builder
	for {
		i := strings.IndexByte(raw, '%')
		if i < 0 || i+3 > len(raw) {
			rest, err := url.PathUnescape(raw)
			b.WriteString(rest)
			return b.String(), err
		}
		b.WriteString(raw[:i])
		switch escape := strings.ToUpper(raw[i : i+3]); escape {
		case encodedSlash, encodedSemicolon:
			b.WriteString(escape)
		default:
			c, err := url.PathUnescape(escape)
			if err != nil {
				return "", err
			}
			b.WriteString(c)
		}
		raw = raw[i+3:]
	}
}

func checkPath(path string) *refusal {
	if !strings.HasPrefix(path, "/") {
		return badRequest("the path does not begin with a slash")
	}
	for i := range len(path) {
		if c := path[i]; c < ' ' || c == 0x7f || c == '\\' {
			return badRequest("the path has a control character or a backslash")
		}
	}
	for rest, more := path[1:], true; more; {
		var all string
		all, rest, more = strings.Cut(rest, "/")
		switch seg, _, _ := strings.Cut(all, ";"); {
		case seg == "." || seg == "..":
			return badRequest("the path has a . or .. segment")
		case seg == "" && (all != "" || more):
			return badRequest("the path has an empty segment")
		}
	}
	return nil
}

// pathAt returns path, which parsePath returned, as the target reads it: what
// rules are about.
func (t *target) pathAt(path string) (string, *refusal) {
	if strings.Contains(path, encodedSlash) {
		switch t.slashes {
		case "":
			return "", badRequest("the path has an encoded slash")
		case "slash":
			if t.semicolons == "parameters" && strings.Contains(path, ";") {
				return "", badRequest("the path has an encoded slash and parameters")
			}
			path = strings.ReplaceAll(path, encodedSlash, "/")
		}
	}
	if !strings.Contains(path, ";") && !strings.Contains(path, encodedSemicolon) {
		return path, nil
	}
	switch t.semicolons {
	case "": // /admin;x/ is /admin/ to servlets, and not to others
		return "", badRequest("the path has a semicolon")
	case "parameters":
		segments := strings.Split(path, "/")
		for i := range segments {
			segments[i], _, _ = strings.Cut(segments[i], ";")
		}
		path = strings.Join(segments, "/")
	}
	return path, nil
}

// encoded is raw as net/url would encode it, which else decodes it and does not
// tell an encoded slash from a slash.
func encoded(raw string) string { return encoder.Replace(raw) }

var encoder = strings.NewReplacer("^", "%5E", "|", "%7C")

// escapesAreWhole reports whether each % begins an escape.
func escapesAreWhole(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			continue
		}
		if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
			return false
		}
		i += 2
	}
	return true
}

// reroute are headers with which some targets replace the method or the path
// that was decided about.
var reroute = []string{"X-Http-Method-Override", "X-Http-Method", "X-Method-Override", "X-Original-Url", "X-Rewrite-Url",
	"X-Original-Uri", "X-Original-Method", "X-Forwarded-Uri", "X-Forwarded-Method", "X-Forwarded-Prefix"}

// single are headers of which servers take the first or the last.
var single = []string{"Authorization", "Content-Length", "Content-Type", "Content-Encoding", "Origin", "Expect", "Upgrade", "Sec-Websocket-Key"}

// headers refuses what could be read in two ways, and takes out of r what is
// between the client and the gateway only.
func (p *parsed) headers(c *conn, r *http.Request) *refusal {
	h := r.Header
	for _, name := range reroute {
		if _, ok := h[name]; ok {
			return badRequest("the header %s would ask the target for something else", name)
		}
	}
	for _, name := range single {
		if len(h[name]) > 1 {
			return badRequest("there are two headers %s", name)
		}
	}
	// Of HTTP/2, net/http takes a length that it cannot read for 0.
	if v := h["Content-Length"]; v != nil {
		if n, err := strconv.ParseUint(v[0], 10, 63); err != nil || int64(n) != r.ContentLength {
			return badRequest("Content-Length %.20q is not the length of the body", v[0])
		}
	}
	upgrades := false
	for _, v := range h["Connection"] {
		for token := range strings.SplitSeq(v, ",") {
			switch token = strings.ToLower(strings.Trim(token, " \t")); token {
			case "host", "content-length", "transfer-encoding", "content-type", "authorization", "cookie":
				return badRequest("the header Connection names %s", token)
			case "upgrade":
				upgrades = true
			}
		}
	}
	p.upgrade = upgrades && c.h1 != nil && strings.EqualFold(h.Get("Upgrade"), "websocket")
	if !p.upgrade { // any other protocol would go past the steps
		delete(h, "Upgrade")
		delete(h, "Http2-Settings")
		return nil
	}
	if r.Method != http.MethodGet || r.ContentLength != 0 {
		return badRequest("a WebSocket begins with a GET")
	}
	c.h1.upgrades()
	// Browsers let any page open a WebSocket, with the user's cookies.
	if origin := h.Get("Origin"); origin != "" {
		u, err := url.Parse(origin)
		if err != nil || !strings.EqualFold(u.Host, r.Host) || u.Scheme != "https" && (u.Scheme != "http" || c.tls != nil) {
			return refuse(http.StatusForbidden, "a page of another origin wants to open a WebSocket")
		}
	}
	return nil
}

// identityHeaders are names, and beginnings of names, in which targets are used
// to read from the proxy before them who somebody is or where a request came
// from. From outside they never pass.
var identityHeaders = []string{"forwarded", "x-forwarded-", "x-real-ip", "x-client-ip", "x-client-cert", "x-client-cert-", "client-cert",
	"client-cert-", "client-ip", "true-client-ip", "cf-connecting-", "cf-access-", "fastly-client-", "x-cluster-client-", "x-remote-", "remote-",
	"x-auth-", "x-authenticated-", "x-authentik-", "x-webauth-", "x-user", "x-user-id", "x-user-name", "x-user-email", "x-user-groups",
	"x-user-roles", "x-username", "x-userid", "x-email", "x-groups", "x-roles", "x-identity", "x-identity-", "x-vouch-", "x-pomerium-",
	"x-goog-iap-", "x-goog-authenticated-", "x-amzn-oidc-", "x-ms-client-", "x-ms-token-", "x-ssl-", "ssl-client-", "x-sallyport-",
	"x-original-", "x-envoy-", "x-tailscale-", "tailscale-", "x-teleport-", "teleport-", "impersonate-", "proxy", "proxy-", "via",
	"x-consumer-", "x-anonymous-consumer", "x-credential-", "x-endpoint-api-userinfo", "x-apigateway-api-userinfo", "iv-", "x-host", "x-http-host-override"}

// keep reports whether a header of the client, in its canonical form, goes to
// the target.
func keep(name string) bool {
	for i := range len(name) {
		if notAlphanumeric(rune(name[i])) { // CGI and its like cannot tell _, and some no other character, from -
			return false
		}
	}
	for _, p := range byFirst[name[0]|0x20] {
		if len(name) >= len(p) && strings.EqualFold(name[:len(p)], p) && (len(name) == len(p) || p[len(p)-1] == '-') {
			return false
		}
	}
	return true
}

func notAlphanumeric(c rune) bool {
	return c != '-' && !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9')
}

// dashed is how a target that cannot tell names apart reads name.
func dashed(name string) string {
	return strings.Map(func(c rune) rune {
		if notAlphanumeric(c) {
			return '-'
		}
		return c
	}, name)
}

// byFirst are identityHeaders by their first letter: most names have none.
var byFirst = func() (by [256][]string) {
	for _, p := range identityHeaders {
		by[p[0]] = append(by[p[0]], p)
	}
	return by
}()

// route returns the target that a request is for, and the part of its path
// that names the target.
func (s *Server) route(p *parsed) (target, prefix string) {
	if t := s.Hosts[p.host]; t != "" {
		return t, ""
	}
	if s.Domain != "" {
		if label, ok := strings.CutSuffix(p.host, "."+strings.ToLower(s.Domain)); ok && !strings.Contains(label, ".") {
			return label, ""
		}
	}
	if s.Paths {
		name, _, ok := strings.Cut(p.rawPath[1:], "/")
		if ok && name != "" && !strings.ContainsAny(name, "%;") {
			return name, "/" + name
		}
	}
	return "", ""
}

func remoteHost(a net.Addr) string {
	if a == nil {
		return ""
	}
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}
