package audit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// A Detail says how much of what clients send is kept. The zero Detail keeps
// everything.
type Detail struct {
	// HideArgs keeps the type and length of each argument, not its value.
	HideArgs bool
	// HideText keeps the length and fingerprint of a text, not the text, nor
	// what is behind it or what it was rewritten to.
	HideText bool
	// Key, if not empty, adds an HMAC-SHA-256 of what is hidden, by which
	// equal values can be found. The digest that approvals are bound to is
	// not keyed: somebody who guesses a whole statement can confirm the guess.
	Key protocol.Secret
	// Seal keeps what would be in the clear as ciphertext, for which the journal
	// needs [Options.SealTo]: an [Unsealer] reads it, and [Journal.Erase] ends
	// that. What is hidden stays hidden.
	Seal bool
	// Policy tells the rules that decide from those before and behind them, such as
	// a digest of the file that they are in. Each decision names it.
	Policy string
}

func (d *Detail) mac() func(string) []byte {
	if d.Key.Empty() {
		return nil
	}
	return func(s string) []byte {
		h := hmac.New(sha256.New, []byte(d.Key.Reveal()))
		h.Write([]byte(s))
		return h.Sum(nil)
	}
}

// kindOf returns the kind under which e is kept, or "" for what is not kept.
func kindOf(e *protocol.Event) Kind {
	switch e.Kind {
	case protocol.LoginRefused:
		return LoginRefused
	case protocol.Held:
		return ApprovalRequested
	case protocol.Decided:
		if e.Op.Verb == protocol.Connect && e.Decision.Effect == protocol.AllowEffect {
			return SessionOpened
		}
		return CommandDecided
	case protocol.Ended:
		if e.Op.Verb == protocol.Connect {
			return SessionClosed
		}
		return CommandCompleted
	}
	return ""
}

// appendHead appends the start of a leaf, up to its number. It is apart from
// the rest because only the number needs the journal's lock.
func appendHead(dst []byte, seq uint64) []byte {
	dst = append(dst, leafStart...)
	return strconv.AppendUint(dst, seq, 10)
}

// A leaf is an event on its way to become one.
type leaf struct {
	kind    Kind
	event   *protocol.Event
	session []byte // what appendSession or appendBrief made of the event's session
	detail  *Detail
	sealer  *sealer    // nil: nothing is sealed
	whole   bool       // an end that says what was decided as well
	facts   *factCache // nil: it may not be used
}

// append appends the leaf behind what appendHead appends.
func (l *leaf) append(dst []byte) []byte {
	e := l.event
	dst = appendTimeKind(dst, e.Time, l.kind)
	if e.Kind == protocol.LoginRefused {
		dst = appendLogin(dst, e, l.detail.Policy)
		return append(dst, '}')
	}
	dst = append(dst, `,"command":`...)
	dst = strconv.AppendUint(dst, e.Op.ID, 10)
	dst = append(dst, l.session...)
	ended := e.Kind == protocol.Ended
	dst = l.appendAction(dst)
	switch {
	case l.whole:
		decision := e.Op.Decision()
		dst = appendDecision(dst, &decision, e.Op, l.detail.Policy)
	case !ended:
		dst = appendDecision(dst, &e.Decision, e.Op, l.detail.Policy)
	}
	if ended {
		dst = appendResult(dst, e)
	}
	if e.Err != nil {
		dst = appendField(dst, `,"error":`, said(e.Err.Error()))
	}
	return append(dst, '}')
}

func appendTimeKind(dst []byte, t time.Time, kind Kind) []byte {
	dst = append(dst, `,"time":"`...)
	dst = appendTime(dst, t)
	dst = append(dst, `","kind":"`...)
	dst = append(dst, kind...)
	return append(dst, '"')
}

