package mysql

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sslmode"
)

// plugins are the ways in which the gateway can log in at a target.
var plugins = []string{mysql.AUTH_NATIVE_PASSWORD, mysql.AUTH_CACHING_SHA2_PASSWORD, mysql.AUTH_SHA256_PASSWORD,
	mysql.AUTH_MARIADB_ED25519, mysql.AUTH_CLEAR_PASSWORD}

// requiredAuth returns the plugins that a target may ask for; nil: all.
func requiredAuth(r protocol.Resource) []string {
	if r.Options[optRequireAuth] == "" {
		return nil
	}
	list := strings.Split(r.Options[optRequireAuth], ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

// A publicKey is what a password may be encrypted with where there is no TLS.
type publicKey struct {
	key *rsa.PublicKey
	ask bool // the target's word for it is taken
}

func publicKeyOf(r protocol.Resource) (publicKey, error) {
	switch f := r.Options[optPublicKey]; f {
	case "":
		return publicKey{}, nil
	case "ask":
		return publicKey{ask: true}, nil
	default:
		b, err := os.ReadFile(f)
		if err != nil {
			return publicKey{}, fmt.Errorf("option server_public_key: %w", err)
		}
		key, err := decodePublicKey(b)
		if err != nil {
			return publicKey{}, fmt.Errorf("option server_public_key: %s: %w", f, err)
		}
		return publicKey{key: key}, nil
	}
}

func decodePublicKey(b []byte) (*rsa.PublicKey, error) {
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, errors.New("no public key in PEM")
	}
	k, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := k.(*rsa.PublicKey)
	if !ok || key.Size() > 1<<10 {
		return nil, errors.New("not an RSA key of a usual size")
	}
	return key, nil
}

// An authenticator is the client's side of a login at a target.
type authenticator struct {
	t       *target
	creds   protocol.Credentials
	mode    string   // sslmode
	allowed []string // plugins; nil: all
	key     publicKey
	salt    []byte
	plugin  string
	asked   bool // for the target's key
	full    bool // caching_sha2_password: the target wants the password itself
}

// first returns what is sent with the answer to the greeting, for the plugin
// that this names or, if that will not do, for another: the target then says
// what it wants.
func (a *authenticator) first(plugin string) ([]byte, error) {
	if !slices.Contains(plugins, plugin) || plugin == mysql.AUTH_CLEAR_PASSWORD || a.allowed != nil && !slices.Contains(a.allowed, plugin) {
		// Nothing that an eavesdropper could guess the secret from is sent
		// before the target has asked for something that is allowed.
		a.plugin = mysql.AUTH_CACHING_SHA2_PASSWORD
		return nil, nil
	}
	return a.begin(plugin, a.salt)
}

// begin returns what plugin sends first.
func (a *authenticator) begin(plugin string, salt []byte) ([]byte, error) {
	if a.allowed != nil && !slices.Contains(a.allowed, plugin) {
		return nil, fmt.Errorf("the target asks for %q, which its option require_auth does not allow", plugin)
	}
	a.plugin, a.salt, a.full, a.asked = plugin, salt, false, false
	pw := a.creds.Secret.Reveal()
	switch plugin {
	case mysql.AUTH_NATIVE_PASSWORD:
		return mysql.CalcNativePassword(salt, []byte(pw)), nil
	case mysql.AUTH_CACHING_SHA2_PASSWORD:
		return mysql.CalcCachingSha2Password(salt, []byte(pw)), nil
	case mysql.AUTH_MARIADB_ED25519:
		if pw == "" {
			return []byte{}, nil
		}
		return mysql.CalcEd25519Password(salt, pw)
	case mysql.AUTH_SHA256_PASSWORD:
		if pw == "" {
			return []byte{0}, nil
		}
		if !a.secure() {
			return a.encrypted()
		}
		return a.clear()
	case mysql.AUTH_CLEAR_PASSWORD:
		return a.clear()
	}
	return nil, fmt.Errorf("the target asks for %q, which the gateway does not speak", plugin)
}

// secure reports whether who answers is proven and nobody listens.
func (a *authenticator) secure() bool {
	_, ok := a.t.conn.(*tls.Conn)
	return ok && sslmode.Verifies(a.mode)
}

// clear returns the password itself.
func (a *authenticator) clear() ([]byte, error) {
	if !a.secure() {
		return nil, errors.New("the target asks for a clear-text password, which is sent under verified TLS only (sslmode=verify-full)")
	}
	return appendNUL(nil, a.creds.Secret.Reveal()), nil
}

// encrypted returns the password encrypted with the target's key, or the
// request for that.
func (a *authenticator) encrypted() ([]byte, error) {
	switch {
	case a.key.key != nil:
		return mysql.EncryptPassword(a.creds.Secret.Reveal(), a.salt, a.key.key)
	case !a.key.ask:
		return nil, errors.New("the target wants the password itself: use verified TLS (sslmode=verify-full), or name its key in the option server_public_key")
	case a.asked:
		return nil, errors.New("the target sends no public key")
	}
	a.asked = true
	if a.plugin == mysql.AUTH_SHA256_PASSWORD {
		return []byte{1}, nil
	}
	return []byte{2}, nil
}

// answer returns the answer to what the target sent, nil for none.
func (a *authenticator) answer(b []byte) ([]byte, error) {
	c := cursor{b: b}
	switch c.u8() {
	case packetEOF: // it asks for another plugin
		if len(c.b) == 0 {
			return nil, errors.New("the target asks for the password's form of MySQL 4.0, which the gateway does not speak")
		}
		plugin := string(c.nul())
		salt := c.rest()
		if c.bad {
			return nil, errMalformed
		}
		if n := len(salt); n == saltLen+1 && salt[n-1] == 0 {
			salt = salt[:n-1]
		}
		if len(salt) < saltLen && plugin != mysql.AUTH_CLEAR_PASSWORD || len(salt) > 4*saltLen {
			return nil, errMalformed
		}
		answer, err := a.begin(plugin, append([]byte(nil), salt...))
		if answer == nil {
			answer = []byte{}
		}
		return answer, err
	case packetMore:
		data := c.rest()
		switch {
		case a.plugin == mysql.AUTH_CACHING_SHA2_PASSWORD && len(data) == 1 && data[0] == mysql.CACHE_SHA2_FAST_AUTH:
			return nil, nil
		case a.plugin == mysql.AUTH_CACHING_SHA2_PASSWORD && len(data) == 1 && data[0] == mysql.CACHE_SHA2_FULL_AUTH && !a.full:
			a.full = true
			if a.secure() {
				return a.clear()
			}
			return a.encrypted()
		case a.asked && a.key.key == nil:
			key, err := decodePublicKey(data)
			if err != nil {
				return nil, fmt.Errorf("the target's public key: %w", err)
			}
			a.key.key = key
			return a.encrypted()
		}
	}
	return nil, errors.New("the target sent an unexpected message during the login")
}
