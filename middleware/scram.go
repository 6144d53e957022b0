package middleware

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// A ScramSecret says who logs in with a challenge-response account. The
// verifier is what PostgreSQL stores in pg_authid.rolpassword; a password
// cannot be computed from it. MySQL's clients prove themselves in ways of their
// own, for which it does not serve: give MySQL instead, or as well.
type ScramSecret struct {
	User     string          `yaml:"user"`     // the account name that the client sends
	Verifier protocol.Secret `yaml:"verifier"` // SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>

	// MySQL is the password itself, of at least 12 characters. For
	// mysql_native_password it may be what MySQL stores of it, "*" and 40
	// hexadecimal digits.
	MySQL protocol.Secret `yaml:"mysql"`

	Subject string                `yaml:"subject"` // unique among all static identities
	Name    string                `yaml:"name"`
	Email   string                `yaml:"email"`
	Groups  []string              `yaml:"groups"`
	Kind    protocol.IdentityKind `yaml:"kind"` // human, workload or agent

	// OnBehalfOf is whom an agent or a workload acts for, as "issuer|subject".
	OnBehalfOf string `yaml:"on_behalf_of"`

	Expires time.Time `yaml:"expires"` // zero: never
}

// ScramSecrets returns the step that knows the given accounts, for clients
// whose protocol proves a password with SCRAM-SHA-256, or with MySQL's
// mysql_native_password or caching_sha2_password, and never sends it. A
// wrong password is a refusal. An account that is not listed is not a proof
// that the step knows; a connector that wants to hide which accounts there are
// runs a challenge of its own when no step has called Verify.
func ScramSecrets(secrets ...ScramSecret) Step {
	s := Step{Name: "scram"}
	known := make(map[string]scramAccount, len(secrets))
	for i, e := range secrets {
		switch _, twice := known[e.User]; {
		case e.User == "":
			s.err = fmt.Errorf("account %d has no user", i+1)
			return s
		case twice:
			s.err = fmt.Errorf("user %s is listed twice", e.User)
			return s
		}
		if err := e.check(); err != nil {
			s.err = fmt.Errorf("user %s: %w", e.User, err)
			return s
		}
		id, err := newStatic(protocol.Identity{Subject: e.Subject, Name: e.Name, Email: e.Email,
			Groups: e.Groups, Kind: e.Kind, Expires: e.Expires}, e.OnBehalfOf)
		if err != nil {
			s.err = fmt.Errorf("user %s: %w", e.User, err)
			return s
		}
		known[e.User] = scramAccount{e.Verifier, e.MySQL, id}
	}
	s.Authenticate = func(ctx context.Context, l *protocol.Login) (*protocol.Identity, error) {
		p, ok := l.Proof.(protocol.Challenge)
		if !ok || p.Verify == nil {
			return nil, nil
		}
		account, ok := known[l.User] // which password is asked for; who it is follows from the proof
		secret := account.secret(p.Scheme)
		if !ok || secret.Empty() {
			return nil, nil
		}
		proven, err := p.Verify(ctx, secret)
		if err != nil {
			return nil, fmt.Errorf("user %s: %w", l.User, err)
		}
		if !proven {
			return nil, &protocol.DeniedError{Step: s.Name, Reason: "the login was not accepted",
				Hint: "check the user and the password"}
		}
		return loginAs(account.id, "scram", account.key())
	}
	s.Recheck = func(_ context.Context, id *protocol.Identity) bool {
		for _, a := range known {
			if isLogin(id, a.id, "scram", a.key()) {
				return true
			}
		}
		return false
	}
	return s
}

// check returns an error if there is nothing to prove, or something that is
// easily guessed.
func (e *ScramSecret) check() error {
	if e.MySQL.Empty() || !e.Verifier.Empty() {
		if err := checkVerifier(e.Verifier.Reveal()); err != nil {
			return err
		}
	}
	if !e.MySQL.Empty() && len(e.MySQL.Reveal()) < 12 {
		return errors.New("mysql: the password has fewer than 12 characters")
	}
	return nil
}

type scramAccount struct {
	verifier, mysql protocol.Secret
	id              *protocol.Identity
}

// secret returns what a scheme is proven against; empty: the account does not
// know the scheme.
func (a *scramAccount) secret(scheme string) protocol.Secret {
	switch scheme {
	case scramScheme:
		return a.verifier
	case "mysql_native_password", "caching_sha2_password":
		return a.mysql
	}
	return protocol.Secret{}
}

// key is what a login is remembered by: another secret is another login.
func (a *scramAccount) key() []byte {
	if a.mysql.Empty() {
		return []byte(a.verifier.Reveal())
	}
	return []byte(a.verifier.Reveal() + "\x00" + a.mysql.Reveal())
}

// ScramKind returns the kind "scram" for configuration files:
//
//	scram:
//	  accounts:
//	    - {user: alice, verifier: "SCRAM-SHA-256$4096:...", subject: alice, kind: human}
func ScramKind() Kind {
	type settings struct {
		Accounts []ScramSecret `yaml:"accounts"`
	}
	return KindOf("scram", func(c settings) (Step, error) {
		s := ScramSecrets(c.Accounts...)
		return s, s.err
	})
}
