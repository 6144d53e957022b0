package approval

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// path is where [Handler] serves; the API and the page share it.
const path = "/approvals"

// maxBody bounds what a client sends: a verdict with its comment, or the
// page's form with a token in it.
const maxBody = 32 << 10

// Handler serves b to those who decide:
//
//	GET  /approvals       the pending requests that the caller may see; ?state=all for ended ones too
//	GET  /approvals/{id}  one request
//	POST /approvals/{id}  {"verdict": "approve" or "deny", "digest": "<hex>", "comment": "..."}
//
// as JSON, and as a page to browsers, which send text/html among what they
// accept. auth establishes who calls from the request's bearer token; see
// [Bearer]. It is called only for requests that carry one: the API takes it
// from the Authorization header, the page from a field of its form. No cookie
// counts for anything, so no other site can decide in somebody's name.
//
// Serve it over TLS only: the tokens of approvers pass through it.
func Handler(b *Broker, auth func(*http.Request) (*protocol.Identity, error)) http.Handler {
	h := &handler{b: b, auth: auth}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+path, h.get)
	mux.HandleFunc("POST "+path, h.post)
	mux.HandleFunc("GET "+path+"/{id}", h.get)
	mux.HandleFunc("POST "+path+"/{id}", h.post)
	same := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		head.Set("Cache-Control", "no-store")
		head.Set("Content-Security-Policy", contentPolicy)
		head.Set("Cross-Origin-Opener-Policy", "same-origin")
		head.Set("Cross-Origin-Resource-Policy", "same-origin")
		head.Set("Referrer-Policy", "same-origin") // no-referrer would hide a form's origin from us
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("X-Frame-Options", "DENY")
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		same.ServeHTTP(w, r)
	})
}

// Bearer returns an auth function for [Handler] that asks authenticate about
// the request's bearer token as a [protocol.Token]. Pass the Authenticate
// method of the gateway's chain, so that approvers log in as anybody else
// does.
func Bearer(authenticate func(context.Context, *protocol.Login) (*protocol.Identity, error)) func(*http.Request) (*protocol.Identity, error) {
	return func(r *http.Request) (*protocol.Identity, error) {
		token, ok := bearer(r)
		if !ok {
			return nil, ErrLogin
		}
		l := &protocol.Login{Protocol: "approval", TLS: r.TLS,
			Tool:  protocol.Tool{Raw: r.UserAgent(), Source: "User-Agent"},
			Proof: protocol.Token{Secret: protocol.NewSecret(token)}}
		if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
			l.Remote = net.TCPAddrFromAddrPort(ap)
		}
		return authenticate(r.Context(), l)
	}
}

func bearer(r *http.Request) (token string, ok bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	return token, strings.EqualFold(scheme, "Bearer") && token != ""
}

type handler struct {
	b    *Broker
	auth func(*http.Request) (*protocol.Identity, error)
}

// login returns who sends r, or ErrLogin.
func (h *handler) login(r *http.Request) (*protocol.Identity, error) {
	if _, ok := bearer(r); !ok {
		return nil, ErrLogin
	}
	id, err := h.auth(r)
	if err != nil || id == nil || id.Issuer == "" || id.Subject == "" ||
		!id.Expires.IsZero() && !time.Now().Before(id.Expires) {
		return nil, ErrLogin // why is in the record of the login, not for whoever tries
	}
	return id, nil
}

// visible returns the requests that id may see.
func (h *handler) visible(id *protocol.Identity, states ...State) []Request {
	out := []Request{}
	for _, r := range h.b.List(states...) {
		if r.MaySee(id) {
			out = append(out, r)
		}
	}
	return out
}

// request returns the request with this id if who may see it.
func (h *handler) request(id string, who *protocol.Identity) (Request, error) {
	key, _ := ParseID(id)
	r, err := h.b.Get(key)
	if err != nil {
		return Request{}, err
	}
	if !r.MaySee(who) {
		if err := r.MayDecide(who); err != nil {
			return Request{}, err
		}
	}
	return r, nil
}

