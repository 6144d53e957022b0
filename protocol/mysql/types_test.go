package mysql_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// TestMaskedValuesAreOfTheirType masks a column of each type with each transform, in
// text and binary rows: a client reads what it gets, and the server takes it back as
// a value of the column, in strict mode.
func TestMaskedValuesAreOfTheirType(t *testing.T) {
	key, err := mask.NewKey([]byte("0123456789abcdef0123456789abcdef"))
	require.NoError(t, err)
	transforms := []mask.Transform{mask.Null(), mask.Default(), mask.Redact(), mask.Fixed("12"), mask.Fixed("n/a"), mask.Fixed("1999-12-31"), mask.KeepLast(2), mask.Email(),
		mask.Hash(key, "d"), mask.Ends{First: 1, Last: 1}, mask.Card(true), mask.Shape(), mask.URL(), mask.Replace("[0-9]+", "#"), mask.Round(100), mask.Truncate(mask.Month), mask.Network(24, 64),
		mask.Pseudonym(key, "d", mask.EmailLike), mask.Pseudonym(key, "d", mask.Digits), mask.Bucket(key, "d", 1000), mask.Noise(key, "d", 500), mask.Found(mask.Redact())}
	types := []struct {
		typ    string
		values [3]string
	}{
		{"TINYINT", [3]string{"-128", "127", "0"}}, {"TINYINT UNSIGNED", [3]string{"255", "0", "7"}}, {"SMALLINT", [3]string{"-32768", "32767", "5"}},
		{"SMALLINT UNSIGNED", [3]string{"65535", "1", "2"}}, {"MEDIUMINT", [3]string{"-8388608", "8388607", "1"}}, {"MEDIUMINT UNSIGNED", [3]string{"16777215", "1", "2"}},
		{"INT", [3]string{"-2147483648", "2147483647", "42"}}, {"INT UNSIGNED", [3]string{"4294967295", "1", "2"}}, {"BIGINT", [3]string{"-9223372036854775808", "9223372036854775807", "1"}},
		{"BIGINT UNSIGNED", [3]string{"18446744073709551615", "1", "2"}}, {"FLOAT", [3]string{"1.5", "-1e30", "0"}}, {"DOUBLE", [3]string{"1e300", "-2.5", "0"}}, {"DECIMAL(20,4)", [3]string{"-1234567890123456.7891", "0.5", "99"}},
		{"YEAR", [3]string{"1901", "2155", "2000"}}, {"DATE", [3]string{"1815-12-10", "9999-12-31", "2000-02-29"}}, {"TIME", [3]string{"-838:59:59", "12:30:00", "00:00:00"}}, {"TIME(6)", [3]string{"12:30:00.123456", "-01:00:00.5", "838:59:59"}},
		{"DATETIME", [3]string{"1000-01-01 00:00:00", "2024-02-29 23:59:59", "9999-12-31 23:59:59"}}, {"DATETIME(6)", [3]string{"2024-02-29 23:59:59.999999", "2000-01-01", "1999-12-31 01:02:03"}},
		{"CHAR(60)", [3]string{"ada@example.com", "x", ""}}, {"VARCHAR(80)", [3]string{"4111-1111-1111-1111", "Zolw 7", "https://example.com/a"}}, {"TEXT", [3]string{"write to ada@example.com", "10.1.2.3", "\n"}},
		{"VARBINARY(80)", [3]string{"abc", "x", ""}}, {"BLOB", [3]string{"ada@example.com", "\\0", "y"}}, {"BIT(8)", [3]string{"1", "0", "1"}},
	}
	// What clients read, but is none of the server's own values: the protocol knows
	// these as texts, and TIMESTAMP begins a second after 1970-01-01.
	wire := []struct {
		typ    string
		values [3]string
	}{{"TIMESTAMP NULL", [3]string{"2024-02-29 23:59:59", "2000-01-01 00:00:00", "1999-12-31 01:02:03"}}, {"ENUM('a','b')", [3]string{"a", "b", "a"}}, {"SET('a','b')", [3]string{"a", "a,b", ""}}, {"JSON", [3]string{`{"a":1}`, `[]`, `"x"`}}, {"UUID", [3]string{"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a13"}}, {"INET6", [3]string{"::1", "::ffff:10.1.2.3", "2001:db8::1"}}}
	all := append(types[:len(types):len(types)], wire...)
	var cols, names []string
	rows := make([][]string, 3)
	for i, c := range all {
		name := fmt.Sprintf("c%d", i)
		names, cols = append(names, name), append(cols, name+" "+c.typ)
		for j := range rows {
			v := "'" + c.values[j] + "'"
			if strings.HasPrefix(c.typ, "BIT") {
				v = "b" + v
			}
			rows[j] = append(rows[j], v)
		}
	}
	table := "(id INT PRIMARY KEY AUTO_INCREMENT, " + strings.Join(cols, ", ") + ")"
	setup := []string{"CREATE TABLE shop.back " + table}
	var rules []mask.Rule
	for i, tr := range transforms {
		setup = append(setup, fmt.Sprintf("CREATE TABLE shop.t%d %s", i, table))
		for _, r := range rows {
			setup = append(setup, fmt.Sprintf("INSERT INTO shop.t%d (%s) VALUES (%s)", i, strings.Join(names, ", "), strings.Join(r, ", ")))
		}
		rules = append(rules, mask.Rule{Name: fmt.Sprint(i, mask.Describe(tr)), Columns: []string{fmt.Sprintf("shop.t%d.c*", i)}, Transform: tr})
	}
	r := newRig(t, rigConfig{steps: []middleware.Step{middleware.Mask(rules...)}, maria: servers.MariaDBConfig{SQL: setup}})
	through := r.connect(t)
	direct := mysql.NewConfig()
	direct.User, direct.Passwd, direct.Net, direct.Addr, direct.DBName = r.db.Superuser.User, r.db.Superuser.Secret.Reveal(), "tcp", r.db.Addr, "shop"
	conn, err := mysql.NewConnector(direct)
	require.NoError(t, err)
	own := sql.OpenDB(conn)
	defer own.Close()
	masked, null := 0, 0
	for i, tr := range transforms {
		for _, prepared := range []bool{false, true} {
			query, args := fmt.Sprintf("SELECT %s FROM t%d", strings.Join(names, ", "), i), []any(nil)
			if prepared {
				query, args = query+" WHERE id > ?", []any{0}
			}
			res, err := through.Query(query, args...)
			require.NoError(t, err)
			at := make([]any, len(all))
			got := make([]sql.RawBytes, len(all))
			for k := range got {
				at[k] = &got[k]
			}
			n := 0
			for res.Next() {
				require.NoError(t, res.Scan(at...), mask.Describe(tr))
				for k, v := range got {
					if v == nil {
						null++
						continue
					}
					masked++
					if k >= len(types) {
						continue
					}
					_, err := own.Exec(fmt.Sprintf("INSERT INTO back (%s) VALUES (?)", names[k]), string(v))
					if err != nil {
						t.Errorf("%s of %s %q, prepared %t: %q: %v", mask.Describe(tr), all[k].typ, all[k].values[n], prepared, v, err)
					}
				}
				n++
			}
			require.NoError(t, res.Err(), mask.Describe(tr))
			require.NoError(t, res.Close())
			require.Equal(t, 3, n)
		}
	}
	t.Logf("%d values masked, %d NULL", masked, null)
}
