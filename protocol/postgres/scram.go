package postgres

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/text/secure/precis"

	"github.com/sallyport-dev/gateway/protocol"
)

// Names of the mechanisms (RFC 7677, PostgreSQL documentation 55.3).
const (
	scramSHA256     = "SCRAM-SHA-256"
	scramSHA256Plus = "SCRAM-SHA-256-PLUS"
)

const (
	minIterations = 4096   // RFC 7677, section 4
	maxIterations = 600000 // a peer must not make us work for minutes
	maxSCRAM      = 4096   // bytes of one message; real ones have about 100
)

func hmacSHA256(key []byte, parts ...string) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write([]byte(p))
	}
	return h.Sum(nil)
}

// scramKeys are what a password comes down to for one salt and count.
type scramKeys struct{ client, stored, server []byte }

func deriveKeys(password string, salt []byte, iterations int) (scramKeys, error) {
	// PostgreSQL uses the password as it is where SASLprep fails.
	if p, err := precis.OpaqueString.String(password); err == nil {
		password = p
	}
	salted, err := pbkdf2.Key(sha256.New, password, salt, iterations, sha256.Size)
	if err != nil {
		return scramKeys{}, err
	}
	k := scramKeys{client: hmacSHA256(salted, "Client Key"), server: hmacSHA256(salted, "Server Key")}
	stored := sha256.Sum256(k.client)
	k.stored = stored[:]
	return k, nil
}

// parseVerifier reads a secret in the form of PostgreSQL's pg_authid:
// SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>.
func parseVerifier(s string) (k scramKeys, salt []byte, iterations int, ok bool) {
	rest, found := strings.CutPrefix(s, scramSHA256+"$")
	if !found {
		return
	}
	head, keys, f1 := strings.Cut(rest, "$")
	it, sa, f2 := strings.Cut(head, ":")
	st, se, f3 := strings.Cut(keys, ":")
	if !f1 || !f2 || !f3 {
		return
	}
	var e1, e2, e3, e4 error
	iterations, e1 = strconv.Atoi(it)
	salt, e2 = base64.StdEncoding.DecodeString(sa)
	k.stored, e3 = base64.StdEncoding.DecodeString(st)
	k.server, e4 = base64.StdEncoding.DecodeString(se)
	ok = errors.Join(e1, e2, e3, e4) == nil && iterations > 0 && len(k.stored) == sha256.Size && len(k.server) == sha256.Size
	return
}

// keyCache remembers the keys of target logins, so that a session costs no
// key derivation. It is small: one entry for each target and password.
type keyCache struct {
	mu     sync.Mutex
	secret []byte // random, so that map keys say nothing about passwords
	m      map[string]scramKeys
}

const maxCachedKeys = 1024

