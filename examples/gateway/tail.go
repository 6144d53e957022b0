package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/sallyport-dev/gateway/audit"
)

const tailHelp = `
Prints one line for each event of the journal in DIR, by default the journal of
the configuration. It takes no lock and changes nothing. Each line names the
session by the last digits of its id, and the operation by its number.

With -session and -follow, what somebody does is seen while they do it: statements,
how they ended, and what was refused. 'gateway play -follow' shows a terminal.

What is sealed is shown as such, or in the clear with -identity, the file of a
private key of age that it was sealed to.
`

// identityFlag adds the flag -identity.
func identityFlag(fs *flag.FlagSet) *string {
	return fs.String("identity", "", "a `file` with private keys of age, to read what is sealed")
}

func newUnsealer(file, dir string) (*audit.Unsealer, error) {
	if file == "" {
		return nil, usagef("-identity is missing: who can read what is sealed has a private key of age")
	}
	b, err := readSmall(file, 64<<10)
	if err != nil {
		return nil, err
	}
	keys, err := age.ParseIdentities(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return audit.NewUnsealer(dir, keys...), nil
}

// unsealer returns what opens sealed values with the keys in file. What was
// erased stays as it is.
func unsealer(file, dir string) (func(*audit.Event) error, error) {
	if file == "" {
		return func(*audit.Event) error { return nil }, nil
	}
	u, err := newUnsealer(file, dir)
	if err != nil {
		return nil, err
	}
	return func(e *audit.Event) error {
		if err := u.Open(e); !errors.Is(err, audit.ErrErased) {
			return err
		}
		return nil
	}, nil
}

func (p *program) tail(ctx context.Context, fs *flag.FlagSet, args []string) error {
	path := fs.String("config", defaultConfig, "the configuration `file` that names the journal")
	follow := fs.Bool("follow", false, "wait for more")
	asJSON := fs.Bool("json", false, "print one JSON object for each event, with everything")
	from := fs.Uint64("from", 0, "begin with the event of this `number`")
	since := fs.Duration("since", 0, "look back only so far, such as 1h; 0 is the whole journal")
	session := fs.String("session", "", "only the session of this `id`, or whose id ends so; -follow ends with it")
	identity := identityFlag(fs)
	rest, err := parse(fs, args, 0, 1)
	if err != nil {
		return err
	}
	dir, err := journalDir(rest, *path)
	if err != nil {
		return err
	}
	open, err := unsealer(*identity, dir)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(p.stdout)
	print := func(e audit.Event) error { _, err := fmt.Fprintln(w, eventLine(&e)); return err }
	if *asJSON {
		enc := jsonTo(w)
		print = func(e audit.Event) error { return enc.Encode(e) }
	}
	err = audit.Tail(ctx, dir, *from, *follow, func(e audit.Event) error {
		if *since > 0 && time.Since(e.Time) > *since {
			return nil
		}
		if *session != "" && !ofSession(&e, *session) {
			return nil
		}
		if err := open(&e); err != nil {
			return err
		}
		if err := print(e); err != nil || !*follow {
			return err
		}
		if err := w.Flush(); err != nil {
			return err
		}
		if *session != "" && e.Kind == audit.SessionClosed {
			return errOver
		}
		return nil
	})
	if errors.Is(err, errOver) || *follow && errors.Is(err, context.Canceled) {
		err = nil // whoever watched has seen enough
	}
	return errors.Join(err, w.Flush())
}

// errOver says that the session that is followed has ended.
var errOver = errors.New("the session has ended")

// ofSession reports whether e is of the session whose id is, or ends with, id.
func ofSession(e *audit.Event, id string) bool {
	is := func(s string) bool { return s != "" && (s == id || len(id) >= 6 && strings.HasSuffix(s, id)) }
	return is(e.Session) || e.Journal != nil && is(e.Journal.Session)
}

// eventLine is an event for people: number, time, who at what, what happened.
func eventLine(e *audit.Event) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%5d  %s  ", e.Seq, e.Time.UTC().Format("2006-01-02 15:04:05.000"))
	if e.Session != "" {
		fmt.Fprintf(&b, "%s/%-3d ", e.Session[max(0, len(e.Session)-6):], e.Command)
		fmt.Fprintf(&b, "%s@%s  ", who(e.Identity), oneLine(targetName(e), 30))
	}
	b.WriteString(happened(e))
	return strings.TrimRight(b.String(), " ")
}