// appendTime appends t in UTC with nanoseconds and a fixed width, so that the
// texts sort as the times do. A year that RFC 3339 cannot hold becomes the
// zero time: the leaf has to stay valid.
func appendTime(dst []byte, t time.Time) []byte {
	unix := t.Unix()
	if unix < minSecond || unix > maxSecond {
		t, unix = time.Time{}, time.Time{}.Unix()
	}
	last := lastSecond.Load()
	if last == nil || last.unix != unix {
		last = &second{unix, t.UTC().Format("2006-01-02T15:04:05.")}
		lastSecond.Store(last)
	}
	dst = append(dst, last.text...)
	return append(appendPadded(dst, t.Nanosecond(), 9), 'Z')
}

// The first and the last second that RFC 3339 can hold, Unix time.
const (
	minSecond = -62167219200 // 0000-01-01T00:00:00Z
	maxSecond = 253402300799 // 9999-12-31T23:59:59Z
)

// A second is the text of a time up to its point.
type second struct {
	unix int64
	text string
}

// lastSecond is the one that was written last: the next is mostly the same.
var lastSecond atomic.Pointer[second]

func appendPadded(dst []byte, n, width int) []byte {
	dst = append(dst, "000000000"[:width]...)
	for i := len(dst) - 1; n > 0; i-- {
		dst[i] = byte('0' + n%10)
		n /= 10
	}
	return dst
}

// appendField appends a field whose value is a text, and nothing for "".
func appendField(dst []byte, name, s string) []byte {
	if s == "" {
		return dst
	}
	dst = append(dst, name...)
	return appendText(dst, s)
}

func appendInt(dst []byte, name string, n int64) []byte {
	if n == 0 {
		return dst
	}
	dst = append(dst, name...)
	return strconv.AppendInt(dst, n, 10)
}

func appendBool(dst []byte, name string, b bool) []byte {
	if !b {
		return dst
	}
	dst = append(dst, name...)
	return append(dst, "true"...)
}

func appendList(dst []byte, name string, list []string) []byte {
	if len(list) == 0 {
		return dst
	}
	dst = append(dst, name...)
	for i, s := range list {
		dst = append(dst, separator(i))
		dst = appendText(dst, s)
	}
	return append(dst, ']')
}

// separator opens a list before its first element and parts the others.
func separator(i int) byte {
	if i == 0 {
		return '['
	}
	return ','
}

// brief reports whether an event says who and where in short, because its
// session.opened has said the rest: that halves what is written, hashed and
// kept for an operation. What stands alone says everything.
func brief(kind Kind, e *protocol.Event) bool {
	return (kind == CommandDecided || kind == CommandCompleted) && e.Op.Verb != protocol.Connect
}

// appendBrief appends what tells who, through which tool and where.
func appendBrief(dst []byte, s *protocol.SessionInfo) []byte {
	dst = append(dst, `,"session":`...)
	dst = appendQuoted(dst, strings.ToValidUTF8(s.ID, "?")) // made by the gateway, not by a peer
	if id := s.Identity; id != nil {
		short := protocol.Identity{Issuer: id.Issuer, Subject: id.Subject, Kind: id.Kind}
		if o := id.OnBehalfOf; o != nil {
			short.OnBehalfOf = &protocol.Identity{Issuer: o.Issuer, Subject: o.Subject, Kind: o.Kind}
		}
		dst = append(dst, `,"identity":`...)
		dst = appendIdentity(dst, &short)
	}
	dst = appendTarget(dst, s.Resource.Name, s.Resource.Protocol, "", nil)
	return appendTool(dst, &protocol.Tool{Name: s.Tool.Name, Version: s.Tool.Version, Attested: s.Tool.Attested})
}

// appendSession appends what is the same on every event of a session.
func appendSession(dst []byte, s *protocol.SessionInfo) []byte {
	dst = append(dst, `,"session":`...)
	dst = appendQuoted(dst, strings.ToValidUTF8(s.ID, "?")) // made by the gateway, not by a peer
	if s.Identity != nil {
		dst = append(dst, `,"identity":`...)
		dst = appendIdentity(dst, s.Identity)
	}
	dst = appendTarget(dst, s.Resource.Name, s.Resource.Protocol, s.Resource.Addr, s.Resource.Labels)
	dst = appendField(dst, `,"user":`, s.User)
	dst = appendField(dst, `,"database":`, s.Database)
	dst = appendField(dst, `,"remote":`, s.Remote)
	dst = appendBool(dst, `,"tls":`, s.TLS)
	return appendTool(dst, &s.Tool)
}

