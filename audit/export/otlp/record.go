package otlp

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/logs/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	logs "go.opentelemetry.io/proto/slim/otlp/logs/v1"
	resource "go.opentelemetry.io/proto/slim/otlp/resource/v1"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/export"
)

// request is the message for a batch.
func (s *Sink) request(origin string, events []audit.Event) (*collector.ExportLogsServiceRequest, error) {
	about := attributes{}
	about.text("service.name", cmp.Or(s.Resource["service.name"], "sallyport"))
	about.text("sallyport.journal", origin)
	for _, k := range slices.Sorted(maps.Keys(s.Resource)) {
		if k != "service.name" {
			about.text(k, s.Resource[k])
		}
	}
	records := make([]*logs.LogRecord, len(events))
	for i := range events {
		var err error
		if records[i], err = s.record(origin, &events[i]); err != nil {
			return nil, err
		}
	}
	return &collector.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{
		Resource:  &resource.Resource{Attributes: about},
		ScopeLogs: []*logs.ScopeLogs{{Scope: &common.InstrumentationScope{Name: "github.com/sallyport-dev/gateway/audit"}, LogRecords: records}},
	}}}, nil
}

// record is the record of an event. Names of attributes are those of
// OpenTelemetry's conventions where there is one.
func (s *Sink) record(origin string, e *audit.Event) (*logs.LogRecord, error) {
	format := s.Format
	if format == nil {
		format = export.JSON
	}
	body, err := format(origin, e)
	if err != nil {
		return nil, err
	}
	var a attributes
	a.number("sallyport.seq", int64(e.Seq))
	a.text("session.id", e.Session)
	if id := e.Identity; id != nil {
		a.text("user.id", string(id.Subject))
		a.text("user.name", string(id.Name))
		a.text("user.email", string(id.Email))
		a.text("sallyport.identity.issuer", string(id.Issuer))
		a.text("sallyport.identity.kind", string(id.Kind))
	} else {
		a.text("user.name", string(e.User))
	}
	if ap, err := netip.ParseAddrPort(string(e.Remote)); err == nil {
		a.text("client.address", ap.Addr().String())
		a.number("client.port", int64(ap.Port()))
	}
	if e.Target != nil {
		a.text("sallyport.target", string(e.Target.Name))
		a.text("network.protocol.name", string(e.Target.Protocol))
	}
	if e.Tool != nil {
		a.text("user_agent.name", string(e.Tool.Name))
		a.text("user_agent.version", string(e.Tool.Version))
	}
	if act := e.Action; act != nil {
		a.text("sallyport.verb", string(act.Verb))
		a.text("sallyport.access", strings.Join(act.Access, " "))
		a.text("sallyport.fingerprint", string(act.Fingerprint))
		if act.Risk > 0 {
			a.number("sallyport.risk", int64(act.Risk))
		}
	}
	if d := e.Decision; d != nil {
		a.text("sallyport.decision", d.Effect)
		a.text("sallyport.rule", strings.TrimSpace(string(d.By+" "+d.Rule)))
	}
	if r := e.Result; r != nil {
		a.text("sallyport.status", r.Status)
		a.text("error.type", string(r.Code))
		a.number("sallyport.rows", r.Rows)
	}
	number, text := severity(e)
	return &logs.LogRecord{TimeUnixNano: nano(e.Time), ObservedTimeUnixNano: nano(e.Time), SeverityNumber: number, SeverityText: text,
		EventName: "sallyport." + string(e.Kind), Body: str(string(body)), Attributes: a}, nil
}

// nano is t as OTLP has it, in which 0 is unknown.
func nano(t time.Time) uint64 {
	if t.Unix() <= 0 || t.Year() > 2261 { // later ones do not fit
		return 0
	}
	return uint64(t.UnixNano())
}

// severity is ERROR for what an operator has to look at, WARN for a refusal and
// for what ended in an unknown way, INFO else.
func severity(e *audit.Event) (logs.SeverityNumber, string) {
	switch {
	case e.Kind == audit.JournalGap:
		return logs.SeverityNumber_SEVERITY_NUMBER_ERROR, "ERROR"
	case e.Kind == audit.LoginRefused, e.Kind == audit.CommandUnknown, e.Decision != nil && e.Decision.Effect == "deny":
		return logs.SeverityNumber_SEVERITY_NUMBER_WARN, "WARN"
	}
	return logs.SeverityNumber_SEVERITY_NUMBER_INFO, "INFO"
}

type attributes []*common.KeyValue

// text adds an attribute unless it is empty. Protobuf has no text but UTF-8.
func (a *attributes) text(key, value string) {
	if value != "" {
		*a = append(*a, &common.KeyValue{Key: key, Value: str(value)})
	}
}

func (a *attributes) number(key string, n int64) {
	*a = append(*a, &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: n}}})
}

func str(s string) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: strings.ToValidUTF8(s, "\uFFFD")}}
}
