package mysql_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// peopleSQL makes a table of documents of which some members are masked: those that
// hold S3CRET.
func peopleSQL() []string {
	const person = `{"email": "S3CRET@example.com", "city": "Rome", "home": {"zip": "00100", "street": "S3CRET street"}, "kin": [{"age": 7, "ssn": "S3CRET 1"}], "a.b": 1}`
	return []string{"CREATE DATABASE people", "USE people",
		"CREATE TABLE people (id INT PRIMARY KEY, doc JSON, note VARCHAR(400), big LONGTEXT)",
		"INSERT INTO people VALUES (1, '" + person + "', '" + person + "', '" + person + "'), (2, NULL, NULL, NULL), (3, '[]', 'S3CRET', '{}')",
		"CREATE VIEW cards AS SELECT id, JSON_UNQUOTE(JSON_EXTRACT(doc, '$.city')) AS city, JSON_UNQUOTE(JSON_EXTRACT(doc, '$.email')) AS mail, JSON_EXTRACT(doc, '$.home') AS home, doc AS all_of_it FROM people",
		"CREATE TABLE kept (id INT, t TEXT)"}
}

func maskDocuments(inference mask.Inference) middleware.Step {
	return middleware.Mask(mask.Rule{Name: "profile", Columns: []string{"people.people.doc", "people.people.note", "people.people.big"},
		Members: []string{"email", "home.street", "kin.ssn"}, Transform: mask.Redact(), Inference: inference})
}

// What each place of the documents shows, on both servers.
var memberCases = []struct{ of, want string }{
	{"doc", memberMasked}, {"note", memberMasked}, {"big", memberMasked},
	{"JSON_UNQUOTE(doc)", memberMasked}, {"JSON_EXTRACT(doc, '$')", memberMasked},
	{"JSON_EXTRACT(doc, '$.city')", `"Rome"`}, {"JSON_UNQUOTE(JSON_EXTRACT(doc, '$.city'))", "Rome"}, {"JSON_VALUE(doc, '$.city')", "Rome"},
	{`JSON_VALUE(doc, '$."city"')`, "Rome"}, {`JSON_VALUE(doc, '$."a.b"')`, "1"}, {"UPPER(JSON_VALUE(note, '$.city'))", "ROME"},
	{"JSON_EXTRACT(doc, '$.home')", `{"zip": "00100", "street": "***"}`}, {"JSON_VALUE(doc, '$.home.zip')", "00100"},
	{"JSON_VALUE(JSON_EXTRACT(doc, '$.home'), '$.zip')", "00100"}, {"JSON_EXTRACT(doc, '$.kin')", `[{"age": 7, "ssn": "***"}]`},
	{"JSON_EXTRACT(doc, '$.kin[0]')", `{"age": 7, "ssn": "***"}`}, {"JSON_VALUE(doc, '$.kin[0].age')", "7"},
	{"CONCAT(JSON_VALUE(doc, '$.city'), JSON_VALUE(doc, '$.home.zip'))", "Rome00100"},
	{"JSON_UNQUOTE(JSON_EXTRACT(doc, '$.email'))", "***"}, {"JSON_VALUE(doc, '$.EMAIL')", ""}, {"JSON_VALUE(doc, '$.home.street')", "***"}, {"JSON_VALUE(doc, '$.kin[0].ssn')", "***"},
	{"CONCAT(JSON_VALUE(doc, '$.city'), JSON_VALUE(doc, '$.email'))", "***"},
	{"JSON_EXTRACT(doc, '$.city', '$.a')", "***"}, {"JSON_EXTRACT(doc, '$.*')", "***"}, {"JSON_EXTRACT(doc, '$**.city')", "***"}, {"JSON_EXTRACT(doc, CONCAT('$.ci', 'ty'))", "***"},
	{"JSON_EXTRACT(doc, _latin1'$.city')", "***"}, {"JSON_KEYS(doc)", "***"}, {"doc IS NULL", "0"},
}

const memberMasked = `{"email": "***", "city": "Rome", "home": {"zip": "00100", "street": "***"}, "kin": [{"age": 7, "ssn": "***"}], "a.b": 1}`

