package mysql_test

import (
	"context"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	connector "github.com/sallyport-dev/gateway/protocol/mysql"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/mytest"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// TestMySQL uses MySQL itself as the target: the login with what it has, results
// in its own forms, and its own client.
func TestMySQL(t *testing.T) {
	db := mytest.StartMySQL(t, servers.MySQLConfig{SQL: append(append([]string{"INSTALL COMPONENT 'file://component_query_attributes'"}, sample...),
		"CREATE USER app IDENTIFIED WITH caching_sha2_password BY 'target secret'", "GRANT ALL ON *.* TO app",
		"CREATE USER old IDENTIFIED WITH sha256_password BY 'target secret'", "GRANT ALL ON *.* TO old",
		"USE shop", "CREATE PROCEDURE several() BEGIN SELECT 1 AS a; SELECT 'two' AS b, 3 AS c; END",
		"CREATE PROCEDURE mail_into(OUT m VARCHAR(80)) SELECT email INTO m FROM customers WHERE id = 1",
		"CREATE PROCEDURE ssn_into(OUT n BIGINT) SELECT REPLACE(ssn, '-', '') + 0 INTO n FROM customers WHERE id = 1",
	)})
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, db.Authority.PEM(), 0o600))
	key := filepath.Join(t.TempDir(), "key.pem")
	out, err := db.Exec(t.Context(), "SHOW STATUS LIKE 'Caching_sha2_password_rsa_public_key'")
	require.NoError(t, err)
	_, pem, _ := strings.Cut(out, "\t")
	require.NoError(t, os.WriteFile(key, []byte(pem), 0o600))
	account := func(user string) *protocol.Credentials {
		return &protocol.Credentials{User: user, Secret: protocol.NewSecret("target secret")}
	}
	verified := map[string]string{"sslmode": "verify-full", "sslrootcert": ca}
	target := func(c rigConfig) rigConfig {
		c.target = db.Addr
		if c.account == nil {
			c.account = account("app")
		}
		if c.options == nil {
			c.options = verified
		}
		if c.server == nil {
			c.server = &connector.Server{Version: db.Install.Version}
		}
		return c
	}

	t.Run("logins", func(t *testing.T) {
		for _, c := range []struct {
			name, user string
			options    map[string]string
			fails      bool
		}{
			{"no TLS and no key", "app", map[string]string{"sslmode": "disable"}, true},
			{"TLS that proves nothing", "app", map[string]string{"sslmode": "require"}, true},
			{"its key", "app", map[string]string{"sslmode": "disable", "server_public_key": key}, false},
			{"from its cache", "app", map[string]string{"sslmode": "disable"}, false},
			{"sha256, its word for its key", "old", map[string]string{"sslmode": "disable", "server_public_key": "ask"}, false},
			{"sha256, no key", "old", map[string]string{"sslmode": "disable"}, true},
			{"sha256, TLS", "old", verified, false},
			{"TLS", "app", verified, false},
			{"another plugin", "app", map[string]string{"sslmode": "verify-full", "sslrootcert": ca, "require_auth": "client_ed25519"}, true},
		} {
			t.Run(c.name, func(t *testing.T) {
				r := newRig(t, target(rigConfig{account: account(c.user), options: c.options}))
				var who string
				err := r.connect(t).QueryRow("SELECT CURRENT_USER()").Scan(&who)
				if c.fails {
					require.Error(t, err)
					return
				}
				require.NoError(t, err)
				require.Equal(t, c.user+"@%", who)
			})
		}
	})

	// What drivers and MySQL's client print is the same with and without a
	// gateway, also if a step looks at everything.
	t.Run("clients", func(t *testing.T) {
		node, modules, err := servers.NodeModule(t.Context(), os.Stderr, "mysql2", mysql2Version)
		require.NoError(t, err)
		direct := []string{"HOST=" + db.Host, "PORT=" + strconv.Itoa(db.Port), "USER=root", "PASSWORD=" + db.Superuser.Secret.Reveal(), "DATABASE=shop"}
		want := script(t, append(direct, "NODE_PATH="+modules), node, "testdata/clients/with_mysql2.js")
		client := func(host, port, user, password string, args ...string) string {
			cmd := exec.CommandContext(t.Context(), db.Install.Client, append([]string{"--no-defaults", "-h", host, "-P", port, "--protocol=tcp", "-u", user,
				"--enable-cleartext-plugin", "--force", "-vvv", "--show-warnings", "--column-type-info"}, args...)...)
			cmd.Env = append(cmd.Environ(), "MYSQL_PWD="+password)
			cmd.Stdin = strings.NewReader(mysqlScript)
			out, _ := cmd.CombinedOutput() // some statements fail
			return withoutTimes(string(out))
		}
		wantClient := client(db.Host, strconv.Itoa(db.Port), "root", db.Superuser.Secret.Reveal(), "shop")
		require.Contains(t, wantClient, "session_attribute")
		for name, steps := range map[string][]middleware.Step{"gateway": nil, "gateway that looks": {looking()}} {
			r := newRig(t, target(rigConfig{steps: steps}))
			require.Equal(t, want, script(t, append(r.through(), "NODE_PATH="+modules), node, "testdata/clients/with_mysql2.js"), name)
			require.Equal(t, wantClient, client(r.host, r.port, "alice@my", r.token, "shop"), name)
		}
	})

	t.Run("members", func(t *testing.T) {
		_, err := db.Exec(t.Context(), strings.Join(peopleSQL(), ";\n"))
		require.NoError(t, err)
		maskedMembers(t, newRig(t, target(rigConfig{steps: []middleware.Step{maskDocuments("")}})), []struct{ of, want string }{
			{"doc->'$.city'", `"Rome"`}, {"doc->>'$.city'", "Rome"}, {"doc->'$.home'", `{"zip": "00100", "street": "***"}`}, {"doc->>'$.home'", `{"zip": "00100", "street": "***"}`},
			{"doc->'$.email'", `"***"`}, {"doc->>'$.email'", "***"}, {"doc->>'$.kin[0].age'", "7"}, {"doc->>'$.kin[0].ssn'", "***"}, {`doc->>'$."a.b"'`, "1"}, {"doc->'$[0].city'", `"Rome"`},
		}...)
	})

	t.Run("masks", func(t *testing.T) {
		r := newRig(t, target(rigConfig{steps: []middleware.Step{maskShop()}}))
		pool := r.connect(t)
		got, err := everything(pool, "SELECT id, email, ssn FROM customers ORDER BY id")
		require.NoError(t, err)
		require.Equal(t, "1|***|*********89|\n2|***|*********21|\n3|||\n", got)
		stmt, err := pool.Prepare("WITH c AS (SELECT email AS e FROM customers) SELECT e FROM c LIMIT 1")
		require.NoError(t, err)
		got, err = everything(preparedQuery{stmt}, "")
		require.NoError(t, err)
		require.Equal(t, "***|\n", got)
		for _, c := range []struct{ text, want string }{
			{"SELECT x.a, x.b FROM (SELECT id, name FROM customers) AS x(a, b) ORDER BY a LIMIT 1", "1|Ada|\n"},
			{"SELECT name, (SELECT MAX(i) FROM (SELECT amount FROM orders WHERE customer = customers.id) o (i)) FROM customers WHERE id = 2", "Bob|10|\n"},
			{"INSERT INTO orders (id, item) VALUES (1, 'tea') AS new ON DUPLICATE KEY UPDATE item = CONCAT(new.item)", ""},
			{"INSERT INTO orders SET id = 1, item = 'tea' AS `n` ON DUPLICATE KEY UPDATE item = `n`.`item`", ""},
			{"INSERT INTO customers (id, email) VALUES (1, 'ada@example.com') AS new ON DUPLICATE KEY UPDATE email = new.email", ""},
			{"SELECT JSON_VALUE('{\"a\":5}', '$.a' RETURNING UNSIGNED DEFAULT 1 ON EMPTY NULL ON ERROR)", "5|\n"},
			{"EXPLAIN FORMAT=TREE SELECT name FROM customers WHERE id = 1", "-> Rows fetched before execution  (cost=0..0 rows=1)\n|\n"},
			{"SELECT ANY_VALUE(name), ANY_VALUE(email) FROM customers WHERE id = 1", "Ada|***|\n"},
		} {
			got, err := everything(pool, c.text)
			require.NoError(t, err, c.text)
			require.Equal(t, c.want, got, c.text)
		}
		for _, text := range append([]string{
			"SELECT /*+ QB_NAME(`*/ 'x' FROM customers -- `) */ email FROM customers",
			"SELECT /*+ SET_VAR(sql_mode = 'ANSI_QUOTES') */ \"email\" FROM customers",
			"INSERT INTO orders (id, item) VALUES (1, 'x') AS new ON DUPLICATE KEY UPDATE item = (SELECT new.email FROM customers new LIMIT 1); SELECT item FROM orders",
			"INSERT INTO orders (id, item) VALUES (1, 'x') AS new ON DUPLICATE KEY UPDATE item = (SELECT `new`.email FROM customers `new` LIMIT 1); SELECT item FROM orders",
			"INSERT INTO orders (id, item) VALUES (1, (SELECT MAX(email) FROM customers)) AS new ON DUPLICATE KEY UPDATE item = new.item; SELECT item FROM orders",
			"INSERT INTO customers (id, city) VALUES (1, 'x') AS new(email, c) ON DUPLICATE KEY UPDATE city = customers.email; SELECT city FROM customers",
			"SELECT b FROM (SELECT id, CONCAT(email) FROM customers) AS x(a, b)",
			"SELECT (SELECT MAX(a) FROM (SELECT CONCAT(email)) AS x(a)) FROM customers",
			"SELECT x.b FROM customers, LATERAL (SELECT CONCAT(customers.email)) AS x(b)",
			"WITH x AS (SELECT CONCAT(email) AS a FROM customers) SELECT a FROM (SELECT a FROM x) AS x(a)",
			"SELECT JSON_VALUE(JSON_OBJECT('a', email), '$.a' RETURNING CHAR(20) ERROR ON ERROR) FROM customers",
			"SELECT JSON_VALUE(JSON_OBJECT('a', email), '$.a' RETURNING UNSIGNED ERROR ON ERROR) FROM customers",
			"EXPLAIN FORMAT=TREE SELECT * FROM orders WHERE item = (SELECT email FROM customers WHERE id = 1)",
			"SET explain_format = 'TREE'; EXPLAIN SELECT * FROM orders WHERE item = (SELECT email FROM customers WHERE id = 1)",
			"CREATE VIEW v3 AS SELECT name FROM customers; ALTER VIEW v3 AS SELECT CONCAT(email) AS name FROM customers; SELECT name FROM v3",
		}, attacks...) {
			db := r.connect(t)
			var seen strings.Builder
			for part := range strings.SplitSeq(text, "; ") {
				got, _ := everything(db, part)
				seen.WriteString(got)
			}
			_ = db.Close()
			require.Empty(t, secretsIn(seen.String()), "%s\n%s", text, seen.String())
		}
		out, err := db.Exec(t.Context(), "SELECT email FROM shop.customers WHERE id = 1")
		require.NoError(t, err)
		require.Contains(t, out, "ada@example.com", "nothing of it has changed a thing")
	})

	t.Run("holds and kills", func(t *testing.T) {
		r := newRig(t, target(rigConfig{steps: []middleware.Step{rules(map[string]func(*protocol.Operation) protocol.Decision{
			"forbidden": func(*protocol.Operation) protocol.Decision { return protocol.Deny("frozen") }})}}))
		pool := r.connect(t)
		_, err := pool.Exec("INSERT INTO orders (item) VALUES ('forbidden')")
		require.EqualValues(t, 1227, number(t, err))
		var id uint64
		require.NoError(t, pool.QueryRow("SELECT CONNECTION_ID()").Scan(&id))
		_, err = r.connect(t).Exec("KILL " + strconv.FormatUint(id, 10))
		require.NoError(t, err)
		require.Error(t, pool.Ping())
	})
}

