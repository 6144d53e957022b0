package audit

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/sallyport-dev/gateway/protocol"
)

// custodyOf returns a custody whose bob may do everything, and what asks it.
func custodyOf(j *Journal, open func() []*protocol.Session) (*Custody, func(who, method, path string, d Deed) (int, string)) {
	c := &Custody{Journal: j, Sessions: open,
		Auth: func(r *http.Request) (*protocol.Identity, error) {
			if who := r.Header.Get("Authorization"); who != "" {
				return &protocol.Identity{Issuer: "i", Subject: who}, nil
			}
			return nil, errors.New("who?")
		},
		May: func(id *protocol.Identity, a Act) bool {
			return id.Subject == "bob" || id.Subject == "see" && a == SeeSessions
		}}
	return c, func(who, method, path string, d Deed) (int, string) {
		b, _ := json.Marshal(d)
		r := httptest.NewRequest(method, path, strings.NewReader(string(b)))
		r.Header.Set("Authorization", who)
		w := httptest.NewRecorder()
		c.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
}

func TestTerminate(t *testing.T) {
	dir, d := t.TempDir(), &faultyDisk{}
	j := openTest(t, dir, Options{disk: d})
	var all []*protocol.Session
	for _, id := range []string{"11111111-aaaaaa", "22222222-aaaaaa", "33333333-bbbbbb", "44444444-cccccc"} {
		all = append(all, protocol.NewSession(t.Context(), protocol.SessionConfig{Info: &protocol.SessionInfo{ID: id, Protocol: "ssh",
			Identity: &protocol.Identity{Issuer: "i", Subject: "alice"}, Resource: protocol.Resource{Name: "web-1"}}}))
	}
	c, ask := custodyOf(j, func() []*protocol.Session {
		return slices.DeleteFunc(slices.Clone(all), func(s *protocol.Session) bool { return s.Context().Err() != nil })
	})
	why := Deed{Act: Terminate, Reason: "ticket 4711"}
	for _, r := range []struct {
		who, method, path string
		d                 Deed
		want              int
	}{
		{"", http.MethodGet, "/sessions", Deed{}, 401},
		{"alice", http.MethodGet, "/sessions", Deed{}, 403},
		{"alice", http.MethodPost, "/sessions/33333333-bbbbbb", why, 403},
		{"see", http.MethodPost, "/sessions/33333333-bbbbbb", why, 403},
		{"see", http.MethodPost, "/sessions/none", why, 403}, // tells nothing
		{"bob", http.MethodPost, "/sessions/none-such", why, 404},
		{"bob", http.MethodPost, "/sessions/aaaaaa", why, 409},
		{"bob", http.MethodPost, "/sessions/bbb", why, 404}, // too short
		{"bob", http.MethodPost, "/sessions/bbbbbb", Deed{Act: Terminate, Reason: " "}, 400},
		{"bob", http.MethodPost, "/sessions/bbbbbb", Deed{Act: Terminate, Reason: strings.Repeat("x", 1001)}, 400},
		{"bob", http.MethodPost, "/sessions/bbbbbb", Deed{Act: Erase, Reason: "x"}, 400},
		{"bob", http.MethodPost, "/sessions/bbbbbb", Deed{Act: "nonsense", Reason: "x"}, 400},
		{"bob", http.MethodPost, "/sessions", why, 404},
		{"bob", http.MethodDelete, "/sessions/bbbbbb", why, 404},
		{"bob", http.MethodPost, "/sealed", why, 400},
	} {
		code, body := ask(r.who, r.method, r.path, r.d)
		require.Equal(t, r.want, code, "%+v: %s", r, body)
	}
	for _, s := range all {
		require.NoError(t, s.Context().Err())
	}
	code, body := ask("see", http.MethodGet, "/sessions", Deed{})
	require.Equal(t, 200, code)
	require.Contains(t, body, `"id":"33333333-bbbbbb","iss":"i","sub":"alice"`)
	code, body = ask("bob", http.MethodPost, "/sessions/bbbbbb", why)
	require.Equal(t, 200, code, body)
	require.JSONEq(t, `{"session":"33333333-bbbbbb","ended":true}`, body)
	var denied *protocol.DeniedError
	require.ErrorAs(t, context.Cause(all[2].Context()), &denied)
	require.Equal(t, "the session was ended by bob: ticket 4711", denied.Reason)
	require.NoError(t, all[3].Context().Err())

	// A journal that fails keeps nobody from cutting somebody off, but what it cannot
	// record is not read.
	d.mu.Lock()
	d.syncErr = syscall.EIO
	d.mu.Unlock()
	code, body = ask("see", http.MethodGet, "/sessions", Deed{})
	require.Equal(t, 503, code)
	require.NotContains(t, body, "alice")
	code, body = ask("bob", http.MethodPost, "/sessions/cccccc", why)
	require.Equal(t, 503, code)
	require.Contains(t, body, "cannot record")
	require.Error(t, all[3].Context().Err())
	c.May = nil
	code, _ = ask("bob", http.MethodGet, "/sessions", Deed{})
	require.Equal(t, 403, code)

	i := slices.IndexFunc(events(t, dir), func(e Event) bool { return e.Kind == JournalRead })
	e := events(t, dir)[i]
	require.EqualValues(t, "see", e.Identity.Subject)
	require.EqualValues(t, "the open sessions", e.Journal.What)
	i = slices.IndexFunc(events(t, dir), func(e Event) bool { return e.Kind == SessionTerminated })
	e = events(t, dir)[i]
	require.EqualValues(t, "bob", e.Identity.Subject)
	require.Equal(t, "33333333-bbbbbb", e.Journal.Session)
	require.EqualValues(t, "ticket 4711", e.Journal.What)
}

func TestCustodyOfWhatIsSealed(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	dir, j, public := sealedWorld(t, id)
	_, ask := custodyOf(j, func() []*protocol.Session { return nil })
	do := func(want int, act Act, session, has string) {
		t.Helper()
		code, body := ask("bob", http.MethodPost, "/sealed/"+session, Deed{Act: act, Reason: "request 12"})
		require.Equal(t, want, code, body)
		require.Contains(t, body, has)
	}
	code, _ := ask("alice", http.MethodPost, "/sealed/s1", Deed{Act: Erase, Reason: "x"})
	require.Equal(t, 403, code)
	do(409, Release, "s1", "not on legal hold")
	do(200, Hold, "s1", "s1")
	do(409, Erase, "s1", "legal hold")
	do(409, Hold, "nobody", "nothing of it")
	do(409, Erase, "nobody", "erased")
	do(500, Erase, "..%2f..%2fx", "no name for a file")
	code, body := ask("bob", http.MethodPost, "/sealed", Deed{Act: Erase, Reason: "by age", Before: time.Now().Add(-time.Hour)})
	require.Equal(t, 200, code)
	require.JSONEq(t, `{}`, body)
	code, body = ask("bob", http.MethodPost, "/sealed", Deed{Act: Erase, Reason: "by age", Before: time.Now().Add(time.Hour)})
	require.Equal(t, 200, code)
	require.JSONEq(t, `{"erased":1,"held":1}`, body)
	do(409, Erase, "s2", "erased")
	do(200, Release, "s1", "s1")
	do(200, Erase, "s1", "s1")
	require.NoError(t, j.Close())
	_, err = Trust{Keys: []note.Verifier{public}}.Verify(t.Context(), dir)
	require.NoError(t, err)
	e := decided(t, dir, "s1")
	require.ErrorIs(t, NewUnsealer(dir, id).Open(&e), ErrErased)
}
