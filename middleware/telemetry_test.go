package middleware_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// observed returns a chain of the steps whose telemetry ends in memory.
func observed(t *testing.T, steps ...middleware.Step) (*middleware.Chain, *tracetest.InMemoryExporter, *sdkmetric.ManualReader) {
	t.Helper()
	spans, reader := tracetest.NewInMemoryExporter(), sdkmetric.NewManualReader()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	t.Cleanup(func() {
		require.NoError(t, tp.Shutdown(context.Background()))
		require.NoError(t, mp.Shutdown(context.Background()))
	})
	chain, err := middleware.NewChain(append(steps, (&trail{}).step())...)
	require.NoError(t, err)
	chain, err = chain.WithTelemetry(tp, mp)
	require.NoError(t, err)
	return chain, spans, reader
}

// points returns the metrics by name: how many values a histogram has, or the
// sum of a counter.
func points(t *testing.T, r *sdkmetric.ManualReader) map[string]int64 {
	t.Helper()
	var rm metricdata.ResourceMetrics
	require.NoError(t, r.Collect(t.Context(), &rm))
	out := map[string]int64{}
	for _, sm := range rm.ScopeMetrics {
		for _, m := range sm.Metrics {
			switch d := m.Data.(type) {
			case metricdata.Histogram[float64]:
				for _, p := range d.DataPoints {
					out[m.Name] += int64(p.Count)
				}
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					out[m.Name] += p.Value
				}
			default:
				t.Fatalf("%s: %T", m.Name, d)
			}
		}
	}
	return out
}

func TestTelemetry(t *testing.T) {
	hold := protocol.Hold("t1", "four eyes", func(context.Context) (protocol.Decision, error) { return protocol.Allow("ok"), nil })
	chain, spans, reader := observed(t, middleware.Step{Name: "rule", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		switch op.Verb {
		case "drop table":
			return protocol.Deny("never drop CLASSIFIED"), nil
		case "update":
			return hold, nil
		case "broken":
			return protocol.Pass, errors.New("CLASSIFIED detail")
		}
		return protocol.Decision{Effect: protocol.AllowEffect, Rule: "readers"}, nil
	}})
	s := sessionOn(t, chain)
	require.NoError(t, s.Connect(t.Context(), &protocol.Operation{}))
	require.Equal(t, int64(1), points(t, reader)["sallyport.sessions.open"])

	run := func(verb protocol.Verb, out protocol.Outcome) error {
		x, err := s.Begin(t.Context(), &protocol.Operation{Verb: verb, Text: "SELECT 'CLASSIFIED' FROM customers", Args: []protocol.Arg{{Text: "CLASSIFIED"}},
			Objects: []protocol.Object{{Kind: "table", Name: "customers"}}, Access: protocol.Read})
		if err == nil {
			x.End(out)
		}
		return err
	}
	require.NoError(t, run("select", protocol.Outcome{Status: protocol.StatusOK, Rows: 3}))
	require.NoError(t, run("update", protocol.Outcome{Status: protocol.StatusFailed, Err: errors.New("CLASSIFIED")}))
	require.Error(t, run("drop table", protocol.Outcome{}))
	require.Error(t, run("broken", protocol.Outcome{}))
	_, err := chain.Authenticate(t.Context(), &protocol.Login{Protocol: "test", User: "CLASSIFIED", Proof: protocol.Password{Secret: protocol.NewSecret("CLASSIFIED")}})
	require.Error(t, err)
	s.Close(nil)

	byName := map[string]tracetest.SpanStub{}
	for _, sp := range spans.GetSpans() {
		byName[sp.Name] = sp
	}
	require.Len(t, byName, 5, "one for the session, one for each operation")
	root := byName["session"]
	for name, status := range map[string]codes.Code{"session": codes.Unset, "select": codes.Unset, "update": codes.Error, "drop table": codes.Error, "broken": codes.Error} {
		sp := byName[name]
		require.Equal(t, status, sp.Status.Code, name)
		if name != "session" {
			require.Equal(t, root.SpanContext.SpanID(), sp.Parent.SpanID(), "%s belongs to the session", name)
		}
		require.Len(t, sp.Events, 1, name)
		require.Equal(t, "decided", sp.Events[0].Name)
		require.Contains(t, fmt.Sprint(sp.Attributes), "orders", "the target")
	}
	require.Contains(t, fmt.Sprint(byName["select"].Events[0].Attributes), "readers")

	text, err := json.Marshal(spans.GetSpans())
	require.NoError(t, err)
	require.NotContains(t, string(text), "CLASSIFIED", "no text, argument, reason or error goes into a span")
	require.NotContains(t, string(text), "customers")

	got := points(t, reader)
	require.Equal(t, int64(0), got["sallyport.sessions.open"])
	require.Equal(t, int64(2), got["sallyport.operation.duration"], "of operations that ran; a session is none")
	require.Equal(t, int64(5), got["sallyport.step.duration"])
	require.Equal(t, int64(1), got["sallyport.approval.wait"])
	require.Equal(t, int64(3), got["sallyport.refusals"], "two operations and a login")
	var rm metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &rm))
	text, err = json.Marshal(rm)
	require.NoError(t, err)
	require.NotContains(t, string(text), "CLASSIFIED")
}