func happened(e *audit.Event) string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	switch e.Kind {
	case audit.LoginRefused:
		add("login refused: user %s for %s from %s", quoted(e.User), quoted(audit.Text(targetName(e))), oneLine(string(e.Remote), 60))
	case audit.SessionOpened:
		add("session opened from %s", oneLine(string(e.Remote), 60))
		if id := e.Identity; id != nil {
			add("%s of %s", oneLine(string(id.Kind), 20), oneLine(string(id.Issuer), 80))
		}
		if e.Tool != nil && e.Tool.Raw != "" {
			add("with %s (%s)", quoted(e.Tool.Raw), e.Tool.Trust)
		}
	case audit.SessionClosed:
		add("session closed")
	case audit.ApprovalRequested:
		add("HELD   %s", action(e.Action))
	case audit.CommandDecided:
		verdict := "?"
		if e.Decision != nil {
			verdict = strings.ToUpper(e.Decision.Effect)
		}
		add("%-6s %s", verdict, action(e.Action))
	case audit.CommandCompleted:
		if e.Decision == nil { // else it says what was decided as well
			add("ended ")
			break
		}
		add("%-6s %s", strings.ToUpper(e.Decision.Effect), action(e.Action))
	case audit.CommandUnknown:
		add("UNKNOWN how it ended: the gateway crashed meanwhile")
	case audit.JournalRead:
		add("%s", e.Kind)
		if e.Journal != nil {
			add("%s asked for %s", who(e.Identity), oneLine(string(e.Journal.What), 200))
		}
	case audit.SessionTerminated, audit.SealErased, audit.SealHeld, audit.SealReleased:
		add("%s", e.Kind)
		if e.Journal != nil {
			by := "by age"
			if e.Identity != nil {
				by = "by " + who(e.Identity)
			}
			add("session %s %s: %s", oneLine(e.Journal.Session, 100), by, oneLine(string(e.Journal.What), 200))
		}
	case audit.JournalGap:
		add("GAP")
		if e.Journal != nil {
			add("%s", oneLine(string(e.Journal.What), 120))
		}
	default:
		add("%s", e.Kind)
	}
	s := strings.Join(parts, ", ")
	if d := decision(e); d != "" {
		s += "  [" + d + "]"
	}
	if r := result(e.Result); r != "" && e.Kind != audit.CommandDecided {
		s += " " + r
	}
	if e.Error != "" {
		s += "  error: " + oneLine(string(e.Error), 200)
	}
	return s
}

func action(a *audit.Action) string {
	switch {
	case a == nil:
		return ""
	case a.Text != nil && a.Text.Sealed != nil:
		return string(a.Verb) + " (sealed)"
	case a.Text == nil || a.Text.Text == "" && !a.Text.Hidden:
		return string(a.Verb)
	case a.Text.Hidden:
		return fmt.Sprintf("%s (%d bytes, hidden)", a.Verb, a.Text.Len)
	case a.Prepare:
		return "prepare " + oneLine(string(a.Text.Text), 120)
	}
	return oneLine(string(a.Text.Text), 120)
}

func decision(e *audit.Event) string {
	d := e.Decision
	if d == nil {
		return ""
	}
	var parts []string
	add := func(name string, t audit.Text) {
		if t != "" {
			parts = append(parts, name+oneLine(string(t), 160))
		}
	}
	by := d.By
	if d.Rule != "" {
		by += " " + d.Rule
	}
	add("", by)
	add("request ", d.Ticket)
	if d.Effect != "allow" {
		add("", d.Reason)
	}
	if e.Action != nil && e.Action.Risk > 0 && e.Kind != audit.SessionOpened {
		parts = append(parts, fmt.Sprintf("risk %d", e.Action.Risk))
	}
	if e.Action != nil {
		for _, l := range e.Action.Lifts {
			add("in clear ", l.Column+" by rule "+l.Rule)
		}
	}
	for _, g := range d.Grants {
		add("approved by ", g.By)
		add("saying ", g.Reason)
	}
	return strings.Join(parts, "; ")
}

func result(r *audit.Result) string {
	if r == nil {
		return ""
	}
	s := r.Status
	if r.Code != "" {
		s += " " + oneLine(string(r.Code), 20)
	}
	if r.Rows > 0 {
		s += ", " + count(r.Rows, "row")
	}
	if len(r.Masked) > 0 {
		var names []string
		for _, m := range r.Masked {
			names = append(names, string(m))
		}
		s += ", masked " + oneLine(strings.Join(names, " "), 120)
	}
	return s + ", " + time.Duration(r.Duration*1000).Round(10*time.Microsecond).String()
}

func targetName(e *audit.Event) string {
	if e.Target == nil {
		return ""
	}
	return string(e.Target.Name)
}

func who(id *audit.Identity) string {
	if id == nil {
		return "nobody"
	}
	s := oneLine(string(id.Subject), 40)
	if id.OnBehalfOf != nil {
		s += " for " + who(id.OnBehalfOf)
	}
	return s
}

func quoted(t audit.Text) string { return "\"" + oneLine(string(t), 80) + "\"" }
