package postgres_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/pgsql/querygen"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

// Many sessions of different people ask the same at once, and share analyses,
// descriptions and the catalog: half of them see masks, the others what there is,
// and everybody the rows that they asked for.
func TestSessionsDoNotMix(t *testing.T) {
	const sessions, queries = 64, 10
	pg := pgtest.Start(t, pgtest.SQL(querygen.Schema), pgtest.Setting("max_connections", "200"))
	var list []middleware.Token
	var secrets []string
	for i := range sessions {
		token, hash := middleware.NewToken()
		groups := []string{"all", []string{"masked", "plain"}[i%2]}
		list = append(list, middleware.Token{Hash: hash, Subject: fmt.Sprint("person ", i), Kind: protocol.Human, Groups: groups})
		secrets = append(secrets, token.Reveal())
	}
	journal, err := audit.Open(t.TempDir(), audit.Options{})
	require.NoError(t, err)
	_, addr := serveGateway(t, gateway.Config{
		Steps: []middleware.Step{
			middleware.Tokens(list...),
			middleware.Authorize(middleware.Access{Name: "all", Groups: []string{"all"}, Targets: []string{"*"}, Access: []string{"read", "write", "execute", "opaque"}}),
			middleware.MaskWith(middleware.MaskConfig{
				Rules: []mask.Rule{{Name: "marks", Columns: querygen.Masked, Transform: mask.Redact()},
					{Name: "members", Columns: querygen.Documents, Members: querygen.Members, Transform: mask.Redact()}},
				Except: func(op *protocol.Operation) bool { return op.Session.Identity.Groups[1] == "plain" },
			}),
			middleware.Record(journal),
		},
		Targets: []gateway.Target{{Name: "pg", Protocol: "postgres", Addr: pg.Addr, User: pg.Superuser.User,
			Secret: gateway.Fixed(pg.Superuser.Secret), Options: map[string]string{"sslmode": "disable"}}},
	})

	// What everybody asks; what needs long alone would be cut short among others.
	type asked struct {
		query string
		want  answer
	}
	var all []asked
	direct, err := pgconn.Connect(t.Context(), pg.SuperuserDSN())
	require.NoError(t, err)
	defer direct.Close(context.Background())
	for seed := uint64(1); len(all) < queries; seed++ {
		q := "SELECT '%s' AS tag, q.* FROM (" + querygen.New(seed).Query(2) + ") q"
		start := time.Now()
		want := texts(t.Context(), direct, fmt.Sprintf(q, "tag"))
		if want.err == nil && len(want.rows) > 0 && len(want.rows) < 1000 && time.Since(start) < time.Second {
			all = append(all, asked{q, want})
		}
	}
	var wg sync.WaitGroup
	var masked, plain atomic.Int64
	for i := range sessions {
		wg.Go(func() {
			conn, err := pgconn.Connect(t.Context(), fmt.Sprintf("postgres://x:%s@%s/pg%%2Fpostgres?sslmode=disable", secrets[i], addr))
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close(context.Background())
			tag := fmt.Sprint("of ", i)
			for k := range all {
				a := all[(k+i)%len(all)]
				got := ways[k%2].ask(t.Context(), conn, fmt.Sprintf(a.query, tag))
				if got.err != nil {
					t.Errorf("session %d: %v", i, got.err)
					return
				}
				for _, row := range got.rows {
					if string(row[0]) != tag {
						t.Errorf("session %d got a row of another: %q", i, row)
						return
					}
					row[0] = []byte("tag")
				}
				if shown := got.shows(false); i%2 == 0 {
					if masked.Add(1); shown != "" {
						t.Errorf("session %d: a mark came back: %s", i, shown)
						return
					}
				} else if plain.Add(1); fmt.Sprintf("%q", got.rows) != fmt.Sprintf("%q", a.want.rows) {
					t.Errorf("session %d, which sees everything, got %.300q, not %.300q", i, got.rows, a.want.rows)
					return
				}
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, sessions/2*queries, masked.Load())
	require.EqualValues(t, sessions/2*queries, plain.Load())
}
