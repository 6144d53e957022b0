package approval

import (
	"fmt"
	"strings"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// Permits says in one or two sentences what an approval lets happen, the
// widest reading included.
func (r *Request) Permits() string {
	var b strings.Builder
	fmt.Fprintf(&b, "A yes lets %s", Person(r.Requester))
	if r.Verb == protocol.Connect {
		b.WriteString(" open one session")
	} else {
		b.WriteString(" run exactly this, once,")
	}
	fmt.Fprintf(&b, " on %s", r.Target)
	if r.Account != "" {
		fmt.Fprintf(&b, " as %s", r.Account)
	}
	fmt.Fprintf(&b, ", if %s by %s.", votes(r.Approvers.need()), r.Until.UTC().Format("15:04:05 MST on 2 January 2006"))
	if n := len(r.Lifts); n > 0 {
		names := make([]string, n)
		for i := range r.Lifts {
			names[i] = r.Lifts[i].Column
		}
		fmt.Fprintf(&b, " In every row of the result they then see in the clear: %s.", strings.Join(names, ", "))
	}
	switch {
	case r.Verb == protocol.Connect:
		b.WriteString(" What is done in the session is decided by the gateway's other rules.")
	case r.Access.Has(protocol.Opaque):
		b.WriteString(" The gateway could not analyse it: it may do anything that the account may.")
	case r.Access.Has(protocol.Execute):
		b.WriteString(" It runs code that the gateway does not see, and may do anything that the account may.")
	}
	return b.String()
}

func votes(n int) string {
	if n == 1 {
		return "one approver says so"
	}
	return fmt.Sprintf("%d different approvers say so", n)
}

// Person names an identity for people to read, with whom it acts for.
func Person(id *protocol.Identity) string {
	if id == nil {
		return "nobody"
	}
	s := id.Subject
	if id.Name != "" && id.Name != id.Subject {
		s = id.Name + " (" + id.Subject + ")"
	}
	if id.Kind != protocol.Human && id.Kind != "" {
		s = string(id.Kind) + " " + s
	}
	if id.OnBehalfOf != nil {
		s += " for " + Person(id.OnBehalfOf)
	}
	return s
}

// Card returns everything that an approver has to know, as lines of text that
// are safe to write to a terminal.
func (r *Request) Card() string {
	var b strings.Builder
	for _, f := range r.facts() {
		if f.Pre {
			fmt.Fprintf(&b, "%s\n", f.Name)
			for line := range strings.SplitSeq(f.Text, "\n") {
				b.WriteString("  | ")
				fold(&b, line, "  \\ ", cardWidth, false)
			}
			continue
		}
		fmt.Fprintf(&b, "%-10s ", f.Name)
		fold(&b, f.Text, strings.Repeat(" ", 11), cardWidth-7, true)
	}
	return b.String()
}

// cardWidth is where the card's lines are broken, in columns: a terminal would
// break them at its own width and begin the next at the left, where quoted
// text could pass for a line of the card.
const cardWidth = 72

// wide is where the letters begin that take two columns: those of China, Japan and
// Korea, and pictures. What takes one among them only makes a line shorter.
const wide = 0x1100

// fold writes line and a line feed, broken after at most width columns; next
// stands before each further part. Prose is broken at blanks where it has any.
func fold(b *strings.Builder, line, next string, width int, prose bool) {
	rest := []rune(line)
	for {
		n, cols, blank := 0, 0, 0
		for n < len(rest) {
			switch cols++; {
			case rest[n] == '\t':
				cols += 7 // at most what a tab takes beside itself
			case rest[n] >= wide:
				cols++
			}
			if cols > width {
				break
			}
			if rest[n] == ' ' {
				blank = n + 1
			}
			n++
		}
		if n == len(rest) {
			break
		}
		if prose && blank > 0 {
			n = blank
		}
		b.WriteString(string(rest[:n]) + "\n" + next)
		rest = rest[n:]
	}
	b.WriteString(string(rest) + "\n")
}

type fact struct {
	Name, Text string
	Pre        bool // text whose line breaks and blanks matter
}

// facts lists what the card shows, made visible, without what is empty.
func (r *Request) facts() []fact {
	var fs []fact
	add := func(name, text string, pre bool) {
		if text != "" {
			fs = append(fs, fact{name, Visible(text), pre})
		}
	}
	line := func(name, format string, args ...any) {
		add(name, strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "␊"), false)
	}
	line("request", "%s, %s", r.ID, r.State)
	line("who", "%s, vouched for by %s", Person(r.Requester), r.issuers())
	if r.Tool.Raw != "" {
		claim := "as it claims"
		if r.Tool.Attested {
			claim = "attested"
		}
		line("with", "%s (%s)", r.Tool.Raw, claim)
	}
	line("target", "%s", r.where())
	line("does", "%s (%s)", r.Verb, r.Access)
	if r.Opaque != "" {
		line("unclear", "%s", r.Opaque)
	}
	add("text", r.Text, true)
	if r.Text != "" {
		line("size", "%d bytes, lines: %d", len(r.Text), 1+strings.Count(r.Text, "\n"))
	}
	add("behind it", r.Behind, true)
	add("runs", r.Rewritten, true)
	for i, a := range r.Args {
		switch {
		case a.Null:
			line(fmt.Sprintf("$%d", i+1), "NULL")
		case a.Text == "":
			line(fmt.Sprintf("$%d", i+1), "(empty)")
		case a.Type != "":
			add(fmt.Sprintf("$%d", i+1), fmt.Sprintf("%s::%s", a.Text, a.Type), true)
		default:
			add(fmt.Sprintf("$%d", i+1), a.Text, true)
		}
	}
	for _, o := range r.Objects {
		line("touches", "%s %s (%s)", o.Kind, o.Name, o.Access)
	}
	if r.Unmask != "" {
		line("asks why", "%s", r.Unmask)
	}
	for i := range r.Lifts {
		line("in clear", "%s", liftText(&r.Lifts[i]))
	}
	add("settings", r.Settings, true)
	if r.InTx {
		line("attention", "the session has a transaction open; it keeps its locks while it waits")
	}
	if r.Risk > 0 {
		line("risk", "%d of 100: %s", r.Risk, strings.Join(r.RiskWhy, "; "))
	}
	line("because", "%s (rule %s)", r.Reason, r.Rule)
	for _, d := range r.Decisions {
		vote := "no"
		if d.Approve {
			vote = "yes"
		}
		line("said "+vote, "%s at %s %s", Person(d.By), d.Time.UTC().Format(time.TimeOnly), d.Comment)
	}
	if r.Cause != "" {
		line("withdrawn", "%s", r.Cause)
	}
	line("needs", "%d of %s", r.Approvers.need(), r.Approvers)
	line("permits", "%s", r.Permits())
	return fs
}

func liftText(l *protocol.Lift) string {
	from := make([]string, len(l.From))
	for i, c := range l.From {
		from[i] = c.String()
	}
	return fmt.Sprintf("%s, from %s (masked by rule %s)", l.Column, strings.Join(from, ", "), l.Rule)
}

func (r *Request) issuers() string {
	var all []string
	for id := r.Requester; id != nil; id = id.OnBehalfOf {
		all = append(all, id.Issuer)
	}
	return strings.Join(all, ", ")
}

func (r *Request) where() string {
	s := r.Target + " (" + r.Protocol + ")"
	if r.Account != "" {
		s += ", account " + r.Account
	}
	if r.Database != "" {
		s += ", database " + r.Database
	}
	return s
}
