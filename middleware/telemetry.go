package middleware

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/sallyport-dev/gateway/protocol"
)

const scope = "github.com/sallyport-dev/gateway"

// telemetry is the chain's view of OpenTelemetry. A nil *telemetry does
// nothing and costs nothing.
type telemetry struct {
	tracer trace.Tracer

	opTime, stepTime, holdTime metric.Float64Histogram
	sessions                   metric.Int64UpDownCounter
	refusals                   metric.Int64Counter

	spans *sync.Map // *protocol.Operation or session id (string) -> trace.Span
}

// WithTelemetry returns a chain that reports a span for each session and each
// operation to tp, and operation time, step time, approval wait, open sessions
// and refusals to mp. Either may be nil. No statement text is reported.
func (c *Chain) WithTelemetry(tp trace.TracerProvider, mp metric.MeterProvider) (*Chain, error) {
	if tp == nil && mp == nil {
		return c, nil
	}
	t := &telemetry{spans: &sync.Map{}}
	if tp != nil {
		t.tracer = tp.Tracer(scope)
	}
	if mp != nil {
		m := mp.Meter(scope)
		var err error
		hist := func(name, what string) (h metric.Float64Histogram) {
			if err == nil {
				h, err = m.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(what))
			}
			return h
		}
		t.opTime = hist("sallyport.operation.duration", "Time from the request to its end.")
		t.stepTime = hist("sallyport.step.duration", "Time a step took to decide.")
		t.holdTime = hist("sallyport.approval.wait", "Time operations were held for approval.")
		if err == nil {
			t.sessions, err = m.Int64UpDownCounter("sallyport.sessions.open", metric.WithDescription("Open sessions."))
		}
		if err == nil {
			t.refusals, err = m.Int64Counter("sallyport.refusals", metric.WithDescription("Refused logins and operations."))
		}
		if err != nil {
			return nil, err
		}
	}
	d := *c
	d.tel = t
	return &d, nil
}

// inPlaceOf returns a chain that ends the spans which before has begun.
func (c *Chain) inPlaceOf(before *Chain) *Chain {
	if c.tel == nil || before.tel == nil {
		return c
	}
	d, t := *c, *c.tel
	t.spans = before.tel.spans
	d.tel = &t
	return &d
}

func (t *telemetry) stepStart() time.Time {
	if t == nil || t.stepTime == nil {
		return time.Time{}
	}
	return time.Now()
}

func (t *telemetry) stepDone(ctx context.Context, name string, start time.Time) {
	if t == nil || t.stepTime == nil {
		return
	}
	t.stepTime.Record(ctx, time.Since(start).Seconds(), metric.WithAttributes(attribute.String("step", name)))
}

func opAttrs(op *protocol.Operation) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("sallyport.protocol", op.Session.Protocol),
		attribute.String("sallyport.target", op.Session.Resource.Name),
		attribute.String("sallyport.verb", string(op.Verb)),
	}
}

func (t *telemetry) asked(ctx context.Context, ops []*protocol.Operation) {
	if t != nil && t.tracer != nil {
		t.start(ctx, ops)
	}
}

// start is on its own so that those without a tracer need no stack for it.
func (t *telemetry) start(ctx context.Context, ops []*protocol.Operation) {
	for _, op := range ops {
		parent, key := ctx, any(op)
		name := string(op.Verb)
		if op.Verb == protocol.Connect {
			key, name = op.Session.ID, "session"
		} else if s, ok := t.spans.Load(op.Session.ID); ok {
			parent = trace.ContextWithSpan(ctx, s.(trace.Span))
		}
		_, span := t.tracer.Start(parent, name, trace.WithSpanKind(trace.SpanKindServer),
			trace.WithTimestamp(op.Started()), trace.WithAttributes(opAttrs(op)...))
		t.spans.Store(key, span)
	}
}

func (t *telemetry) span(op *protocol.Operation, take bool) trace.Span {
	key := any(op)
	if op.Verb == protocol.Connect {
		key = op.Session.ID
	}
	v, ok := t.spans.Load(key)
	if !ok {
		return nil
	}
	if take {
		t.spans.Delete(key)
	}
	return v.(trace.Span)
}

func (t *telemetry) decided(ctx context.Context, op *protocol.Operation, d protocol.Decision) {
	if t == nil {
		return
	}
	refused := d.Effect != protocol.AllowEffect
	if t.tracer != nil {
		if span := t.span(op, refused); span != nil {
			span.AddEvent("decided", trace.WithAttributes(attribute.String("effect", d.Effect.String()),
				attribute.String("step", d.By), attribute.String("rule", d.Rule)))
			if refused {
				span.SetStatus(codes.Error, "refused")
				span.End()
			}
		}
	}
	if t.refusals != nil && refused {
		t.refusals.Add(ctx, 1, metric.WithAttributes(append(opAttrs(op), attribute.String("step", d.By))...))
	}
	if t.sessions != nil && !refused && op.Verb == protocol.Connect {
		t.sessions.Add(ctx, 1, metric.WithAttributes(opAttrs(op)[:2]...))
	}
}

func (t *telemetry) loginRefused(ctx context.Context, l *protocol.Login) {
	if t == nil || t.refusals == nil {
		return
	}
	t.refusals.Add(ctx, 1, metric.WithAttributes(attribute.String("sallyport.protocol", l.Protocol),
		attribute.String("sallyport.verb", "login"), attribute.String("step", "authenticate")))
}

func (t *telemetry) waited(ctx context.Context, start time.Time) {
	if t == nil || t.holdTime == nil {
		return
	}
	t.holdTime.Record(ctx, time.Since(start).Seconds())
}

func (t *telemetry) ended(op *protocol.Operation, out protocol.Outcome) {
	if t != nil {
		t.end(op, out)
	}
}

func (t *telemetry) end(op *protocol.Operation, out protocol.Outcome) {
	ctx := context.Background()
	if t.tracer != nil {
		if span := t.span(op, true); span != nil {
			span.SetAttributes(attribute.String("status", string(out.Status)), attribute.Int64("rows", out.Rows))
			if out.Status != protocol.StatusOK {
				span.SetStatus(codes.Error, string(out.Status))
			}
			span.End()
		}
	}
	if t.opTime != nil && op.Verb != protocol.Connect {
		t.opTime.Record(ctx, out.Duration.Seconds(), metric.WithAttributes(append(opAttrs(op), attribute.String("status", string(out.Status)))...))
	}
	if t.sessions != nil && op.Verb == protocol.Connect {
		t.sessions.Add(ctx, -1, metric.WithAttributes(opAttrs(op)[:2]...))
	}
}
