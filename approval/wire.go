package approval

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// The JSON form of a request. It is an interface to other programs: fields are
// added, never changed, and a golden file holds it.
type wireRequest struct {
	ID        string         `json:"id"`
	State     State          `json:"state"`
	Digest    string         `json:"digest"`
	Permits   string         `json:"permits"`
	Requester *wireIdentity  `json:"requester"`
	Tool      string         `json:"tool,omitempty"`
	ToolFrom  string         `json:"tool_source,omitempty"`
	Attested  bool           `json:"tool_attested,omitempty"`
	Session   string         `json:"session"`
	Operation uint64         `json:"operation"`
	Target    string         `json:"target"`
	Protocol  string         `json:"protocol"`
	Account   string         `json:"account,omitempty"`
	Database  string         `json:"database,omitempty"`
	Verb      protocol.Verb  `json:"verb"`
	Access    []string       `json:"access"`
	Text      string         `json:"text"`
	Behind    string         `json:"behind,omitempty"`
	Rewritten string         `json:"rewritten,omitempty"`
	Args      []wireArg      `json:"args,omitempty"`
	Objects   []wireObject   `json:"objects,omitempty"`
	Unmask    string         `json:"unmask,omitempty"`
	Lifts     []wireLift     `json:"lifts,omitempty"`
	Settings  string         `json:"settings,omitempty"`
	Opaque    string         `json:"opaque,omitempty"`
	InTx      bool           `json:"in_transaction,omitempty"`
	Risk      int            `json:"risk"`
	RiskWhy   []string       `json:"risk_why,omitempty"`
	Reason    string         `json:"reason,omitempty"`
	Rule      string         `json:"rule,omitempty"`
	Groups    []string       `json:"approver_groups,omitempty"`
	Users     []wireKey      `json:"approver_users,omitempty"`
	Need      int            `json:"need"`
	Created   time.Time      `json:"created"`
	Until     time.Time      `json:"until"`
	Ended     time.Time      `json:"ended,omitzero"`
	Cause     string         `json:"cause,omitempty"`
	Decisions []wireDecision `json:"decisions,omitempty"`
}

type wireIdentity struct {
	Issuer     string                `json:"issuer"`
	Subject    string                `json:"subject"`
	Name       string                `json:"name,omitempty"`
	Email      string                `json:"email,omitempty"`
	Groups     []string              `json:"groups,omitempty"`
	Kind       protocol.IdentityKind `json:"kind,omitempty"`
	OnBehalfOf *wireIdentity         `json:"on_behalf_of,omitempty"`
}

type wireKey struct {
	Issuer  string `json:"issuer"`
	Subject string `json:"subject"`
}

type wireArg struct {
	Text string `json:"text"`
	Null bool   `json:"null,omitempty"`
	Type string `json:"type,omitempty"`
}

type wireObject struct {
	Kind   string   `json:"kind"`
	Name   string   `json:"name"`
	Access []string `json:"access"`
}

type wireLift struct {
	Column string       `json:"column"`
	From   []wireColumn `json:"from"`
	Rule   string       `json:"rule"`
}

type wireColumn struct {
	Schema string `json:"schema"`
	Table  string `json:"table"`
	Column string `json:"column"`
}

type wireDecision struct {
	By      *wireIdentity `json:"by"`
	Approve bool          `json:"approve"`
	Comment string        `json:"comment,omitempty"`
	Time    time.Time     `json:"time"`
}

