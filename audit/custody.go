package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// An Act is what somebody may be allowed to do by [Custody].
type Act string

// The acts.
const (
	SeeSessions Act = "see"       // list the open sessions
	Terminate   Act = "terminate" // end an open session
	Erase       Act = "erase"     // make what is sealed of a session unreadable for good
	Hold        Act = "hold"      // keep it from being erased
	Release     Act = "release"   // end that
)

// A Custody lets people act on open sessions and on what is sealed of those that
// have ended, over HTTP. All its fields are needed.
type Custody struct {
	Journal  *Journal
	Sessions func() []*protocol.Session // that are open

	// Auth says who asks, or fails. May says what they may do: nobody may do
	// anything by default.
	Auth func(*http.Request) (*protocol.Identity, error)
	May  func(*protocol.Identity, Act) bool
}

// An OpenSession is what [Custody] says of a session.
type OpenSession struct {
	ID       string    `json:"id"`
	Issuer   Text      `json:"iss"`
	Subject  Text      `json:"sub"`
	Kind     Text      `json:"kind,omitempty"`
	For      Text      `json:"on_behalf_of,omitempty"`
	Protocol Text      `json:"protocol"`
	Target   Text      `json:"target"`
	User     Text      `json:"user,omitempty"`
	Tool     Text      `json:"tool,omitempty"`
	Remote   Text      `json:"remote,omitempty"`
	Started  time.Time `json:"started"`
}

// A Deed is what somebody asks [Custody] to do.
type Deed struct {
	Act    Act    `json:"act"`
	Reason string `json:"reason"` // needed; it is recorded, and who is cut off reads it

	// Before is for Erase of all sessions that began before then.
	Before time.Time `json:"before,omitzero"`
}

// A Done is what came of a [Deed].
type Done struct {
	Session string `json:"session,omitempty"`
	Ended   bool   `json:"ended,omitempty"`  // of Terminate: the session is no more; else it is still ending
	Erased  int    `json:"erased,omitempty"` // of Erase: sessions
	Held    int    `json:"held,omitempty"`   // of Erase: left because they are on legal hold
}

// ServeHTTP answers, in JSON:
//
//	GET  /sessions       {"sessions": [OpenSession...]}
//	POST /sessions/{id}  a Deed "terminate"; id may be the end of one id
//	POST /sealed/{id}    a Deed "erase", "hold" or "release"
//	POST /sealed         a Deed "erase" with "before"
//
// Who did what to which session is an event of its own, on stable storage before
// it is done, and so is who asked for the open sessions (audit.read). To end a session is the exception: it ends also if the journal
// cannot record who ended it, which the answer then says.
func (c *Custody) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("Content-Type", "application/json")
	out, err := c.serve(w, r)
	if err != nil {
		status := http.StatusInternalServerError
		var s *statusError
		switch {
		case errors.As(err, &s):
			status = s.status
		case errors.Is(err, ErrLegalHold), errors.Is(err, ErrErased), errors.Is(err, errOpen), errors.Is(err, errNotHeld):
			status = http.StatusConflict
		}
		if status == http.StatusUnauthorized {
			head.Set("WWW-Authenticate", "Bearer")
		}
		w.WriteHeader(status)
		out = map[string]string{"error": err.Error()}
	}
	_ = json.NewEncoder(w).Encode(out) // whoever asked may have gone
}

// A statusError is an answer to a request that is not served.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return e.text }

func refuse(status int, format string, args ...any) error {
	return &statusError{status, fmt.Sprintf(format, args...)}
}

// maxReason bounds what somebody gives as their reason.
const maxReason = 1000

