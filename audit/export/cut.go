package export

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport-dev/gateway/audit"
)

// How much of an event goes out. Most sinks take messages of some MiB at most,
// OTLP collectors of 4 MiB, and what no sink takes would be rejected whole.
const (
	maxText  = 64 << 10  // of one text
	maxEvent = 256 << 10 // of all texts of an event, about
	maxList  = 1000      // elements of a list
)

// prepare makes e what may go out, and returns about how large it is.
func (x *Exporter) prepare(e *audit.Event) int {
	if !x.Texts {
		redact(e)
	}
	return cut(e)
}

// redact leaves out what may hold the target's data: the length stays.
func redact(e *audit.Event) {
	hide := func(v *audit.Value) {
		if v != nil && !v.Hidden {
			*v = audit.Value{Hidden: true, Len: len(v.Text) + len(v.Sealed)}
		}
	}
	if a := e.Action; a != nil {
		hide(a.Text)
		hide(a.Behind)
		hide(a.Rewritten)
		for i := range a.Args {
			hide(a.Args[i].Value)
		}
	}
	if r := e.Result; r != nil {
		r.Error = "" // a target's message may quote a row
	}
}

// A scissors bounds one event.
type scissors struct {
	left  int
	notes []string // what was cut
}

// cut bounds e and returns about how large it is. What is cut is named in e.Error.
func cut(e *audit.Event) int {
	c := scissors{left: maxEvent}
	if e.Action != nil {
		c.value("text", e.Action.Text) // before all others
	}
	c.text("user", &e.User)
	c.text("database", &e.Database)
	c.text("remote", &e.Remote)
	for id, n := e.Identity, 0; id != nil && n < 8; id, n = id.OnBehalfOf, n+1 {
		c.text("identity", &id.Issuer)
		c.text("identity", &id.Subject)
		c.text("identity", &id.Name)
		c.text("identity", &id.Email)
		c.texts("groups", &id.Groups)
	}
	if t := e.Target; t != nil {
		c.text("target", &t.Name)
		c.text("target", &t.Addr)
	}
	if t := e.Tool; t != nil {
		c.text("tool", &t.Name)
		c.text("tool", &t.Version)
		c.text("tool", &t.Raw)
	}
	if d := e.Decision; d != nil {
		c.text("reason", &d.Reason)
		c.text("policy", &d.Policy)
		d.Grants = list(&c, "grants", d.Grants)
		for i := range d.Grants {
			c.text("grants", &d.Grants[i].Reason)
		}
	}
	if r := e.Result; r != nil {
		c.text("code", &r.Code)
		c.text("tag", &r.Tag)
		c.text("error", &r.Error)
		c.texts("columns", &r.Columns)
		c.texts("masked", &r.Masked)
	}
	if j := e.Journal; j != nil {
		c.text("what", &j.What)
	}
	if a := e.Action; a != nil {
		c.action(a)
	}
	c.text("error", &e.Error)
	if len(c.notes) > 0 {
		e.Error += audit.Text(fmt.Sprintf(" [cut for the export: %s; the journal has the whole event]", strings.Join(slices.Compact(c.notes), ", ")))
	}
	return maxEvent - c.left + 1<<10 // and what is always there
}

func (c *scissors) action(a *audit.Action) {
	a.Objects = list(c, "objects", a.Objects)
	for i := range a.Objects {
		c.text("objects", &a.Objects[i].Kind)
		c.text("objects", &a.Objects[i].Name)
	}
	c.columns("reads", &a.Reads)
	c.columns("writes", &a.Writes)
	c.texts("risk_why", &a.RiskWhy)
	c.text("why", &a.Why)
	c.text("state", &a.State)
	c.value("rewritten", a.Rewritten)
	c.value("behind", a.Behind)
	a.Args = list(c, "args", a.Args)
	for i := range a.Args {
		c.value("args", a.Args[i].Value)
	}
}

// note remembers what was cut.
func (c *scissors) note(name string) {
	if len(c.notes) < 20 {
		c.notes = append(c.notes, name)
	}
}

// text bounds one text. Bytes that are no UTF-8 may be cut anywhere.
func (c *scissors) text(name string, t *audit.Text) {
	if limit := max(0, min(maxText, c.left)); len(*t) > limit {
		n := limit
		for n > 0 && n > limit-4 && (*t)[n]&0xc0 == 0x80 { // not within a character
			n--
		}
		*t = (*t)[:n]
		c.note(name)
	}
	c.left -= len(*t)
}

func (c *scissors) texts(name string, ts *[]audit.Text) {
	*ts = list(c, name, *ts)
	for i := range *ts {
		c.text(name, &(*ts)[i])
	}
}

func (c *scissors) columns(name string, cs *[]audit.ColumnRef) {
	*cs = list(c, name, *cs)
	for i := range *cs {
		for k := range (*cs)[i] {
			c.text(name, &(*cs)[i][k])
		}
	}
}

// value bounds a value. What is sealed is of use as a whole only.
func (c *scissors) value(name string, v *audit.Value) {
	switch {
	case v == nil:
	case v.Sealed != nil && len(v.Sealed) > min(maxText, c.left):
		*v = audit.Value{Hidden: true, Len: len(v.Sealed)}
		c.note(name)
	case v.Sealed != nil:
		c.left -= len(v.Sealed)
	default:
		c.text(name, &v.Text)
	}
}

// list bounds a list; each element counts for what its names take.
func list[T any](c *scissors, name string, l []T) []T {
	const each = 32
	if limit := max(0, min(maxList, c.left/each)); len(l) > limit {
		l = l[:limit:limit]
		c.note(name)
	}
	c.left -= each * len(l)
	return l
}
