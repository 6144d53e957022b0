package approval

import (
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// A State says where a [Request] stands. The zero State is none of them and
// permits nothing.
type State string

// The states. A request begins as pending and moves on once; only an approved
// one permits anything.
const (
	StatePending   State = "pending"
	StateApproved  State = "approved"
	StateDenied    State = "denied"
	StateExpired   State = "expired"   // nobody decided in time
	StateWithdrawn State = "withdrawn" // the requester left or gave up
)

// Ended reports whether the state is final.
func (s State) Ended() bool {
	switch s {
	case StateApproved, StateDenied, StateExpired, StateWithdrawn:
		return true
	}
	return false
}

// A Request asks people to decide about one operation. It is a copy of what
// was asked: nothing in it changes with the operation it was made from. A
// Request that a [Broker] returns belongs to the caller.
type Request struct {
	ID string // see [NewID]

	Session   string // the gateway's session
	Operation uint64 // counts from 1 within the session
	Requester *protocol.Identity
	Tool      protocol.Tool // as the client claims

	Target   string // the target's name
	Protocol string
	Account  string // the account at the target that the client named
	Database string

	Verb      protocol.Verb
	Access    protocol.Access
	Text      string // as the client sent it
	Behind    string // what runs where Text only names it, such as by EXECUTE
	Rewritten string // what runs in place of Text, if a step rewrote it
	Args      []protocol.Arg
	Objects   []protocol.Object
	Unmask    string          // why the requester asks to see masked values
	Lifts     []protocol.Lift // what is shown in the clear after a yes
	Settings  string          // session state that changes the meaning of Text
	Opaque    string          // why the text could not be analysed
	InTx      bool            // waiting keeps the locks of an open transaction

	Risk    int
	RiskWhy []string
	Reason  string // why approval is needed
	Rule    string // the rule that asks for it

	// Digest binds votes to what was shown. It is the operation's digest.
	Digest [32]byte

	// Approvers says who may decide. The zero Approvers is nobody.
	Approvers Approvers

	Created time.Time
	Until   time.Time // when an undecided request expires

	State     State
	Ended     time.Time  // zero while pending
	Cause     string     // why it was withdrawn
	Decisions []Decision // the votes, in order
}

// Approvers says who may decide about a request: members of any of Groups, and
// Users. If both are empty, nobody may.
//
// A group counts whichever issuer vouches for it. Where several issuers are
// trusted, the authenticating step has to keep their groups apart.
type Approvers struct {
	Groups []string
	Users  []protocol.Key
	Need   int // how many different people have to say yes; 0 means 1
}

// Include reports whether id is one of the users or in one of the groups.
func (a Approvers) Include(id *protocol.Identity) bool {
	return id != nil && (slices.Contains(a.Users, id.Key()) || id.InGroup(a.Groups...))
}

// need is how many people have to approve.
func (a Approvers) need() int { return max(a.Need, 1) }

// String names the groups and users, for people.
func (a Approvers) String() string {
	var who []string
	for _, g := range a.Groups {
		who = append(who, "group "+g)
	}
	for _, u := range a.Users {
		who = append(who, u.Subject)
	}
	if len(who) == 0 {
		return "nobody"
	}
	return strings.Join(who, ", ")
}

// A Decision is one vote as it was counted.
type Decision struct {
	By      *protocol.Identity // with the groups held at that moment
	Approve bool
	Comment string // printable, at most [MaxComment] runes
	Time    time.Time
}

// MayDecide returns nil if by may vote on the request now, and otherwise
// [ErrLogin] or a [ForbiddenError] that says why not, for by to read.
func (r *Request) MayDecide(by *protocol.Identity) error {
	switch {
	case by == nil || by.Issuer == "" || by.Subject == "":
		return ErrLogin
	case !by.Expires.IsZero() && !time.Now().Before(by.Expires):
		return ErrLogin
	case by.Kind != protocol.Human:
		return &ForbiddenError{"only people decide about requests, and this login is not known to be a person's"}
	case by.OnBehalfOf != nil:
		return &ForbiddenError{"whoever acts for somebody else cannot decide; log in as yourself"}
	case samePerson(by, r.Requester):
		return &ForbiddenError{"nobody decides about their own request, nor about one of an agent that acts for them"}
	case !r.Approvers.Include(by):
		return &ForbiddenError{"you are not among those who may decide this: " + r.Approvers.String()}
	}
	return nil
}

// MaySee reports whether id may read the request: its approvers and the
// requester may.
func (r *Request) MaySee(id *protocol.Identity) bool {
	return id != nil && (id.Same(r.Requester) || r.Approvers.Include(id))
}

// samePerson reports whether a and b may be the same person. Beyond
// [protocol.Identity.Same] it takes two accounts with one verified address for
// one person's. An address never gives a right, but it may take one away.
func samePerson(a, b *protocol.Identity) bool {
	if a.Same(b) {
		return true
	}
	for x := a; x != nil; x = x.OnBehalfOf {
		for y := b; y != nil; y = y.OnBehalfOf {
			if x.Email != "" && strings.EqualFold(x.Email, y.Email) {
				return true
			}
		}
	}
	return false
}

// clone returns a copy that shares nothing which could change.
func (r *Request) clone() Request {
	c := *r
	c.Requester = cloneIdentity(r.Requester)
	c.Args = slices.Clone(r.Args)
	c.Objects = slices.Clone(r.Objects)
	c.RiskWhy = slices.Clone(r.RiskWhy)
	c.Lifts = slices.Clone(r.Lifts)
	for i := range c.Lifts {
		c.Lifts[i].From = slices.Clone(c.Lifts[i].From)
	}
	c.Approvers.Groups = slices.Clone(r.Approvers.Groups)
	c.Approvers.Users = slices.Clone(r.Approvers.Users)
	c.Decisions = slices.Clone(r.Decisions)
	for i := range c.Decisions {
		c.Decisions[i].By = cloneIdentity(c.Decisions[i].By)
	}
	return c
}

// cloneIdentity leaves the claims behind: they are for rules, and may hold
// more than an approver needs to see.
func cloneIdentity(id *protocol.Identity) *protocol.Identity {
	if id == nil {
		return nil
	}
	c := *id
	c.Groups = slices.Clone(id.Groups)
	c.Claims = nil
	c.OnBehalfOf = cloneIdentity(id.OnBehalfOf)
	return &c
}
