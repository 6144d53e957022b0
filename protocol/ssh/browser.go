package ssh

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

const (
	// browserTime is how long a person may take to log in with a browser.
	browserTime = 3 * time.Minute
	// maxBrowser bounds the logins that wait for a browser, of all connections.
	maxBrowser = 1024
)

// A BrowserLogin is where people log in with a browser: an issuer of tokens that
// the gateway's steps accept. Package middleware/oidc has one. Its methods are
// called from many goroutines at once.
type BrowserLogin interface {
	// Begin returns the address that a browser is sent to. It comes back to
	// redirect with state and a code that is good for who knows verifier; the
	// token is to have nonce in it.
	Begin(ctx context.Context, redirect, state, verifier, nonce string) (string, error)
	// Finish returns the token that code stands for. Its errors never contain a
	// secret.
	Finish(ctx context.Context, redirect, code, verifier, nonce string) (protocol.Secret, error)
}

// A LoginPage lets people without a key log in with a browser: the client shows a
// link, the browser logs in there and shows a code, and the person types that in
// place of a token. So nobody's login helps who only talks them into opening a
// link. A link is good for one login within three minutes.
//
// It serves the pages that the links lead to: hand it to an HTTP server that is
// reached at URL. It is safe for use by many goroutines and must not be copied.
type LoginPage struct {
	Login BrowserLogin

	// URL is where the page is reached, such as https://gateway.example.com/ssh,
	// without a '/' at its end. It uses https: the browser keeps a cookie.
	URL string

	mu      sync.Mutex
	waiting map[string]*browserLogin // by id, and by state once a browser has come
}

// A browserLogin is a login that waits for a browser.
type browserLogin struct {
	id, who, remote        string
	until                  time.Time
	state, verifier, nonce string // once a browser has come
	cookie                 string // which it keeps
	code                   string // once it has logged in
	token                  protocol.Secret
}

// Check returns what is wrong with the settings.
func (p *LoginPage) Check() error {
	if p.Login == nil {
		return errors.New("nobody is named who says who people are")
	}
	if !strings.HasPrefix(p.URL, "https://") || strings.HasSuffix(p.URL, "/") {
		return fmt.Errorf("url %q: give an address like https://gateway.example.com/ssh", p.URL)
	}
	return nil
}

func random() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the process if the system has no randomness
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// begin returns a login that waits; nil: there are too many.
func (p *LoginPage) begin(who, remote string) *browserLogin {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == nil {
		p.waiting = map[string]*browserLogin{}
	}
	if len(p.waiting) >= 2*maxBrowser {
		return nil
	}
	l := &browserLogin{id: random(), who: who, remote: remote, until: time.Now().Add(browserTime)}
	p.waiting[l.id] = l
	return l
}

func (p *LoginPage) forget(l *browserLogin) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, l.id)
	delete(p.waiting, l.state)
}

// token returns what a browser has brought, if answer is the code that it shows.
func (p *LoginPage) token(l *browserLogin, answer string) (protocol.Secret, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	answer = strings.ToUpper(strings.TrimSpace(answer))
	if l.code == "" || subtle.ConstantTimeCompare([]byte(answer), []byte(l.code)) != 1 {
		return protocol.Secret{}, false
	}
	return l.token, true
}

// find returns the login that waits under a key.
func (p *LoginPage) find(key string) *browserLogin {
	l := p.waiting[key]
	if l == nil || time.Now().After(l.until) {
		return nil
	}
	return l
}

const browserCookie = "__Host-sallyport-ssh"

// ServeHTTP serves the link and the address that the issuer sends browsers back to.
func (p *LoginPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	if r.Method != http.MethodGet {
		page(w, http.StatusMethodNotAllowed, "Open the link that your terminal shows.", "")
		return
	}
	if last := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]; last != "callback" {
		p.depart(w, r, last)
		return
	}
	p.arrive(w, r)
}

const notWaiting = "Nobody waits for this login: the link was used, or is older than three minutes."

// depart sends a browser to the issuer, the first that opens the link.
func (p *LoginPage) depart(w http.ResponseWriter, r *http.Request, id string) {
	p.mu.Lock()
	l := p.find(id)
	if l == nil || l.id != id || l.state != "" {
		p.mu.Unlock()
		page(w, http.StatusNotFound, notWaiting, "")
		return
	}
	l.state, l.verifier, l.nonce, l.cookie = random(), random(), random(), random()
	p.waiting[l.state] = l
	state, verifier, nonce, cookie := l.state, l.verifier, l.nonce, l.cookie
	p.mu.Unlock()
	where, err := p.Login.Begin(r.Context(), p.URL+"/callback", state, verifier, nonce)
	if err != nil {
		page(w, http.StatusBadGateway, "The place to log in cannot be reached.", "")
		return
	}
	http.SetCookie(w, &http.Cookie{Name: browserCookie, Value: cookie, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(browserTime / time.Second)})
	http.Redirect(w, r, where, http.StatusFound)
}

// arrive takes what a browser brings back and shows the code.
func (p *LoginPage) arrive(w http.ResponseWriter, r *http.Request) {
	form := r.URL.Query()
	c, err := r.Cookie(browserCookie)
	p.mu.Lock()
	l := p.find(form.Get("state"))
	if l == nil || l.state != form.Get("state") || l.code != "" || l.verifier == "" || err != nil || subtle.ConstantTimeCompare([]byte(c.Value), []byte(l.cookie)) != 1 {
		p.mu.Unlock()
		page(w, http.StatusBadRequest, notWaiting, "")
		return
	}
	verifier, nonce := l.verifier, l.nonce
	l.verifier = "" // one arrival
	p.mu.Unlock()
	if form.Get("error") != "" || len(form["code"]) != 1 {
		page(w, http.StatusForbidden, "The login was not completed.", "")
		return
	}
	token, err := p.Login.Finish(r.Context(), p.URL+"/callback", form.Get("code"), verifier, nonce)
	if err != nil {
		page(w, http.StatusForbidden, "The login was not accepted.", "")
		return
	}
	var b [5]byte
	_, _ = rand.Read(b[:]) // never fails
	code := base32.StdEncoding.EncodeToString(b[:])
	p.mu.Lock()
	l.token, l.code = token, code
	p.mu.Unlock()
	page(w, http.StatusOK, fmt.Sprintf("Somebody at %s wants to connect as %s. If that is you, type this code in your terminal. Give it to nobody.", l.remote, l.who), code)
}

var pageText = template.Must(template.New("page").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><title>Sallyport</title><h1>SSH login</h1><p>{{.Text}}</p>{{with .Code}}<p><code>{{.}}</code></p>{{end}}</html>
`))

func page(w http.ResponseWriter, status int, text, code string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = pageText.Execute(w, struct{ Text, Code string }{text, code}) // the browser may be gone
}
