package postgres_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/postgres"
)

const scramPassword = "correct horse battery"

// scramRig is a listener that knows alice's password, and nobody else's.
func scramRig(t testing.TB, conf *tls.Config) *rig {
	t.Helper()
	verifier, err := middleware.NewScramVerifier(protocol.NewSecret(scramPassword))
	require.NoError(t, err)
	return newRig(t, rigConfig{
		server: &postgres.Server{TLS: conf, Auth: postgres.AuthSCRAM},
		steps: []middleware.Step{middleware.ScramSecrets(middleware.ScramSecret{User: "alice", Verifier: verifier,
			Subject: "alice", Kind: protocol.Human, Groups: []string{"dba"}})},
	})
}

func TestScramClients(t *testing.T) {
	conf, _ := listenerTLS(t)
	r := scramRig(t, conf)
	dsn := func(user, password, mode, extra string) string {
		return fmt.Sprintf("host=%s port=%s user=%s password='%s' dbname=pg/postgres sslmode=%s %s", r.host, r.port, user, password, mode, extra)
	}
	for _, mode := range []string{"disable", "require"} { // SCRAM shows nobody the password: no TLS is needed
		out, err := psqlDSN(t, dsn("alice", scramPassword, mode, ""), "-c", "select 6")
		require.NoError(t, err, out)
		require.Equal(t, "6", strings.TrimSpace(out))
		conn, err := pgx.Connect(t.Context(), dsn("alice", scramPassword, mode, ""))
		require.NoError(t, err)
		require.NoError(t, conn.Close(t.Context()))
	}
	out, err := psqlDSN(t, dsn("alice", scramPassword, "require", "channel_binding=require"), "-c", "select 6")
	require.Error(t, err)
	require.Contains(t, out, "channel binding")
	for _, user := range []string{"alice", "nobody"} {
		out, err := psqlDSN(t, dsn(user, "wrong", "require", ""), "-c", "select 6")
		require.Error(t, err)
		require.Contains(t, out, `FATAL:  password authentication failed for user "`+user+`"`)
	}
}

// scramTry goes through a SCRAM login by hand and returns what the server said,
// without what is random.
func scramTry(t *testing.T, addr, user, password string) (salt, said string) {
	t.Helper()
	w := dialWire(t, addr)
	w.send(startupOf(v30, "user", user, "database", "pg/postgres"))
	typ, body := w.message()
	require.Equal(t, "R\x00\x00\x00\x0aSCRAM-SHA-256\x00\x00", string(typ)+string(body))
	first := "n=,r=abcdefghijkl"
	w.send(msg('p', "SCRAM-SHA-256\x00\x00\x00\x00\x14n,,"+first))
	typ, body = w.message()
	require.Equal(t, "R\x00\x00\x00\x0b", string(typ)+string(body[:4]), "%q", body)
	serverFirst := string(body[4:])
	var nonce string
	var iterations int
	for _, f := range strings.Split(serverFirst, ",") {
		switch f[:2] {
		case "r=":
			nonce = f[2:]
		case "s=":
			salt = f[2:]
		case "i=":
			_, err := fmt.Sscan(f[2:], &iterations)
			require.NoError(t, err)
		}
	}
	raw, err := base64.StdEncoding.DecodeString(salt)
	require.NoError(t, err)
	mac := func(key []byte, s string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(s))
		return h.Sum(nil)
	}
	salted := mac([]byte(password), string(raw)+"\x00\x00\x00\x01")
	for u, i := salted, 1; i < iterations; i++ {
		u = mac([]byte(password), string(u))
		for j := range u {
			salted = append([]byte(nil), salted...)
			salted[j] ^= u[j]
		}
	}
	clientKey := mac(salted, "Client Key")
	stored := sha256.Sum256(clientKey)
	without := "c=biws,r=" + nonce
	proof := mac(stored[:], first+","+serverFirst+","+without)
	for i := range proof {
		proof[i] ^= clientKey[i]
	}
	w.send(msg('p', without+",p="+base64.StdEncoding.EncodeToString(proof)))
	typ, body = w.message()
	said = fmt.Sprintf("%s: %d salt bytes, %d iterations, nonce of %d", string(typ), len(raw), iterations, len(nonce))
	if typ == 'E' {
		said += fmt.Sprint(fields(body))
		w.closed()
	}
	return salt, said
}

// An account that does not exist cannot be told from a wrong password: not by
// the course of the exchange, not by the salt of two attempts, not by the text.
func TestUnknownAccountsLookLikeWrongPasswords(t *testing.T) {
	r := scramRig(t, nil)
	_, said := scramTry(t, r.addr, "alice", scramPassword)
	require.True(t, strings.HasPrefix(said, "R:"), said)
	known, wrong := scramTry(t, r.addr, "alice", "wrong")
	again, _ := scramTry(t, r.addr, "alice", "wrong")
	require.Equal(t, known, again)

	mock, unknown := scramTry(t, r.addr, "mallory", "wrong")
	require.Equal(t, strings.ReplaceAll(wrong, "alice", "mallory"), unknown)
	again, _ = scramTry(t, r.addr, "mallory", "wrong")
	require.Equal(t, mock, again, "the salt of an account does not change")
	other, _ := scramTry(t, r.addr, "mallorie", "wrong")
	require.NotEqual(t, mock, other)
}

func TestMalformedScram(t *testing.T) {
	r := scramRig(t, nil)
	for _, user := range []string{"alice", "nobody"} {
		for name, m := range map[string][]byte{
			"another mechanism":      msg('p', "SCRAM-SHA-1\x00\x00\x00\x00\x00"),
			"PLUS was not offered":   msg('p', "SCRAM-SHA-256-PLUS\x00\x00\x00\x00\x03n,,"),
			"binding":                msg('p', "SCRAM-SHA-256\x00\x00\x00\x00\x21p=tls-unique,,n=,r=abcdefghijklmn"),
			"no response":            msg('p', "SCRAM-SHA-256\x00\xff\xff\xff\xff"),
			"negative length":        msg('p', "SCRAM-SHA-256\x00\xff\xff\xff\xfe"),
			"longer than it is":      msg('p', "SCRAM-SHA-256\x00\x7f\xff\xff\xffn,,"),
			"no NUL":                 msg('p', "SCRAM-SHA-256"),
			"an authorization id":    msg('p', "SCRAM-SHA-256\x00\x00\x00\x00\x1cn,a=admin,n=,r=abcdefghijklm"),
			"a short nonce":          msg('p', "SCRAM-SHA-256\x00\x00\x00\x00\x0bn,,n=,r=abc"),
			"a mandatory extension":  msg('p', "SCRAM-SHA-256\x00\x00\x00\x00\x18n,,m=x,n=,r=abcdefghijkl"),
			"nothing but commas":     msg('p', "SCRAM-SHA-256\x00\x00\x00\x00\x08,,,,,,,,"),
			"more than SCRAM needs":  msg('p', "SCRAM-SHA-256\x00\x00\x00\x13\x8cn,,n=,r="+strings.Repeat("a", 4996)),
			"not a password message": msg('Q', "select 1\x00"),
		} {
			w := dialWire(t, r.addr)
			w.send(startupOf(v30, "user", user, "database", "pg/postgres"))
			w.until("R")
			w.send(m)
			code, _ := w.fatal()
			require.Equal(t, "08P01", code, "%s: %s", user, name)
		}
	}
}
