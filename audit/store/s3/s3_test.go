package s3

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit/store"
	"github.com/sallyport-dev/gateway/audit/store/storetest"
	"github.com/sallyport-dev/gateway/protocol"
)

// service is a small S3 in memory that looks at the checksums, as S3 does.
func service(t *testing.T) (url string, sums *atomic.Int64) {
	t.Helper()
	mem := s3mem.New()
	require.NoError(t, mem.CreateBucket("evidence"))
	s3 := gofakes3.New(mem).Server()
	sums = &atomic.Int64{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			sum := sha256.Sum256(unchunked(t, r, body))
			if r.Header.Get("x-amz-checksum-sha256") != base64.StdEncoding.EncodeToString(sum[:]) {
				http.Error(w, "<Error><Code>BadDigest</Code></Error>", http.StatusBadRequest)
				return
			}
			sums.Add(1)
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		s3.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv.URL, sums
}

// unchunked is the body of a request that is signed in chunks, each of which is
// "size;chunk-signature=...\r\n", the bytes, "\r\n".
func unchunked(t *testing.T, r *http.Request, b []byte) (out []byte) {
	t.Helper()
	if !strings.HasPrefix(r.Header.Get("x-amz-content-sha256"), "STREAMING-") {
		return b
	}
	for len(b) > 0 {
		head, rest, ok := bytes.Cut(b, []byte("\r\n"))
		if !ok {
			return out
		}
		n := 0
		for _, c := range head[:bytes.IndexByte(head, ';')] {
			n = n<<4 | strings.IndexByte("0123456789abcdef", c)
		}
		if n == 0 || n > len(rest) {
			return out
		}
		out, b = append(out, rest[:n]...), rest[min(n+2, len(rest)):]
	}
	return out
}

// TestStore has the kit with a service in memory, and with one that somebody runs if
// S3_TEST says which: "endpoint bucket access-key secret-key", empty below "test/".
func TestStore(t *testing.T) {
	if f := strings.Fields(os.Getenv("S3_TEST")); len(f) == 4 {
		s, err := New(Config{Endpoint: f[0], Bucket: f[1], Prefix: "test/", AccessKey: f[2], SecretKey: protocol.NewSecret(f[3])})
		require.NoError(t, err)
		storetest.Test(t, s)
	}
	url, sums := service(t)
	s, err := New(Config{Endpoint: url, Region: "us-east-1", Bucket: "evidence", Prefix: "gw-1/", AccessKey: "id", SecretKey: protocol.NewSecret("secret")})
	require.NoError(t, err)
	storetest.Test(t, s)
	require.Positive(t, sums.Load(), "the service was given checksums")

	other, err := New(Config{Endpoint: url, Region: "us-east-1", Bucket: "evidence", Prefix: "gw-2/", AccessKey: "id", SecretKey: protocol.NewSecret("secret")})
	require.NoError(t, err)
	for o, err := range other.List(t.Context(), "") {
		require.NoError(t, err)
		t.Errorf("%s is of another prefix", o.Name)
	}
}

func TestRefusedByTheService(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
	}))
	defer srv.Close()
	s, err := New(Config{Endpoint: srv.URL, Region: "r", Bucket: "evidence", AccessKey: "id", SecretKey: protocol.NewSecret("hush-hush")})
	require.NoError(t, err)
	b, err := store.NewBody(strings.NewReader("x"))
	require.NoError(t, err)
	err = s.Put(t.Context(), "x", b)
	require.ErrorContains(t, err, "put x in evidence")
	require.NotContains(t, err.Error(), "hush")
	_, err = s.Get(t.Context(), "x")
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrNotExist, "a service that refuses does not say that there is nothing")
	for _, err := range s.List(t.Context(), "") {
		require.Error(t, err)
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []Config{{}, {Endpoint: "https://s3.example.com"}, {Endpoint: "s3.example.com", Bucket: "b"}, {Endpoint: "https://s3.example.com/b", Bucket: "b"},
		{Endpoint: "https://s3.example.com", Bucket: "b", Prefix: "/x/"}, {Endpoint: "https://s3.example.com", Bucket: "b", Prefix: "x"}, {Endpoint: "https://u:p@s3.example.com", Bucket: "b"}} {
		_, err := New(c)
		require.Error(t, err, "%v", c)
	}
}

