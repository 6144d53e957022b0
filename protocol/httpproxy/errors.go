package httpproxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// A refusal is an answer of the gateway itself.
type refusal struct {
	status int
	d      protocol.DeniedError
	header http.Header // beside the usual ones, or nil

	refresh string // where a page looks again by itself, or ""
}

// Error returns the reason.
func (r *refusal) Error() string { return "httpproxy: " + r.d.Reason }

func refuse(status int, reason string) *refusal {
	return &refusal{status: status, d: protocol.DeniedError{Reason: reason}}
}

func badRequest(format string, args ...any) *refusal {
	return refuse(http.StatusBadRequest, fmt.Sprintf(format, args...))
}

// refusalOf turns what ended a request into an answer. Only what a client may
// know is in it.
func refusalOf(err error) *refusal {
	var r *refusal
	if errors.As(err, &r) {
		return r
	}
	var d *protocol.DeniedError
	if errors.As(err, &d) {
		return &refusal{status: http.StatusForbidden, d: *d}
	}
	var sent *stepError // too late to say that it can be asked for again
	if errors.Is(err, protocol.ErrUnavailable) && !errors.As(err, &sent) {
		return unavailable()
	}
	return refuse(http.StatusInternalServerError, protocol.FixedReason)
}

// tryAgain is when a client may ask again for what could not be recorded: a disk
// that is slow for a moment is well again then.
const tryAgain = 5 * time.Second

// unavailable is the answer to what could not be recorded and has changed nothing.
func unavailable() *refusal {
	e := refuse(http.StatusServiceUnavailable, "the gateway cannot write its records now, and lets nothing through without")
	e.d.Hint = "try again in some seconds; if it lasts, tell the gateway's operator, who finds the cause in the log"
	e.header = http.Header{"Retry-After": {strconv.Itoa(int(tryAgain / time.Second))}}
	return e
}

var page = template.Must(template.New("").Parse(`<!doctype html>
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
{{with .Refresh}}<meta http-equiv="refresh" content="5; url={{.}}">
{{end}}<title>{{.Title}}</title>
<h1>{{.Title}}</h1>
<p>{{.Reason}}</p>
{{with .Hint}}<p>{{.}}</p>
{{end}}{{with .Rule}}<p>Rule: {{.}}</p>
{{end}}{{with .Ticket}}<p>Request: {{.}}</p>
{{end}}`))

// wants says in which form the client would like to read something.
func wants(r *http.Request) string {
	accept := strings.ToLower(strings.Join(r.Header["Accept"], ","))
	switch {
	case strings.HasPrefix(strings.ToLower(r.Header.Get("Content-Type")), "application/grpc"):
		return "grpc"
	case strings.Contains(accept, "text/html"):
		return "html"
	case strings.Contains(accept, "json"):
		return "json"
	}
	return "text"
}

// write answers the request.
func (e *refusal) write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	clear(h) // of what a response that is not shown had
	for k, v := range e.header {
		h[k] = v
	}
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Vary", "Accept")
	var body []byte
	switch wants(r) {
	case "grpc":
		h.Set("Content-Type", "application/grpc")
		h.Set("Grpc-Status", strconv.Itoa(grpcStatus(e.status)))
		h.Set("Grpc-Message", url.PathEscape(e.d.Reason))
		w.WriteHeader(http.StatusOK)
		return
	case "html":
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		var b strings.Builder
		_ = page.Execute(&b, struct {
			Title, Refresh string
			*protocol.DeniedError
		}{http.StatusText(e.status), e.refresh, &e.d}) // fails when a write does
		body = []byte(b.String())
	case "json":
		h.Set("Content-Type", "application/problem+json")
		body, _ = json.Marshal(struct {
			Title  string `json:"title"`
			Status int    `json:"status"`
			Detail string `json:"detail"`
			Rule   string `json:"rule,omitempty"`
			Hint   string `json:"hint,omitempty"`
			Ticket string `json:"ticket,omitempty"`
		}{http.StatusText(e.status), e.status, e.d.Reason, e.d.Rule, e.d.Hint, e.d.Ticket}) // strings and numbers can be written
		body = append(body, '\n')
	default:
		h.Set("Content-Type", "text/plain; charset=utf-8")
		text := e.d.Reason
		for _, more := range []struct{ name, text string }{{"", e.d.Hint}, {"rule: ", e.d.Rule}, {"request: ", e.d.Ticket}} {
			if more.text != "" {
				text += "\n" + more.name + more.text
			}
		}
		body = []byte(text + "\n")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(e.status)
	_, _ = w.Write(body) // a client that is gone reads nothing
}

// grpcStatus translates as the gRPC documents have it.
func grpcStatus(status int) int {
	switch status {
	case http.StatusUnauthorized:
		return 16
	case http.StatusForbidden:
		return 7
	case http.StatusBadRequest:
		return 13
	case http.StatusNotFound, http.StatusMisdirectedRequest:
		return 12
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusTooManyRequests:
		return 14
	}
	return 2
}
