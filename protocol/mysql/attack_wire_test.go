package mysql_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/mytest"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// rawMySQL is rawSide in front of a MySQL.
func rawMySQL(t testing.TB, c rigConfig) *rig {
	db := mytest.StartMySQL(t, servers.MySQLConfig{SQL: append(append(append([]string{}, sample...), c.maria.SQL...),
		"CREATE USER app IDENTIFIED WITH caching_sha2_password BY 'target secret'", "GRANT ALL ON *.* TO app")})
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, db.Authority.PEM(), 0o600))
	c.target, c.account = db.Addr, &protocol.Credentials{User: "app", Secret: protocol.NewSecret("target secret")}
	c.options = map[string]string{"sslmode": "verify-full", "sslrootcert": ca}
	return rawSide(t, c)
}

// wireAttacks try to see what is masked by what no client's library sends, each in
// its own way.
var wireAttacks = []struct {
	name     string
	caps     uint32
	commands [][]byte
}{
	{"a cursor of before an execution that the target refuses", 0, [][]byte{
		command(mysql.COM_STMT_PREPARE, "SELECT email, ? FROM customers WHERE email IS NOT NULL ORDER BY id"), execution(1, 1, "x"),
		bytes.Replace(execution(1, 0, "x"), []byte{mysql.MYSQL_TYPE_VAR_STRING}, []byte{0xf3}, 1), fetchOf(1)}},
	{"names of tables without their databases", mysql.CLIENT_NO_SCHEMA, [][]byte{
		command(mysql.COM_QUERY, "SELECT CONCAT(email) FROM other.customers"), command(mysql.COM_QUERY, "SELECT * FROM (SELECT CONCAT(other.customers.email) FROM other.customers) x")}},
	{"an attribute of which the gateway reads one byte and MySQL a text", mysql.CLIENT_QUERY_ATTRIBUTES, [][]byte{
		command(mysql.COM_QUERY, "\x01\x01\x00\x01", "\x01\x01", "\x01a", "\x0eSELECT 1 -- x ", "SELECT CONCAT(email) FROM customers")}},
	{"a name that MySQL reads as a question mark", 0, [][]byte{
		command(mysql.COM_QUERY, "SELECT (SELECT `😀` FROM (SELECT CONCAT(email) AS `?` FROM customers LIMIT 1) y) AS r FROM (SELECT 'z' AS `😀`) x"),
		command(mysql.COM_QUERY, "SELECT (SELECT `😀`.a FROM (SELECT CONCAT(email) AS a FROM customers LIMIT 1) `?`) AS r FROM (SELECT 'z' AS a) `😀`")}},
	{"a prepared text that is read again in another character set", 0, [][]byte{
		command(mysql.COM_QUERY, "CREATE TEMPORARY TABLE own (a INT)"), command(mysql.COM_QUERY, "INSERT INTO own VALUES (1)"),
		command(mysql.COM_STMT_PREPARE, "SELECT '字\\', CONCAT(email) FROM customers -- ', a FROM own"),
		command(mysql.COM_QUERY, "DROP TEMPORARY TABLE own"), command(mysql.COM_QUERY, "CREATE TEMPORARY TABLE own (a INT, b INT)"),
		command(mysql.COM_QUERY, "SET NAMES gbk"), command(mysql.COM_STMT_EXECUTE, "\xff\xff\xff\xff\x00\x01\x00\x00\x00")}},
}

// fetchOf is a COM_STMT_FETCH of one row.
func fetchOf(id byte) []byte {
	return command(mysql.COM_STMT_FETCH, string([]byte{id, 0, 0, 0, 1, 0, 0, 0}))
}

