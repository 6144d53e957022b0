package httpproxy_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/httpproxy"
)

// hold is a step that holds what changes something, and HEAD.
type hold struct {
	n       atomic.Int64
	waiting chan context.Context
	answer  chan protocol.Decision
}

func newHold() *hold {
	return &hold{waiting: make(chan context.Context, 10), answer: make(chan protocol.Decision, 10)}
}

func (h *hold) step() middleware.Step {
	return middleware.Step{Name: "hold", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if !op.Access.Has(protocol.Write) && op.Verb != "head" {
			return protocol.Pass, nil
		}
		return protocol.Hold(fmt.Sprintf("ticket-%d", h.n.Add(1)), "somebody has to look", func(ctx context.Context) (protocol.Decision, error) {
			h.waiting <- ctx
			select {
			case d := <-h.answer:
				return d, nil
			case <-ctx.Done():
				return protocol.Decision{}, context.Cause(ctx)
			}
		}), nil
	}}
}

func ended(t *testing.T, ctx context.Context) {
	t.Helper()
	select {
	case <-ctx.Done():
	case <-time.After(3 * time.Second):
		t.Fatal("the hold did not end")
	}
}

func TestHeldResponse(t *testing.T) {
	for version, h2 := range versions {
		t.Run(version, func(t *testing.T) {
			h := newHold()
			r := newRig(t, rigConfig{steps: []middleware.Step{h.step()}})
			time.AfterFunc(200*time.Millisecond, func() { h.answer <- protocol.Allow("hold") })
			res, body := r.do(t, h2, "POST", "https://app.gw.test/x", strings.NewReader("hello"))
			require.Equal(t, 200, res.StatusCode)
			require.Equal(t, "hello", body)
			// A client that leaves withdraws.
			<-h.waiting
			ctx, cancel := context.WithCancel(t.Context())
			req, err := http.NewRequestWithContext(ctx, "POST", "https://app.gw.test/x", strings.NewReader("hello"))
			require.NoError(t, err)
			req.Header.Set("Authorization", "Bearer "+r.token)
			done := make(chan error, 1)
			c := r.client(h2)
			go func() { _, err := c.Do(req); done <- err }()
			waits := <-h.waiting
			cancel()
			require.Error(t, <-done)
			ended(t, waits)
			require.ErrorIs(t, context.Cause(waits), protocol.ErrClientGone)
			require.Len(t, r.requests(), 1)
			// What is streamed cannot be shown to anybody before it is sent.
			res, body = r.do(t, h2, "POST", "https://app.gw.test/x", io.MultiReader(strings.NewReader("hello")))
			require.Equal(t, 403, res.StatusCode)
			require.Contains(t, body, "cannot wait")
			require.Len(t, r.requests(), 1)
		})
	}
}