func (c *keyCache) keys(password string, salt []byte, iterations int) (scramKeys, error) {
	c.mu.Lock()
	if c.secret == nil {
		c.secret = make([]byte, sha256.Size)
		_, _ = rand.Read(c.secret) // never fails
	}
	id := string(hmacSHA256(c.secret, fmt.Sprintf("%d:%x:", iterations, salt), password))
	k, ok := c.m[id]
	c.mu.Unlock()
	if ok {
		return k, nil
	}
	k, err := deriveKeys(password, salt, iterations)
	if err != nil {
		return k, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil || len(c.m) >= maxCachedKeys {
		c.m = map[string]scramKeys{}
	}
	c.m[id] = k
	return k, nil
}

// scramClient logs the gateway in at a target.
type scramClient struct {
	cache    *keyCache
	password protocol.Secret
	header   string // GS2 header: "n,,", "y,," or "p=tls-server-end-point,,"
	binding  []byte
	bare     string // client-first-message-bare
	nonce    string
	server   []byte // expected server signature
	verified bool   // the server has shown it
}

// newScramClient picks a mechanism out of offered. state is the target's TLS
// connection or nil, binding one of bindings.
func newScramClient(cache *keyCache, password protocol.Secret, offered []string, state *tls.ConnectionState, binding string) (mech string, c *scramClient, err error) {
	c = &scramClient{cache: cache, password: password, header: "n,,"}
	plain, plus := false, false
	for _, m := range offered {
		plain = plain || m == scramSHA256
		plus = plus || m == scramSHA256Plus
	}
	switch binding {
	case "disable":
		plus, state = false, nil
	case "require":
		plain = false
	}
	switch {
	case plus && state != nil && len(state.PeerCertificates) > 0:
		if c.binding = endpointHash(state.PeerCertificates[0]); c.binding != nil {
			c.header = "p=tls-server-end-point,,"
			mech = scramSHA256Plus
			break
		}
		if !plain { // a certificate whose hash is not defined, such as Ed25519
			return "", nil, errors.New("the target's certificate has no channel binding defined, and SCRAM without one is not offered or not allowed")
		}
		fallthrough
	case plain:
		mech = scramSHA256
		if state != nil && !plus {
			c.header = "y,," // we could bind, the target does not offer it
		}
	default:
		return "", nil, errors.New("the target offers no SCRAM-SHA-256 in the form that its option channel_binding allows")
	}
	var raw [18]byte
	_, _ = rand.Read(raw[:]) // never fails
	c.nonce = base64.StdEncoding.EncodeToString(raw[:])
	c.bare = "n=,r=" + c.nonce // PostgreSQL takes the user from the startup message
	return mech, c, nil
}

// endpointHash returns the channel binding data tls-server-end-point (RFC
// 5929, section 4.1), or nil for a signature algorithm without a defined hash.
func endpointHash(cert *x509.Certificate) []byte {
	switch cert.SignatureAlgorithm {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.SHA256WithRSA, x509.ECDSAWithSHA256, x509.SHA256WithRSAPSS:
		h := sha256.Sum256(cert.Raw)
		return h[:]
	case x509.SHA384WithRSA, x509.ECDSAWithSHA384, x509.SHA384WithRSAPSS:
		h := sha512.Sum384(cert.Raw)
		return h[:]
	case x509.SHA512WithRSA, x509.ECDSAWithSHA512, x509.SHA512WithRSAPSS:
		h := sha512.Sum512(cert.Raw)
		return h[:]
	}
	return nil
}

func (c *scramClient) first() string { return c.header + c.bare }

// final answers the server's first message.
func (c *scramClient) final(serverFirst string) (string, error) {
	attrs, err := scramAttrs(serverFirst, "rsi")
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(attrs[0], c.nonce) || len(attrs[0]) == len(c.nonce) {
		return "", errors.New("the target's nonce does not extend ours")
	}
	salt, err := base64.StdEncoding.DecodeString(attrs[1])
	if err != nil || len(salt) == 0 {
		return "", errors.New("the target's salt is malformed")
	}
	it, err := strconv.Atoi(attrs[2])
	if err != nil || it < 1 || it > maxIterations {
		return "", fmt.Errorf("the target asks for %q iterations; accepted are 1 to %d", attrs[2], maxIterations)
	}
	keys, err := c.cache.keys(c.password.Reveal(), salt, it)
	if err != nil {
		return "", err
	}
	without := "c=" + base64.StdEncoding.EncodeToString(append([]byte(c.header), c.binding...)) + ",r=" + attrs[0]
	message := c.bare + "," + serverFirst + "," + without
	proof := hmacSHA256(keys.stored, message)
	subtle.XORBytes(proof, proof, keys.client)
	c.server = hmacSHA256(keys.server, message)
	return without + ",p=" + base64.StdEncoding.EncodeToString(proof), nil
}

// verify checks that the server knows the password too.
func (c *scramClient) verify(serverFinal string) error {
	attrs, err := scramAttrs(serverFinal, "v")
	if err != nil {
		return err
	}
	sig, err := base64.StdEncoding.DecodeString(attrs[0])
	if err != nil || c.server == nil || !hmac.Equal(sig, c.server) {
		return errors.New("the target does not know the password itself")
	}
	c.verified = true
	return nil
}

// scramAttrs reads the attributes that names lists, in this order, from the
// start of a SCRAM message; further extensions are ignored, but for mandatory
// ones.
func scramAttrs(msg, names string) ([]string, error) {
	if len(msg) > maxSCRAM {
		return nil, errors.New("malformed SCRAM message")
	}
	parts := strings.Split(msg, ",")
	if len(parts) < len(names) {
		return nil, errors.New("malformed SCRAM message")
	}
	out := make([]string, len(names))
	for i := range names {
		v, ok := strings.CutPrefix(parts[i], names[i:i+1]+"=")
		if !ok {
			return nil, errors.New("malformed SCRAM message")
		}
		out[i] = v
	}
	return out, nil
}

// scramServer checks a client against keys that the gateway knows.
type scramServer struct {
	keys       scramKeys
	salt       []byte
	iterations int

	header, bare string
	nonce        string
	first        string
}

// start reads the client's first message and returns the answer to it.
func (s *scramServer) start(clientFirst []byte) (string, error) {
	msg := string(clientFirst)
	// gs2-header = "n,," / "y,,": no authzid, no channel binding, since the
	// gateway does not offer it.
	switch {
	case strings.HasPrefix(msg, "n,,"), strings.HasPrefix(msg, "y,,"):
		s.header, s.bare = msg[:3], msg[3:]
	case strings.HasPrefix(msg, "p="):
		return "", errors.New("channel binding cannot pass a gateway: use channel_binding=disable or prefer")
	default:
		return "", errors.New("malformed SCRAM message")
	}
	attrs, err := scramAttrs(s.bare, "nr")
	if err != nil {
		return "", err
	}
	if len(attrs[1]) < 8 {
		return "", errors.New("the client's nonce is too short")
	}
	var raw [18]byte
	_, _ = rand.Read(raw[:]) // never fails
	s.nonce = attrs[1] + base64.StdEncoding.EncodeToString(raw[:])
	s.first = "r=" + s.nonce + ",s=" + base64.StdEncoding.EncodeToString(s.salt) + ",i=" + strconv.Itoa(s.iterations)
	return s.first, nil
}

// finish checks the client's proof and returns the server's signature.
func (s *scramServer) finish(clientFinal []byte) (string, bool) {
	msg := string(clientFinal)
	i := strings.LastIndex(msg, ",p=")
	if i < 0 {
		return "", false
	}
	attrs, err := scramAttrs(msg[:i], "cr")
	if err != nil {
		return "", false
	}
	header, err := base64.StdEncoding.DecodeString(attrs[0])
	if err != nil || !bytes.Equal(header, []byte(s.header)) || attrs[1] != s.nonce {
		return "", false
	}
	proof, err := base64.StdEncoding.DecodeString(msg[i+3:])
	if err != nil || len(proof) != sha256.Size {
		return "", false
	}
	auth := s.bare + "," + s.first + "," + msg[:i]
	key := hmacSHA256(s.keys.stored, auth)
	subtle.XORBytes(key, key, proof)
	stored := sha256.Sum256(key)
	if !hmac.Equal(stored[:], s.keys.stored) {
		return "", false
	}
	return "v=" + base64.StdEncoding.EncodeToString(hmacSHA256(s.keys.server, auth)), true
}

// md5Password is the answer to AuthenticationMD5Password (55.2.1).
func md5Password(user string, password protocol.Secret, salt []byte) string {
	inner := md5.Sum([]byte(password.Reveal() + user))
	outer := md5.Sum(append([]byte(hex.EncodeToString(inner[:])), salt...))
	return "md5" + hex.EncodeToString(outer[:])
}
