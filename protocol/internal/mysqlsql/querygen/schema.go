// Package querygen makes random queries for MariaDB over a schema of its own, and
// knows what they must not show: the values of the columns in [Masked] hold marks
// that nothing else in the database holds.
package querygen

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Masked are the columns whose values hold marks.
var Masked = []string{"gen.people.email", "gen.people.ssn", "gen.people.born", "gen.people.pay", "gen.people.prefs", "gen.visits.email"}

// Documents are columns of which the [Members] alone hold marks.
var (
	Documents = []string{"gen.cards.card"}
	Members   = []string{"k", "l.s"}
)

// Masks reports whether there may be a mark at a path of a column's value.
func Masks(column, path string) bool {
	if slices.Contains(Masked, column) {
		return true
	}
	return slices.Contains(Documents, column) && slices.ContainsFunc(Members, func(m string) bool {
		m = "/" + strings.ReplaceAll(m, ".", "/") + "/"
		return strings.HasPrefix(m, path+"/") || strings.HasPrefix(path+"/", m)
	})
}

// The marks: texts of two letters that no other value holds, numbers that are
// larger, and years that are later than any other.
const (
	mail = "CONCAT('qz', REPEAT('qzzq', seq % 3 + 1), REPEAT('z', seq % 5), 'q')"
	ssn  = "CONCAT('zqqz', REPEAT('zq', seq % 4))"
	pay  = "7391846250000.5 + seq"
)

// Schema makes the schema and fills it.
var Schema = []string{
	"CREATE DATABASE gen", "USE gen",
	`CREATE TABLE people (id INT PRIMARY KEY, name VARCHAR(40), town VARCHAR(40), note VARCHAR(80), age INT, email VARCHAR(80), ssn VARCHAR(40), born DATE,
		pay DECIMAL(20,2), prefs JSON, handle VARCHAR(80) AS (LOWER(email)) VIRTUAL)`,
	"CREATE TABLE sales (id INT PRIMARY KEY, person INT, item VARCHAR(40), total DECIMAL(10,2), detail JSON)",
	"CREATE TABLE visits (id INT, person INT, email VARCHAR(80), page VARCHAR(40)) PARTITION BY HASH (id) PARTITIONS 2",
	`INSERT INTO people (id, name, town, note, age, email, ssn, born, pay, prefs) SELECT seq, CONCAT('n', seq), CONCAT('t', seq % 3), CONCAT('note ', seq), 20 + seq,
		` + mail + `, ` + ssn + `, DATE_ADD('9021-01-01', INTERVAL seq DAY), ` + pay + `, JSON_OBJECT('k', ` + mail + `, 'n', ` + pay + `, 'l', JSON_ARRAY(` + ssn + `, 'x')) FROM seq_1_to_5`,
	`INSERT INTO sales SELECT seq, 1 + seq % 5, CONCAT('item ', seq), seq * 1.25, JSON_OBJECT('k', 'blue', 'n', seq, 'l', JSON_ARRAY('a', 'b')) FROM seq_1_to_6`,
	"INSERT INTO visits SELECT seq, 1 + seq % 4, " + mail + ", CONCAT('/p', seq) FROM seq_1_to_8",
	"CREATE TABLE cards (id INT PRIMARY KEY, label VARCHAR(40), card JSON)",
	`INSERT INTO cards SELECT seq, CONCAT('card ', seq), JSON_OBJECT('k', ` + mail + `, 'o', CONCAT('open ', seq), 'l', JSON_ARRAY('x', JSON_OBJECT('s', ` + ssn + `, 't', 'tip')),
		'd', JSON_OBJECT('k', 'deep', 'n', seq)) FROM seq_1_to_4`,
	"CREATE VIEW boxes AS SELECT id, JSON_VALUE(card, '$.o') AS open, JSON_VALUE(card, '$.k') AS shut, JSON_EXTRACT(card, '$.l') AS list, card FROM cards",
	"CREATE VIEW contacts AS SELECT id, name, email AS mail, UPPER(email) AS loud FROM people",
	"CREATE VIEW spend AS SELECT c.mail, c.name AS who, o.item, o.total, o.id FROM contacts c JOIN sales o ON o.person = c.id",
	"CREATE VIEW summary AS SELECT town, COUNT(*) AS n, MAX(email) AS top, GROUP_CONCAT(ssn) AS every FROM people GROUP BY town",
	"CREATE PROCEDURE gives(IN a LONGTEXT, OUT b LONGTEXT) SET b = a",
	"CREATE PROCEDURE keeps(a BIGINT) DO LAST_INSERT_ID(a)",
	"CREATE FUNCTION shout(t VARCHAR(200)) RETURNS VARCHAR(200) DETERMINISTIC RETURN UPPER(t)",
	"CREATE FUNCTION mail_of(i INT) RETURNS VARCHAR(80) READS SQL DATA RETURN (SELECT email FROM people WHERE id = i)",
	"CREATE FUNCTION name_of(i INT) RETURNS VARCHAR(80) READS SQL DATA RETURN (SELECT name FROM people WHERE id = i)",
}

// Other is Schema with other values in the columns that are masked: NULL in the same
// places, and else of other lengths, in another order, and alike where they were not.
var Other = other()

func other() (out []string) {
	r := strings.NewReplacer(mail, "CONCAT('a', REPEAT('Kx', 9 - FLOOR(seq / 3)))", ssn, "CONCAT('9', seq)", pay, "17 - seq * 2.25", "'9021-01-01', INTERVAL seq DAY", "'1970-03-01', INTERVAL -seq DAY")
	for _, s := range Schema {
		out = append(out, r.Replace(s))
	}
	return out
}

// Shows reports whether a value of a result, as text, shows a mark, however it
// was changed as long as one letter or the greater part of a number is left.
func Shows(value []byte) bool {
	return bytes.ContainsAny(value, "qzQZ") || marks.Match(value) || digest(value)
}

// Tells reports whether a text that has words of its own, such as an error's,
// shows a mark.
func Tells(text []byte) bool { return long.Match(text) || marks.Match(text) || digest(text) }

var (
	long  = regexp.MustCompile(`[qzQZ]{3}`)
	marks = regexp.MustCompile(`73918462\d\d|9021-|[57][aA]([57][1aA]){2}|[57]1[57][aA][57][1aA]|([57]1){2}[57][aA]`)
	sums  = digests()
)

func digests() (out [][]byte) {
	for n := range 10 {
		text := "qz" + string(bytes.Repeat([]byte("qzzq"), n%3+1)) + string(bytes.Repeat([]byte("z"), n%5)) + "q"
		sum := md5.Sum([]byte(text))
		out = append(out, []byte(hex.EncodeToString(sum[:])[:12]))
	}
	return out
}

func digest(text []byte) bool {
	for _, s := range sums {
		if bytes.Contains(text, s) {
			return true
		}
	}
	return false
}

func itoa(n int) string { return strconv.Itoa(n) }
