package mysql_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/approval"
	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// asks are statements that tell of a column $C of the table secrets without showing it,
// by class. What one constant tells is allowed where equality is.
var asks = []struct {
	text     string
	equality bool
}{
	{"SELECT id FROM secrets WHERE $C = 'b'", true},
	{"SELECT id FROM secrets WHERE NOT ($C <=> 'b')", true},
	{"SELECT COUNT(*) FROM secrets WHERE $C IN ('b')", true},
	{"SELECT $C = 'b' FROM secrets", true},
	{"SELECT IF($C = 'b', 1, 0) FROM secrets", true},
	{"UPDATE secrets SET plain = 'x' WHERE $C = 'b'", true},
	{"DELETE FROM secrets WHERE $C = 'no'", true},
	{"SELECT s.id FROM secrets s JOIN others o ON o.$C = s.$C", true}, // both are masked
	{"INSERT IGNORE INTO secrets (id, $C) VALUES (9, 'b')", true},
	{"INSERT INTO secrets (id, $C) VALUES (9, 'b') ON DUPLICATE KEY UPDATE plain = 'z'", true},
	{"EXPLAIN SELECT id FROM secrets WHERE $C = 'b'", true},

	{"SELECT id FROM secrets WHERE $C = 0", false},
	{"SELECT id FROM secrets WHERE $C", false},
	{"SELECT s.id FROM secrets s JOIN others o ON o.plain = s.$C", false},
	{"SELECT s.id FROM secrets s JOIN others o USING ($C)", false},
	{"SELECT v.x, s.id FROM secrets s JOIN (SELECT 'a' AS x UNION ALL SELECT 'b') v ON v.x = s.$C", false},
	{"SELECT id FROM secrets WHERE $C IN ('a', 'b')", false},
	{"SELECT id FROM secrets WHERE $C = 'a' OR $C = 'b'", false},
	{"SELECT id FROM secrets WHERE $C IN (SELECT plain FROM others)", false},
	{"SELECT $C FROM secrets INTERSECT SELECT 'b'", false},
	{"SELECT id FROM secrets WHERE $C > 'a'", false},
	{"SELECT id FROM secrets WHERE $C BETWEEN 'a' AND 'b'", false},
	{"SELECT id FROM secrets WHERE $C LIKE 'b%'", false},
	{"SELECT id FROM secrets WHERE $C REGEXP '^b'", false},
	{"SELECT id FROM secrets WHERE LENGTH($C) = 1", false},
	{"SELECT id FROM secrets WHERE LEFT($C, 1) = 'b'", false},
	{"SELECT id FROM secrets WHERE $C = (SELECT MAX($C) FROM secrets)", false},
	{"SELECT id FROM secrets WHERE $C = @a", false},
	{"SELECT id FROM secrets ORDER BY $C", false},
	{"SELECT id, $C FROM secrets ORDER BY id DESC, 2 LIMIT 1", false},
	{"SELECT ROW_NUMBER() OVER (ORDER BY $C), id FROM secrets", false},
	{"SELECT GROUP_CONCAT(id ORDER BY $C) FROM secrets", false},
	{"SELECT COUNT(*) FROM secrets GROUP BY $C", false},
	{"SELECT COUNT(*) FROM secrets GROUP BY $C WITH ROLLUP", false},
	{"SELECT id, $C FROM secrets HAVING $C > 'a'", false},
	{"SELECT DISTINCT $C FROM secrets", false},
	{"SELECT COUNT(DISTINCT $C) FROM secrets", false},
	{"SELECT CASE WHEN $C LIKE 'b%' THEN SLEEP(0.01) END FROM secrets", false},
	{"SELECT CAST($C AS SIGNED) FROM secrets", false}, // a warning tells
	{"SELECT REGEXP_SUBSTR($C, '^b') FROM secrets", false},
	{"SELECT id FROM asked_$C", false}, // a view, with LIKE
	{"WITH a AS (SELECT id, LEFT($C, 1) AS l FROM secrets) SELECT id FROM a WHERE l = 'b'", false},
	{"SELECT id FROM secrets s WHERE EXISTS (SELECT 1 FROM secrets o WHERE o.$C LIKE 'b%' AND o.id = s.id)", false},
	{"SELECT find_$C('b%')", false}, // a function with LIKE
	{"CALL call_$C('b%')", false},
	{"UPDATE secrets SET plain = 'x' WHERE $C LIKE 'b%'", false},
	{"UPDATE secrets SET plain = 'x' ORDER BY $C LIMIT 1", false},
	{"DELETE FROM secrets WHERE $C > 'z'", false},
	{"UPDATE others o JOIN secrets s ON s.id = o.id AND s.$C LIKE 'b%' SET o.plain = 'x'", false},
	{"EXPLAIN SELECT id FROM secrets WHERE $C LIKE 'b%'", false},
	{"REPLACE INTO secrets (id, $C) SELECT id, plain FROM others WHERE id > 100", false},
	{"EXECUTE IMMEDIATE 'SELECT id FROM secrets WHERE $C LIKE ''b%'''", false},
}