// memberAttacks try to see what is masked.
var memberAttacks = []string{
	"SELECT * FROM people", "SELECT * FROM cards", "TABLE people", "SELECT mail, city FROM cards", "SELECT JSON_VALUE(home, '$.street'), JSON_VALUE(all_of_it, '$.email') FROM cards",
	"SELECT doc->'$.email', doc->>'$.email' FROM people", "SELECT doc->>'$.\"e\\\\u006dail\"' FROM people", "SELECT doc->'$**.email', doc->'$[0].email', doc->'$[last].email', doc->'$.*' FROM people",
	`SELECT JSON_VALUE(doc, '$."e\\u006dail"') FROM people`, `SELECT JSON_EXTRACT(doc, '$.\\u0065mail') FROM people`, "SELECT JSON_EXTRACT(doc, '$ . email') FROM people", "SELECT JSON_VALUE(doc, '$.`email`') FROM people", "SELECT JSON_VALUE(doc, 'lax $.email') FROM people",
	"SELECT JSON_VALUE(doc, _utf8mb4'$.email') FROM people", "SELECT JSON_VALUE(doc, x'242e656d61696c') FROM people", "SELECT JSON_VALUE(doc, 0x242e656d61696c) FROM people", "SELECT JSON_VALUE(doc, N'$.email') FROM people", "SELECT JSON_VALUE(doc, '$.em' 'ail') FROM people",
	"SELECT JSON_VALUE(doc, _latin1'$.email' COLLATE latin1_bin) FROM people", "SELECT JSON_VALUE(doc, _ucs2 0x0024002e0065006d00610069006c) FROM people",
	"SELECT JSON_VALUE(doc, REPLACE('$.xmail', 'x', 'e')) FROM people", "SELECT JSON_VALUE(doc, p) FROM people, (SELECT '$.email' AS p) x", "SET @p = '$.email'; SELECT JSON_VALUE(doc, @p) FROM people", "SET @d = (SELECT doc FROM people WHERE id = 1); SELECT JSON_VALUE(@d, '$.email')",
	"SELECT @e := JSON_VALUE(doc, '$.email') FROM people; SELECT @e", "SELECT JSON_VALUE(doc, '$.city'), @c := doc FROM people; SELECT @c, JSON_VALUE(@c, '$.city')", "SELECT JSON_VALUE(doc, '$.email') INTO @m FROM people WHERE id = 1; SELECT @m",
	"PREPARE s FROM 'SELECT JSON_VALUE(doc, ?) FROM people'; SET @p = '$.email'; EXECUTE s USING @p", "PREPARE s FROM 'SELECT JSON_VALUE(doc, ''$.email'') FROM people'; EXECUTE s", "EXECUTE IMMEDIATE 'SELECT JSON_VALUE(doc, ''$.email'') FROM people'",
	"SELECT JSON_UNQUOTE(JSON_VALUE(doc, '$.email')) FROM people", "SELECT JSON_QUERY(doc, '$') FROM people", "SELECT JSON_EXTRACT(JSON_QUERY(doc, '$.home'), '$.street') FROM people", "SELECT JSON_EXTRACT(JSON_EXTRACT(doc, '$.kin'), '$[0].ssn') FROM people", "SELECT JSON_EXTRACT(doc, '$.kin[*].ssn'), JSON_EXTRACT(doc, '$.kin[0 to 1]'), JSON_EXTRACT(doc, '$.kin[last]') FROM people",
	"SELECT JSON_SET(doc, '$.x', 1), JSON_INSERT(doc, '$.x', 1), JSON_REMOVE(doc, '$.city'), JSON_REPLACE(doc, '$.city', 1) FROM people", "SELECT JSON_EXTRACT(JSON_SET(doc, '$.city', JSON_EXTRACT(doc, '$.email')), '$.city') FROM people", "SELECT JSON_MERGE_PATCH(doc, '{}'), JSON_COMPACT(doc), JSON_DETAILED(doc), JSON_LOOSE(doc) FROM people",
	"SELECT JSON_SEARCH(doc, 'one', 'S3%'), JSON_CONTAINS(doc, '\"x\"') FROM people", "SELECT JSON_OBJECT('a', doc), JSON_ARRAY(doc), JSON_ARRAYAGG(doc), JSON_OBJECTAGG(id, doc) FROM people", "SELECT JSON_EXTRACT(JSON_ARRAY(doc), '$[0].email') FROM people", "SELECT j.* FROM people, JSON_TABLE(doc, '$' COLUMNS (e TEXT PATH '$.email', c TEXT PATH '$.city')) j",
	"SELECT LEFT(doc, 60), CONCAT(doc, ''), CAST(doc AS CHAR), CONVERT(note USING latin1), HEX(note), REVERSE(note), note + 0 FROM people", "SELECT SUBSTRING(JSON_VALUE(doc, '$.email'), 1, 8) FROM people", "SELECT MAX(doc), GROUP_CONCAT(JSON_VALUE(doc, '$.email')) FROM people",
	"SELECT JSON_VALUE(doc, '$.city') FROM people UNION SELECT JSON_VALUE(doc, '$.email') FROM people", "SELECT JSON_EXTRACT(doc, '$.city') FROM people UNION ALL SELECT doc FROM people", "SELECT JSON_EXTRACT(doc, '$.home') FROM people UNION ALL SELECT doc FROM people", "SELECT COALESCE(JSON_EXTRACT(doc, '$.x'), doc) FROM people", "SELECT JSON_EXTRACT(IFNULL(JSON_EXTRACT(doc, '$.x'), doc), '$.home') FROM people",
	"SELECT x.city FROM (SELECT JSON_EXTRACT(doc, '$.email') AS city FROM people) x", "WITH w AS (SELECT JSON_EXTRACT(doc, '$.home') AS h FROM people) SELECT JSON_VALUE(h, '$.street') FROM w", "WITH RECURSIVE r (d, n) AS (SELECT doc, 0 FROM people UNION ALL SELECT JSON_EXTRACT(d, '$.home'), n + 1 FROM r WHERE n < 2) SELECT d, JSON_VALUE(d, '$.street') FROM r",
	"SELECT JSON_VALUE((SELECT doc FROM people WHERE id = 1), '$.email')", "SELECT people.json_value(doc, '$.city') FROM people", "CREATE TEMPORARY TABLE t AS SELECT JSON_EXTRACT(doc, '$.email') AS city FROM people; SELECT city FROM t", "CREATE TEMPORARY TABLE t AS SELECT doc AS city FROM people; SELECT JSON_VALUE(city, '$.email'), city FROM t",
	"INSERT INTO kept SELECT id, JSON_VALUE(doc, '$.email') FROM people; SELECT t FROM kept", "UPDATE people SET note = JSON_VALUE(doc, '$.email') WHERE id = 3; SELECT JSON_VALUE(note, '$.city') FROM people", "UPDATE people SET doc = JSON_SET(doc, '$.city', JSON_VALUE(doc, '$.email')); SELECT JSON_VALUE(doc, '$.city') FROM people",
	"SET NAMES gbk; SELECT doc, note FROM people", "SET NAMES sjis; SELECT doc, JSON_VALUE(doc, '$.email') FROM people", "SET sql_mode = 'ANSI_QUOTES'; SELECT JSON_VALUE(doc, '$.email') FROM people", "SET sql_mode = 'NO_BACKSLASH_ESCAPES'; SELECT JSON_VALUE(doc, '$.\\email'), JSON_VALUE(doc, '$.email') FROM people",
	"SELECT JSON_VALUE(note, '$.email') + 0 FROM people; SHOW WARNINGS", "SELECT CAST(JSON_VALUE(doc, '$.email') AS SIGNED) FROM people; SHOW WARNINGS", "SELECT JSON_EXTRACT(note, '$.city') FROM people; SHOW WARNINGS", "DELETE FROM people WHERE id = 9 RETURNING doc", "EXPLAIN SELECT JSON_VALUE(doc, '$.email') FROM people WHERE JSON_VALUE(doc, '$.email') = 'S3CRET'",
	"HANDLER people OPEN; HANDLER people READ FIRST", "SELECT ROW_NUMBER() OVER (ORDER BY id), FIRST_VALUE(doc) OVER (ORDER BY id), LAG(JSON_VALUE(doc, '$.email')) OVER (ORDER BY id) FROM people", "SELECT CASE WHEN 1 THEN doc ELSE JSON_EXTRACT(doc, '$.city') END FROM people",
}

