package audit

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Query asks an [Index] for entries. Its zero value asks for the newest ones;
// each field that is set leaves out what does not match. Texts match regardless
// of case and as a whole, or as a pattern in which * stands for anything.
type Query struct {
	Who      string // subject, name or email of who asked, or of whom they act for
	Target   string
	Verb     string
	Access   string // a class of access, such as "write"
	Object   string // what was touched, such as "public.users"
	Column   string // what was read or written, as "schema.table.column"
	Tool     string
	Outcome  string // what was decided, "allow", "deny" or "hold", or how it ended, such as "ok", "error" or "unknown"
	Approval string // the ticket of a request, or who approved; "*" is whatever was approved
	Rule     string // that decided
	Session  string
	Kind     Kind   // of the entry's first event, such as "login.refused"
	Text     string // words that stand in the statement or its arguments, all of them, as words
	MinRisk  int
	Since    time.Time
	Until    time.Time // before which

	Limit  int    // entries in a page: 100 if 0, at most 1000
	Cursor string // where the page before ended, see Page.Next
}

// MaxPage is the most entries that one page holds.
const MaxPage = 1000

// An Entry is an operation, a session, a refused login or an event of the
// journal itself. Event is the one that says what was decided; if another says
// how that ended, its Result and Error stand here as well, and End is its
// number. Both numbers can be proven: see [Prove].
type Entry struct {
	Event
	End    uint64 `json:"end_seq,omitempty"`
	Origin string `json:"origin,omitempty"` // the journal, in an index of several
}

// A Page is an answer, newest entries first.
type Page struct {
	Entries []Entry `json:"entries"`

	// Next is the cursor of the page behind this one, or "" at the end. Pages do
	// not overlap and miss nothing, whatever is recorded between two questions. A
	// page that takes long to fill may have fewer entries than were asked for, or
	// none, and still not be the last.
	Next string `json:"next,omitempty"`

	// Indexed is how many of the journal's events the index knew when it
	// answered: what was recorded later is not in the answer.
	Indexed uint64 `json:"indexed"`
}

// An Index finds entries of a journal. It is made from the journal and can be
// made again: it is no evidence.
type Index interface {
	Search(ctx context.Context, q Query) (Page, error)
}

// ErrQuery says that a question cannot be understood. Its text is for whoever
// asked.
var ErrQuery = errors.New("audit: query")

// queryFields are a query's fields as they are named in URLs and flags.
var queryFields = []struct {
	Name, Help string
	Text       func(*Query) *string
}{
	{"who", "subject, name or email of who asked, or of whom they act for", func(q *Query) *string { return &q.Who }},
	{"target", "name of the target", func(q *Query) *string { return &q.Target }},
	{"verb", "what was asked for, such as select", func(q *Query) *string { return &q.Verb }},
	{"access", "class of access, such as write", func(q *Query) *string { return &q.Access }},
	{"object", "what was touched, such as public.users", func(q *Query) *string { return &q.Object }},
	{"column", "what was read or written, as schema.table.column", func(q *Query) *string { return &q.Column }},
	{"tool", "client program", func(q *Query) *string { return &q.Tool }},
	{"outcome", "allow, deny or hold, or how it ended: ok, error, unknown", func(q *Query) *string { return &q.Outcome }},
	{"approval", "ticket of a request, or who approved; * is whatever was approved", func(q *Query) *string { return &q.Approval }},
	{"rule", "rule that decided", func(q *Query) *string { return &q.Rule }},
	{"session", "id of the session", func(q *Query) *string { return &q.Session }},
	{"kind", "kind of event, such as login.refused", func(q *Query) *string { return (*string)(&q.Kind) }},
	{"text", "words in the statement or its arguments", func(q *Query) *string { return &q.Text }},
	{"cursor", "where the page before ended", func(q *Query) *string { return &q.Cursor }},
	{"risk", "smallest risk", nil},
	{"since", "a time such as 2026-03-01T12:00:00Z, a day such as 2026-03-01, or how long ago, such as 24h", nil},
	{"until", "the same; before it", nil},
	{"limit", "entries in a page", nil},
}