// free are statements that tell nothing of a masked column but what is shown masked.
var free = []string{
	"SELECT * FROM secrets", "SELECT id, UPPER($C), CONCAT($C, '-', plain) FROM secrets", "SELECT MAX($C), COUNT(*), COUNT($C) FROM secrets",
	"SELECT id FROM secrets WHERE plain = 'x' ORDER BY id", "SELECT id FROM secrets WHERE $C IS NULL",
	"INSERT INTO secrets (id, $C) VALUES (19, 'z')", "UPDATE secrets SET $C = 'q' WHERE id = 19", "DELETE FROM secrets WHERE id = 19",
	"WITH a AS (SELECT * FROM secrets) SELECT id FROM a", "SELECT $C FROM secrets UNION ALL SELECT plain FROM others", "SHOW TABLES", "SELECT @@version", "SET autocommit = 1",
	"SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_NAME = 'secrets'",
}

var policies = []string{"open", "equal", "asked", "closed"}

func inferenceRig(t *testing.T, b *approval.Broker) *rig {
	inference := []mask.Inference{mask.AllowInference, mask.EqualityInference, mask.ApproveInference, mask.BlockInference}
	var rules []mask.Rule
	columns := "id INT AUTO_INCREMENT PRIMARY KEY, plain VARCHAR(20)"
	for i, p := range policies {
		rules = append(rules, mask.Rule{Name: p, Columns: []string{"shop.*." + p}, Transform: mask.Redact(), Inference: inference[i]})
		columns += ", " + p + " VARCHAR(20) UNIQUE"
	}
	sql := []string{"USE shop", "CREATE TABLE secrets (" + columns + ")", "CREATE TABLE others (" + columns + ")"}
	for _, t := range []string{"secrets", "others"} {
		sql = append(sql, "INSERT INTO "+t+" VALUES (1, 'x', 'a', 'a', 'a', 'a'), (2, 'y', 'b', 'b', 'b', 'b'), (3, 'z', NULL, NULL, NULL, NULL)")
	}
	for _, p := range policies {
		sql = append(sql, "CREATE VIEW asked_"+p+" AS SELECT id FROM secrets WHERE "+p+" LIKE 'b%'",
			"CREATE FUNCTION find_"+p+"(x VARCHAR(20)) RETURNS INT READS SQL DATA RETURN (SELECT COUNT(*) FROM secrets WHERE "+p+" LIKE x)",
			"CREATE PROCEDURE call_"+p+"(x VARCHAR(20)) SELECT id FROM secrets WHERE "+p+" LIKE x")
	}
	return newRig(t, rigConfig{maria: servers.MariaDBConfig{SQL: sql}, steps: []middleware.Step{middleware.MaskWith(middleware.MaskConfig{
		Rules: rules, Broker: b, Inference: middleware.ApproveRule{Groups: []string{"approvers"}, For: time.Minute}})}})
}