func TestMaskMembers(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskDocuments("")}, maria: servers.MariaDBConfig{SQL: peopleSQL()}})
	maskedMembers(t, r)
}

// maskedMembers asks for members at a target with the tables of peopleSQL.
func maskedMembers(t *testing.T, r *rig, more ...struct{ of, want string }) {
	db := r.connect(t)
	for _, c := range append(more, memberCases...) {
		text := "SELECT " + c.of + " FROM people.people WHERE id = 1"
		want := sameJSON(c.want)
		got, err := everything(db, text)
		require.NoError(t, err, text)
		require.Equal(t, want, sameJSON(strings.TrimSuffix(got, "|\n")), text)
		stmt, err := db.Prepare(text)
		require.NoError(t, err, text)
		got, err = everything(preparedQuery{stmt}, "")
		require.NoError(t, err, text)
		require.Equal(t, want, sameJSON(strings.TrimSuffix(got, "|\n")), "prepared: %s", text)
	}
	got, err := everything(db, "SELECT doc, note, JSON_VALUE(doc, '$.city') FROM people.people WHERE id > 1 ORDER BY id")
	require.NoError(t, err)
	require.Equal(t, "|||\n[]|***||\n", got, "NULL stays NULL, and what is no document is masked whole")
	got, err = everything(db, "SELECT city, mail, JSON_VALUE(home, '$.zip'), JSON_VALUE(home, '$.street'), JSON_VALUE(all_of_it, '$.city') FROM people.cards WHERE id = 1")
	require.NoError(t, err)
	require.Equal(t, "Rome|***|00100|***|Rome|\n", got)
	for _, text := range memberAttacks {
		db := r.connect(t)
		db.SetMaxOpenConns(1)
		var seen strings.Builder
		for part := range strings.SplitSeq("USE people; "+text, "; ") {
			got, _ := everything(db, part)
			seen.WriteString(got)
		}
		require.NotContains(t, seen.String(), "S3CRET", text)
		require.NotContains(t, seen.String(), "533343524554", text)
		require.NotContains(t, seen.String(), "TERC3S", text)
		_ = db.Close()
	}
	for range 2 { // texts that differ in nothing but a literal are not the same
		for name, want := range map[string]string{"city": "Rome|\n", "email": "***|\n"} {
			got, err := everything(db, "SELECT JSON_VALUE(doc, '$."+name+"') AS x FROM people.people WHERE id = 1")
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	}
	stmt, err := db.Prepare("SELECT JSON_VALUE(doc, ?) FROM people.people WHERE id = 1")
	if err == nil { // MySQL wants a constant
		for _, path := range []string{"$.city", "$.email"} {
			rows, err := stmt.Query(path)
			require.NoError(t, err)
			require.True(t, rows.Next())
			var s string
			require.NoError(t, rows.Scan(&s))
			require.Equal(t, "***", s, "which member it is, is not known")
			require.NoError(t, rows.Close())
		}
	}
}

// sameJSON returns documents with their members in one order, and anything else as it
// is: servers have orders of their own, and in MySQL what is masked is JSON too.
func sameJSON(s string) string {
	if s == `"***"` {
		return "***"
	}
	var v any
	if !strings.HasPrefix(s, "{") && !strings.HasPrefix(s, "[") || json.Unmarshal([]byte(s), &v) != nil {
		return s
	}
	out, _ := json.Marshal(v)
	return string(out)
}

// What a statement tells of other members it does not tell of masked ones.
func TestMembersInference(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskDocuments(mask.BlockInference)}, maria: servers.MariaDBConfig{SQL: peopleSQL()}})
	db := r.connect(t)
	for text, refused := range map[string]bool{
		"SELECT id FROM people.people WHERE JSON_VALUE(doc, '$.city') = 'Rome'":                   false,
		"SELECT JSON_UNQUOTE(JSON_EXTRACT(doc, '$.home.zip')) AS z FROM people.people ORDER BY z": false,
		"SELECT JSON_VALUE(doc, '$.email') FROM people.people":                                    false,
		"SELECT id FROM people.people WHERE JSON_VALUE(doc, '$.email') = 'S3CRET@example.com'":    true,
		"SELECT id FROM people.people WHERE JSON_CONTAINS(doc, '{}')":                             true,
		"SELECT id FROM people.people ORDER BY JSON_EXTRACT(doc, '$.home')":                       true,
	} {
		_, err := everything(db, text)
		require.Equal(t, refused, err != nil, "%s: %v", text, err)
		if refused {
			require.ErrorContains(t, err, "tells of the values of masked columns", text)
		}
	}
}
