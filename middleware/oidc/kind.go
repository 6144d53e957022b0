package oidc

import (
	"context"
	"time"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// Kind returns the kind of step "oidc" for configuration files; [Config]
// explains the settings.
//
//	oidc:
//	  issuer: https://id.example.com
//	  audiences: [sallyport]
//	  groups: realm_access.roles
//	  kinds:
//	    - {claim: sub, match: "ci-*", kind: workload}
//	  require: {hd: example.com}
//	  session: 8h
func Kind() middleware.Kind {
	return middleware.KindOf(stepName, func(s settings) (middleware.Step, error) {
		c := Config{
			Issuer: s.Issuer, Audiences: s.Audiences, Groups: s.Groups, Require: s.Require, MaxAge: s.MaxAge, Skew: s.Skew,
			Session: s.Session, Algorithms: s.Algorithms, AllowPlain: s.AllowPlain, Eager: s.Eager,
		}
		for _, k := range s.Kinds {
			c.Kinds = append(c.Kinds, KindRule(k))
		}
		return Authenticate(context.Background(), c)
	})
}

type settings struct {
	Issuer     string            `yaml:"issuer"`
	Audiences  []string          `yaml:"audiences"`
	Groups     string            `yaml:"groups"`
	Kinds      []kindRule        `yaml:"kinds"`
	Require    map[string]string `yaml:"require"`
	MaxAge     time.Duration     `yaml:"max_age"`
	Skew       time.Duration     `yaml:"skew"`
	Session    time.Duration     `yaml:"session"`
	Algorithms []string          `yaml:"algorithms"`
	AllowPlain bool              `yaml:"allow_plain"`
	Eager      bool              `yaml:"eager"`
}

type kindRule struct {
	Claim string                `yaml:"claim"`
	Match string                `yaml:"match"`
	Kind  protocol.IdentityKind `yaml:"kind"`
}
