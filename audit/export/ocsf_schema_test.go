package export

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit"
)

// An ocsfSchema is what testdata/ocsf-schema.json says of OCSF's own schema.
type ocsfSchema struct {
	Version string
	Types   map[string]struct {
		Type   string
		MaxLen int `json:"max_len"`
		Range  []float64
		Regex  string
	}
	Classes, Objects map[string]ocsfShape
}

type ocsfShape struct {
	Attributes map[string]struct {
		Type     string
		Array    bool
		Required bool
		Enum     []string
		Profile  string
	}
	Constraints map[string][]string
}

func readSchema(t *testing.T) (s ocsfSchema) {
	t.Helper()
	b, err := os.ReadFile("testdata/ocsf-schema.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &s))
	return s
}

// check returns what OCSF's schema says against an event.
func (s *ocsfSchema) check(b []byte) (wrong []string) {
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		return []string{err.Error()}
	}
	class, ok := s.Classes[fmt.Sprint(m["class_uid"])]
	if !ok {
		return []string{fmt.Sprintf("class %v is not in the schema's file", m["class_uid"])}
	}
	meta, _ := m["metadata"].(map[string]any)
	if meta["version"] != s.Version {
		wrong = append(wrong, fmt.Sprintf("version %v, the schema has %s", meta["version"], s.Version))
	}
	profiles := map[string]bool{"": true}
	for _, p := range meta["profiles"].([]any) {
		profiles[p.(string)] = true
	}
	uid, activity := m["class_uid"].(float64), m["activity_id"].(float64)
	if m["type_uid"] != uid*100+activity || m["category_uid"] != math.Floor(uid/1000) {
		wrong = append(wrong, "type_uid or category_uid do not belong to the class")
	}
	return append(wrong, s.shape("", class, m, profiles)...)
}

func (s *ocsfSchema) shape(at string, shape ocsfShape, m map[string]any, profiles map[string]bool) (wrong []string) {
	for name, a := range shape.Attributes {
		if _, ok := m[name]; !ok && a.Required {
			wrong = append(wrong, at+name+" is required")
		}
	}
	if some := shape.Constraints["at_least_one"]; some != nil && !slices.ContainsFunc(some, func(n string) bool { _, ok := m[n]; return ok }) {
		wrong = append(wrong, fmt.Sprintf("%q needs one of %v", at, some))
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		a, ok := shape.Attributes[name]
		if !ok || !profiles[a.Profile] {
			wrong = append(wrong, at+name+" is not in the schema or its profiles")
			continue
		}
		values := []any{m[name]}
		if a.Array {
			if values, ok = m[name].([]any); !ok {
				wrong = append(wrong, at+name+" is not a list")
				continue
			}
		}
		for _, v := range values {
			if o, ok := s.Objects[a.Type]; ok {
				if inner, ok := v.(map[string]any); !ok {
					wrong = append(wrong, at+name+" is not an object")
				} else if len(o.Attributes) > 0 {
					wrong = append(wrong, s.shape(at+name+".", o, inner, profiles)...)
				}
				continue
			}
			if what := s.scalar(a.Type, v); what != "" {
				wrong = append(wrong, fmt.Sprintf("%s%s: %v %s", at, name, v, what))
			}
			if len(a.Enum) > 0 && !map[string]bool{"class_uid": true, "category_uid": true, "type_uid": true}[name] && !slices.Contains(a.Enum, fmt.Sprint(v)) {
				wrong = append(wrong, fmt.Sprintf("%s%s: %v is not one of %v", at, name, v, a.Enum))
			}
		}
	}
	return wrong
}

func (s *ocsfSchema) scalar(name string, v any) string {
	t, ok := s.Types[name]
	if !ok {
		return "is of type " + name + ", which is not in the schema's file"
	}
	base := name
	if t.Type != "" {
		base = t.Type
	}
	switch base {
	case "string_t":
		text, ok := v.(string)
		switch {
		case !ok:
			return "is not a text"
		case t.MaxLen > 0 && len(text) > t.MaxLen:
			return "is too long"
		case name == "ip_t":
			if _, err := netip.ParseAddr(text); err != nil {
				return err.Error()
			}
		case name == "email_t" && !regexp.MustCompile(t.Regex).MatchString(text):
			return "is no address"
		}
	case "integer_t", "long_t":
		n, ok := v.(float64)
		if !ok || n != math.Trunc(n) {
			return "is not a whole number"
		}
		if len(t.Range) == 2 && (n < t.Range[0] || n > t.Range[1]) {
			return "is out of range"
		}
	case "boolean_t":
		if _, ok := v.(bool); !ok {
			return "is not true or false"
		}
	}
	return ""
}

