package approval

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"
)

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle string

// contentPolicy lets the page use its own style sheet, inlined, and send its
// forms home; nothing else.
var contentPolicy = "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; style-src 'sha256-" +
	styleHash() + "'"

func styleHash() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return base64.StdEncoding.EncodeToString(sum[:])
}

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// page is what the template shows. There is no script and no cookie: the
// token is asked for with each form and never sent back.
type page struct {
	Style  template.CSS
	ID     string // of the request, or ""
	Note   string // what happened
	List   []row
	Listed bool
	Facts  []fact
	Digest string
	Decide bool // show the form that decides
	State  State
}

type row struct{ ID, Who, Where, What, Left string }

func wantsPage(r *http.Request) bool {
	return r.Header.Get("Authorization") == "" && strings.Contains(r.Header.Get("Accept"), "text/html")
}

func (h *handler) show(w http.ResponseWriter, status int, p page) {
	p.Style = template.CSS(pageStyle)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = pageTemplate.Execute(w, p) // the browser has gone: nobody to tell
}

// askForToken shows nothing but the question for a token, whether or not the
// request exists.
func (h *handler) askForToken(w http.ResponseWriter, r *http.Request) {
	id, _ := ParseID(r.PathValue("id"))
	h.show(w, http.StatusOK, page{ID: id})
}

// form serves the page's forms: to look, and to decide.
func (h *handler) form(w http.ResponseWriter, r *http.Request) {
	id, _ := ParseID(r.PathValue("id"))
	p := page{ID: id}
	failed := func(err error) {
		status, problem := describe(err)
		p.Note = problem.Error
		h.show(w, status, p)
	}
	if err := r.ParseForm(); err != nil {
		failed(badVerdict{fmt.Errorf("the form cannot be read: %w", err)})
		return
	}
	as := r.Clone(r.Context())
	as.Header.Set("Authorization", "Bearer "+strings.TrimSpace(r.PostForm.Get("token")))
	who, err := h.login(as)
	if err != nil {
		failed(err)
		return
	}
	if r.PathValue("id") == "" {
		p.Listed = true
		for _, req := range h.visible(who, StatePending) {
			p.List = append(p.List, row{req.ID, Visible(Person(req.Requester)), Visible(req.where()),
				Visible(string(req.Verb)), time.Until(req.Until).Round(time.Second).String()})
		}
		h.show(w, http.StatusOK, p)
		return
	}
	status := http.StatusOK
	var req Request
	if v := r.PostForm.Get("verdict"); v != "" {
		req, err = h.decide(r, wireVerdict{v, r.PostForm.Get("digest"), r.PostForm.Get("comment")}, who)
		p.Note = "Your " + v + " is recorded."
	} else {
		req, err = h.request(id, who)
	}
	if err != nil {
		var problem problem
		status, problem = describe(err)
		p.Note = problem.Error
		if req, err = h.request(id, who); err != nil { // nothing to show beside the reason
			h.show(w, status, p)
			return
		}
	}
	p.Facts, p.State, p.Digest = req.facts(), req.State, hexDigest(req.Digest)
	p.Decide = req.State == StatePending && req.MayDecide(who) == nil
	if p.Note == "" && req.State == StatePending && !p.Decide {
		_, problem := describe(req.MayDecide(who))
		p.Note = problem.Error
	}
	h.show(w, status, p)
}