func (c *Custody) serve(w http.ResponseWriter, r *http.Request) (any, error) {
	who, err := c.Auth(r)
	if err != nil || who == nil {
		return nil, refuse(http.StatusUnauthorized, "log in first")
	}
	may := func(a Act) error {
		if c.May == nil || !c.May(who, a) {
			return refuse(http.StatusForbidden, "you may not do this (%s)", a)
		}
		return nil
	}
	part, id, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if r.Method == http.MethodGet && part == "sessions" && id == "" {
		if err := may(SeeSessions); err != nil {
			return nil, err
		}
		if err := c.Journal.own(r.Context(), Event{Kind: JournalRead, Identity: identityOf(who), Remote: Text(r.RemoteAddr), Journal: &About{What: "the open sessions"}}); err != nil {
			return nil, refuse(http.StatusServiceUnavailable, "the journal cannot record that you read it")
		}
		return map[string][]OpenSession{"sessions": c.open()}, nil
	}
	if r.Method != http.MethodPost || part != "sessions" && part != "sealed" || part == "sessions" && id == "" {
		return nil, refuse(http.StatusNotFound, "there is nothing here")
	}
	var d Deed
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 16<<10))
	if err == nil {
		err = strictly(b, &d)
	}
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "the request is not understood")
	}
	if err := may(d.Act); err != nil { // before anything is told about a session
		return nil, err
	}
	switch {
	case strings.TrimSpace(d.Reason) == "":
		return nil, refuse(http.StatusBadRequest, "say why: reason is missing")
	case len(d.Reason) > maxReason:
		return nil, refuse(http.StatusBadRequest, "the reason is longer than %d bytes", maxReason)
	case (part == "sessions") != (d.Act == Terminate), (id == "") == d.Before.IsZero(), id == "" && d.Act != Erase:
		return nil, refuse(http.StatusBadRequest, "this cannot be done here (%s)", d.Act)
	case d.Act == Terminate:
		return c.terminate(r, id, who, d.Reason)
	case d.Act == Erase && id == "":
		done := Done{}
		done.Erased, done.Held, err = c.Journal.EraseBefore(r.Context(), d.Before, who, d.Reason)
		return done, err
	case d.Act == Erase:
		return Done{Session: id, Erased: 1}, c.Journal.Erase(r.Context(), id, who, d.Reason)
	case d.Act == Hold:
		return Done{Session: id}, c.Journal.Hold(r.Context(), id, who, d.Reason)
	case d.Act == Release:
		return Done{Session: id}, c.Journal.Release(r.Context(), id, who, d.Reason)
	}
	return nil, refuse(http.StatusBadRequest, "there is no act %q", d.Act)
}

func (c *Custody) open() []OpenSession {
	list := []OpenSession{}
	for _, s := range c.Sessions() {
		i := s.Info()
		o := OpenSession{ID: i.ID, Protocol: Text(i.Protocol), Target: Text(i.Resource.Name), User: Text(i.User),
			Tool: (&Tool{Name: Text(i.Tool.Name), Raw: Text(i.Tool.Raw)}).Called(), Remote: Text(i.Remote), Started: i.Started.UTC()}
		if id := i.Identity; id != nil {
			o.Issuer, o.Subject, o.Kind = Text(id.Issuer), Text(id.Subject), Text(id.Kind)
			if id.OnBehalfOf != nil {
				o.For = Text(id.OnBehalfOf.Subject)
			}
		}
		list = append(list, o)
	}
	slices.SortFunc(list, func(a, b OpenSession) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// minSuffix is how much of the end of a session's id has to be given.
const minSuffix = 6

// endWithin is how long the answer waits for a session to be gone.
const endWithin = 5 * time.Second

func (c *Custody) terminate(r *http.Request, id string, who *protocol.Identity, why string) (Done, error) {
	var found []*protocol.Session
	for _, s := range c.Sessions() {
		if name := s.Info().ID; name == id || len(id) >= minSuffix && strings.HasSuffix(name, id) {
			found = append(found, s)
		}
	}
	switch {
	case len(found) == 0:
		return Done{}, refuse(http.StatusNotFound, "no open session %q", id)
	case len(found) > 1:
		return Done{}, refuse(http.StatusConflict, "%q is the end of %d sessions", id, len(found))
	}
	s := found[0]
	done := Done{Session: s.Info().ID}
	ctx, cancel := context.WithTimeout(r.Context(), endWithin)
	defer cancel()
	err := c.Journal.own(ctx, Event{Kind: SessionTerminated, Identity: identityOf(who), Remote: Text(r.RemoteAddr), Journal: &About{Session: done.Session, What: Text(why)}})
	s.Terminate(&protocol.DeniedError{Step: "sessions", Reason: fmt.Sprintf("the session was ended by %s: %s", who.Subject, why), Hint: "ask them, or whoever runs the gateway"})
	if err != nil {
		return done, refuse(http.StatusServiceUnavailable, "the session was told to end, and the journal cannot record that you did it")
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for slices.Contains(c.Sessions(), s) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return done, nil
		}
	}
	done.Ended = true
	return done, nil
}

// EraseBefore is [Journal.Erase] for every session whose key was made before
// then. Those that are open or on legal hold are left, and the latter counted. It
// can be ended at any time, and called again.
func (j *Journal) EraseBefore(ctx context.Context, before time.Time, who *protocol.Identity, why string) (erased, held int, err error) {
	entries, err := os.ReadDir(filepath.Join(j.dir, sealedDir))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, 0, nil
	}
	for _, e := range entries {
		session, key := strings.CutSuffix(e.Name(), ".age")
		if !key {
			continue
		}
		if ctx.Err() != nil {
			return erased, held, context.Cause(ctx)
		}
		st, err := e.Info()
		if err != nil || !st.ModTime().Before(before) {
			continue // gone meanwhile, or younger
		}
		switch err := j.Erase(ctx, session, who, why); {
		case err == nil:
			erased++
		case errors.Is(err, ErrLegalHold):
			held++
		case errors.Is(err, ErrErased), errors.Is(err, errOpen):
		default:
			return erased, held, err
		}
	}
	return erased, held, err
}
