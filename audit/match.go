package audit

import (
	"slices"
	"strings"

	"github.com/sallyport-dev/gateway/audit/internal/words"
)

// maxSearched bounds what is searched of a statement with its arguments: each
// word costs an index a row, and who asks may send millions.
const maxSearched = 16 << 10

// Matches reports whether q asks for e: what an [Index] has to find, but for
// limit and cursor. opened is the session.opened of e's session, which says what
// operations do not repeat, such as names; nil if it is not known.
func (q *Query) Matches(e *Entry, opened *Event) bool {
	var a Action
	if e.Action != nil {
		a = *e.Action
	}
	var d Decision
	if e.Decision != nil {
		d = *e.Decision
	}
	status, target, tool := "", Text(""), e.Tool.Called()
	if tool == "" && opened != nil {
		tool = opened.Tool.Called()
	}
	if e.Result != nil {
		status = e.Result.Status
	}
	if e.Target != nil {
		target = e.Target.Name
	}
	is := func(want string, have ...Text) bool {
		return want == "" || slices.ContainsFunc(have, func(t Text) bool { return t != "" && matches(Folded(Text(want)), Folded(t)) })
	}
	approved := is(q.Approval, d.approvals()...)
	if q.Approval == "*" {
		approved = len(d.Grants) > 0
	}
	return is(q.Who, slices.Concat(e.people(), opened.people())...) && is(q.Target, target) && is(q.Verb, a.Verb) && is(q.Tool, tool) && is(q.Rule, d.Rule) &&
		is(q.Access, texts(a.Access)...) && is(q.Object, a.objects()...) && is(q.Column, a.columns()...) &&
		is(q.Outcome, Text(d.Effect), Text(status)) && approved &&
		(q.Session == "" || q.Session == e.Session || e.Journal != nil && q.Session == e.Journal.Session) && (q.Kind == "" || q.Kind == e.Kind) &&
		(q.MinRisk <= 0 || a.Risk >= q.MinRisk) &&
		(q.Since.IsZero() || !e.Time.Before(q.Since)) && (q.Until.IsZero() || e.Time.Before(q.Until)) &&
		(q.Text == "" || a.says(q.Text))
}

// Folded returns t as queries compare it: in lower case, with "?" for what is not
// UTF-8 or ends a string elsewhere.
func Folded(t Text) string {
	return strings.ToLower(strings.ReplaceAll(strings.ToValidUTF8(string(t), "?"), "\x00", "?"))
}

// matches reports whether s is pattern, in which * stands for anything.
func matches(pattern, s string) bool {
	first, rest, found := strings.Cut(pattern, "*")
	if !found {
		return s == pattern
	}
	s, ok := strings.CutPrefix(s, first)
	for ok {
		part, behind, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(s, part)
		}
		var i int
		if i = strings.Index(s, part); i < 0 {
			return false
		}
		s, rest = s[i+len(part):], behind
	}
	return false
}

func texts(list []string) (out []Text) {
	for _, s := range list {
		out = append(out, Text(s))
	}
	return out
}

// people returns the names of who asked and of whom they act for.
func (e *Event) people() []Text {
	var out []Text
	if e == nil {
		return nil
	}
	for id := e.Identity; id != nil; id = id.OnBehalfOf {
		out = append(out, id.Subject, id.Name, id.Email)
	}
	if e.Kind == LoginRefused {
		out = append(out, e.User)
	}
	return out
}

func (a *Action) objects() (out []Text) {
	for _, o := range a.Objects {
		out = append(out, o.Name)
	}
	return out
}

func (a *Action) columns() (out []Text) {
	for _, c := range slices.Concat(a.Reads, a.Writes) {
		out = append(out, Text(c.String()))
	}
	return out
}

func (d *Decision) approvals() []Text {
	out := []Text{d.Ticket}
	for _, g := range d.Grants {
		out = append(out, g.Ticket, g.By)
	}
	return out
}

// says reports whether all words of text stand in what a asks for.
func (a *Action) says(text string) bool {
	left := map[string]bool{}
	words.Each(text, func(w string) { left[w] = true })
	if len(left) == 0 {
		return false
	}
	a.Searched(func(s string) { words.Each(s, func(w string) { delete(left, w) }) })
	return len(left) == 0
}

// Searched calls f for the texts that are searched for words: the statement as it
// was sent, what stands behind a name in it, and its arguments, of which together
// the first 16 KiB. What is hidden or sealed is in none.
func (a *Action) Searched(f func(string)) {
	left := maxSearched
	text := func(v *Value) {
		if v != nil && !v.Hidden && left > 0 {
			s := string(v.Text[:min(len(v.Text), left)])
			left -= len(s)
			f(s)
		}
	}
	text(a.Text)
	text(a.Behind)
	for i := range a.Args {
		text(a.Args[i].Value)
	}
}