// MarshalJSON returns the form in which [Handler] shows a request.
func (r Request) MarshalJSON() ([]byte, error) {
	w := wireRequest{
		ID: r.ID, State: r.State, Digest: hex.EncodeToString(r.Digest[:]), Permits: r.Permits(),
		Requester: toWire(r.Requester), Tool: r.Tool.Raw, ToolFrom: r.Tool.Source, Attested: r.Tool.Attested,
		Session: r.Session, Operation: r.Operation, Target: r.Target, Protocol: r.Protocol,
		Account: r.Account, Database: r.Database, Verb: r.Verb, Access: r.Access.Names(),
		Text: utf8Text(r.Text), Behind: utf8Text(r.Behind), Rewritten: utf8Text(r.Rewritten), Unmask: utf8Text(r.Unmask), Settings: utf8Text(r.Settings), Opaque: r.Opaque, InTx: r.InTx,
		Risk: r.Risk, RiskWhy: r.RiskWhy, Reason: r.Reason, Rule: r.Rule,
		Groups: r.Approvers.Groups, Need: r.Approvers.need(),
		Created: r.Created, Until: r.Until, Ended: r.Ended, Cause: r.Cause,
	}
	for _, a := range r.Args {
		a.Text = utf8Text(a.Text)
		w.Args = append(w.Args, wireArg(a))
	}
	for _, o := range r.Objects {
		w.Objects = append(w.Objects, wireObject{o.Kind, o.Name, o.Access.Names()})
	}
	for _, l := range r.Lifts {
		wl := wireLift{Column: utf8Text(l.Column), Rule: l.Rule}
		for _, c := range l.From {
			wl.From = append(wl.From, wireColumn{utf8Text(c.Schema), utf8Text(c.Table), utf8Text(c.Column)})
		}
		w.Lifts = append(w.Lifts, wl)
	}
	for _, u := range r.Approvers.Users {
		w.Users = append(w.Users, wireKey(u))
	}
	for _, d := range r.Decisions {
		w.Decisions = append(w.Decisions, wireDecision{toWire(d.By), d.Approve, d.Comment, d.Time})
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (r *Request) UnmarshalJSON(b []byte) error {
	var w wireRequest
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	digest, err := parseDigest(w.Digest)
	if err != nil {
		return err
	}
	*r = Request{
		ID: w.ID, State: w.State, Digest: digest, Requester: w.Requester.identity(),
		Tool: protocol.Tool{Raw: w.Tool, Source: w.ToolFrom, Attested: w.Attested}, Session: w.Session, Operation: w.Operation,
		Target: w.Target, Protocol: w.Protocol, Account: w.Account, Database: w.Database,
		Verb: w.Verb, Access: accessOf(w.Access), Text: w.Text, Behind: w.Behind, Rewritten: w.Rewritten,
		Unmask: w.Unmask, Settings: w.Settings, Opaque: w.Opaque, InTx: w.InTx, Risk: w.Risk, RiskWhy: w.RiskWhy,
		Reason: w.Reason, Rule: w.Rule, Approvers: Approvers{Groups: w.Groups, Need: w.Need},
		Created: w.Created, Until: w.Until, Ended: w.Ended, Cause: w.Cause,
	}
	for _, a := range w.Args {
		r.Args = append(r.Args, protocol.Arg(a))
	}
	for _, o := range w.Objects {
		r.Objects = append(r.Objects, protocol.Object{Kind: o.Kind, Name: o.Name, Access: accessOf(o.Access)})
	}
	for _, l := range w.Lifts {
		lift := protocol.Lift{Column: l.Column, Rule: l.Rule}
		for _, c := range l.From {
			lift.From = append(lift.From, protocol.ColumnRef(c))
		}
		r.Lifts = append(r.Lifts, lift)
	}
	for _, u := range w.Users {
		r.Approvers.Users = append(r.Approvers.Users, protocol.Key(u))
	}
	for _, d := range w.Decisions {
		r.Decisions = append(r.Decisions, Decision{d.By.identity(), d.Approve, d.Comment, d.Time})
	}
	return nil
}

func toWire(id *protocol.Identity) *wireIdentity {
	if id == nil {
		return nil
	}
	return &wireIdentity{id.Issuer, id.Subject, id.Name, id.Email, id.Groups, id.Kind, toWire(id.OnBehalfOf)}
}

func (w *wireIdentity) identity() *protocol.Identity {
	if w == nil {
		return nil
	}
	return &protocol.Identity{Issuer: w.Issuer, Subject: w.Subject, Name: w.Name, Email: w.Email,
		Groups: w.Groups, Kind: w.Kind, OnBehalfOf: w.OnBehalfOf.identity()}
}

// accessOf is the reverse of [protocol.Access.Names]; a name it does not know
// counts as opaque.
func accessOf(names []string) (a protocol.Access) {
	for _, n := range names {
		bit := protocol.Opaque
		for c := protocol.Read; c < protocol.Opaque; c <<= 1 {
			if c.String() == n {
				bit = c
			}
		}
		a |= bit
	}
	return a
}

func parseDigest(s string) (d [32]byte, err error) {
	if len(s) != hex.EncodedLen(len(d)) {
		return d, fmt.Errorf("approval: a digest has %d hexadecimal digits", hex.EncodedLen(len(d)))
	}
	if _, err := hex.Decode(d[:], []byte(s)); err != nil {
		return [32]byte{}, fmt.Errorf("approval: a digest has only hexadecimal digits: %w", err)
	}
	return d, nil
}
