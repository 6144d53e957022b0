package protocol

import "time"

// An IdentityKind says what sort of actor an [Identity] is.
type IdentityKind string

// The kinds of identity. The empty kind is treated as Human by no rule: a
// policy that cares must name the kind that it allows.
const (
	Human    IdentityKind = "human"
	Workload IdentityKind = "workload"
	Agent    IdentityKind = "agent"
)

// An Identity is who stands behind a session, as an Authenticate hook
// established it. It is keyed by (Issuer, Subject), never by Email, which
// issuers may reassign. An Identity is immutable once a session carries it.
type Identity struct {
	Issuer  string // who vouches: an OIDC issuer URL, "static", a CA's name
	Subject string // stable and unique within Issuer
	Name    string // for people to read
	Email   string // verified by the issuer, or empty
	Groups  []string
	Kind    IdentityKind

	// OnBehalfOf is the identity an agent or a workload acts for, or nil.
	OnBehalfOf *Identity

	Method   string    // how it was proven: "oidc", "token", "certificate", "scram"
	AuthTime time.Time // when the person or workload authenticated at the issuer
	Expires  time.Time // when the session must end; zero means no limit of its own

	// Claims are further verified facts from the issuer, for policy conditions.
	Claims map[string]any
}

// Key identifies an [Identity] in maps and stores.
type Key struct{ Issuer, Subject string }

// Key returns the identity's (Issuer, Subject).
func (id *Identity) Key() Key { return Key{id.Issuer, id.Subject} }

// Same reports whether two identities are the same actor, or act for the
// same one: an agent and the person it works for count as one, so that nobody
// approves through their own agent.
func (id *Identity) Same(other *Identity) bool {
	for a := id; a != nil; a = a.OnBehalfOf {
		for b := other; b != nil; b = b.OnBehalfOf {
			if a.Key() == b.Key() {
				return true
			}
		}
	}
	return false
}

// InGroup reports whether the identity is in any of the groups.
func (id *Identity) InGroup(groups ...string) bool {
	for _, g := range groups {
		for _, have := range id.Groups {
			if g == have {
				return true
			}
		}
	}
	return false
}

// A Tool is the program that a client says it is: PostgreSQL's
// application_name, an SSH version string, a User-Agent. It is a claim, not a
// proof, unless Attested is true.
type Tool struct {
	Name     string // "psql"
	Version  string // "15.18"
	Raw      string // as the client sent it
	Source   string // where it was read: "application_name"
	Attested bool   // vouched for by an issuer, not only claimed
}

// A Resource is a target as steps may see it: never its address book entry's
// secret. It is immutable.
type Resource struct {
	Name     string
	Protocol string
	Addr     string
	Labels   map[string]string

	// Options are the connector's settings for this target, such as sslmode.
	// Each connector documents its own; secrets do not belong here.
	Options map[string]string
}
