package archive

import (
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/store"
	"github.com/sallyport-dev/gateway/audit/store/s3"
	"github.com/sallyport-dev/gateway/protocol"
)

// aBucket is one of a service that somebody runs if S3_TEST names it, "endpoint bucket
// access-key secret-key", and else in memory.
func aBucket(t *testing.T) store.Store {
	t.Helper()
	at := strings.Fields(os.Getenv("S3_TEST"))
	if len(at) != 4 {
		mem := s3mem.New()
		require.NoError(t, mem.CreateBucket("evidence"))
		srv := httptest.NewServer(gofakes3.New(mem).Server())
		t.Cleanup(srv.Close)
		at = []string{srv.URL, "evidence", "id", "secret"}
	}
	s, err := s3.New(s3.Config{Endpoint: at[0], Region: "us-east-1", Bucket: at[1], Prefix: "archive-" + protocol.NewID() + "/", AccessKey: at[2], SecretKey: protocol.NewSecret(at[3])})
	require.NoError(t, err)
	return s
}

// The whole way with a bucket.
func TestInABucket(t *testing.T) {
	s := aBucket(t)
	w := newWorld(t)
	j := w.open()
	w.sessions(j, 20)
	require.NoError(t, j.Close())
	res, err := w.archive(s).Round(t.Context())
	require.NoError(t, err)
	require.Positive(t, res.Segments)
	require.Positive(t, res.Removed)
	rep, err := w.copy(s).Verify(t.Context(), w.trust())
	require.NoError(t, err)
	require.Positive(t, rep.Kinds[audit.SessionClosed])
	whole := w.trust()
	whole.Archive = w.copy(s)
	rep, err = whole.Verify(t.Context(), w.dir)
	require.NoError(t, err)
	require.EqualValues(t, 20, rep.Kinds[audit.SessionClosed])
	require.Zero(t, rep.First)
}
