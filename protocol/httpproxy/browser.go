package httpproxy

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// A Login is where people who use a browser log in: an issuer of tokens that
// the gateway's steps accept. Package middleware/oidc has one. Its methods are
// called from many goroutines at once.
type Login interface {
	// Begin returns the address that a browser is sent to. It comes back to
	// redirect with state and a code that is good for who knows verifier; the
	// token is to have nonce in it.
	Begin(ctx context.Context, redirect, state, verifier, nonce string) (string, error)
	// Finish returns the token that code stands for. Its errors never contain a
	// secret.
	Finish(ctx context.Context, redirect, code, verifier, nonce string) (protocol.Secret, error)
}

// The gateway's cookies. The prefix __Host- keeps them to one host, over TLS.
const (
	sessionCookie = ownCookie
	loginCookie   = ownCookie + "-login"
	maxCookie     = 4000 // browsers keep 4096 bytes, name and attributes included
	loginTime     = 10 * time.Minute
)

// A loginState is what a browser keeps while it is at the issuer's.
type loginState struct {
	State, Verifier, Nonce, Back string
	Until                        time.Time
}

// seal encrypts what a browser keeps for us; purpose and host are bound to it.
func (s *Server) seal(purpose, host string, b []byte) string {
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, b, []byte(purpose+"\x00"+host)))
}

func (s *Server) unseal(purpose, host, text string) ([]byte, bool) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(text) > 2*maxCookie {
		return nil, false
	}
	b, err = s.aead.Open(nil, nil, b, []byte(purpose+"\x00"+host))
	return b, err == nil
}

// newAEAD returns the cipher of cookies; without a key a new one is made, which
// is good for as long as the process lives.
func newAEAD(key protocol.Secret) (cipher.AEAD, error) {
	k := sha256.Sum256([]byte("sallyport/cookie/v1\x00" + key.Reveal()))
	if key.Empty() {
		_, _ = rand.Read(k[:]) // never fails: it ends the process if the system has no randomness
	}
	block, err := aes.NewCipher(k[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// cookie returns the value of the only cookie of that name; two are an error.
func cookie(r *http.Request, name string) (string, *refusal) {
	cs := r.CookiesNamed(name)
	switch len(cs) {
	case 0:
		return "", nil
	case 1:
		return cs[0].Value, nil
	}
	return "", badRequest("there are two cookies %s", name)
}

// fromCookie returns the token of a browser that has logged in, or nil.
func (q *request) fromCookie() (*credential, *refusal) {
	s := q.c.s
	if s.Login == nil || q.c.tls == nil {
		return nil, nil
	}
	value, bad := cookie(q.in, sessionCookie)
	if value == "" || bad != nil {
		return nil, bad
	}
	token, ok := s.unseal("session", q.host, value)
	if !ok {
		return nil, nil // of another key, or of another host: nobody is known by it
	}
	return &credential{kind: "cookie", proof: protocol.Token{Secret: protocol.NewSecret(string(token))}, sum: sha256.Sum256(token)}, nil
}

// navigates reports whether the request is a browser's for a page, which can be
// sent elsewhere and come back.
func (q *request) navigates() bool {
	mode := q.in.Header.Get("Sec-Fetch-Mode")
	return q.c.s.Login != nil && q.c.tls != nil && q.in.Method == http.MethodGet && !q.upgrade && wants(q.in) == "html" &&
		(mode == "" || mode == "navigate") && !strings.HasPrefix(q.inner(), own)
}

// inner is the path below the part that names the target.
func (q *request) inner() string { return strings.TrimPrefix(q.path, q.prefix) }

func (q *request) redirectURI() string { return "https://" + q.in.Host + q.prefix + own + "callback" }

func random() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the process if the system has no randomness
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// login sends a browser to the issuer. The page that it asked for is kept.
func (q *request) login(ctx context.Context) error {
	s := q.c.s
	st := loginState{random(), random(), random(), q.in.RequestURI, time.Now().Add(loginTime)}
	where, err := s.Login.Begin(ctx, q.redirectURI(), st.State, st.Verifier, st.Nonce)
	if err != nil {
		s.log.Error("a browser cannot be sent to log in", "err", err)
		return refuse(http.StatusBadGateway, "the place to log in cannot be reached")
	}
	b, err := json.Marshal(st)
	if err != nil {
		return err
	}
	value := s.seal("login", q.host, b)
	if len(value) > maxCookie { // a very long address: begin at the front page
		st.Back = q.prefix + "/"
		if b, err = json.Marshal(st); err != nil {
			return err
		}
		value = s.seal("login", q.host, b)
	}
	http.SetCookie(q.w, q.ownCookie(loginCookie, value, loginTime))
	q.redirect(where)
	return nil
}

func (q *request) ownCookie(name, value string, age time.Duration) *http.Cookie {
	return &http.Cookie{Name: name, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(age / time.Second)}
}

func (q *request) redirect(where string) {
	h := q.w.Header()
	h.Set("Location", where)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	q.w.WriteHeader(http.StatusFound)
}

// callback is where a browser comes back to from the issuer.
func (q *request) callback(ctx context.Context) error {
	s := q.c.s
	again := refuse(http.StatusBadRequest, "this login is not one that was begun here, or took too long")
	again.d.Hint = "open the page that you wanted again"
	value, bad := cookie(q.in, loginCookie)
	if bad != nil {
		return bad
	}
	b, ok := s.unseal("login", q.host, value)
	var st loginState
	if !ok || json.Unmarshal(b, &st) != nil || time.Now().After(st.Until) {
		return again
	}
	form := q.in.URL.Query()
	if len(form["state"]) != 1 || subtle.ConstantTimeCompare([]byte(form.Get("state")), []byte(st.State)) != 1 {
		return again
	}
	gone := q.ownCookie(loginCookie, "", 0)
	gone.MaxAge = -1
	failed := func(status int, reason string) error {
		e := refuse(status, reason)
		e.header = http.Header{"Set-Cookie": {gone.String()}}
		return e
	}
	if form.Get("error") != "" || len(form["code"]) != 1 {
		s.log.Info("a browser came back without a login", "err", headerText(form.Get("error")))
		return failed(http.StatusForbidden, "the login was not completed")
	}
	token, err := s.Login.Finish(ctx, q.redirectURI(), form.Get("code"), st.Verifier, st.Nonce)
	if err != nil {
		s.log.Warn("a browser's login failed", "err", err)
		return failed(http.StatusForbidden, "the login was not accepted")
	}
	sealed := s.seal("session", q.host, []byte(token.Reveal()))
	if len(sealed) > maxCookie {
		s.log.Error("a token is too large for a cookie", "bytes", len(token.Reveal()))
		return failed(http.StatusInternalServerError, "the token of this login is too large for a browser to keep")
	}
	http.SetCookie(q.w, gone)
	http.SetCookie(q.w, q.ownCookie(sessionCookie, sealed, 24*time.Hour)) // the token in it ends before
	q.redirect(st.Back)
	return nil
}

// logout makes a browser forget its token.
func (q *request) logout() error {
	if q.in.Method != http.MethodPost || sameOrigin.Check(q.in) != nil {
		return refuse(http.StatusMethodNotAllowed, "log out with a POST from a page of this host")
	}
	gone := q.ownCookie(sessionCookie, "", 0)
	gone.MaxAge = -1
	http.SetCookie(q.w, gone)
	q.w.WriteHeader(http.StatusNoContent)
	return nil
}

// isChallenge reports whether err asks the client to say who it is.
func isChallenge(err error) bool {
	var r *refusal
	return errors.As(err, &r) && r.status == http.StatusUnauthorized
}
