package postgres_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// What the target remarks about a read is part of its result: none of it comes before
// the record.
func TestAttackNoticeBeforeTheRecord(t *testing.T) {
	var broken atomic.Bool
	r := newRig(t, rigConfig{steps: []middleware.Step{{Name: "journal", Commit: func(_ context.Context, p protocol.Point, _ []*protocol.Operation) error {
		if p == protocol.BeforeRelease && broken.Load() {
			return errors.New("the disk is full")
		}
		return nil
	}}}})
	hj := rawSession(t, r, "")
	seen(t, hj, 1, query("set client_min_messages = debug1"))
	seen(t, hj, 1, query("set debug_print_parse = on"))
	require.Contains(t, seen(t, hj, 1, query("select name from customers limit 1")), "notice")
	broken.Store(true)
	// It takes a moment, so that the remark comes first.
	out := seen(t, hj, 1, query("select count(*) from generate_series(1, 2000000)"))
	require.NotContains(t, out, "notice", out)
	require.Equal(t, 1, strings.Count(out, "error 58030 the audit record cannot be written"), out)
}