// logged has no secret in it.
func TestConfigKeepsItsSecret(t *testing.T) {
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "config", Config{SecretKey: protocol.NewSecret("hush-hush")})
	require.NotContains(t, b.String(), "hush")
}

// A service whose list begins again and again, and one that tells of what it was not
// asked for, get an error and no endless work.
func TestListsOfAHostileService(t *testing.T) {
	for name, page := range map[string]string{
		"again and again": "<Contents><Key>gw/a</Key><Size>1</Size></Contents>",
		"another prefix":  "<Contents><Key>other/a</Key><Size>1</Size></Contents>",
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked.Add(1)
				w.Header().Set("Content-Type", "application/xml")
				_, _ = io.WriteString(w, "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>more</NextContinuationToken>"+page+"</ListBucketResult>")
			}))
			defer srv.Close()
			s, err := New(Config{Endpoint: srv.URL, Region: "r", Bucket: "evidence", Prefix: "gw/", AccessKey: "id", SecretKey: protocol.NewSecret("secret")})
			require.NoError(t, err)
			var last error
			for _, err := range s.List(t.Context(), "") {
				last = err
				require.Less(t, asked.Load(), int64(10))
			}
			require.ErrorContains(t, last, "not what comes behind")
		})
	}
}

// A service that stops in the middle, of whatever, is not waited for for ever.
func TestServiceThatStops(t *testing.T) {
	stops := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"x"`)
		w.Header().Set("Last-Modified", "Tue, 01 Dec 2026 05:00:00 GMT")
		switch {
		case r.URL.Query().Get("prefix") == "gw/empty": // pages of nothing
			_, _ = io.WriteString(w, "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>more</NextContinuationToken></ListBucketResult>")
			return
		case r.Method == http.MethodHead:
			w.Header().Set("Content-Length", "1000")
			return
		case strings.HasSuffix(r.URL.Path, "/half"):
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "half of it")
			_ = http.NewResponseController(w).Flush()
		}
		<-stops
	}))
	defer srv.Close()
	defer close(stops)
	s, err := New(Config{Endpoint: srv.URL, Region: "r", Bucket: "evidence", Prefix: "gw/", AccessKey: "id", SecretKey: protocol.NewSecret("secret"), patience: 50 * time.Millisecond})
	require.NoError(t, err)
	for _, name := range []string{"half", "nothing"} {
		r, err := s.Get(t.Context(), name)
		if err == nil {
			_, err = io.ReadAll(r)
		}
		require.Error(t, err, name)
		require.NotErrorIs(t, err, os.ErrNotExist)
	}
	for _, prefix := range []string{"empty", "nothing"} {
		for _, err := range s.List(t.Context(), prefix) {
			require.Error(t, err, prefix)
		}
	}
	b, err := store.NewBody(bytes.NewReader(make([]byte, 32<<20)))
	require.NoError(t, err)
	require.Error(t, s.Put(t.Context(), "never-read", b))
}

// While a long upload goes on, its answer is not waited for.
func TestUploadPutsOffItsAnswer(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	go func() { _, _ = io.Copy(io.Discard, far) }()
	d := &deadlines{Conn: near}
	_, err := watched{d, time.Hour}.Write([]byte("x"))
	require.NoError(t, err)
	require.True(t, d.read, "a read that waits already waits for longer")
}

type deadlines struct {
	net.Conn
	read bool
}

func (d *deadlines) SetDeadline(t time.Time) error {
	d.read = true
	return d.Conn.SetDeadline(t)
}
