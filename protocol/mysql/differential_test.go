package mysql_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// toolScripts are what tools ask of a server, by tool.
var toolScripts = map[string]string{
	"Connector/J": `/* mysql-connector-j-8.4.0 */SELECT @@session.auto_increment_increment AS auto_increment_increment, @@character_set_client AS character_set_client, @@character_set_connection AS character_set_connection, @@character_set_results AS character_set_results, @@character_set_server AS character_set_server, @@collation_server AS collation_server, @@collation_connection AS collation_connection, @@init_connect AS init_connect, @@interactive_timeout AS interactive_timeout, @@license AS license, @@lower_case_table_names AS lower_case_table_names, @@max_allowed_packet AS max_allowed_packet, @@net_write_timeout AS net_write_timeout, @@sql_mode AS sql_mode, @@system_time_zone AS system_time_zone, @@time_zone AS time_zone, @@wait_timeout AS wait_timeout;
SET character_set_results = NULL;
SET autocommit=1;
SET sql_mode='STRICT_TRANS_TABLES';
SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;
SET SESSION TRANSACTION READ ONLY;
SELECT @@session.tx_isolation;
SET SESSION TRANSACTION READ WRITE;
SET NAMES utf8mb4;
SHOW VARIABLES WHERE Variable_name = 'sql_mode' OR Variable_name = 'lower_case_table_names';
SELECT DATABASE();
SHOW WARNINGS;
SET SQL_SELECT_LIMIT=2;
SELECT id FROM customers;
SET SQL_SELECT_LIMIT=DEFAULT;
SET autocommit=0;
UPDATE orders SET amount = amount + 1;
ROLLBACK;
SET autocommit=1;
SELECT TABLE_SCHEMA AS TABLE_CAT, NULL AS TABLE_SCHEM, TABLE_NAME, CASE WHEN TABLE_TYPE='BASE TABLE' THEN CASE WHEN TABLE_SCHEMA = 'mysql' OR TABLE_SCHEMA = 'performance_schema' THEN 'SYSTEM TABLE' ELSE 'TABLE' END WHEN TABLE_TYPE='TEMPORARY' THEN 'LOCAL_TEMPORARY' ELSE TABLE_TYPE END AS TABLE_TYPE, TABLE_COMMENT AS REMARKS FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'shop' HAVING TABLE_TYPE IN ('TABLE','VIEW',null,null,null) ORDER BY TABLE_TYPE, TABLE_SCHEMA, TABLE_NAME;
SHOW FULL COLUMNS FROM customers FROM shop LIKE '%';
SHOW KEYS FROM orders FROM shop;
SHOW PROCEDURE STATUS LIKE 'sev%';
`,
	"DBeaver": `SET SESSION net_write_timeout=600;
SHOW ENGINES;
SHOW CHARACTER SET LIKE 'utf8%';
SHOW COLLATION LIKE 'utf8mb4_general%';
SHOW PLUGINS;
SELECT * FROM information_schema.SCHEMATA ORDER BY SCHEMA_NAME;
SHOW FULL TABLES FROM shop;
SHOW TABLE STATUS FROM shop LIKE 'cust%';
SELECT COLUMN_NAME, DATA_TYPE, COLUMN_DEFAULT FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'shop' ORDER BY TABLE_NAME, ORDINAL_POSITION;
SELECT * FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = 'shop' ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX;
SELECT * FROM information_schema.KEY_COLUMN_USAGE WHERE TABLE_SCHEMA = 'shop' ORDER BY TABLE_NAME, CONSTRAINT_NAME;
SELECT * FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = 'shop';
SELECT SPECIFIC_NAME, ROUTINE_TYPE, SQL_DATA_ACCESS FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = 'shop';
SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = 'shop';
SELECT TABLE_NAME, VIEW_DEFINITION FROM information_schema.VIEWS WHERE TABLE_SCHEMA = 'shop';
SHOW CREATE TABLE shop.customers;
SHOW CREATE VIEW shop.contacts;
SHOW CREATE PROCEDURE shop.several;
SHOW INDEX FROM orders;
SHOW TRIGGERS FROM shop;
SHOW EVENTS FROM shop;
SHOW GRANTS;
EXPLAIN SELECT * FROM customers WHERE id = 1;
EXPLAIN FORMAT=JSON SELECT * FROM orders;
EXPLAIN EXTENDED SELECT id FROM customers;
DESCRIBE orders;
SELECT CURRENT_USER(), USER() LIKE 'root@%';
SELECT id, name, city FROM customers LIMIT 0, 200;
`,
	"a person": `help
status_is_no_command;
SELECT * FROM customers\G
SELECT 1 AS "a name with spaces", NULL, '', 0x00ff, 1.50, TRUE, DATE '2020-01-02', INTERVAL(3, 1, 2), '§';
SELECT 'unterminated;
';
SELECT 1;; SELECT 2;
# a comment
-- another
/* and */ SELECT /* one more */ 3 -- here
;
DELIMITER //
CREATE PROCEDURE shop.loops(n INT) BEGIN DECLARE i INT DEFAULT 0; WHILE i < n DO SELECT i; SET i = i + 1; END WHILE; END//
DELIMITER ;
CALL loops(3);
DROP PROCEDURE loops;
CREATE TEMPORARY TABLE kept (a INT AUTO_INCREMENT PRIMARY KEY, b VARCHAR(5));
INSERT INTO kept (b) VALUES ('a'), ('b'), (NULL);
INSERT INTO kept (b) VALUES ('too long');
SELECT LAST_INSERT_ID();
SELECT * FROM kept ORDER BY a DESC;
REPLACE INTO kept VALUES (1, 'c');
DELETE FROM kept WHERE a > 1;
SELECT FOUND_ROWS();
SET @v = 5;
SELECT @v + 1, @unknown;
PREPARE p FROM 'SELECT ? + 1';
EXECUTE p USING @v;
DEALLOCATE PREPARE p;
use information_schema
SELECT DATABASE();
use nothing
use shop
LOCK TABLES orders READ;
UPDATE orders SET amount = 1;
UNLOCK TABLES;
SELECT * FROM orders WHERE id = (SELECT id FROM orders);
SELECT 1/0, CAST('x' AS INT);
SHOW WARNINGS;
SHOW COUNT(*) WARNINGS;
DO SLEEP(0);
SET STATEMENT max_statement_time=1 FOR SELECT 4;
SELECT * FROM seq_1_to_3;
SHOW PROCESSLIST_;
SET sql_select_limit = 0;
SET NAMES latin1;
SELECT 1;
SET sql_select_limit = DEFAULT;
SET character_set_results = utf16;
SET @@character_set_connection = latin1;
SELECT 6 * 7;
SET NAMES utf8mb4;
SELECT 'é';
`,
}

