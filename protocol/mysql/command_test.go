package mysql_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// commandsAsOperations are commands that are no SQL, and what a step reads of
// them.
var commandsAsOperations = []struct {
	command []byte
	verb    protocol.Verb
	text    string
	access  protocol.Access
}{
	{command(mysql.COM_PING), "ping", "ping", protocol.Control},
	{command(mysql.COM_SET_OPTION, "\x00\x00"), "set option", "set option multi statements on", protocol.Control},
	{command(mysql.COM_SET_OPTION, "\x01\x00"), "set option", "set option multi statements off", protocol.Control},
	{command(mysql.COM_INIT_DB, "mysql"), "use", "USE `mysql`", protocol.Control},
	{command(mysql.COM_FIELD_LIST, "orders\x00"), "show columns", "SHOW COLUMNS FROM `orders`", protocol.Read},
	{command(mysql.COM_STATISTICS), "show status", "SHOW STATUS", protocol.Read},
	{command(mysql.COM_PROCESS_INFO), "show", "SHOW PROCESSLIST", protocol.Read},
	{command(mysql.COM_PROCESS_KILL, "\x07\x00\x00\x00"), "kill", "KILL 7", protocol.Admin},
	{command(mysql.COM_DEBUG), "debug", "debug", protocol.Admin},
	{command(mysql.COM_REFRESH, "\x05"), "flush", "FLUSH PRIVILEGES, TABLES", protocol.Admin},
	{command(mysql.COM_RESET_CONNECTION), "reset connection", "reset connection", protocol.Control},
	{command(mysql.COM_QUERY), "empty", "", protocol.Control},
	{command(mysql.COM_QUERY, "/* nothing */"), "empty", "/* nothing */", protocol.Control},
	{command(mysql.COM_STMT_PREPARE, ";"), "empty", ";", protocol.Control},
}

// The columns of a table are those of the database that was chosen before.
func TestFieldListInAnotherDatabase(t *testing.T) {
	r := rawSide(t, rigConfig{steps: []middleware.Step{{Name: "ask", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if len(op.Objects) > 0 && op.Objects[0].Name == "mysql.user" {
			return protocol.Deny("not that one"), nil
		}
		return protocol.Pass, nil
	}}}})
	for _, use := range [][]byte{command(mysql.COM_INIT_DB, "mysql"), command(mysql.COM_QUERY, "USE mysql")} {
		c := rawLogin(t, r.addr, "alice@my", rawPassword, "shop", rawCaps)
		c.seq = 0
		require.NoError(t, c.write(use))
		_, err := c.read()
		require.NoError(t, err)
		require.Contains(t, brief(c.ask(command(mysql.COM_FIELD_LIST, "user\x00"))), "not that one")
	}
}

// TestEachCommandIsAnOperation sends each command to a gateway that refuses
// everything: a step is asked about it, the client is told, and the session goes
// on.
func TestEachCommandIsAnOperation(t *testing.T) {
	var mu sync.Mutex
	var asked []protocol.Operation
	refuse := false
	r := rawSide(t, rigConfig{steps: []middleware.Step{{Name: "ask", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		mu.Lock()
		defer mu.Unlock()
		if op.Verb == protocol.Connect || strings.Contains(op.Text, "marker") {
			return protocol.Pass, nil
		}
		asked = append(asked, protocol.Operation{Verb: op.Verb, Text: op.Text, Access: op.Access})
		if refuse {
			return protocol.Deny("nothing today"), nil
		}
		return protocol.Pass, nil
	}}}})
	c := rawLogin(t, r.addr, "alice@my", rawPassword, "shop", rawCaps)
	// ask sends a command and returns what the step was asked meanwhile.
	ask := func(command []byte, refused bool) ([][]byte, []protocol.Operation) {
		mu.Lock()
		refuse, asked = refused, nil
		mu.Unlock()
		answer := c.ask(command)
		mu.Lock()
		defer mu.Unlock()
		return answer, asked
	}
	for _, cmd := range commandsAsOperations {
		answer, asked := ask(cmd.command, true)
		require.Len(t, answer, 1, cmd.text)
		require.Contains(t, string(answer[0]), "nothing today", cmd.text)
		require.Len(t, asked, 1, cmd.text)
		require.Equal(t, cmd.verb, asked[0].Verb, cmd.text)
		require.Equal(t, cmd.text, asked[0].Text)
		require.True(t, asked[0].Access.Has(cmd.access), "%s: %s", cmd.text, asked[0].Access)
	}
	answer, asked := ask(command(mysql.COM_PING), false)
	require.Equal(t, byte(0), answer[0][1])
	require.Len(t, asked, 1)
}

// TestNamesInAnotherCharacterSet: a name that comes in a character set of which the gateway
// reads ASCII only is not one that a rule can know.
func TestNamesInAnotherCharacterSet(t *testing.T) {
	r := rawSide(t, rigConfig{maria: servers.MariaDBConfig{SQL: []string{"SET NAMES utf8mb4", "CREATE DATABASE `é`", "CREATE TABLE `é`.`é` (hidden INT)", "CREATE TABLE shop.`é` (hidden INT)"}},
		steps: []middleware.Step{{Name: "names", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
			if strings.Contains(op.Text, "é") || op.Access.Has(protocol.Opaque) {
				return protocol.Deny("not that one"), nil
			}
			return protocol.Pass, nil
		}}}})
	c := rawLogin(t, r.addr, "alice@my", rawPassword, "shop", rawCaps)
	for _, cmd := range [][]byte{command(mysql.COM_INIT_DB, "é"), command(mysql.COM_FIELD_LIST, "é\x00")} {
		require.Contains(t, brief(c.ask(cmd)), "not that one")
	}
	c.ask(command(mysql.COM_QUERY, "SET NAMES latin1"))
	for _, cmd := range [][]byte{command(mysql.COM_INIT_DB, "\xe9"), command(mysql.COM_FIELD_LIST, "\xe9\x00"), command(mysql.COM_CHANGE_USER, "alice@my\x00\x00\xe9\x00\x08\x00")} {
		require.Contains(t, brief(c.ask(cmd)), "not that one", "%q", cmd)
	}
	require.Contains(t, brief(c.ask(command(mysql.COM_INIT_DB, "shop"))), `\x01\x00\x00`)
}