func (h *handler) get(w http.ResponseWriter, r *http.Request) {
	if wantsPage(r) {
		h.askForToken(w, r)
		return
	}
	who, err := h.login(r)
	if err != nil {
		fail(w, err)
		return
	}
	if id := r.PathValue("id"); id != "" {
		req, err := h.request(id, who)
		if err != nil {
			fail(w, err)
			return
		}
		reply(w, http.StatusOK, req)
		return
	}
	states := []State{StatePending}
	if r.URL.Query().Get("state") == "all" {
		states = nil
	}
	reply(w, http.StatusOK, list{h.visible(who, states...)})
}

type list struct {
	Requests []Request `json:"requests"`
}

type wireVerdict struct {
	Verdict string `json:"verdict"`
	Digest  string `json:"digest"`
	Comment string `json:"comment"`
}

func (v wireVerdict) verdict(id string, by *protocol.Identity) (Verdict, error) {
	out := Verdict{Request: id, By: by, Comment: v.Comment}
	switch v.Verdict {
	case "approve":
		out.Approve = true
	case "deny":
	default:
		return out, errors.New(`verdict is "approve" or "deny"`)
	}
	var err error
	out.Digest, err = parseDigest(v.Digest)
	return out, err
}

func (h *handler) post(w http.ResponseWriter, r *http.Request) {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case media == "application/x-www-form-urlencoded":
		h.form(w, r)
		return
	case media != "application/json":
		reply(w, http.StatusUnsupportedMediaType, problem{"send application/json", ""})
		return
	case r.PathValue("id") == "":
		reply(w, http.StatusMethodNotAllowed, problem{"send a verdict to one request", ""})
		return
	}
	who, err := h.login(r)
	if err != nil {
		fail(w, err)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		fail(w, err)
		return
	}
	var v wireVerdict
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil || d.More() {
		reply(w, http.StatusBadRequest, problem{`send {"verdict": "approve" or "deny", "digest": "<hex>", "comment": "..."}`, ""})
		return
	}
	req, err := h.decide(r, v, who)
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, http.StatusOK, req)
}

type badVerdict struct{ error }

func (b badVerdict) Unwrap() error { return b.error }

func (h *handler) decide(r *http.Request, v wireVerdict, who *protocol.Identity) (Request, error) {
	id, _ := ParseID(r.PathValue("id"))
	verdict, err := v.verdict(id, who)
	if err != nil {
		return Request{}, badVerdict{err}
	}
	return h.b.Decide(r.Context(), verdict)
}

// problem is the JSON body of every failure. Code tells a [Client] which of
// the package's errors it was.
type problem struct {
	Error string `json:"error"`
	Code  string `json:"code,omitempty"`
}

// codes are the errors that cross the wire.
var codes = []struct {
	err    error
	code   string
	status int
}{
	{ErrLogin, "login", http.StatusUnauthorized},
	{ErrUnknown, "unknown", http.StatusNotFound},
	{ErrEnded, "ended", http.StatusConflict},
	{ErrDigest, "digest", http.StatusConflict},
	{ErrVoted, "voted", http.StatusConflict},
	{ErrComment, "comment", http.StatusBadRequest},
}

// describe returns the status and the text for err. What is not one of the
// package's errors is not for the caller to read.
func describe(err error) (int, problem) {
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.status, problem{strings.TrimPrefix(c.err.Error(), "approval: "), c.code}
		}
	}
	var forbidden *ForbiddenError
	var large *http.MaxBytesError
	var bad badVerdict
	switch {
	case errors.As(err, &forbidden):
		return http.StatusForbidden, problem{forbidden.Reason, "forbidden"}
	case errors.As(err, &large):
		return http.StatusRequestEntityTooLarge, problem{"this is more than a verdict needs", ""}
	case errors.As(err, &bad):
		return http.StatusBadRequest, problem{strings.TrimPrefix(bad.Error(), "approval: "), ""}
	}
	return http.StatusInternalServerError, problem{protocol.FixedReason, ""}
}

func fail(w http.ResponseWriter, err error) {
	status, p := describe(err)
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="approvals"`)
	}
	reply(w, status, p)
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller has gone: nobody to tell
}

func hexDigest(d [32]byte) string { return hex.EncodeToString(d[:]) }