// toolModes are the ways in which the command line prints.
var toolModes = map[string][]string{
	"table": {"-t", "-vvv"}, "batch": {"-B"}, "raw": {"-B", "-r", "-N"}, "vertical": {"-E"}, "html": {"-H"}, "xml": {"-X"},
	"quick": {"-q"}, "info": {"--column-type-info"}, "unbuffered": {"-n"},
}

// changing is what differs between two connections or two servers that are alike:
// ids, times, the account, and free pages of tables.
var changing = regexp.MustCompile(`[0-9.]+ sec\b|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|host: '[^']*'|'[^']*@my'|'root'@'[^']*'|ONNECTION_ID.*|IDENTIFIED BY PASSWORD '[^']*'`)

// TestToolsNoticeNoDifference asks what tools ask, in each mode of the command
// line, of a server and through a gateway, also one that looks at everything.
func TestToolsNoticeNoDifference(t *testing.T) {
	direct := newRig(t, rigConfig{maria: several})
	gateways := map[string]*rig{"gateway": newRig(t, rigConfig{maria: several}), "gateway that looks": newRig(t, rigConfig{maria: several, steps: []middleware.Step{looking()}})}
	run := func(script string, mode []string, env []string, args ...string) string {
		cmd := exec.CommandContext(t.Context(), direct.db.Install.Client, append(append([]string{"--no-defaults", "--protocol=tcp", "--force", "--comments", "--show-warnings",
			"--default-character-set=utf8mb4"}, args...), mode...)...)
		cmd.Env = append(cmd.Environ(), env...)
		cmd.Stdin = stringReader(script)
		out, _ := cmd.CombinedOutput() // some statements fail
		return changing.ReplaceAllString(string(out), "~")
	}
	for tool, script := range toolScripts {
		for name, mode := range toolModes {
			t.Run(tool+"/"+name, func(t *testing.T) {
				want := run(script, mode, []string{"MYSQL_PWD=" + direct.db.Superuser.Secret.Reveal()}, "-h", direct.db.Host, "-P", strconv.Itoa(direct.db.Port), "-u", "root", "shop")
				for name, r := range gateways {
					got := run(script, mode, []string{"MYSQL_PWD=" + r.token}, "-h", r.host, "-P", r.port, "-u", "alice@my", "--ssl-ca="+r.ca, "shop")
					if got != want {
						t.Errorf("%s: something else is printed:\n%s", name, firstDifference(want, got))
					}
				}
			})
		}
	}
}