// Each class of inference by each policy, on a real server.
func TestInferencePolicies(t *testing.T) {
	b := approval.NewBroker(approval.Options{})
	approver := &protocol.Identity{Issuer: "test", Subject: "bob", Kind: protocol.Human, Groups: []string{"approvers"}}
	r := inferenceRig(t, b)
	db := r.connect(t)
	ask := func(text string) string {
		rows, err := db.QueryContext(t.Context(), text)
		for err == nil && rows.Next() {
			continue
		}
		if err == nil {
			err = rows.Err()
			_ = rows.Close()
		}
		var e *driver.MySQLError
		switch {
		case err == nil:
			return "ran"
		case !errors.As(err, &e):
			return err.Error()
		case strings.Contains(e.Message, "without showing them"):
			return "refused"
		case strings.Contains(e.Message, "sallyport") || strings.Contains(e.Message, "masked"):
			return e.Message
		}
		return "ran" // and the target found fault with it
	}
	for _, policy := range policies {
		t.Run(policy, func(t *testing.T) {
			in := func(text string) string {
				return strings.ReplaceAll(text, "$C", policy)
			}
			for _, a := range asks {
				text, want := in(a.text), "refused"
				if policy == "open" || policy == "equal" && a.equality {
					want = "ran"
				}
				if policy != "asked" {
					require.Equal(t, want, ask(text), text)
					continue
				}
				ran := make(chan string)
				go func() { ran <- ask(text) }()
				var q []approval.Request
				require.Eventually(t, func() bool { q = b.List(approval.StatePending); return len(q) == 1 }, 10*time.Second, time.Millisecond, text)
				require.Contains(t, q[0].Reason, "asked", text)
				_, err := b.Decide(t.Context(), approval.Verdict{Request: q[0].ID, Digest: q[0].Digest, By: approver, Approve: true})
				require.NoError(t, err)
				require.Equal(t, "ran", <-ran, text)
			}
			for _, text := range free {
				require.Equal(t, "ran", ask(in(text)), text)
			}
			// What a function does that is not known may be about any column.
			require.Equal(t, "refused", ask(in("SELECT id FROM secrets WHERE nowhere($C)")))
		})
	}
}

