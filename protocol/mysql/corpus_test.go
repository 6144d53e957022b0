package mysql_test

import (
	"database/sql"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

//go:embed testdata/corpus.sql
var corpus string

// corpusSchema is a shop with what people make in a database over the years.
// What is masked holds marks: "mark.example", 555-66, 987654.
var corpusSchema = []string{
	"DROP DATABASE shop", "CREATE DATABASE shop", "CREATE DATABASE hr", "USE shop",
	`CREATE TABLE people (id INT PRIMARY KEY, name VARCHAR(40), email VARCHAR(80) UNIQUE, ssn CHAR(11), city VARCHAR(80), boss INT,
		login VARCHAR(80) AS (SUBSTRING_INDEX(email, '.', 1)) VIRTUAL, profile JSON, note VARCHAR(80))`,
	`INSERT INTO people (id, name, email, ssn, city, boss, profile) VALUES (1, 'Ada', 'zoe@mark.example', '555-66-0001', 'Rome', NULL, '{"phone":"555-66-7788","list":["zoe@mark.example"]}'),
		(2, 'Bob', 'yan@mark.example', '555-66-0002', 'Oslo', 1, '{"phone":"555-66-9900","list":[]}'), (3, 'Cid', 'xia@mark.example', '555-66-0003', 'Rome', 2, NULL)`,
	"CREATE TABLE purchases (id INT PRIMARY KEY AUTO_INCREMENT, person INT, item VARCHAR(80), total INT, tags JSON)",
	`INSERT INTO purchases (person, item, total, tags) VALUES (1, 'tea', 3, '["hot","green"]'), (1, 'pen', 5, '[]'), (2, 'hat', 7, '["red"]')`,
	"CREATE TABLE hr.salaries (person INT, grade CHAR(1), amount INT)",
	"INSERT INTO hr.salaries VALUES (1, 'a', 987654), (2, 'b', 9876540)",
	"CREATE TABLE log (id INT PRIMARY KEY AUTO_INCREMENT, what VARCHAR(80))",
	"CREATE TABLE prices (id INT PRIMARY KEY, price INT) WITH SYSTEM VERSIONING",
	"INSERT INTO prices VALUES (1, 10)", "UPDATE prices SET price = 11",
	"CREATE TABLE history (id INT, email VARCHAR(80), secret VARCHAR(80)) WITH SYSTEM VERSIONING",
	"INSERT INTO history VALUES (1, 'zoe@mark.example', 'yan@mark.example')", "UPDATE history SET email = 'xia@mark.example'",
	"CREATE TABLE events (id INT) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE)",
	"INSERT INTO events VALUES (1), (2), (20)",
	"CREATE TABLE texts (id INT, t TEXT, FULLTEXT (t))", "INSERT INTO texts VALUES (1, 'some tea'), (2, 'a pen')",
	"CREATE VIEW found AS SELECT id, MATCH (t) AGAINST ('tea' IN BOOLEAN MODE) > 0 AS hit, CONVERT(t USING latin2) AS t FROM texts",
	"CREATE TABLE rates (id INT, price INT, s DATE, e DATE, PERIOD FOR p (s, e))", "INSERT INTO rates VALUES (1, 5, '2020-01-01', '2021-01-01')",
	"CREATE TABLE `odd ``name` (`a b` INT, label VARCHAR(9))", "INSERT INTO `odd ``name` VALUES (1, 'x')",
	"CREATE VIEW directory AS SELECT id, name, city FROM people",
	"CREATE VIEW directory_full AS SELECT id, email AS contact FROM people",
	"CREATE VIEW towns AS SELECT city, COUNT(*) AS n FROM directory GROUP BY city",
	"CREATE SEQUENCE numbers",
	"CREATE FUNCTION double_it(i INT) RETURNS INT DETERMINISTIC RETURN i * 2",
	"CREATE FUNCTION name_of(i INT) RETURNS VARCHAR(40) READS SQL DATA RETURN (SELECT name FROM people WHERE id = i)",
	"CREATE FUNCTION mail_of(i INT) RETURNS VARCHAR(80) READS SQL DATA RETURN (SELECT email FROM people WHERE id = i)",
	"CREATE FUNCTION nested_mail(i INT) RETURNS VARCHAR(80) READS SQL DATA RETURN CONCAT(mail_of(i), '')",
	`CREATE FUNCTION raising_mail(i INT) RETURNS INT READS SQL DATA BEGIN DECLARE e VARCHAR(80); SELECT email INTO e FROM people WHERE id = i;
		SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = e; RETURN 1; END`,
	"CREATE PROCEDURE towns_of(IN pat VARCHAR(9)) SELECT DISTINCT city FROM people WHERE name LIKE pat ORDER BY 1",
	"CREATE PROCEDURE two_results() BEGIN SELECT 1 AS a; SELECT name FROM people ORDER BY id; END",
	`CREATE PROCEDURE count_to(IN n INT, OUT t INT) BEGIN DECLARE i INT DEFAULT 0; SET t = 0; again: WHILE i < n DO SET i = i + 1;
		IF i > 100 THEN LEAVE again; ELSEIF i > 50 THEN SET t = t + 0; ELSE SET t = t + CASE WHEN i > 0 THEN i ELSE 0 END; END IF; END WHILE again; END`,
	"CREATE PROCEDURE name_out(IN i INT, OUT m VARCHAR(40)) SELECT name INTO m FROM people WHERE id = i",
	"CREATE PROCEDURE mail_out(IN i INT, OUT m VARCHAR(80)) SELECT email INTO m FROM people WHERE id = i",
	"CREATE PROCEDURE pay_out(IN i INT, OUT m INT) SELECT amount INTO m FROM hr.salaries WHERE person = i",
	"CREATE PROCEDURE show_mails() SELECT email FROM people",
	"CREATE PROCEDURE keeps_mail() SET @kept = (SELECT MAX(email) FROM people)",
	`CREATE PROCEDURE loop_mails() BEGIN DECLARE done INT DEFAULT 0; DECLARE e VARCHAR(80); DECLARE c CURSOR FOR SELECT email FROM people;
		DECLARE CONTINUE HANDLER FOR NOT FOUND SET done = 1; OPEN c; again: LOOP FETCH c INTO e; IF done THEN LEAVE again; END IF; SELECT e; END LOOP; CLOSE c; END`,
	"CREATE PROCEDURE swaps() PREPARE s FROM 'SELECT email FROM people'",
	"CREATE PROCEDURE dynamic_mails(c VARCHAR(20)) EXECUTE IMMEDIATE CONCAT('SELECT ', c, ' FROM people')",
	"CREATE PROCEDURE dynamic_out(c VARCHAR(20), OUT m VARCHAR(80)) BEGIN EXECUTE IMMEDIATE CONCAT('SELECT MAX(', c, ') INTO @got FROM people'); SET m = @got; END",
	`CREATE PROCEDURE raises_mail() BEGIN DECLARE e VARCHAR(80); SELECT MAX(email) INTO e FROM people; SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = e; END`,
	"CREATE TRIGGER purchases_ai AFTER INSERT ON purchases FOR EACH ROW INSERT INTO log (what) VALUES (NEW.item)",
	"CREATE TRIGGER people_au AFTER UPDATE ON people FOR EACH ROW INSERT INTO log (what) VALUES (OLD.email)",
}

func maskPeople() middleware.Step {
	return middleware.Mask(
		mask.Rule{Name: "people", Columns: []string{"shop.people.email", "shop.people.profile", "shop.history.email", "shop.history.secret"}, Transform: mask.Redact()},
		mask.Rule{Name: "ssn", Columns: []string{"shop.people.ssn"}, Transform: mask.KeepLast(2)},
		mask.Rule{Name: "pay", Columns: []string{"hr.salaries.amount"}, Transform: mask.Redact()},
	)
}

// marked returns what of a mark an answer shows, in one of the forms that it
// can be brought into.
func marked(s string) string {
	low := strings.ToLower(s)
	for _, mark := range []string{"mark.example", "zoe@", "yan@", "xia@", "555-66", "555660", "987654"} {
		back := []byte(mark)
		slices.Reverse(back)
		for _, form := range []string{mark, string(back), hex.EncodeToString([]byte(mark))} {
			if strings.Contains(low, form) {
				return form
			}
		}
		if strings.Contains(s, base64.RawStdEncoding.EncodeToString([]byte(mark))[:5]) {
			return mark + " in base 64"
		}
	}
	return ""
}

// steps runs the steps of one session and returns all that came back.
func steps(db *sql.DB, line string) (string, error) {
	var seen strings.Builder
	var failed error
	for step := range strings.SplitSeq(line, " ;; ") {
		got, err := everything(db, step)
		seen.WriteString(got)
		if err != nil && failed == nil {
			failed = err
		}
	}
	return seen.String(), failed
}

// TestCorpus asks all of the corpus: nothing masked comes back, and what can be
// answered is.
func TestCorpus(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskPeople()}, maria: servers.MariaDBConfig{SQL: corpusSchema}})
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.DBName, c.MultiStatements = r.db.Superuser.User, r.db.Superuser.Secret.Reveal(), "tcp", r.db.Addr, "shop", true
	direct, err := mysql.NewConnector(c)
	require.NoError(t, err)
	count := map[string]int{}
	refused := 0
	for line := range strings.Lines(corpus) {
		kind, text, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || kind == "--" {
			continue
		}
		count[kind]++
		db := r.connect(t)
		got, err := steps(db, text)
		_ = db.Close()
		if form := marked(got); form != "" {
			t.Errorf("%s %s: shows %q:\n%s", kind, text, form, got)
		}
		switch kind {
		case "clear":
			own := sql.OpenDB(direct)
			own.SetMaxOpenConns(1)
			want, wantErr := steps(own, text)
			_ = own.Close()
			if wantErr != nil {
				t.Errorf("%s: the target itself says %v", text, wantErr)
			} else if err != nil || got != want {
				t.Errorf("clear %s: %v\n%s--- want\n%s", text, err, got, want)
			}
		case "masked", "runs":
			if err != nil {
				t.Errorf("%s %s: %v", kind, text, err)
			}
		case "dark":
			if err != nil {
				refused++
			}
		default:
			t.Errorf("what is %s?", kind)
		}
	}
	t.Logf("%v, of the dark ones %d refused", count, refused)
}
