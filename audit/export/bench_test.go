package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/protocol"
)

// What a sink does to the gateway: 16 sessions record an event each and wait until
// it is on stable storage, without a sink, beside one that takes everything, and
// beside such as are dead. The exporter runs in the same process, which is the worst
// that it can do. All kinds take turns, so that what else the machine does meets all
// of them; the figures are medians of the rounds, "x" what a kind is to none.
//
//	go test ./audit/export -run '^$' -bench DeadSink -benchtime 9x
//
// On a quiet virtual machine with 2 cores (AMD EPYC), 5 rounds, 2026-12-01:
//
//	none            31,500 events/s   p50 0.48 ms   p99 0.85 ms
//	healthy         19,000 events/s   p50 0.51 ms   p99 3.87 ms   x 0.61: reading, encoding and the server share both cores
//	refuses         31,100 events/s   p50 0.49 ms   p99 0.88 ms   x 0.99
//	never-answers   33,200 events/s   p50 0.46 ms   p99 0.82 ms   x 1.00
func BenchmarkDeadSink(b *testing.B) {
	sinks := map[string]func(*testing.B) string{"healthy": healthy, "refuses": refuses, "never-answers": neverAnswers}
	kinds := []string{"none", "healthy", "refuses", "never-answers"}
	rates, p50s, p99s := map[string][]float64{}, map[string][]float64{}, map[string][]float64{}
	for round := 0; b.Loop(); round++ {
		for i := range kinds {
			kind := kinds[(round+i)%len(kinds)]
			url := ""
			if start := sinks[kind]; start != nil {
				url = start(b)
			}
			rate, took := durable(b, url)
			rates[kind] = append(rates[kind], rate)
			p50s[kind] = append(p50s[kind], took[len(took)/2])
			p99s[kind] = append(p99s[kind], took[len(took)*99/100])
		}
	}
	ratios := map[string][]float64{}
	for _, kind := range kinds {
		for round, rate := range rates[kind] {
			ratios[kind] = append(ratios[kind], rate/rates["none"][round])
		}
	}
	for _, kind := range kinds {
		b.ReportMetric(median(rates[kind]), kind+"-events/s")
		b.ReportMetric(median(p50s[kind]), kind+"-p50-ms")
		b.ReportMetric(median(p99s[kind]), kind+"-p99-ms")
		if kind != "none" {
			b.ReportMetric(median(ratios[kind]), kind+"-x")
		}
	}
	b.ReportMetric(0, "ns/op") // says nothing
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

// durable records events of 16 sessions, with an exporter to url beside it, and
// returns how many were durable in a second, and how long each took, in ms.
func durable(b *testing.B, url string) (rate float64, took []float64) {
	const sessions, each = 16, 2000
	dir := b.TempDir()
	j, err := audit.Open(dir, audit.Options{MinFree: 1})
	require.NoError(b, err)
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	ended <- nil
	if url != "" {
		<-ended
		x := &Exporter{Dir: dir, Cursor: filepath.Join(b.TempDir(), "cursor"), Sink: &Webhook{URL: url, Secret: protocol.NewSecret("secret")}, Logger: quiet}
		go func() { ended <- x.Run(ctx, true) }()
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	start := time.Now()
	for i := range sessions {
		wg.Go(func() {
			s := &protocol.SessionInfo{ID: fmt.Sprint("session-", i), Identity: &protocol.Identity{Issuer: "i", Subject: "alice"}, Resource: protocol.Resource{Name: "orders", Protocol: "postgres"}}
			mine := make([]float64, 0, each)
			for n := range each {
				op := &protocol.Operation{Session: s, ID: uint64(n + 2), Verb: "update", Access: protocol.Write, Text: "update users set email = $1 where id = $2",
					Args: []protocol.Arg{{Text: "ada@example.com"}, {Text: "12345"}}, Objects: []protocol.Object{{Kind: "table", Name: "public.users", Access: protocol.Write}}}
				d := protocol.Decision{Effect: protocol.AllowEffect, By: "authorize", Rule: "writers"}
				op.Decide(d, nil)
				begin := time.Now()
				p, err := j.Record(&protocol.Event{Kind: protocol.Decided, Session: s, Op: op, Decision: d}, audit.Detail{})
				if err == nil {
					err = j.Sync(context.Background(), p)
				}
				if err != nil {
					b.Error(err)
					return
				}
				mine = append(mine, float64(time.Since(begin).Microseconds())/1000)
			}
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
		})
	}
	wg.Wait()
	rate = sessions * each / time.Since(start).Seconds()
	cancel()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		b.Fatal(err)
	}
	require.NoError(b, j.Close())
	slices.Sort(took)
	return rate, took
}

func healthy(b *testing.B) string {
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	b.Cleanup(srv.Close)
	return srv.URL
}

func refuses(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	require.NoError(b, l.Close())
	return "http://" + l.Addr().String()
}

// neverAnswers is a server whose kernel accepts, and nobody else does.
func neverAnswers(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	b.Cleanup(func() { _ = l.Close() })
	return "http://" + l.Addr().String()
}