// What is prepared is asked about when it runs; an argument that is a number makes
// one of a text.
func TestInferencePrepared(t *testing.T) {
	r := inferenceRig(t, approval.NewBroker(approval.Options{}))
	db := r.connect(t)
	count := func(text string, args ...any) (n int, err error) {
		err = db.QueryRowContext(t.Context(), text, args...).Scan(&n)
		return n, err
	}
	for range 2 {
		n, err := count("SELECT COUNT(*) FROM secrets WHERE equal = ?", "b")
		require.NoError(t, err)
		require.Equal(t, 1, n)
		_, err = count("SELECT COUNT(*) FROM secrets WHERE equal = ?", 0)
		require.ErrorContains(t, err, "shop.secrets.equal (computed)")
		_, err = count("SELECT COUNT(*) FROM secrets WHERE equal LIKE ?", "b%")
		require.ErrorContains(t, err, "shop.secrets.equal (pattern)")
		_, err = count("SELECT COUNT(*) FROM secrets WHERE closed = ?", "b")
		require.ErrorContains(t, err, "shop.secrets.closed (equality)")
		_, err = db.ExecContext(t.Context(), "SELECT id, equal FROM secrets ORDER BY ?", 2) // a place, to MariaDB
		require.ErrorContains(t, err, "shop.secrets.equal (order)")
	}
	for _, text := range []string{
		"PREPARE p FROM 'SELECT id FROM secrets WHERE closed LIKE ?'; SET @a = 'b%'; EXECUTE p USING @a",
		"HANDLER secrets OPEN; HANDLER secrets READ closed FIRST", "HANDLER secrets OPEN; HANDLER secrets READ closed = ('b')",
		"HANDLER secrets OPEN; HANDLER secrets READ FIRST WHERE closed LIKE 'b%'",
		"BEGIN NOT ATOMIC IF EXISTS (SELECT 1 FROM secrets WHERE closed LIKE 'b%') THEN SELECT 1; END IF; END",
		"BEGIN NOT ATOMIC DECLARE v VARCHAR(20); SELECT closed INTO v FROM secrets WHERE id = 1; IF v LIKE 'a%' THEN SELECT 1; END IF; END",
		"SELECT /*! id FROM secrets WHERE closed LIKE 'b%' */", "SELECT id FROM secrets -- \n ORDER BY closed", "TABLE secrets ORDER BY closed",
		"(SELECT id, closed FROM secrets) ORDER BY 2", "SELECT id FROM secrets WHERE (id, closed) = (2, 'b')", "SELECT id FROM secrets WHERE `closed` LIKE 'b%'",
		"SELECT id FROM secrets WHERE JSON_VALUE(JSON_OBJECT('c', closed), '$.c') = 'b'", "SELECT COUNT(*) FROM secrets NATURAL JOIN others",
		"WITH RECURSIVE r(c) AS (SELECT closed FROM secrets UNION SELECT c FROM r) SELECT COUNT(*) FROM r",
		"SELECT x.n FROM (SELECT 'a' n UNION SELECT 'b') x WHERE EXISTS (SELECT 1 FROM secrets WHERE closed = x.n)",
		"SELECT NULLIF(closed, 'b') FROM secrets", "SELECT LOCATE('b', closed) > 0 AND id > 0 FROM secrets", "SELECT CONCAT(closed, REPEAT('x', 16777215)) FROM secrets",
		"SELECT SUM(closed) FROM secrets", "SELECT 1 FROM secrets WHERE closed RLIKE 'b' LIMIT 1", "SELECT closed FROM secrets PROCEDURE ANALYSE()", "DO (SELECT SLEEP(0.01) FROM secrets WHERE closed LIKE 'b%' LIMIT 1)",
		"SELECT FIRST_VALUE(id) OVER (PARTITION BY closed) FROM secrets", "SELECT id FROM secrets WHERE MATCH (closed) AGAINST ('b')",
		"SELECT GET_LOCK(closed, 0) FROM secrets", "SELECT LAST_INSERT_ID(closed) FROM secrets", "SELECT @n := id FROM secrets WHERE closed > 'a'",
		"CREATE TEMPORARY TABLE mine AS SELECT id, closed AS c FROM secrets; SELECT id FROM mine WHERE c LIKE 'b%'",
		"CREATE VIEW mine AS SELECT id FROM secrets WHERE closed LIKE 'b%'; SELECT id FROM mine",
		"REPLACE INTO secrets (id, closed) VALUES (9, 'b')", "INSERT INTO others (id) SELECT id FROM secrets WHERE closed LIKE 'b%'",
		"DELETE s FROM secrets s JOIN others o ON o.plain = s.closed", "SHOW TABLES WHERE (SELECT COUNT(*) FROM secrets WHERE closed LIKE 'b%')",
		"SET STATEMENT max_statement_time = 1 FOR SELECT id FROM secrets WHERE closed LIKE 'b%'", "ANALYZE SELECT id FROM secrets WHERE closed LIKE 'b%'",
		"INSERT IGNORE INTO others (closed) SELECT closed FROM secrets", "SELECT id INTO @x FROM secrets WHERE closed LIKE 'b%' LIMIT 1",
		"SET @x = (SELECT COUNT(*) FROM secrets WHERE closed LIKE 'b%')",
		"LOAD DATA LOCAL INFILE 'x' INTO TABLE secrets", "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'x'; SELECT 1 FROM secrets WHERE closed > 'a'",
	} {
		conn, err := db.Conn(t.Context())
		require.NoError(t, err)
		rows, err := conn.QueryContext(t.Context(), text)
		for err == nil && (rows.Next() || rows.NextResultSet()) {
			continue
		}
		if err == nil {
			err = rows.Err()
			_ = rows.Close()
		}
		var e *driver.MySQLError
		require.Error(t, err, text)
		require.ErrorAs(t, err, &e, text)
		require.Contains(t, []uint16{1142, 1227, 1044, 1105, 1045, 1148}, e.Number, "%s: %s", text, e.Message)
		require.NotContains(t, e.Message, "syntax", text)
		_ = conn.Close()
	}
}