// firstDifference returns the lines around the first one that differs.
func firstDifference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range a {
		if i >= len(b) || a[i] != b[i] {
			part := func(l []string) string { return strings.Join(l[min(len(l), max(0, i-3)):min(len(l), i+4)], "\n") }
			return "want:\n" + part(a) + "\ngot:\n" + part(b)
		}
	}
	return "more:\n" + strings.Join(b[min(len(a), len(b)):], "\n")
}

// TestDumpOfEverything dumps all databases, users included, and loads them into
// another server, both through gateways.
func TestDumpOfEverything(t *testing.T) {
	from, to := newRig(t, rigConfig{maria: several}), newRig(t, rigConfig{maria: servers.MariaDBConfig{}})
	dumper := filepath.Join(filepath.Dir(from.db.Install.Client), "mariadb-dump")
	options := []string{"--routines", "--triggers", "--events", "--single-transaction", "--skip-dump-date", "-u", "alice@my", "--databases", "shop", "mysql"}
	dump, err := from.run(t, dumper, "", append([]string{"--add-drop-database"}, options...)...)
	require.NoError(t, err, "%.2000s", dump)
	out, err := to.run(t, to.db.Install.Client, dump, "-u", "alice@my", "--binary-mode")
	require.NoError(t, err, "%.2000s", out)
	got, err := to.run(t, dumper, "", "--routines", "--skip-dump-date", "-u", "alice@my", "--databases", "shop")
	require.NoError(t, err, "%.2000s", got)
	want, err := from.run(t, dumper, "", "--routines", "--skip-dump-date", "-u", "alice@my", "--databases", "shop")
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// TestSysbench runs a mix of statements of its, prepared and not.
func TestSysbench(t *testing.T) {
	require.NoError(t, servers.InstallTools(t.Context(), os.Stderr, []string{"sysbench"}, "sysbench"))
	r := rawSide(t, rigConfig{})
	for _, mode := range []string{"auto", "disable"} {
		for _, command := range []string{"prepare", "run", "cleanup"} {
			cmd := exec.CommandContext(t.Context(), "sysbench", "oltp_read_write", "--db-driver=mysql", "--mysql-host="+r.host, "--mysql-port="+r.port,
				"--mysql-user=alice@my", "--mysql-password="+rawPassword, "--mysql-db=shop", "--mysql-ssl=off", "--db-ps-mode="+mode,
				"--tables=2", "--table-size=200", "--threads=4", "--events=100", "--time=0", command)
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			if command == "run" {
				require.Regexp(t, `transactions: +100 `, string(out))
			}
		}
	}
}

// TestSSLModes connects with each of what the command line calls its modes.
func TestSSLModes(t *testing.T) {
	r := newRig(t, rigConfig{})
	for _, c := range []struct {
		args  []string
		fails bool
	}{
		{[]string{"--ssl"}, false},
		{[]string{"--ssl-ca=" + r.ca, "--ssl-verify-server-cert"}, false},
		{[]string{"--ssl-ca=" + r.ca, "--ssl-verify-server-cert", "--tls-version=TLSv1.2"}, false},
		{[]string{"--skip-ssl"}, true},
		{[]string{"--ssl", "--tls-version=TLSv1.1"}, true},
	} {
		cmd := exec.CommandContext(t.Context(), r.db.Install.Client, append([]string{"--no-defaults", "-h", r.host, "-P", r.port, "--protocol=tcp", "-u", "alice@my",
			"-N", "-B", "-e", "SELECT 6 * 7", "shop"}, c.args...)...)
		cmd.Env = append(cmd.Environ(), "MYSQL_PWD="+r.token)
		out, err := cmd.CombinedOutput()
		require.Equal(t, c.fails, err != nil, "%v: %s", c.args, out)
		if !c.fails {
			require.Equal(t, "42\n", string(out))
		}
	}
}
