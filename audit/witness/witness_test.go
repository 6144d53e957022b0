package witness

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	fnote "github.com/transparency-dev/formats/note"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/protocol"
)

// A journal of the tests, and the keys to it.
type journal struct {
	t       *testing.T
	dir     string
	private protocol.Secret
	public  note.Verifier
	n       int
}

func newJournal(t *testing.T) *journal {
	private, public, err := audit.NewKey("gateway.example")
	require.NoError(t, err)
	key, err := audit.ParseKey(public)
	require.NoError(t, err)
	return &journal{t: t, dir: t.TempDir(), private: private, public: key}
}

// add records n sessions and closes the journal, which signs it.
func (j *journal) add(n int) {
	j.t.Helper()
	a, err := audit.Open(j.dir, audit.Options{MinFree: 1, SegmentSize: 8 << 10, Key: j.private})
	require.NoError(j.t, err)
	for range n {
		j.n++
		s := &protocol.SessionInfo{ID: fmt.Sprint("s", j.n)}
		op := &protocol.Operation{Session: s, ID: 1, Verb: "update", Text: "update t", Access: protocol.Write}
		_, err := a.Record(&protocol.Event{Kind: protocol.Decided, Session: s, Op: op, Decision: protocol.Deny("no")}, audit.Detail{})
		require.NoError(j.t, err)
	}
	require.NoError(j.t, a.Close())
}

func (j *journal) checkpoint() audit.Checkpoint {
	c, err := audit.ParseCheckpoint(must(audit.ReadCheckpoint(j.dir)), j.public)
	require.NoError(j.t, err)
	return c
}

