package httpproxy

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/sallyport-dev/gateway/protocol"
)

// An Assertion is how targets with the option assertion are told who sends a
// request: a signed JWT in a header, which they can verify with the public key
// ([Assertion.JWKS]). Its subject is the identity's, its audience the target's
// name; idp is who vouches for the subject, and name, email, groups, kind and
// on_behalf_of are as far as they are known.
type Assertion struct {
	Issuer string        // "https://gateway.example.com"
	Key    crypto.Signer // RSA, ECDSA on P-256, or Ed25519
	KeyID  string
	Header string        // empty means X-Sallyport-Assertion
	TTL    time.Duration // 0 means a minute
}

func (a *Assertion) header() string {
	if a.Header == "" {
		return "X-Sallyport-Assertion"
	}
	return a.Header
}

func (a *Assertion) ttl() time.Duration { return or(a.TTL, time.Minute) }

// Check reports what is wrong with the settings.
func (a *Assertion) Check() error {
	switch {
	case a.Issuer == "":
		return errors.New("assertion: needs an issuer")
	case !isToken(a.header()):
		return errors.New("assertion: not the name of a header")
	}
	_, err := a.signer()
	return err
}

func (a *Assertion) signer() (jose.Signer, error) {
	var alg jose.SignatureAlgorithm
	if a.Key == nil {
		return nil, errors.New("assertion: needs a key")
	}
	switch k := a.Key.Public().(type) {
	case *rsa.PublicKey:
		if alg = jose.RS256; k.N.BitLen() < 2048 {
			return nil, errors.New("assertion: an RSA key of fewer than 2048 bits")
		}
	case *ecdsa.PublicKey:
		if alg = jose.ES256; k.Curve.Params().BitSize != 256 {
			return nil, errors.New("assertion: an ECDSA key that is not on P-256")
		}
	case ed25519.PublicKey:
		alg = jose.EdDSA
	default:
		return nil, errors.New("assertion: a key that is not RSA, ECDSA or Ed25519")
	}
	key := jose.JSONWebKey{Key: a.Key, KeyID: a.KeyID}
	return jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
}

// JWKS returns the public key as a JSON Web Key Set.
func (a *Assertion) JWKS() ([]byte, error) {
	if err := a.Check(); err != nil {
		return nil, err
	}
	return json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: a.Key.Public(), KeyID: a.KeyID, Use: "sig"}}})
}

type assertionClaims struct {
	jwt.Claims
	IDP        string   `json:"idp"`
	Name       string   `json:"name,omitempty"`
	Email      string   `json:"email,omitempty"`
	Groups     []string `json:"groups,omitempty"`
	Kind       string   `json:"kind,omitempty"`
	OnBehalfOf *party   `json:"on_behalf_of,omitempty"`
}

type party struct {
	Issuer  string `json:"idp"`
	Subject string `json:"sub"`
}

// sign returns the assertion about id for the target named.
func (a *Assertion) sign(id *protocol.Identity, target string, now time.Time) (string, error) {
	s, err := a.signer()
	if err != nil {
		return "", err
	}
	c := assertionClaims{
		Claims: jwt.Claims{Issuer: a.Issuer, Subject: id.Subject, Audience: jwt.Audience{target}, ID: protocol.NewID(),
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now.Add(-5 * time.Second)), Expiry: jwt.NewNumericDate(now.Add(a.ttl()))},
		IDP: id.Issuer, Name: id.Name, Email: id.Email, Groups: id.Groups, Kind: string(id.Kind),
	}
	if o := id.OnBehalfOf; o != nil {
		c.OnBehalfOf = &party{o.Issuer, o.Subject}
	}
	return jwt.Signed(s).Claims(c).Serialize()
}