func TestTelemetryOfEachKindAlone(t *testing.T) {
	spans, reader := tracetest.NewInMemoryExporter(), sdkmetric.NewManualReader()
	for _, traced := range []bool{true, false} {
		chain, err := middleware.NewChain(says("rule", protocol.Allow("rule")), (&trail{}).step())
		require.NoError(t, err)
		if traced {
			chain, err = chain.WithTelemetry(sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)), nil)
		} else {
			chain, err = chain.WithTelemetry(nil, sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
		}
		require.NoError(t, err)
		s := sessionOn(t, chain)
		require.NoError(t, s.Connect(t.Context(), &protocol.Operation{}))
		x, err := s.Begin(t.Context(), readOp())
		require.NoError(t, err)
		x.End(protocol.Outcome{Status: protocol.StatusOK})
		s.Close(nil)
		_, err = chain.Authenticate(t.Context(), &protocol.Login{})
		require.Error(t, err)
	}
	require.Len(t, spans.GetSpans(), 2)
	require.Equal(t, int64(1), points(t, reader)["sallyport.operation.duration"])
}

// Nobody is charged for telemetry that is not there.
func TestNoTelemetryIsTheSameChain(t *testing.T) {
	chain, err := middleware.NewChain((&trail{}).step())
	require.NoError(t, err)
	same, err := chain.WithTelemetry(nil, nil)
	require.NoError(t, err)
	require.Same(t, chain, same)
}

// A session that ends in the middle of things leaves no span open.
func TestSpansEndWithTheirSession(t *testing.T) {
	chain, spans, reader := observed(t, says("rule", protocol.Allow("rule")))
	s := sessionOn(t, chain)
	require.NoError(t, s.Connect(t.Context(), &protocol.Operation{}))
	for range 3 {
		_, err := s.Begin(t.Context(), readOp())
		require.NoError(t, err)
	}
	s.Close(errors.New("the client left"))
	require.Len(t, spans.GetSpans(), 4)
	require.Equal(t, int64(3), points(t, reader)["sallyport.operation.duration"])
	require.Equal(t, int64(0), points(t, reader)["sallyport.sessions.open"])
}

// A chain that takes the place of another ends the spans that it finds.
func TestSpansOutliveAReload(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	chain := func() *middleware.Chain {
		c, err := middleware.NewChain(says("rule", protocol.Allow("rule")), (&trail{}).step())
		require.NoError(t, err)
		c, err = c.WithTelemetry(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)), nil)
		require.NoError(t, err)
		return c
	}
	var live middleware.Live[any]
	live.Replace(chain(), nil)
	s := protocol.NewSession(t.Context(), protocol.SessionConfig{Info: &protocol.SessionInfo{Identity: &protocol.Identity{}}, Engine: &live})
	require.NoError(t, s.Connect(t.Context(), &protocol.Operation{}))
	x, err := s.Begin(t.Context(), readOp())
	require.NoError(t, err)
	live.Replace(chain(), nil).Done()
	x.End(protocol.Outcome{Status: protocol.StatusOK})
	s.Close(nil)
	live.Close()
	require.Len(t, spans.Ended(), 2)
	require.Equal(t, "select", spans.Ended()[0].Name())
	require.Equal(t, "session", spans.Ended()[1].Name())
}