func TestHeldLonger(t *testing.T) {
	for version, h2 := range versions {
		t.Run(version, func(t *testing.T) {
			h := newHold()
			r := newRig(t, rigConfig{steps: []middleware.Step{h.step()}, server: &httpproxy.Server{Paths: true}, handler: func(w http.ResponseWriter, req *http.Request) {
				if req.Method == http.MethodHead {
					w.Header().Set("Content-Length", "5")
				}
				_, _ = io.Copy(w, req.Body)
			}})
			post := func(header ...string) string {
				res, body := r.do(t, h2, "POST", "https://gw.test/app/x", strings.NewReader("hello"), header...)
				require.Equal(t, 202, res.StatusCode)
				require.Equal(t, "5", res.Header.Get("Retry-After"))
				require.Contains(t, body, "somebody has to look")
				loc := res.Header.Get("Location")
				require.True(t, strings.HasPrefix(loc, "/app/.sallyport/held/"), loc)
				if len(header) == 2 && header[0] == "Accept" {
					require.Contains(t, body, `content="5; url=`+loc+`"`)
				}
				return "https://gw.test" + loc
			}
			loc := post("Prefer", "respond-async")
			ctx := <-h.waiting
			res, _ := r.do(t, h2, "GET", loc, nil, "Prefer", "wait=0")
			require.Equal(t, 202, res.StatusCode)
			res, _ = r.do(t, h2, "GET", loc, nil, "Authorization", "Bearer "+r.other)
			require.Equal(t, 404, res.StatusCode, "somebody else's")
			res, _ = r.do(t, h2, "GET", strings.Replace(loc, "/app/", "/other/", 1), nil)
			require.Equal(t, 404, res.StatusCode, "another target's")
			require.Empty(t, r.requests())
			require.NoError(t, ctx.Err())
			h.answer <- protocol.Allow("hold")
			res, body := r.do(t, h2, "GET", loc, nil)
			require.Equal(t, 200, res.StatusCode)
			require.Equal(t, "hello", body)
			require.Len(t, r.requests(), 1)
			require.Equal(t, "POST", r.requests()[0].Method)
			require.Equal(t, "/x", r.requests()[0].RequestURI)
			res, _ = r.do(t, h2, "GET", loc, nil)
			require.Equal(t, 404, res.StatusCode, "it runs once")

			loc = post("Accept", "text/html")
			<-h.waiting
			h.answer <- protocol.Deny("not today")
			res, body = r.do(t, h2, "GET", loc, nil)
			require.Equal(t, 403, res.StatusCode)
			require.Contains(t, body, "not today")
			require.Len(t, r.requests(), 1)

			res, _ = r.do(t, h2, "HEAD", "https://gw.test/app/x", nil, "Prefer", "respond-async")
			require.Equal(t, 202, res.StatusCode)
			<-h.waiting
			h.answer <- protocol.Allow("hold")
			res, body = r.do(t, h2, "GET", "https://gw.test"+res.Header.Get("Location"), nil)
			require.Equal(t, 200, res.StatusCode)
			require.Empty(t, body, "the answer to a HEAD has none, whatever its length is said to be")
			require.Len(t, r.requests(), 2)

			post("Prefer", "respond-async, wait=0") // and never comes back
			left := <-h.waiting
			start := time.Now()
			require.NoError(t, r.gateway.Shutdown(t.Context()))
			require.Less(t, time.Since(start), 5*time.Second)
			ended(t, left)
			require.Len(t, r.requests(), 2)
		})
	}
}

// TestMasked: a mask of fields, through the whole gateway.
func TestMasked(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{middleware.Mask(mask.Rule{Name: "mail", Fields: []string{"**.email"}, Transform: mask.Redact()})},
		handler: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", r.URL.Query().Get("type"))
			_, _ = io.WriteString(w, `{"a":{"email":"a@b.c","n":1}}`)
		}})
	res, body := r.do(t, false, "GET", "https://app.gw.test/?type=application/json", nil)
	require.Equal(t, 200, res.StatusCode)
	require.Equal(t, `{"a":{"email":"***","n":1}}`, body)
	res, body = r.do(t, false, "GET", "https://app.gw.test/?type=text/html", nil)
	require.Equal(t, 403, res.StatusCode)
	require.Contains(t, body, "masked fields")
}

// TestHeldForNoTime: a request may be decided about, and run with a step that looks
// at its body, while its client is still told how long to wait.
func TestHeldForNoTime(t *testing.T) {
	now := middleware.Step{Name: "now", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if op.Verb == protocol.Connect {
			return protocol.Pass, nil
		}
		return protocol.Hold("ticket", "nobody has to look", func(context.Context) (protocol.Decision, error) { return protocol.Allow("now"), nil }),
			op.OnBytes(func(protocol.Stream) (protocol.BytesFunc, error) {
				return func(b []byte, _ bool) ([]byte, error) { return b, nil }, nil
			})
	}}
	for version, h2 := range versions {
		t.Run(version, func(t *testing.T) {
			r := newRig(t, rigConfig{steps: []middleware.Step{now}})
			for range 20 {
				res, body := r.do(t, h2, "POST", "https://app.gw.test/", strings.NewReader("hello"))
				require.Equal(t, 200, res.StatusCode)
				require.Equal(t, "hello", body)
			}
		})
	}
}
