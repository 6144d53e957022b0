// Package querygen makes random queries over a schema of its own, and knows what
// they must not show: the values of the columns in [Masked] hold marks that
// nothing else in the database holds.
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
var Masked = []string{
	"public.people.email", "public.people.ssn", "public.people.born", "public.people.pay", "public.people.prefs", "public.people.tags", "public.people.home",
	"public.visits.email",
}

// Documents are columns of which the [Members] alone hold marks.
var (
	Documents = []string{"public.cards.card"}
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
// larger and not round, as an average's digits may be, and years that are later than any other.
const (
	mail = "'qz' || repeat('qzzq', n % 3 + 1) || repeat('z', n % 5) || 'q'"
	ssn  = "'zqqz' || repeat('zq', n % 4)"
	pay  = "7391846250000.5 + n"
)

// Schema makes the schema and fills it.
const Schema = `
CREATE TYPE address AS (street text, town text);
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TABLE people (id int PRIMARY KEY, name text, town text, note text, age int, m mood,
  email text, ssn varchar(40), born date, pay numeric, prefs jsonb, tags text[], home address,
  handle text GENERATED ALWAYS AS (lower(email)) STORED);
CREATE TABLE staff (title text) INHERITS (people);
CREATE TABLE sales (id int PRIMARY KEY, person int, item text, total numeric, detail jsonb, labels text[]);
CREATE TABLE visits (id int, person int, email text, page text) PARTITION BY RANGE (id);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (5);
CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM (5) TO (100);
INSERT INTO people SELECT n, 'n' || n, 't' || n % 3, 'note ' || n, 20 + n, CASE WHEN n % 2 = 0 THEN 'sad'::mood ELSE 'glad' END,
  ` + mail + `, ` + ssn + `, date '30211-01-01' + n, ` + pay + `, jsonb_build_object('k', ` + mail + `, 'n', ` + pay + `, 'l', jsonb_build_array(` + ssn + `, 'x')),
  ARRAY[` + ssn + `, ` + mail + `], ROW(` + ssn + `, ` + mail + `)::address FROM generate_series(1, 4) n;
INSERT INTO staff (id, name, town, note, age, m, email, ssn, born, pay, prefs, tags, home, title) SELECT n, 's' || n, 't' || n % 3, 'staff ' || n, 30 + n, 'sad', ` + mail + `, ` + ssn + `, date '30212-01-01' + n, ` + pay + `, jsonb_build_object('k', ` + mail + `),
  ARRAY[` + ssn + `], ROW(` + ssn + `, ` + mail + `)::address, 'boss ' || n FROM generate_series(5, 6) n;
INSERT INTO sales SELECT n, 1 + n % 5, 'item ' || n, n * 1.25, jsonb_build_object('c', 'blue', 'n', n), ARRAY['a' || n, 'b'] FROM generate_series(1, 6) n;
INSERT INTO visits SELECT n, 1 + n % 4, ` + mail + `, '/p' || n FROM generate_series(1, 8) n;
CREATE TABLE cards (id int PRIMARY KEY, label text, card jsonb);
INSERT INTO cards SELECT n, 'card ' || n, jsonb_build_object('k', ` + mail + `, 'o', 'open ' || n, 'l', jsonb_build_array('x', jsonb_build_object('s', ` + ssn + `, 't', 'tip')),
  'd', jsonb_build_object('k', 'deep', 'n', n)) FROM generate_series(1, 4) n;
CREATE VIEW boxes AS SELECT id, card ->> 'o' AS open, card ->> 'k' AS shut, card -> 'l' AS list, card FROM cards;
CREATE VIEW contacts AS SELECT id, name, email AS mail, upper(email) AS loud, home FROM people;
CREATE VIEW spend AS SELECT c.mail, c.name AS who, o.item, o.total, o.id FROM contacts c JOIN sales o ON o.person = c.id;
CREATE VIEW entire AS SELECT p AS whole, p.name FROM people p;
CREATE MATERIALIZED VIEW summary AS SELECT town, count(*) AS n, max(email) AS top, array_agg(ssn) AS all_ssn FROM people GROUP BY town;
CREATE FUNCTION shout(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper($1)';
CREATE FUNCTION mail_of(int) RETURNS text LANGUAGE sql STABLE AS 'SELECT email FROM people WHERE id = $1 LIMIT 1';
CREATE FUNCTION those() RETURNS SETOF people LANGUAGE sql STABLE AS 'SELECT * FROM people';
ANALYZE;
`

// Other is Schema with other values in the columns that are masked: NULL in the same
// places, and else of other lengths, in another order, and alike where they were not.
var Other = strings.NewReplacer(mail, "'a' || repeat('Kx', 9 - n / 3)", ssn, "'9' || n", pay, "17 - n * 2.25", "30211-01-01' + n", "1970-03-01' - n", "30212-01-01' + n", "1970-03-01'").Replace(Schema)

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
	marks = regexp.MustCompile(`73918462\d\d|3021[12]|[57][aA]([57][1aA]){2}|[57]1[57][aA][57][1aA]|([57]1){2}[57][aA]`)
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
