package index

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/internal/words"
)

// A term is something that an entry can be found by: a name, such as "who", with
// a value in lower case. It is known by a hash that nobody can make two values
// for, so that no table has to say which number stands for which. Its first four
// bits stand for the name: so the terms of one name are side by side in a bucket,
// and a pattern that stands for many values finds them by going through these.
type term int64

func termOf(name, value string) term {
	var buf [128]byte
	b := append(append(append(buf[:0], name...), 0), value...)
	h := sha256.Sum256(b)
	return term(numbers[name]<<nameShift | binary.LittleEndian.Uint64(h[:])>>(64-nameShift))
}

const nameShift = 60

// termsOf returns the first and the last term that a name can have.
func termsOf(name string) (first, last term) {
	n := numbers[name] << nameShift
	return term(n), term(n | (1<<nameShift - 1))
}

// The names of terms. Those in listed can be asked for by a pattern: their values
// are kept in a table.
const (
	whole    = "entry" // of each entry
	who      = "who"
	target   = "target"
	verb     = "verb"
	access   = "access"
	object   = "object"
	column   = "column"
	tool     = "tool"
	outcome  = "outcome"
	approval = "approval"
	rule     = "rule"
	session  = "session"
	kind     = "kind"
	risk     = "risk"
	word     = "word"
)

// numbers are what the names stand for in a database: they are not changed.
var numbers = map[string]uint64{whole: 0, who: 1, target: 2, verb: 3, access: 4, object: 5, column: 6, tool: 7, outcome: 8, approval: 9, rule: 10,
	session: 11, kind: 12, risk: 13, word: 14}

var listed = map[string]bool{who: true, target: true, verb: true, access: true, object: true, column: true, tool: true, approval: true, rule: true, risk: true}

// Longest values: the keys of a database have a limit, and what is longer is
// told from others by a hash at its end.
const (
	maxValue = 1000
	maxKey   = 300
)

// lower returns t as it is compared.
func lower(t audit.Text) string { return cut(audit.Folded(t), maxValue) }

// plainly returns t as a key.
func plainly(t audit.Text) string {
	return cut(strings.ReplaceAll(strings.ToValidUTF8(string(t), "\uFFFD"), "\x00", "\uFFFD"), maxKey)
}

func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	h := sha256.Sum256([]byte(s))
	return strings.ToValidUTF8(s[:most-40], "") + "~" + hex.EncodeToString(h[:16])
}

// terms calls add for each term of e, which says what was decided or stands
// alone; o is what its session's opening says.
func terms(e *audit.Event, o opened, add func(name, value string)) {
	text := func(name string, values ...audit.Text) {
		for _, v := range values {
			if v != "" {
				add(name, lower(v))
			}
		}
	}
	add(whole, "")
	verdict(e, add)
	if e.Session != "" {
		add(session, e.Session)
	}
	if e.Journal != nil && e.Journal.Session != "" {
		add(session, e.Journal.Session)
	}
	for id := e.Identity; id != nil; id = id.OnBehalfOf {
		text(who, id.Subject, id.Name, id.Email)
	}
	if e.Kind == audit.LoginRefused {
		text(who, e.User)
	}
	for _, name := range o.Names {
		add(who, name)
	}
	if e.Target != nil {
		text(target, e.Target.Name)
	}
	if called := e.Tool.Called(); called != "" {
		text(tool, called)
	} else if o.Tool != "" {
		add(tool, o.Tool)
	}
	if a := e.Action; a != nil {
		text(verb, a.Verb)
		for _, c := range a.Access {
			add(access, c)
		}
		for _, o := range a.Objects {
			text(object, o.Name)
		}
		for _, cols := range [2][]audit.ColumnRef{a.Reads, a.Writes} {
			for _, c := range cols {
				text(column, audit.Text(c.String()))
			}
		}
		if a.Risk > 0 {
			add(risk, fmt.Sprintf("%010d", a.Risk))
		}
		a.Searched(func(s string) { words.Each(s, func(w string) { add(word, w) }) })
	}
	if e.Result != nil {
		add(outcome, strings.ToLower(e.Result.Status))
	}
}

// verdict calls add for each term of e that a later decision takes the place of.
func verdict(e *audit.Event, add func(name, value string)) {
	add(kind, string(e.Kind))
	text := func(name string, v audit.Text) {
		if v != "" {
			add(name, lower(v))
		}
	}
	if d := e.Decision; d != nil {
		add(outcome, strings.ToLower(d.Effect))
		text(rule, d.Rule)
		text(approval, d.Ticket)
		if len(d.Grants) > 0 {
			add(approval, "*")
		}
		for _, g := range d.Grants {
			text(approval, g.Ticket)
			text(approval, g.By)
		}
	}
}