// maxActors bounds a chain of identities that act for one another, which
// would have no end if it were a ring.
const maxActors = 8

func appendIdentity(dst []byte, id *protocol.Identity) []byte {
	n := 0
	for ; id != nil && n < maxActors; id, n = id.OnBehalfOf, n+1 {
		if n > 0 {
			dst = append(dst, `,"on_behalf_of":`...)
		}
		dst = append(dst, `{"iss":`...)
		dst = appendText(dst, id.Issuer)
		dst = append(dst, `,"sub":`...)
		dst = appendText(dst, id.Subject)
		dst = appendField(dst, `,"name":`, id.Name)
		dst = appendField(dst, `,"email":`, id.Email)
		dst = appendField(dst, `,"kind":`, string(id.Kind))
		dst = appendList(dst, `,"groups":`, id.Groups)
		dst = appendField(dst, `,"method":`, id.Method)
	}
	for ; n > 0; n-- {
		dst = append(dst, '}')
	}
	return dst
}

func appendTarget(dst []byte, name, proto, addr string, labels map[string]string) []byte {
	dst = append(dst, `,"target":{"name":`...)
	dst = appendText(dst, name)
	dst = appendField(dst, `,"protocol":`, proto)
	dst = appendField(dst, `,"addr":`, addr)
	if len(labels) > 0 {
		dst = append(dst, `,"labels":`...)
		sep := byte('{')
		for _, k := range slices.Sorted(maps.Keys(labels)) {
			dst = append(dst, sep)
			dst = appendKey(dst, k)
			dst = append(dst, ':')
			dst = appendText(dst, labels[k])
			sep = ','
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

func appendTool(dst []byte, t *protocol.Tool) []byte {
	if *t == (protocol.Tool{}) {
		return dst
	}
	dst = append(dst, `,"tool":{`...)
	n := len(dst)
	dst = appendField(dst, `,"name":`, t.Name)
	dst = appendField(dst, `,"version":`, t.Version)
	dst = appendField(dst, `,"raw":`, t.Raw)
	dst = appendField(dst, `,"source":`, t.Source)
	if t.Attested {
		dst = append(dst, `,"trust":"attested"}`...)
	} else {
		dst = append(dst, `,"trust":"claimed"}`...)
	}
	return append(dst[:n], dst[n+1:]...) // without the first comma
}

func appendLogin(dst []byte, e *protocol.Event, policy string) []byte {
	l := e.Login
	dst = appendTarget(dst, l.Resource, l.Protocol, "", nil)
	dst = appendField(dst, `,"user":`, l.User)
	dst = appendField(dst, `,"database":`, l.Database)
	if l.Remote != nil {
		dst = appendField(dst, `,"remote":`, l.Remote.String())
	}
	dst = appendBool(dst, `,"tls":`, l.TLS != nil)
	dst = appendTool(dst, &l.Tool)
	var denied *protocol.DeniedError
	switch {
	case errors.As(e.Err, &denied):
		dst = append(dst, `,"decision":{"effect":"deny"`...)
		dst = appendField(dst, `,"by":`, denied.Step)
		dst = appendField(dst, `,"rule":`, denied.Rule)
		dst = appendField(dst, `,"reason":`, denied.Reason)
		dst = appendField(dst, `,"ticket":`, denied.Ticket)
		dst = appendField(dst, `,"policy":`, policy)
		dst = append(dst, '}')
	case e.Err != nil:
		dst = appendField(dst, `,"error":`, e.Err.Error())
	}
	return dst
}

// accessJSON holds the list of names of every combination of access classes.
var accessJSON = func() (t [1 << 7]string) {
	for a := range t {
		t[a] = accessList(protocol.Access(a))
	}
	return t
}()

func accessList(a protocol.Access) string {
	names := a.Names()
	if len(names) == 0 { // a class that this version has no name for: the worst
		names = protocol.Opaque.Names()
	}
	b, _ := json.Marshal(names) // strings always marshal
	return string(b)
}

func appendAccess(dst []byte, a protocol.Access) []byte {
	if int(a) < len(accessJSON) {
		return append(dst, accessJSON[a]...)
	}
	return append(dst, accessList(a)...)
}

func appendColumns(dst []byte, name string, cols []protocol.ColumnRef) []byte {
	if len(cols) == 0 {
		return dst
	}
	dst = append(dst, name...)
	for i := range cols {
		c := &cols[i]
		dst = append(dst, separator(i), '[')
		dst = appendText(dst, c.Schema)
		dst = append(dst, ',')
		dst = appendText(dst, c.Table)
		dst = append(dst, ',')
		dst = appendText(dst, c.Column)
		dst = append(dst, ']')
	}
	return append(dst, ']')
}

// appendValue appends a field whose value may be hidden or sealed, and nothing
// for "".
func (l *leaf) appendValue(dst []byte, name, s string) []byte {
	if s == "" {
		return dst
	}
	dst = append(append(append(dst, `,"`...), name...), `":`...)
	return l.appendBare(dst, name, s, l.detail.HideText)
}

func (l *leaf) appendBare(dst []byte, name, s string, hide bool) []byte {
	d := l.detail
	switch {
	case hide, d.Seal && l.sealer == nil: // never in the clear for want of a key
		return appendHidden(dst, s, d.mac())
	case d.Seal:
		return l.sealer.append(dst, sealPlace(l.event.Session.ID, l.event.Op.ID, name), s)
	}
	return appendText(dst, s)
}

func (l *leaf) appendAction(dst []byte) []byte {
	op := l.event.Op
	if l.event.Kind == protocol.Ended && !l.whole { // the rest stands in what was decided
		return append(appendVerb(dst, op), '}')
	}
	if l.facts != nil {
		dst = l.facts.append(dst, op)
	} else {
		dst = appendFacts(dst, op)
	}
	dst = l.appendValue(dst, "text", op.Text)
	dst = l.appendValue(dst, "behind", op.Behind)
	dst = l.appendValue(dst, "rewritten", op.Rewritten())
	if len(op.Args) > 0 {
		dst = append(dst, `,"args":`...)
		for i := range op.Args {
			dst = append(dst, separator(i))
			dst = l.appendArg(dst, i)
		}
		dst = append(dst, ']')
	}
	dst = appendLifts(dst, op.Lifts)
	if l.event.Kind == protocol.Held || len(op.Grants()) > 0 { // what an approval is bound to
		dst = appendField(dst, `,"state":`, op.State)
		digest := op.Digest()
		dst = append(dst, `,"digest":"`...)
		dst = hex.AppendEncode(dst, digest[:])
		dst = append(dst, '"')
	}
	dst = appendInt(dst, `,"risk":`, int64(op.Risk))
	dst = appendList(dst, `,"risk_why":`, op.RiskWhy)
	dst = appendBool(dst, `,"pure":`, op.Pure)
	dst = appendBool(dst, `,"bounded":`, op.Bounded)
	dst = appendBool(dst, `,"prepare":`, op.Prepare)
	dst = appendBool(dst, `,"in_tx":`, op.InTx)
	dst = appendBool(dst, `,"restricted":`, op.Restricted())
	dst = appendField(dst, `,"why":`, op.Why)
	return append(dst, '}')
}

func appendLifts(dst []byte, lifts []protocol.Lift) []byte {
	if len(lifts) == 0 {
		return dst
	}
	dst = append(dst, `,"lifts":`...)
	for i := range lifts {
		dst = append(dst, separator(i))
		dst = append(dst, `{"column":`...)
		dst = appendText(dst, lifts[i].Column)
		dst = appendColumns(dst, `,"from":`, lifts[i].From)
		dst = append(dst, `,"rule":`...)
		dst = appendText(dst, lifts[i].Rule)
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

func (l *leaf) appendArg(dst []byte, i int) []byte {
	a := &l.event.Op.Args[i]
	dst = append(dst, '{')
	if a.Type != "" {
		dst = append(dst, `"type":`...)
		dst = appendText(dst, a.Type)
		dst = append(dst, ',')
	}
	dst = append(dst, `"value":`...)
	switch {
	case a.Null:
		dst = append(dst, "null"...)
	case l.detail.Seal:
		dst = l.appendBare(dst, "args/"+strconv.Itoa(i), a.Text, l.detail.HideArgs)
	case l.detail.HideArgs:
		dst = appendHidden(dst, a.Text, l.detail.mac())
	default:
		dst = appendText(dst, a.Text)
	}
	return append(dst, '}')
}

func appendDecision(dst []byte, d *protocol.Decision, op *protocol.Operation, policy string) []byte {
	dst = append(dst, `,"decision":{"effect":"`...)
	dst = append(dst, d.Effect.String()...)
	dst = append(dst, '"')
	dst = appendField(dst, `,"by":`, d.By)
	dst = appendField(dst, `,"rule":`, d.Rule)
	dst = appendField(dst, `,"reason":`, d.Reason)
	dst = appendField(dst, `,"ticket":`, d.Ticket)
	dst = appendField(dst, `,"policy":`, policy)
	if !d.Until.IsZero() {
		dst = append(dst, `,"until":"`...)
		dst = appendTime(dst, d.Until)
		dst = append(dst, '"')
	}
	if grants := op.Grants(); len(grants) > 0 {
		dst = append(dst, `,"grants":`...)
		for i := range grants {
			g := &grants[i]
			dst = append(dst, separator(i), '{')
			n := len(dst)
			dst = appendField(dst, `,"by":`, g.By)
			dst = appendField(dst, `,"rule":`, g.Rule)
			dst = appendField(dst, `,"reason":`, g.Reason)
			dst = appendField(dst, `,"ticket":`, g.Ticket)
			if len(dst) > n {
				dst = append(dst[:n], dst[n+1:]...) // without the first comma
			}
			dst = append(dst, '}')
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

func appendResult(dst []byte, e *protocol.Event) []byte {
	out, res := &e.Outcome, e.Op.Result()
	dst = append(dst, `,"result":{"status":`...)
	dst = appendQuoted(dst, strings.ToValidUTF8(string(out.Status), "?"))
	dst = appendField(dst, `,"code":`, said(out.Code))
	dst = appendField(dst, `,"tag":`, said(out.Tag))
	dst = appendInt(dst, `,"rows":`, out.Rows)
	dst = appendInt(dst, `,"bytes":`, out.Bytes)
	dst = appendInt(dst, `,"bytes_in":`, out.BytesIn)
	dst = appendInt(dst, `,"duration_us":`, out.Duration.Microseconds())
	if len(res.Columns) > 0 {
		dst = append(dst, `,"columns":`...)
		for i := range res.Columns {
			dst = append(dst, separator(i))
			dst = appendText(dst, res.Columns[i].Name)
		}
		dst = append(dst, ']')
	}
	if len(res.Masked) > 0 {
		dst = appendList(dst, `,"masked":`, res.Labels())
		dst = append(dst, `,"masked_values":`...)
		for i, m := range res.Masked {
			dst = strconv.AppendInt(append(dst, separator(i)), m.Values.Load(), 10)
		}
		dst = append(dst, ']')
	}
	if out.Err != nil {
		dst = appendField(dst, `,"error":`, said(out.Err.Error()))
	}
	return append(dst, '}')
}

// maxSaid bounds what a target says of an end, and an error.
const maxSaid = 64 << 10

// said is s, cut where it would be no help to anybody any more: an end is never
// lost because of what a target has to say about it.
func said(s string) string {
	if len(s) <= maxSaid {
		return s
	}
	return s[:maxSaid] + fmt.Sprintf(" [cut: it had %d bytes]", len(s))
}