// Every event is what OCSF's schema says, also the odd ones.
func TestOCSFSchema(t *testing.T) {
	s := readSchema(t)
	odd := []audit.Event{
		{Kind: audit.LoginRefused},
		{Kind: audit.JournalOpened, Journal: &audit.About{Origin: "o"}},
		{Kind: audit.SealErased, Journal: &audit.About{Session: "s", What: "asked to"}},
		{Kind: audit.RecordingChunk, Session: "s", Recording: &audit.Recording{File: "s/1.cast"}},
		{Kind: audit.CommandDecided},
		{Kind: audit.CommandUnknown, Target: &audit.Target{Protocol: "mysql"}},
		{Kind: audit.CommandDecided, Target: &audit.Target{Protocol: "postgres", Addr: "/run/postgresql"}, Action: &audit.Action{Verb: "select", Text: &audit.Value{Hidden: true, Len: 7}}, Remote: "@"},
		{Kind: audit.CommandDecided, Target: &audit.Target{Name: "t", Protocol: "http", Addr: "[2001:db8::1]:443"}, Action: &audit.Action{}, Identity: &audit.Identity{}},
		{Kind: audit.CommandDecided, Target: &audit.Target{Name: "t", Protocol: "ssh", Addr: "host.example:99999"}, Identity: &audit.Identity{Email: "not an address", Subject: "x", Groups: []audit.Text{""}}},
		{Kind: audit.CommandCompleted, Target: &audit.Target{Name: "t"}, Action: &audit.Action{Risk: 300, Objects: []audit.Object{{}}}, Remote: "gw.example:5", Decision: &audit.Decision{Effect: "hold"},
			Result: &audit.Result{Status: "error", Duration: -5}},
	}
	for kind := range maps.Keys(map[audit.Kind]bool{audit.SessionOpened: true, audit.SessionClosed: true, audit.ApprovalRequested: true, audit.JournalClosed: true, audit.JournalSegment: true,
		audit.JournalGap: true, audit.JournalRead: true, audit.SealHeld: true, audit.SealReleased: true, audit.CommandCompleted: true}) {
		odd = append(odd, audit.Event{Kind: kind})
	}
	for i, e := range append(golden(), odd...) {
		if e.Time.IsZero() {
			e.Time = noon
		}
		b, err := OCSF("origin", &e)
		require.NoError(t, err)
		for _, wrong := range s.check(b) {
			t.Errorf("event %d, %s: %s\n%s", i, e.Kind, wrong, b)
		}
	}
}

// The check finds what is wrong.
func TestOCSFSchemaBites(t *testing.T) {
	s := readSchema(t)
	b, err := OCSF("origin", &golden()[3])
	require.NoError(t, err)
	require.Empty(t, s.check(b))
	for name, spoil := range map[string]func(map[string]any){
		"required": func(m map[string]any) { delete(m, "src_endpoint") },
		"unknown":  func(m map[string]any) { m["sallyport"] = 1 },
		"type":     func(m map[string]any) { m["time"] = "noon" },
		"enum":     func(m map[string]any) { m["severity_id"] = 42 },
		"class":    func(m map[string]any) { m["type_uid"] = 1 },
		"inner": func(m map[string]any) {
			m["actor"].(map[string]any)["user"].(map[string]any)["type_id"] = strconv.Itoa(1)
		},
		"profile":   func(m map[string]any) { m["metadata"].(map[string]any)["profiles"] = []string{} },
		"one of":    func(m map[string]any) { delete(m, "database") },
		"version":   func(m map[string]any) { m["metadata"].(map[string]any)["version"] = "0.1" },
		"no object": func(m map[string]any) { m["actor"] = "alice" },
	} {
		var m map[string]any
		require.NoError(t, json.Unmarshal(b, &m))
		spoil(m)
		bad, err := json.Marshal(m)
		require.NoError(t, err)
		require.NotEmpty(t, s.check(bad), name)
	}
}