// A peer of the tests is a witness with its server.
func newPeer(t *testing.T, name string, keys ...note.Verifier) (Peer, *Server) {
	t.Helper()
	private, public, err := audit.NewKey(name)
	require.NoError(t, err)
	signer, err := ParseSigner(private)
	require.NoError(t, err)
	key, err := ParseKey(public)
	require.NoError(t, err)
	s := &Server{Signer: signer, Keys: keys, Dir: t.TempDir()}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return Peer{srv.URL, key}, s
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func TestWitnessesOfALife(t *testing.T) {
	j := newJournal(t)
	a, _ := newPeer(t, "witness.example/a", j.public)
	b, bs := newPeer(t, "witness.example/b", j.public)
	j.add(10)
	c := &Collector{Dir: j.dir, Keys: []note.Verifier{j.public}, Peers: []Peer{a, b}, Logger: quiet}
	trust := audit.Trust{Keys: []note.Verifier{j.public}, Witnesses: []note.Verifier{a.Key, b.Key}}
	_, err := trust.Verify(t.Context(), j.dir)
	require.ErrorContains(t, err, "no witness has seen")

	for range 5 {
		n, err := c.Round(t.Context())
		require.NoError(t, err)
		require.Equal(t, 2, n)
		rep, err := trust.Verify(t.Context(), j.dir)
		require.NoError(t, err)
		require.Equal(t, j.checkpoint(), rep.Witnessed.Checkpoint)
		require.Len(t, rep.Witnessed.By, 2)
		require.NotZero(t, rep.Witnessed.At.Year())
		j.add(300)
	}
	// A collector that knows nothing is told the size.
	fresh := &Collector{Dir: j.dir, Keys: c.Keys, Peers: c.Peers, Logger: quiet}
	n, err := fresh.Round(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, n)
	n, err = fresh.Round(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, n, "twice is once")

	// One witness fails: one of two is enough, two of two is not.
	j.add(5)
	require.NoError(t, os.RemoveAll(bs.Dir))
	_, err = fresh.Round(t.Context())
	require.ErrorContains(t, err, "500")
	was := must(audit.ReadWitnessed(j.dir))
	_, err = trust.Verify(t.Context(), j.dir)
	require.NoError(t, err, "the older one still holds")
	fresh.Quorum = 1
	n, err = fresh.Round(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.NotEqual(t, was, must(audit.ReadWitnessed(j.dir)))
	_, err = trust.Verify(t.Context(), j.dir)
	require.ErrorContains(t, err, "1 witnesses, want 2")
	trust.Quorum = 1
	_, err = trust.Verify(t.Context(), j.dir)
	require.NoError(t, err)
	trust.Quorum = 3
	_, err = trust.Verify(t.Context(), j.dir)
	require.Error(t, err)
}

// Whoever has the disk and the gateway's key rewrites the journal: the witness
// does not sign it, and verify finds what it has signed missing.
func TestRewritten(t *testing.T) {
	j := newJournal(t)
	a, _ := newPeer(t, "witness.example/a", j.public)
	j.add(3)
	before := t.TempDir()
	require.NoError(t, os.CopyFS(before, os.DirFS(j.dir)))
	j.add(300)
	c := &Collector{Dir: j.dir, Keys: []note.Verifier{j.public}, Peers: []Peer{a}, Logger: quiet}
	_, err := c.Round(t.Context())
	require.NoError(t, err)
	seen := must(audit.ReadWitnessed(j.dir))

	for name, more := range map[string]int{"shorter": 5, "longer": 500} {
		t.Run(name, func(t *testing.T) {
			evil := &journal{t: t, dir: t.TempDir(), private: j.private, public: j.public, n: 1000}
			require.NoError(t, os.CopyFS(evil.dir, os.DirFS(before)))
			evil.add(more)
			plain := audit.Trust{Keys: []note.Verifier{j.public}}
			_, err := plain.Verify(t.Context(), evil.dir)
			require.NoError(t, err, "without witnesses nothing is to be seen")
			e := &Collector{Dir: evil.dir, Keys: c.Keys, Peers: c.Peers, Logger: quiet}
			_, err = e.Round(t.Context())
			var split *SplitError
			require.ErrorAs(t, err, &split)
			require.NoFileExists(t, filepath.Join(evil.dir, audit.WitnessedFile))

			plain.Witnesses = []note.Verifier{a.Key}
			_, err = plain.Verify(t.Context(), evil.dir)
			require.Error(t, err)
			require.NoError(t, audit.WriteWitnessed(evil.dir, seen))
			_, err = plain.Verify(t.Context(), evil.dir)
			var damage *audit.DamageError
			require.ErrorAs(t, err, &damage)
			_, err = e.Round(t.Context())
			require.ErrorAs(t, err, &split)
		})
	}
}

// post sends a request as it stands.
func post(t *testing.T, p Peer, body string) (int, string, http.Header) {
	t.Helper()
	res, err := http.Post(p.URL+"/add-checkpoint", "", strings.NewReader(body))
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(b), res.Header
}

// The answers of c2sp.org/tlog-witness, one by one.
func TestServer(t *testing.T) {
	j := newJournal(t)
	p, s := newPeer(t, "witness.example/a", j.public)
	j.add(20)
	first, c1 := string(must(audit.ReadCheckpoint(j.dir))), j.checkpoint()
	j.add(20)
	second, c2 := string(must(audit.ReadCheckpoint(j.dir))), j.checkpoint()
	proof := ""
	for _, h := range must(audit.ConsistencyProof(j.dir, c1.Size, c2)) {
		proof += base64.StdEncoding.EncodeToString(h[:]) + "\n"
	}
	require.NotEmpty(t, proof)
	stranger := newJournal(t)
	stranger.add(1)
	strange := string(must(audit.ReadCheckpoint(stranger.dir))) // the same name, another key
	hash := base64.StdEncoding.EncodeToString(make([]byte, 32)) + "\n"
	unknown := strings.Replace(first, "gateway.example/", "other.example/", 1)

	for i, c := range []struct {
		body string
		want int
		text string
	}{
		{"", 400, ""},
		{"old 0", 400, ""},
		{"old 00\n\n" + first, 400, ""},
		{"old -1\n\n" + first, 400, ""},
		{"old 0\nnonsense\n\n" + first, 400, ""},
		{"old 0\n" + strings.Repeat(hash, 64) + "\n" + first, 400, ""},
		{"old 0\n\n" + strings.Repeat("x", maxRequest), 400, ""},
		{"old 0\n\n" + unknown, 404, ""},
		{"old 0\n\n" + strange, 403, ""},
		{"old 0\n\n" + strings.Replace(first, "\n\n", "\n\nx", 1), 403, ""},
		{fmt.Sprintf("old %d\n\n%s", c1.Size+1, first), 400, ""},
		{fmt.Sprintf("old %d\n\n%s", c1.Size, first), 409, "0\n"},
		{"old 0\n" + hash + "\n" + first, 422, ""},
		{"old 0\n\n" + first, 200, "\u2014 witness.example/a "},
		{"old 0\n\n" + first, 409, fmt.Sprintln(c1.Size)},
		{fmt.Sprintf("old %d\n\n%s", c1.Size, first), 200, "\u2014 witness.example/a "}, // again
		{fmt.Sprintf("old %d\n\n%s", c1.Size, second), 422, ""},
		{fmt.Sprintf("old %d\n%s\n%s", c1.Size, hash, second), 422, ""},
		{fmt.Sprintf("old %d\n%s\n%s", c1.Size-1, proof, second), 409, fmt.Sprintln(c1.Size)},
		{fmt.Sprintf("old %d\n%s\n%s", c1.Size, proof, second), 200, "\u2014 witness.example/a "},
		{fmt.Sprintf("old %d\n\n%s", c1.Size, first), 409, fmt.Sprintln(c2.Size)}, // never back
		{fmt.Sprintf("old %d\n\n%s", c2.Size, first), 400, ""},
	} {
		status, body, h := post(t, p, c.body)
		require.Equal(t, c.want, status, "request %d: %s", i, body)
		require.True(t, strings.HasPrefix(body, c.text), "request %d: %s", i, body)
		if status == http.StatusConflict {
			require.Equal(t, "text/x.tlog.size", h.Get("Content-Type"))
		}
	}
	// What it has seen is there after a crash.
	again := httptest.NewServer(&Server{Signer: s.Signer, Keys: s.Keys, Dir: s.Dir})
	defer again.Close()
	status, body, _ := post(t, Peer{again.URL, p.Key}, "old 0\n\n"+second)
	require.Equal(t, 409, status)
	require.Equal(t, fmt.Sprintln(c2.Size), body)

	res, err := http.Get(p.URL + "/add-checkpoint")
	require.NoError(t, err)
	_ = res.Body.Close()
	require.Equal(t, http.StatusMethodNotAllowed, res.StatusCode)
	res, err = http.Get(p.URL + "/")
	require.NoError(t, err)
	_ = res.Body.Close()
	require.Equal(t, http.StatusNotFound, res.StatusCode)
}

// A cosignature is that of c2sp.org/tlog-cosignature: checked by hand.
func TestCosignature(t *testing.T) {
	j := newJournal(t)
	j.add(2)
	p, _ := newPeer(t, "witness.example/a", j.public)
	signed := must(audit.ReadCheckpoint(j.dir))
	_, line, _ := post(t, p, "old 0\n\n"+string(signed))
	n, err := note.Open(append(bytes.Clone(signed), line...), note.VerifierList(p.Key))
	require.NoError(t, err)
	require.Len(t, n.Sigs, 1)
	at, err := fnote.CoSigV1Timestamp(n.Sigs[0])
	require.NoError(t, err)
	w, err := audit.ParseWitnessed(append(bytes.Clone(signed), line...), []note.Verifier{j.public}, []note.Verifier{p.Key}, 1)
	require.NoError(t, err)
	require.True(t, at.Equal(w.At))

	// The same line twice is one witness, and a plain signature of the witness's
	// key is none.
	_, err = audit.ParseWitnessed([]byte(string(signed)+line+line), []note.Verifier{j.public}, []note.Verifier{p.Key}, 2)
	require.Error(t, err)
}

// Answers of a bad witness.
func TestBadWitness(t *testing.T) {
	j := newJournal(t)
	j.add(2)
	good, _ := newPeer(t, "witness.example/a", j.public)
	other, _ := newPeer(t, "witness.example/a", j.public) // another key of that name
	answers := map[string]http.HandlerFunc{
		"nothing":  func(http.ResponseWriter, *http.Request) {},
		"nonsense": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "yes\n") },
		"no size":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(409); _, _ = io.WriteString(w, "many\n") },
		"endless":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 4<<20)) },
		"elsewhere": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, good.URL+"/add-checkpoint", http.StatusTemporaryRedirect)
		},
		"flapping": func() http.HandlerFunc {
			n := 0
			return func(w http.ResponseWriter, _ *http.Request) {
				n = 1 - n
				w.WriteHeader(409)
				_, _ = fmt.Fprintf(w, "%d\n", n)
			}
		}(),
		"another's": func(w http.ResponseWriter, r *http.Request) {
			res, err := http.Post(other.URL+"/add-checkpoint", "", r.Body)
			if err == nil {
				_, _ = io.Copy(w, res.Body)
				_ = res.Body.Close()
			}
		},
	}
	for name, f := range answers {
		srv := httptest.NewServer(f)
		c := &Collector{Dir: j.dir, Keys: []note.Verifier{j.public}, Peers: []Peer{{srv.URL, good.Key}}, Logger: quiet}
		n, err := c.Round(t.Context())
		require.Error(t, err, name)
		require.Zero(t, n)
		require.NoFileExists(t, filepath.Join(j.dir, audit.WitnessedFile))
		srv.Close()
	}
}

func TestKeys(t *testing.T) {
	_, err := ParseKey("nonsense")
	require.Error(t, err)
	_, err = ParseSigner(protocol.NewSecret("PRIVATE+KEY+hush"))
	require.Error(t, err)
	require.NotContains(t, err.Error(), "hush")
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