// TestArgumentsAreThoseOfTheTarget sends arguments of every type and in every width: what
// a step is told of the second one is what the target takes it for.
func TestArgumentsAreThoseOfTheTarget(t *testing.T) {
	for name, side := range map[string]func(testing.TB, rigConfig) *rig{"MariaDB": rawSide, "MySQL": rawMySQL} {
		t.Run(name, func(t *testing.T) {
			args := make(chan string, 1)
			r := side(t, rigConfig{steps: []middleware.Step{{Name: "args", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
				if len(op.Args) == 2 {
					args <- op.Args[1].Text
				}
				return protocol.Pass, nil
			}}}})
			c := rawLogin(t, r.addr, "alice@my", rawPassword, "shop", rawCaps)
			c.ask(command(mysql.COM_STMT_PREPARE, "SELECT CONCAT(?), CONCAT(?)"))
			long := strings.Repeat("\x00", 100)
			executed := 0
			for typ := range 256 {
				for _, flags := range []byte{0, 0x80, 1} {
					if flags == 1 && typ > 20 && typ < 242 {
						continue
					}
					for _, value := range []string{"", "\x04", "\x04a", "\x04abc", "\x04abcdefg", "\x04\xe4\x07\x01\x02", "\x05\xe4\x07\x01\x02\x03", "\xfc\x04\x00\xe4\x07\x01\x02\x03see" + long + long + long} {
						if typ > 20 && typ < 242 && len(value) != 2 {
							continue
						}
						for _, long := range []bool{false, true} {
							if long {
								c.seq = 0
								require.NoError(t, c.write(command(mysql.COM_STMT_SEND_LONG_DATA, "\x01\x00\x00\x00\x00\x00", "ahead")))
							}
							answer := c.ask(command(mysql.COM_STMT_EXECUTE, string([]byte{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, byte(typ), flags, mysql.MYSQL_TYPE_VAR_STRING, 0}), value, "\x03see"))
							var told string
							select {
							case told = <-args:
							default: // refused by the gateway
							}
							if len(answer) == 6 {
								executed++
								require.True(t, bytes.HasSuffix(answer[4], append([]byte{byte(len(told))}, told...)), "type %#x, %#x, %q: told %q\n%s", typ, flags, value, told, brief(answer))
							}
						}
					}
				}
			}
			require.Greater(t, executed, 20)
		})
	}
}

// TestDatabaseBeyondTheResultsCharacterSet is in a database whose name cannot be told in
// the character set of results, while there is another of the name that is told.
func TestDatabaseBeyondTheResultsCharacterSet(t *testing.T) {
	r := rawSide(t, rigConfig{maria: servers.MariaDBConfig{SQL: []string{"SET NAMES utf8mb4", "CREATE DATABASE `店`", "CREATE TABLE `店`.customers SELECT * FROM shop.customers",
		"CREATE DATABASE `?`", "CREATE TABLE `?`.customers (id INT, email VARCHAR(80))"}},
		steps: []middleware.Step{middleware.Mask(mask.Rule{Name: "email", Columns: []string{"店.customers.email"}, Transform: mask.Redact()})}})
	c := rawLogin(t, r.addr, "alice@my", rawPassword, "shop", rawCaps)
	for _, text := range []string{"USE `店`", "SELECT CONCAT(email) FROM customers", "SET character_set_results = latin1", "SELECT CONCAT(email) FROM customers"} {
		answer := brief(c.ask(command(mysql.COM_QUERY, text)))
		require.Empty(t, secretsIn(answer), text)
	}
}

// TestNothingMaskedComesBackByOtherPackets sends them to both servers.
func TestNothingMaskedComesBackByOtherPackets(t *testing.T) {
	other := servers.MariaDBConfig{SQL: []string{"CREATE DATABASE other", "CREATE TABLE other.customers (id INT, email VARCHAR(80))"}}
	for name, side := range map[string]func(testing.TB, rigConfig) *rig{"MariaDB": rawSide, "MySQL": rawMySQL} {
		t.Run(name, func(t *testing.T) {
			r := side(t, rigConfig{steps: []middleware.Step{maskShop()}, maria: other})
			for _, a := range wireAttacks {
				c := rawLogin(t, r.addr, "alice@my", rawPassword, "shop", rawCaps|a.caps)
				var answers [][]byte
				for _, b := range a.commands {
					answers = append(answers, c.ask(b)...)
				}
				if form := secretsIn(brief(answers)); form != "" {
					t.Errorf("%s: shows %q:\n%s", a.name, form, brief(answers))
				}
				_ = c.Close()
			}
		})
	}
}