// QueryFields calls f for each field of a query with its name and what it means.
func QueryFields(f func(name, help string)) {
	for _, p := range queryFields {
		f(p.Name, p.Help)
	}
}

// ParseQuery reads a query from the parameters of a URL, named as [QueryFields]
// names them. Unknown ones are an error, and so is one that stands twice.
func ParseQuery(v url.Values, now time.Time) (q Query, err error) {
	for name, values := range v {
		i := slices.IndexFunc(queryFields, func(p struct {
			Name, Help string
			Text       func(*Query) *string
		}) bool {
			return p.Name == name
		})
		if i < 0 {
			return q, fmt.Errorf("%w: there is no field %q", ErrQuery, name)
		}
		if len(values) != 1 {
			return q, fmt.Errorf("%w: %s stands %d times", ErrQuery, name, len(values))
		}
		value := values[0]
		if text := queryFields[i].Text; text != nil {
			*text(&q) = value
			continue
		}
		switch name {
		case "risk":
			q.MinRisk, err = strconv.Atoi(value)
		case "limit":
			q.Limit, err = strconv.Atoi(value)
		case "since":
			q.Since, err = parseTime(value, now)
		case "until":
			q.Until, err = parseTime(value, now)
		}
		if err != nil {
			return q, fmt.Errorf("%w: %s: %q is not understood", ErrQuery, name, value)
		}
	}
	return q, q.Check()
}

// Check returns an error if q cannot be answered.
func (q *Query) Check() error {
	switch {
	case q.Limit < 0 || q.Limit > MaxPage:
		return fmt.Errorf("%w: limit: want 1 to %d", ErrQuery, MaxPage)
	case q.Kind != "" && !kinds[q.Kind]:
		return fmt.Errorf("%w: kind: there is no kind of event %q", ErrQuery, q.Kind)
	}
	for _, p := range queryFields {
		most := 1000
		if p.Name == "cursor" {
			most = 16 << 10 // it names each journal of a fleet
		}
		if p.Text != nil && len(*p.Text(q)) > most {
			return fmt.Errorf("%w: %s: more than %d bytes", ErrQuery, p.Name, most)
		}
	}
	return nil
}

// String returns q as the parameters of a URL, without what is not set.
func (q Query) String() string {
	v := url.Values{}
	for _, p := range queryFields {
		if p.Text != nil && *p.Text(&q) != "" {
			v.Set(p.Name, *p.Text(&q))
		}
	}
	for name, n := range map[string]int{"risk": q.MinRisk, "limit": q.Limit} {
		if n != 0 {
			v.Set(name, strconv.Itoa(n))
		}
	}
	for name, t := range map[string]time.Time{"since": q.Since, "until": q.Until} {
		if !t.IsZero() {
			v.Set(name, t.UTC().Format(time.RFC3339Nano))
		}
	}
	return v.Encode()
}

func parseTime(s string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, time.DateTime, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 {
			return now.AddDate(0, 0, -n), nil
		}
	}
	d, err := time.ParseDuration(s)
	return now.Add(-d), err
}

// A RuleUse says how often a rule decided, or added to a risk, and when last.
type RuleUse struct {
	Step  Text      `json:"step"`
	Rule  Text      `json:"rule"`
	Count int64     `json:"count"`
	Last  time.Time `json:"last"`
}

// A Use says how one identity used one kind of access to one target, which is
// what a review of rights asks. Rights that were never used have no Use.
type Use struct {
	Issuer     Text      `json:"iss"`
	Subject    Text      `json:"sub"`
	Kind       Text      `json:"kind,omitempty"`
	Target     Text      `json:"target"`
	Permission string    `json:"permission"` // classes of access, such as "read" or "read+write"
	Days       int       `json:"days"`       // on which it was used, in UTC
	Count      int64     `json:"count"`      // of decisions
	Denied     int64     `json:"denied"`
	Approved   int64     `json:"approved"` // that somebody approved
	Rows       int64     `json:"rows"`
	Masked     int64     `json:"masked"` // results with a masked column
	MaxRisk    int       `json:"max_risk"`
	First      time.Time `json:"first"`
	Last       time.Time `json:"last"`
	LastSeq    uint64    `json:"last_seq"`
}