// mysqlScript is what MySQL's own client is asked.
const mysqlScript = `query_attributes session_attribute yes
SELECT mysql_query_attribute_string('session_attribute') AS session_attribute;
SELECT 1 AS one, 'two', NULL, 3.5;
SELECT * FROM customers ORDER BY id;
SHOW FULL COLUMNS FROM customers;
SHOW CREATE TABLE orders;
SET SESSION sql_mode = 'ANSI';
SELECT "id" FROM orders;
SET SESSION sql_mode = DEFAULT;
CALL several();
SELECT * FROM nothing;
SELECT 'a' + 1;
SHOW WARNINGS;
START TRANSACTION;
UPDATE orders SET amount = 4 WHERE id = 1;
ROLLBACK;
use mysql
SELECT DATABASE();
use shop
resetconnection
SELECT DATABASE();
VALUES ROW(1, 2), ROW(3, 4);
SELECT JSON_OBJECT('a', 1) AS j, CAST(1 AS UNSIGNED), x'00ff', TIMESTAMP '2020-01-02 03:04:05.678';
WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT * FROM n;
SELECT SLEEP(0);
/* nothing */;
`

// TestOpenIDConnectClient logs in with the plugin of MySQL's own client that sends
// a token from a file.
func TestOpenIDConnectClient(t *testing.T) {
	inst := mytest.FindMySQL(t)
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	jwt := func(subject string) string { // which the plugin looks at
		return part(`{"alg":"RS256","typ":"JWT"}`) + "." + part(`{"iss":"https://issuer.example.com","sub":"`+subject+`","exp":4102444800}`) + "." + part("signature")
	}
	r := newRig(t, rigConfig{identify: middleware.Step{Name: "issuer", Authenticate: func(_ context.Context, l *protocol.Login) (*protocol.Identity, error) {
		if p, ok := l.Proof.(protocol.Token); ok && p.Secret.Reveal() == jwt("alice") {
			return &protocol.Identity{Issuer: "https://issuer.example.com", Subject: "alice", Kind: protocol.Human, Groups: []string{"dba"}}, nil
		}
		return nil, nil
	}}})
	file := filepath.Join(t.TempDir(), "token")
	login := func(token string, more ...string) (string, error) {
		require.NoError(t, os.WriteFile(file, []byte(token), 0o600))
		args := append([]string{"--no-defaults", "-h", r.host, "-P", r.port, "--protocol=tcp", "-u", "alice@my", "--plugin-dir=" + inst.Plugins,
			"--default-auth=authentication_openid_connect_client", "--authentication-openid-connect-client-id-token-file=" + file,
			"-N", "-B", "-e", "SELECT 6 * 7", "shop"}, more...)
		out, err := exec.CommandContext(t.Context(), inst.Client, args...).CombinedOutput()
		return string(out), err
	}
	out, err := login(jwt("alice"))
	require.NoError(t, err, out)
	require.Equal(t, "42\n", out)
	out, err = login(jwt("mallory"))
	require.Error(t, err, out)
	require.Contains(t, out, "1045")
}
