package audit

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
)

// A cannedIndex answers with what it was given, and remembers the question.
type cannedIndex struct {
	page  Page
	err   error
	asked []Query
}

func (x *cannedIndex) Search(_ context.Context, q Query) (Page, error) {
	x.asked = append(x.asked, q)
	return x.page, x.err
}

func TestReader(t *testing.T) {
	d := &faultyDisk{}
	dir := t.TempDir()
	j := openTest(t, dir, Options{disk: d})
	x := &cannedIndex{page: Page{Next: "7", Entries: []Entry{{Event: Event{Seq: 9, Time: noon, Kind: CommandDecided, Error: "=cmd()"}, End: 10}}}}
	mallory := &protocol.Identity{Issuer: "i", Subject: "mallory"}
	rd := &Reader{Index: x, Journal: j,
		Auth: func(r *http.Request) (*protocol.Identity, error) {
			switch r.Header.Get("Authorization") {
			case "alice":
				return alice, nil
			case "mallory":
				return mallory, nil
			}
			return nil, errors.New("who?")
		},
		May: func(id *protocol.Identity) bool { return id == alice }}
	get := func(who, query string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "/audit?"+query, nil)
		r.Header.Set("Authorization", who)
		w := httptest.NewRecorder()
		rd.ServeHTTP(w, r)
		return w
	}
	require.Equal(t, http.StatusUnauthorized, get("", "").Code)
	require.Equal(t, http.StatusForbidden, get("mallory", "").Code)
	for _, q := range []string{"nonsense=1", "who=a&who=b", "risk=x", "limit=100000", "since=never", "kind=x", "format=xml"} {
		require.Equal(t, http.StatusBadRequest, get("alice", q).Code, q)
	}
	require.Empty(t, x.asked)

	w := get("alice", "who=u-18&since=24h&text=ssn")
	require.Equal(t, http.StatusOK, w.Code)
	var p Page
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
	require.Equal(t, x.page, p)
	require.Equal(t, "u-18", x.asked[0].Who)
	w = get("alice", "format=csv")
	rows, err := csv.NewReader(strings.NewReader(w.Body.String())).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 2)
	require.Equal(t, "'=cmd()", rows[1][len(rows[1])-1])
	require.Equal(t, "7", w.Header().Get("Next-Cursor"))

	// Reading is an event, and what cannot be recorded is not shown.
	es := events(t, dir)
	read := es[len(es)-2]
	require.Equal(t, JournalRead, read.Kind)
	require.EqualValues(t, "u-17", read.Identity.Subject)
	v, err := url.ParseQuery(string(read.Journal.What))
	require.NoError(t, err)
	require.Equal(t, "ssn", v.Get("text"))
	d.fail(func([]byte) (int, error) { return 0, syscall.EIO })
	asked := len(x.asked)
	require.Equal(t, http.StatusServiceUnavailable, get("alice", "").Code)
	require.Len(t, x.asked, asked)
}

func TestParseQuery(t *testing.T) {
	now := noon
	v, err := url.ParseQuery("who=a&target=b&risk=3&since=2026-02-01&until=2h&limit=5&approval=*&since=x")
	require.NoError(t, err)
	_, err = ParseQuery(v, now)
	require.ErrorIs(t, err, ErrQuery)
	v.Del("since")
	v.Set("since", "7d")
	q, err := ParseQuery(v, now)
	require.NoError(t, err)
	require.Equal(t, Query{Who: "a", Target: "b", MinRisk: 3, Limit: 5, Approval: "*", Since: now.AddDate(0, 0, -7), Until: now.Add(-2 * time.Hour)}, q)
	v, err = url.ParseQuery(q.String())
	require.NoError(t, err)
	again, err := ParseQuery(v, now)
	require.NoError(t, err)
	require.Equal(t, q.String(), again.String())
}
