package mysql_test

import (
	"database/sql"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/mytest"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// maskShop hides two columns.
func maskShop() middleware.Step {
	return middleware.Mask(
		mask.Rule{Name: "email", Columns: []string{"shop.customers.email"}, Transform: mask.Redact()},
		mask.Rule{Name: "ssn", Columns: []string{"shop.customers.ssn"}, Transform: mask.KeepLast(2)},
	)
}

// attacks try to see what is masked, each in its own way.
var attacks = []string{
	"SELECT email FROM customers",
	"SELECT * FROM customers",
	"SELECT customers.* FROM customers",
	"SELECT c.email AS city FROM customers c",
	"SELECT EMAIL FROM customers",
	"SELECT `email` FROM `shop`.`customers`",
	"SELECT CONCAT(email, '') FROM customers",
	"SELECT REVERSE(email) FROM customers",
	"SELECT HEX(email) FROM customers",
	"SELECT TO_BASE64(email) FROM customers",
	"SELECT UPPER(email) FROM customers",
	"SELECT LEFT(email, 10) FROM customers",
	"SELECT SUBSTRING(email, 1, 12) FROM customers",
	"SELECT CAST(email AS CHAR) FROM customers",
	"SELECT CONVERT(email USING latin1) FROM customers",
	"SELECT email COLLATE utf8mb4_bin FROM customers",
	"SELECT BINARY email FROM customers",
	"SELECT COALESCE(email, name) FROM customers",
	"SELECT IF(1, email, name) FROM customers",
	"SELECT CASE WHEN 1 THEN email END FROM customers",
	"SELECT NULLIF(email, '') FROM customers",
	"SELECT MAX(email) FROM customers",
	"SELECT GROUP_CONCAT(email) FROM customers",
	"SELECT GROUP_CONCAT(name, email ORDER BY id SEPARATOR ';') FROM customers",
	"SELECT JSON_ARRAYAGG(email) FROM customers",
	"SELECT JSON_OBJECT('e', email) FROM customers",
	"SELECT JSON_OBJECTAGG(id, email) FROM customers",
	"SELECT (SELECT email FROM customers WHERE id = 1)",
	"SELECT (SELECT email FROM customers c WHERE c.id = o.customer LIMIT 1) FROM orders o",
	"SELECT email FROM (SELECT email FROM customers) x",
	"SELECT city FROM (SELECT email AS city FROM customers) customers",
	"SELECT city FROM (SELECT email AS city FROM customers LIMIT 1) customers",
	"SELECT x.a FROM (SELECT email a, city b FROM customers) x",
	"SELECT a FROM (SELECT email FROM customers) AS x(a)",
	"WITH w AS (SELECT email FROM customers) SELECT * FROM w",
	"WITH w(a) AS (SELECT email FROM customers) SELECT a FROM w",
	"WITH w AS (SELECT email FROM customers), v AS (SELECT email AS name FROM w) SELECT name FROM v",
	"WITH RECURSIVE r AS (SELECT email AS e, 1 AS n FROM customers UNION ALL SELECT e, n + 1 FROM r WHERE n < 2) SELECT e FROM r",
	"WITH RECURSIVE r AS (SELECT CAST('' AS CHAR(80)) AS e, 1 AS n UNION ALL SELECT (SELECT email FROM customers WHERE id = 1), n + 1 FROM r WHERE n < 2) SELECT e FROM r",
	"SELECT name FROM customers UNION SELECT email FROM customers",
	"SELECT email FROM customers UNION ALL SELECT name FROM customers",
	"(SELECT name FROM customers) UNION (SELECT email FROM customers) ORDER BY 1",
	"SELECT name FROM customers EXCEPT SELECT email FROM customers UNION SELECT email FROM customers",
	"SELECT contact FROM contacts",
	"SELECT * FROM contacts",
	"SELECT handle FROM customers",
	"SELECT c.email FROM orders o JOIN customers c ON c.id = o.customer",
	"SELECT * FROM orders o JOIN customers c ON c.id = o.customer",
	"SELECT * FROM customers NATURAL JOIN (SELECT 1 AS id) x",
	"SELECT * FROM customers JOIN orders USING (id)",
	"SELECT * FROM orders RIGHT JOIN customers USING (id)",
	"SELECT * FROM customers a JOIN customers b USING (id, email)",
	"SELECT ssn + 0, email FROM customers",
	"SELECT SUBSTRING(ssn, 1, 7) FROM customers",
	"SELECT REPLACE(ssn, '-', '') FROM customers",
	"SELECT LPAD(ssn, 20, 'x') FROM customers",
	"SELECT FIRST_VALUE(email) OVER (ORDER BY id) FROM customers",
	"SELECT LAG(email) OVER (ORDER BY id) FROM customers",
	"SELECT MAX(email) OVER () FROM customers",
	"SELECT MIN(email) OVER w FROM customers WINDOW w AS (PARTITION BY id)",
	"TABLE customers",
	"VALUES ((SELECT email FROM customers WHERE id = 1))",
	"SELECT @a := email FROM customers",
	"SELECT email INTO @a FROM customers WHERE id = 1; SELECT @a",
	"SET @a = (SELECT email FROM customers WHERE id = 1); SELECT @a",
	"SET @a := (SELECT GROUP_CONCAT(email) FROM customers); SELECT @a",
	"CREATE TABLE copy1 AS SELECT * FROM customers; SELECT * FROM copy1",
	"CREATE TEMPORARY TABLE copy2 AS SELECT email FROM customers; SELECT * FROM copy2",
	"CREATE TEMPORARY TABLE copy3 (city VARCHAR(80)) SELECT email AS city FROM customers; SELECT city FROM copy3",
	"CREATE TABLE copy4 LIKE customers; INSERT INTO copy4 (id, email) SELECT id, email FROM customers; SELECT email FROM copy4",
	"INSERT INTO orders (item) SELECT email FROM customers; SELECT item FROM orders",
	"REPLACE INTO orders (id, item) SELECT id, email FROM customers; SELECT item FROM orders",
	"INSERT INTO orders (id, item) VALUES (1, 'x') ON DUPLICATE KEY UPDATE item = (SELECT email FROM customers WHERE id = 1); SELECT item FROM orders",
	"UPDATE customers SET city = email; SELECT city FROM customers",
	"UPDATE orders SET item = (SELECT email FROM customers WHERE id = 1); SELECT item FROM orders",
	"UPDATE orders o JOIN customers c ON c.id = o.customer SET o.item = c.email; SELECT item FROM orders",
	"START TRANSACTION; DELETE FROM customers WHERE id = 1 RETURNING email; ROLLBACK",
	"INSERT INTO customers (id, email) VALUES (1, 'x') ON DUPLICATE KEY UPDATE city = email; SELECT city FROM customers",
	"INSERT INTO orders (item) VALUES ('z') RETURNING (SELECT email FROM customers WHERE id = 1)",
	"CREATE VIEW v1 AS SELECT email AS x FROM customers; SELECT x FROM v1",
	"CREATE VIEW v2 (a, b) AS SELECT id, email FROM customers; SELECT b FROM v2",
	"ALTER TABLE customers CHANGE email mail VARCHAR(80); SELECT mail FROM customers",
	"ALTER TABLE customers RENAME COLUMN email TO mail; SELECT mail FROM customers",
	"ALTER TABLE customers RENAME TO people; SELECT email FROM people",
	"RENAME TABLE customers TO people; SELECT email FROM people",
	"PREPARE s FROM 'SELECT email FROM customers'; EXECUTE s",
	"SET @q = 'SELECT email FROM customers'; PREPARE s FROM @q; EXECUTE s",
	"EXECUTE IMMEDIATE 'SELECT email FROM customers'",
	"HANDLER customers OPEN; HANDLER customers READ FIRST",
	"SELECT * FROM customers INTO OUTFILE '/tmp/sallyport-must-not-be-here'; SELECT LOAD_FILE('/tmp/sallyport-must-not-be-here')",
	"SELECT EXTRACTVALUE(1, CONCAT('~', (SELECT email FROM customers WHERE id = 1)))",
	"SELECT UPDATEXML(1, CONCAT('~', (SELECT ssn FROM customers WHERE id = 1)), 1)",
	"INSERT INTO customers (id, email) SELECT 1, email FROM customers",
	"SELECT CAST(email AS DATE) FROM customers; SHOW WARNINGS",
	"SELECT 1 + email FROM customers; SHOW WARNINGS",
	"SELECT CAST(ssn AS SIGNED), ssn * 1 FROM customers; SHOW WARNINGS",
	"SELECT /*! email, */ name FROM customers",
	"SELECT /*M! email, */ name FROM customers",
	"SELECT /*!50000 email, */ name FROM customers",
	"SELECT /*M!100000 email, */ name FROM customers",
	"SELECT /*!100100 email, */ name FROM customers",
	"SELECT name /*! FROM customers UNION SELECT email */ FROM customers",
	"SELECT 'a' /*M!, email */ FROM customers",
	"SELECT get_mail(1)",
	"SELECT shop.get_mail(1)",
	"CALL show_mails()",
	"CALL mail_into(@m); SELECT @m",
	"SET sql_mode = 'ANSI_QUOTES'; SELECT \"email\" FROM customers",
	"SET sql_mode = 'NO_BACKSLASH_ESCAPES'; SELECT 'a\\', email, '\\' FROM customers",
	"USE mysql; SELECT email FROM shop.customers",
	"SELECT * FROM information_schema.PROCESSLIST",
	"SHOW FULL PROCESSLIST",
	"ANALYZE TABLE customers PERSISTENT FOR ALL; SELECT * FROM mysql.column_stats",
	"ANALYZE FORMAT=JSON SELECT * FROM customers WHERE email = (SELECT MAX(email) FROM customers)",
	"EXPLAIN EXTENDED SELECT * FROM orders WHERE item = (SELECT email FROM customers WHERE id = 1); SHOW WARNINGS",
	"EXPLAIN FORMAT=JSON SELECT * FROM customers WHERE email > (SELECT MIN(email) FROM customers)",
	"SELECT * FROM customers PROCEDURE ANALYSE()",
	"BEGIN NOT ATOMIC SELECT email FROM customers; END",
	"CREATE FUNCTION leak() RETURNS VARCHAR(80) RETURN (SELECT email FROM shop.customers WHERE id = 1); SELECT leak()",
	"CREATE TABLE merged (id INT, email VARCHAR(80)) ENGINE=MERGE UNION=(customers_isam); SELECT email FROM merged",
	"GET DIAGNOSTICS CONDITION 1 @m = MESSAGE_TEXT; SELECT @m",
	"SELECT LAST_INSERT_ID(REPLACE(ssn, '-', '')) FROM customers; SELECT LAST_INSERT_ID()",
	"SELECT * FROM (customers)",
	"SELECT * FROM (customers, orders)",
	"SELECT JSON_VALUE(JSON_OBJECT('a', email), '$.a') FROM customers",
	"SELECT * FROM JSON_TABLE((SELECT JSON_ARRAYAGG(email) FROM customers), '$[*]' COLUMNS (a VARCHAR(80) PATH '$')) t",
	"SELECT name FROM customers ORDER BY (SELECT EXTRACTVALUE(1, CONCAT('~', email)))",
	"SELECT name FROM customers GROUP BY name HAVING EXTRACTVALUE(1, CONCAT('~', MAX(email)))",
	"DO EXTRACTVALUE(1, CONCAT('~', (SELECT email FROM customers WHERE id = 1)))",
	"SELECT email FROM shop.customers AS OF TIMESTAMP NOW()",
	"SELECT * FROM customers LIMIT 1 FOR UPDATE",
	"SELECT DISTINCT email FROM customers",
	"SELECT ALL email FROM customers",
	"SELECT SQL_CALC_FOUND_ROWS email FROM customers",
	"SELECT STRAIGHT_JOIN c.email FROM customers c, orders o",
	"SELECT email'x' FROM customers",
	"SELECT id, email e FROM customers HAVING e IS NOT NULL",
	"SELECT VALUE(email) FROM customers",
	"SELECT ELT(1, email) FROM customers",
	"SELECT WEIGHT_STRING(email) FROM customers",
	"SELECT FIELD(email, ''), MAKE_SET(1, email), EXPORT_SET(1, email, '0') FROM customers",
	"SELECT * FROM customers WHERE id = 1 UNION SELECT 1, 'a', 'b', 'c', 'd', 1, NULL, 'e'",
	"SELECT 'x' /*!99999 /* */ AS c -- */ , CONCAT(email, '') FROM customers",
	"SELECT 'x' AS c /*M!999999 /* */ , 'y' FROM customers -- */ , CONCAT(email, '') FROM customers",
	"SELECT 'x' AS c /*m!, '*/, CONCAT(email, '') FROM customers #' */ FROM customers",
	"WITH Customers AS (SELECT 'x' AS email) SELECT CONCAT(email, '') FROM customers",
	"WITH RECURSIVE a AS (SELECT item FROM orders), orders AS (SELECT CONCAT(email, '') AS item FROM customers) SELECT item FROM a",
	"BEGIN NOT ATOMIC EXECUTE IMMEDIATE 'SELECT email FROM customers';END",
	"PREPARE s FROM 'SELECT email FROM customers'; BEGIN NOT ATOMIC EXECUTE s;END",
	"BEGIN NOT ATOMIC SET sql_mode = 'ANSI_QUOTES';EXECUTE IMMEDIATE 'SELECT \"email\" FROM customers';END",
	"BEGIN NOT ATOMIC SELECT email INTO @'a''b' FROM customers WHERE id = 1;END; SELECT @'a''b'",
	"BEGIN NOT ATOMIC SELECT email INTO @`a``b` FROM customers WHERE id = 1;END; SELECT @`a``b`",
	"CALL mail_into(@é); SELECT @è",
	"CALL mail_into(@é); SELECT @e",
	"CALL mail_into(@a); SELECT @'a '",
	"PREPARE é FROM 'SELECT 1'; PREPARE è FROM 'SELECT CONCAT(email, \\'\\') FROM customers'; EXECUTE é",
	"BEGIN NOT ATOMIC DECLARE n BIGINT;SELECT REPLACE(ssn, '-', '') INTO n FROM customers WHERE id = 1;SET timestamp = n;END; SELECT UNIX_TIMESTAMP(), @@timestamp",
	"BEGIN NOT ATOMIC DECLARE n BIGINT;SELECT REPLACE(ssn, '-', '') INTO n FROM customers WHERE id = 1;SET pseudo_thread_id = n;END; SELECT CONNECTION_ID()",
	"BEGIN NOT ATOMIC SELECT REPLACE(ssn, '-', '') + 0 INTO @n FROM customers WHERE id = 1;SET last_insert_id = @n;END; SELECT LAST_INSERT_ID()",
	"BEGIN NOT ATOMIC SELECT email INTO @n FROM customers WHERE id = 1;SET default_master_connection = @n;END; SELECT @@default_master_connection",
	"SELECT * FROM (SELECT 1 AS q) a JOIN ((SELECT 'y' AS y) b RIGHT JOIN (SELECT CONCAT(email, '') AS x FROM customers) c ON 1) LEFT JOIN (SELECT 2 AS z) d ON 1",
	"SELECT * FROM (SELECT 1 AS q) a CROSS JOIN ((SELECT CONCAT(email, '') AS x FROM customers) c RIGHT JOIN (SELECT 'y' AS y) b ON 1) JOIN (SELECT 2 AS z) d ON 1",
	"SELECT * FROM (SELECT CONCAT(email, '') AS x FROM customers) a JOIN ((SELECT 1 AS k) b NATURAL JOIN (SELECT 1 AS k) c) LEFT JOIN (SELECT 2 AS z) d ON 1",
	"SELECT * FROM (SELECT CONCAT(email, '') AS x FROM customers) a JOIN ((SELECT 1 AS k) b JOIN (SELECT 1 AS k) c USING (k)) LEFT JOIN (SELECT 2 AS z) d ON 1",
	`SET character_set_connection = swe7; SET @q = 'SELECT ''a\\'', CONCAT(email) FROM customers -- '' FROM customers'; PREPARE s FROM @q; EXECUTE s`,
	`SET character_set_connection = swe7; EXECUTE IMMEDIATE 'SELECT ''a\\'', CONCAT(email) FROM customers -- '' FROM customers'`,
	"BEGIN NOT ATOMIC DO LAST_INSERT_ID((SELECT REPLACE(ssn, '-', '') + 0 FROM customers WHERE id = 1));END; SHOW VARIABLES LIKE 'last_insert_id'",
	"BEGIN NOT ATOMIC DO LAST_INSERT_ID((SELECT REPLACE(ssn, '-', '') + 0 FROM customers WHERE id = 1));END; SELECT * FROM information_schema.SESSION_VARIABLES",
	"BEGIN NOT ATOMIC DO LAST_INSERT_ID((SELECT REPLACE(ssn, '-', '') + 0 FROM customers WHERE id = 1));END; SELECT SESSION_VALUE FROM information_schema.SYSTEM_VARIABLES",
	"BEGIN NOT ATOMIC DO LAST_INSERT_ID((SELECT REPLACE(ssn, '-', '') + 0 FROM customers WHERE id = 1));END; SELECT * FROM shown_settings",
	"EXPLAIN SELECT * FROM (SELECT @a := email FROM customers LIMIT 1) x; SELECT @a",
	"EXPLAIN SELECT * FROM orders WHERE id = LAST_INSERT_ID((SELECT REPLACE(ssn, '-', '') + 0 FROM customers WHERE id = 1)); SELECT LAST_INSERT_ID()",
	"BEGIN NOT ATOMIC SET @n = mail_out(@m, 1);END; SELECT @m",
	"CALL ssn_into(@n); CREATE EVENT shown ON SCHEDULE EVERY @n SECOND DISABLE DO SELECT 1; SELECT INTERVAL_VALUE FROM information_schema.EVENTS",
	"SELECT (SELECT x.a FROM (SELECT 'z' AS a) X) AS r FROM (SELECT CONCAT(email) AS a FROM customers) x",
	"SELECT (SELECT `CONCAT(email/*x*/)` FROM (SELECT CONCAT(email/*x*/) FROM customers LIMIT 1) y) AS r FROM (SELECT 'z' AS `CONCAT(email/*x*/)`) x",
	"SELECT (SELECT a FROM (SELECT CONCAT(email) AS ` a` FROM customers LIMIT 1) y) AS r FROM (SELECT 'z' AS a) x",
	"SELECT (SELECT `ẞ` FROM (SELECT 'z' AS `ß`) y) AS r FROM (SELECT CONCAT(email) AS `ẞ` FROM customers) x",
	"CREATE TEMPORARY TABLE c (email VARCHAR(80)); INSERT INTO c VALUES ('z'); SELECT (SELECT CONCAT(shop.c.email) FROM customers c LIMIT 1) AS r FROM c",
	"SELECT (SELECT `(SELECT email FROM customers WHERE id=1)` FROM (VALUES ((SELECT email FROM customers WHERE id=1))) y) AS r FROM (SELECT 'z' AS `(SELECT email FROM customers WHERE id=1)`) x",
	"SELECT (SELECT `CONCAT(email,  \"\")` FROM (VALUES (1)) z, (SELECT CONCAT(email,  \"\") FROM customers LIMIT 1) y) AS r FROM (SELECT 'z' AS `CONCAT(email,  \"\")`) x",
	"SELECT (SELECT X.a FROM (SELECT 'z' AS a) x) AS r FROM (SELECT CONCAT(email) AS a FROM customers) X",
	"SELECT (SELECT MAX(X.a) FROM (SELECT 'z' AS a) x) AS r FROM (SELECT CONCAT(email) AS a FROM customers) X",
	"SELECT (SELECT email FROM (SELECT +email FROM customers LIMIT 1) y) AS r FROM (SELECT 'z' AS email) x",
	"WITH x(a, b, c, d, e) AS (SELECT * FROM (SELECT 1 AS ` k`, CONCAT(email) AS e, CONCAT(1/*a*/) FROM customers) l NATURAL JOIN (SELECT 1 AS k, CONCAT(1 ), 'z' AS z) r) SELECT CONCAT(a), CONCAT(b), CONCAT(c), CONCAT(d), CONCAT(e) FROM x",
	"WITH w AS (SELECT CONCAT(email) AS a FROM customers), v AS (WITH w AS (SELECT 'z' AS a) SELECT a FROM w) SELECT * FROM v",
	"WITH customers AS (SELECT CONCAT(email) AS email FROM customers), v AS (WITH customers AS (SELECT 'z' AS email) SELECT email FROM customers) SELECT * FROM v",
	"WITH RECURSIVE v AS (WITH w AS (SELECT 'z' AS a) SELECT a FROM w), w AS (SELECT CONCAT(email) AS a FROM customers) SELECT * FROM v",
	"WITH ẞ AS (SELECT CONCAT(email) AS a FROM customers) SELECT (WITH ß AS (SELECT 'z' AS a) SELECT MAX(a) FROM ẞ) AS r",
	"HANDLER customers OPEN ẞ; HANDLER eight OPEN ß; HANDLER ẞ READ NEXT",
	"INSERT INTO orders (id, item) SELECT id, name AS email FROM customers ON DUPLICATE KEY UPDATE item = email; SELECT item FROM orders",
	"INSERT INTO orders (id, item) SELECT 1, 'x' AS ssn FROM customers ON DUPLICATE KEY UPDATE item = ssn; SELECT item FROM orders",
	"INSERT INTO orders (id, item) SELECT id, 'z' AS q FROM (SELECT id, CONCAT(email) AS q FROM customers) w ON DUPLICATE KEY UPDATE item = q; SELECT item FROM orders",
	"INSERT INTO orders (id, item) TABLE customers ON DUPLICATE KEY UPDATE item = email; SELECT item FROM orders",
	"SELECT name FROM customers c WHERE EXISTS (SELECT 1 AS email FROM dual WHERE CAST(email AS SIGNED) = 0); SHOW WARNINGS",
	"SELECT (SELECT COUNT(*) FROM (SELECT 1 AS email) a, (SELECT 1) b JOIN (SELECT 2) c ON CAST(email AS SIGNED) = 0) FROM customers; SHOW WARNINGS",
	"SELECT (SELECT COUNT(*) FROM (SELECT 1 AS email) a JOIN ((SELECT 1) b JOIN (SELECT 2) c ON CAST(email AS SIGNED) = 0)) FROM customers; SHOW WARNINGS",
	"SELECT _gb18030'x' FROM (SELECT CONCAT(email) AS _gb18030 FROM customers) q",
	"SELECT 0X61, 0B1, 0b2, 1e, 1ex FROM (SELECT CONCAT(email) AS 0X61, CONCAT(email) AS 0B1, CONCAT(email) AS `0b2`, CONCAT(email) AS `1e`, CONCAT(email) AS `1ex` FROM customers) q",
	"SELECT q.1e5, q.1, q.0x61 FROM (SELECT CONCAT(email) AS `1e5`, CONCAT(email) AS `1`, CONCAT(email) AS `0x61` FROM customers) q",
	"SELECT z\u00a0b FROM (SELECT CONCAT(email) AS `z\u00a0b`, 'z' AS z FROM customers) q",
	"SELECT z\ufeffb FROM (SELECT CONCAT(email) AS `z\ufeffb`, 'z' AS z FROM customers) q",
	"SELECT CONCAT(x.a) FROM (SELECT email 'b', name 'a' FROM customers) x; SELECT CONCAT(x.a) FROM (SELECT email 'a', name 'b' FROM customers) x",
	"SELECT {x email}, {fn CONCAT(email)} FROM customers",
	"SELECT CONCAT(x.email) FROM {OJ customers x LEFT OUTER JOIN orders o ON x.id = o.customer}",
	"SELECT item FROM orders o RIGHT JOIN (SELECT CONCAT(email) AS item FROM customers) x USING (item)",
	"WITH x(a, b, c) AS (SELECT * FROM (SELECT 1 AS i) a JOIN (SELECT 1 AS i, CONCAT(email) AS k FROM customers) b USING (i) JOIN (SELECT CONCAT(email) AS k, 'y' AS y FROM customers) c USING (k)) SELECT CONCAT(a), CONCAT(b), CONCAT(c) FROM x",
	"WITH x(a, b, c) AS (SELECT * FROM (SELECT 1 AS a) p LEFT JOIN (SELECT CONCAT(email) AS b FROM customers) q RIGHT JOIN (SELECT 'c' AS c) r ON 1 ON 1) SELECT CONCAT(a), CONCAT(b), CONCAT(c) FROM x",
	"WITH x(a, b, c, d) AS (SELECT * FROM ((SELECT CONCAT(email) AS b FROM customers) q RIGHT JOIN (SELECT 'c' AS c) r ON 1) RIGHT JOIN ((SELECT 1 AS a) p JOIN (SELECT 'd' AS d) s) ON 1) SELECT CONCAT(a), CONCAT(b), CONCAT(c), CONCAT(d) FROM x",
	"WITH RECURSIVE r(n, a, b, c) AS (SELECT 1, CAST('z' AS CHAR(80)), CAST('z' AS CHAR(80)), (SELECT CONCAT(email) FROM customers WHERE id = 1) UNION ALL SELECT n + 1, b, c, c FROM r WHERE n < 4) SELECT a FROM r",
	"WITH q(a, b) AS (VALUES ('z', (SELECT email FROM customers WHERE id = 1))) SELECT a, CONCAT(b) FROM q",
	"SELECT j.b FROM customers, JSON_TABLE(JSON_OBJECT('a', email), '$' COLUMNS (o FOR ORDINALITY, NESTED PATH '$' COLUMNS (b VARCHAR(80) PATH '$.a'))) j",
	"SELECT q.a, Q.a FROM (SELECT 'z' AS a) q, (SELECT CONCAT(email) AS a FROM customers) Q",
	"CALL mail_into(@m); EXECUTE IMMEDIATE 'SELECT CONCAT(?), 1' USING @m",
	"CALL mail_into(@m); SET @m = (SELECT 1 UNION SELECT 2); SELECT @m",
	"CALL mail_into(@m); SELECT 'x' INTO @m FROM customers WHERE 0; SELECT @m",
	"CALL mail_into(@m); SHOW USER_VARIABLES",
	"CALL mail_into(@m); SELECT CAST(@m AS DATE); SHOW WARNINGS",
	"SET @q = _gbk'SELECT ''中\\\\'', CONCAT(email) FROM customers -- '' FROM customers'; PREPARE s FROM @q; EXECUTE s",
	"INSERT INTO customers (id, email) SELECT id, email FROM customers c ON DUPLICATE KEY UPDATE city = VALUES(email); SELECT city FROM customers",
	"INSERT INTO customers (id, email) SELECT id, 'x' FROM customers c ON DUPLICATE KEY UPDATE city = CONCAT(VALUES(email), customers.email); SELECT city FROM customers",
	"INSERT INTO customers (id, email) VALUES (1, (SELECT c.email FROM customers c WHERE id = 1)) ON DUPLICATE KEY UPDATE city = VALUE(email); SELECT city FROM customers",
	"CALL mail_into(@m); CREATE TEMPORARY TABLE kept1 LIKE defaults; INSERT INTO kept1 (id) VALUES (1); SELECT CONCAT(a) FROM kept1",
	"CALL mail_into(@m); CREATE TEMPORARY TABLE kept2 LIKE defaults; CREATE TEMPORARY TABLE kept3 LIKE kept2; INSERT INTO kept3 (id) VALUES (1) RETURNING CONCAT(a)",
	"CALL ssn_into(@n); SET STATEMENT group_concat_max_len = @n FOR SELECT @@group_concat_max_len",
	"CALL ssn_into(@n); SET STATEMENT sql_select_limit = @n FOR SHOW VARIABLES LIKE 'sql_select_limit'",
	"CALL mail_into(@m); SET STATEMENT time_zone = @m FOR SELECT 1",
	"SET STATEMENT group_concat_max_len = LAST_INSERT_ID() FOR SELECT @@group_concat_max_len",
	"BEGIN NOT ATOMIC DO LAST_INSERT_ID((SELECT REPLACE(ssn, '-', '') + 0 FROM customers WHERE id = 1));END; SET STATEMENT group_concat_max_len = @@last_insert_id FOR SELECT @@group_concat_max_len",
	"BEGIN NOT ATOMIC DO LAST_INSERT_ID((SELECT REPLACE(ssn, '-', '') + 0 FROM customers WHERE id = 1));SET group_concat_max_len = @@last_insert_id;END; SELECT @@group_concat_max_len",
	"BEGIN NOT ATOMIC DO LAST_INSERT_ID((SELECT REPLACE(ssn, '-', '') + 0 FROM customers WHERE id = 1));SET timestamp = @@identity;END; SELECT UNIX_TIMESTAMP()",
	"PREPARE s FROM 'CALL mail_into(?)'; EXECUTE s USING @m; SELECT @m",
	"EXECUTE IMMEDIATE 'CALL mail_into(?)' USING @m; SELECT @m",
	"EXECUTE IMMEDIATE 'CALL mail_into((?))' USING ((@m)); SELECT @m",
	"CALL mail_into((@m)); SELECT @m",
	"SET @n = mail_out(((@m)), 1); SELECT @m",
	"EXECUTE IMMEDIATE 'SET @n = mail_out(?, 1)' USING @m; SELECT @m",
	"CALL mail_into(@m); EXECUTE IMMEDIATE 'CREATE TABLE kept4 (id INT, a VARCHAR(80) DEFAULT ?)' USING @m; SHOW CREATE TABLE kept4",
	"CALL mail_into(@m); EXECUTE IMMEDIATE 'CREATE TABLE kept5 (a VARCHAR(80) CHECK (a <> ?), b UUID)' USING @m; SHOW CREATE TABLE kept5",
	"CALL ssn_into(@n); EXECUTE IMMEDIATE 'CREATE EVENT shown2 ON SCHEDULE EVERY ? SECOND DISABLE DO SELECT 1' USING @n; SELECT INTERVAL_VALUE FROM information_schema.EVENTS",
	"CALL mail_into(@m); EXECUTE IMMEDIATE 'SELECT ?' USING (@z := @m); SELECT @z",
	"CALL mail_into(@m); EXECUTE IMMEDIATE 'SELECT @z, ?' USING (@z := @m)",
	"CALL mail_into(@m); EXECUTE IMMEDIATE 'BEGIN' USING EXTRACTVALUE(1, CONCAT('~', @m))",
	"CALL ssn_into(@n); EXECUTE IMMEDIATE 'SELECT ?' USING LAST_INSERT_ID(@n); SELECT LAST_INSERT_ID()",
	"SET @q = 'SELECT 1'; EXECUTE IMMEDIATE 'SELECT ?' USING @q := 'SELECT CONCAT(email) FROM customers'; EXECUTE IMMEDIATE @q",
	"SET @q = 'SELECT 1'; SELECT x FROM next_texts; EXECUTE IMMEDIATE @q",
	"SET @q = 'SELECT 1'; CREATE VIEW all_texts AS SELECT COUNT(*) AS n FROM next_texts; SELECT n FROM all_texts; EXECUTE IMMEDIATE @q",
	"SET @q = 'SELECT 1'; SELECT x FROM dynamic_texts; EXECUTE IMMEDIATE @q",
	"CALL keep_ssn(); CREATE EVENT shown3 ON SCHEDULE EVERY LAST_INSERT_ID() SECOND DISABLE DO SELECT 1; SELECT INTERVAL_VALUE FROM information_schema.EVENTS",
	"CREATE EVENT shown4 ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1; CALL keep_ssn(); ALTER EVENT shown4 ON SCHEDULE EVERY LAST_INSERT_ID() SECOND; SELECT INTERVAL_VALUE FROM information_schema.EVENTS",
	"CALL keep_ssn(); CREATE EVENT shown5 ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01' + INTERVAL 1 DAY ENDS FROM_UNIXTIME(2000000000 + LAST_INSERT_ID()) DISABLE DO SELECT 1; SELECT UNIX_TIMESTAMP(ENDS) - 2000000000 FROM information_schema.EVENTS",
	"CALL keep_ssn(); SELECT x FROM last_ids",
	"CALL keep_ssn(); SELECT CONCAT(x) FROM (SELECT x FROM last_ids) y",
	"CALL keep_variable(); SELECT LAST_INSERT_ID()",
	"CALL ssn_into(@n); CALL keep_argument(@n); SELECT @@last_insert_id",
	"CALL keep_argument((SELECT REPLACE(ssn, '-', '') + 0 FROM customers WHERE id = 1)); SELECT LAST_INSERT_ID()",
	"CALL ssn_into(@n); CALL keep_through(@n); SELECT LAST_INSERT_ID()",
	"CALL ssn_into(@n); CALL set_argument(@n); SELECT UNIX_TIMESTAMP(), @@timestamp",
	"CALL ssn_into(@n); CALL set_through(@n); SELECT UNIX_TIMESTAMP()",
	"CALL set_argument((SELECT REPLACE(ssn, '-', '') + 0 FROM customers WHERE id = 1)); SELECT UNIX_TIMESTAMP()",
	"CALL mail_into(@m); CALL set_name(@m); SELECT @@default_master_connection",
	"CALL set_variable(); SELECT UNIX_TIMESTAMP()",
	"CALL ssn_into(@n); CALL raise_number(@n DIV 100000)",
	"CALL ssn_into(@n); CALL warn_number(@n DIV 100000); SHOW WARNINGS",
	"CALL mail_into(@m); ALTER TABLE places ADD COLUMN a VARCHAR(80) DEFAULT (CONCAT(@m)); SELECT a FROM places",
	"CALL mail_into(@m); ALTER TABLE varied ADD COLUMN b VARCHAR(80) DEFAULT (CONCAT(DEFAULT(a))); SELECT b FROM varied",
	"CALL keep_ssn(); ALTER TABLE places ADD COLUMN b VARCHAR(80) DEFAULT (CONCAT(@@identity)); SELECT b FROM places",
	"CALL mail_into(@m); CREATE TABLE kept6 (id INT, a VARCHAR(80) DEFAULT (CONCAT(@m))) SELECT 1 AS id; SELECT a FROM kept6",
	"CALL mail_into(@m); CREATE TEMPORARY TABLE kept7 (id INT, a VARCHAR(80) DEFAULT (CONCAT(@m))) SELECT 1 AS id; SELECT a FROM kept7",
	"CREATE TEMPORARY TABLE kept8 (id INT, a VARCHAR(80) DEFAULT (CONCAT(@m))); CALL mail_into(@m); INSERT INTO kept8 (id) VALUES (1); SELECT a FROM kept8",
	"CREATE TEMPORARY TABLE kept9 (id INT, a VARCHAR(80) DEFAULT (CONCAT(@m))); CREATE TEMPORARY TABLE kept10 LIKE kept9; CALL mail_into(@m); INSERT INTO kept10 (id) VALUES (1); SELECT a FROM kept10",
	"CREATE TEMPORARY TABLE kept11 (id INT, a BIGINT DEFAULT (ABS(@@last_insert_id))); CALL keep_ssn(); INSERT INTO kept11 (id) VALUES (1); SELECT a FROM kept11",
	"CALL keep_ssn(); SHOW LOCAL VARIABLES LIKE 'last_insert_id'",
}

// attackSQL is what the attacks need there.
var attackSQL = []string{
	"USE shop",
	"CREATE FUNCTION get_mail(i INT) RETURNS VARCHAR(80) READS SQL DATA RETURN (SELECT email FROM customers WHERE id = i)",
	"CREATE PROCEDURE show_mails() SELECT email FROM customers",
	"CREATE PROCEDURE mail_into(OUT m VARCHAR(80)) SELECT email INTO m FROM customers WHERE id = 1",
	"CREATE PROCEDURE ssn_into(OUT n BIGINT) SELECT REPLACE(ssn, '-', '') + 0 INTO n FROM customers WHERE id = 1",
	"CREATE FUNCTION mail_out(OUT m VARCHAR(80), i INT) RETURNS INT READS SQL DATA BEGIN SELECT email INTO m FROM customers WHERE id = i; RETURN 1; END",
	"CREATE PROCEDURE keep_ssn() DO LAST_INSERT_ID((SELECT REPLACE(ssn, '-', '') + 0 FROM customers WHERE id = 1))",
	"CREATE PROCEDURE keep_variable() BEGIN DECLARE n BIGINT; SELECT REPLACE(ssn, '-', '') + 0 INTO n FROM customers WHERE id = 1; DO LAST_INSERT_ID(n); END",
	"CREATE PROCEDURE keep_argument(n BIGINT) DO LAST_INSERT_ID(n)",
	"CREATE PROCEDURE keep_through(n BIGINT) CALL keep_argument(n)",
	"CREATE PROCEDURE set_argument(n BIGINT) SET timestamp = n",
	"CREATE PROCEDURE set_through(n BIGINT) CALL set_argument(n)",
	"CREATE PROCEDURE set_name(n VARCHAR(80)) SET default_master_connection = n",
	"CREATE PROCEDURE set_variable() BEGIN DECLARE n BIGINT; SELECT REPLACE(ssn, '-', '') + 0 INTO n FROM customers WHERE id = 1; SET timestamp = n; END",
	"CREATE PROCEDURE raise_number(n INT) SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = n",
	"CREATE PROCEDURE warn_number(n INT) SIGNAL SQLSTATE '01000' SET MYSQL_ERRNO = n",
	"CREATE TABLE places (id INT)", "INSERT INTO places VALUES (1)",
	"CREATE TABLE varied (id INT, a VARCHAR(80) DEFAULT (@m))", "INSERT INTO varied (id) VALUES (1)",
	"CREATE FUNCTION next_text() RETURNS INT BEGIN SET @q = 'SELECT CONCAT(email) FROM customers'; RETURN 1; END",
	"CREATE VIEW next_texts AS SELECT next_text() AS x",
	"CREATE VIEW dynamic_texts AS SELECT next_text() AS x, WEIGHT_STRING('a' LEVEL 1) AS y",
	"CREATE VIEW last_ids AS SELECT LAST_INSERT_ID() AS x",
	"CREATE VIEW shown_settings AS SELECT * FROM information_schema.SESSION_VARIABLES",
	"CREATE VIEW shown_documents AS SELECT c.id, c.name, j.mail FROM customers c, JSON_TABLE(JSON_OBJECT('a', c.email), '$' COLUMNS (mail VARCHAR(80) PATH '$.a')) j",
	"CREATE TABLE defaults (id INT, a VARCHAR(80) DEFAULT (@m))",
	"CREATE TABLE customers_isam (id INT, email VARCHAR(80)) ENGINE=MyISAM",
	"CREATE TABLE eight (a VARCHAR(80), b VARCHAR(80), c VARCHAR(80), d VARCHAR(80), e VARCHAR(80), f VARCHAR(80), g VARCHAR(80), h VARCHAR(80))",
}

// secrets are what must not be seen, also in other forms.
func secretsIn(s string) string {
	low := strings.ToLower(s)
	for _, secret := range []string{"ada@example", "bob@example", "example.com", "example.org", "123-45", "987-65", "12345678", "98765432", "error 1234 ", "|1234|"} {
		reversed := []byte(secret)
		for i, j := 0, len(reversed)-1; i < j; i, j = i+1, j-1 {
			reversed[i], reversed[j] = reversed[j], reversed[i]
		}
		for _, form := range []string{secret, string(reversed), hex.EncodeToString([]byte(secret))} {
			if strings.Contains(low, form) {
				return form
			}
		}
	}
	if strings.Contains(s, "YWRhQGV4YW1wbGU") { // ada@example in base 64
		return "base 64"
	}
	return ""
}

// everything returns what a client sees of the answer to a text, errors
// included.
func everything(q interface {
	Query(string, ...any) (*sql.Rows, error)
}, text string) (string, error) {
	rows, err := q.Query(text)
	if err != nil {
		return err.Error(), err
	}
	defer rows.Close()
	var b strings.Builder
	for {
		cols, err := rows.Columns()
		if err != nil {
			return b.String(), err
		}
		values := make([]sql.RawBytes, len(cols))
		at := make([]any, len(cols))
		for i := range values {
			at[i] = &values[i]
		}
		for rows.Next() {
			if err := rows.Scan(at...); err != nil {
				return b.String(), err
			}
			for _, v := range values {
				fmt.Fprintf(&b, "%s|", v)
			}
			b.WriteByte('\n')
		}
		if !rows.NextResultSet() {
			break
		}
	}
	if err := rows.Err(); err != nil {
		b.WriteString(err.Error())
		return b.String(), err
	}
	return b.String(), nil
}

// TestNothingMaskedComesBack runs the attacks as text and prepared.
func TestNothingMaskedComesBack(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskShop()}, maria: servers.MariaDBConfig{SQL: attackSQL}})
	refused := 0
	for _, text := range attacks {
		db := r.connect(t)
		db.SetMaxOpenConns(1)
		var seen strings.Builder
		for part := range strings.SplitSeq(text, "; ") {
			got, err := everything(db, part)
			seen.WriteString(got)
			if err != nil {
				refused++
			}
		}
		_ = db.Close()
		db = r.connect(t)
		got, _ := everything(db, text) // in one go
		seen.WriteString(got)
		_ = db.Close()
		db = r.connect(t)
		for part := range strings.SplitSeq(text, "; ") {
			stmt, err := db.Prepare(part)
			if err != nil {
				seen.WriteString(err.Error())
				continue
			}
			got, _ := everything(preparedQuery{stmt}, "")
			seen.WriteString(got)
		}
		_ = db.Close()
		if form := secretsIn(seen.String()); form != "" {
			t.Errorf("%s: shows %q:\n%s", text, form, seen.String())
		}
	}
	t.Logf("%d attacks, %d refusals", len(attacks), refused)
	require.Equal(t, "ada@example.com", mytest.Exec(t, r.db, "SELECT email FROM shop.customers WHERE id = 1"), "nothing of it has changed a thing")
}

// A default is computed from a masked column, and the server is set to show names
// without quotes.
func TestDefaultsWithoutQuotes(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskShop()}, maria: servers.MariaDBConfig{SQL: []string{
		"SET GLOBAL sql_quote_show_create = 0", "USE shop", "ALTER TABLE customers ADD COLUMN login VARCHAR(90) DEFAULT (CONCAT(email, '!'))",
		"UPDATE customers SET login = DEFAULT", "CREATE VIEW logins AS SELECT id, DEFAULT(login) AS x FROM customers"}}})
	got, err := everything(r.connect(t), "SELECT id, login FROM customers WHERE id = 1")
	require.NoError(t, err)
	require.Equal(t, "1|***|\n", got)
	for _, text := range []string{"SELECT id, DEFAULT(login) FROM customers WHERE id = 1", "SELECT id, CONCAT(DEFAULT(login)) FROM customers WHERE id = 1",
		"SELECT id, CONCAT(x) FROM (SELECT id, DEFAULT(login) AS x FROM customers LIMIT 1) q", "SELECT id, CONCAT(x) FROM logins WHERE id = 1"} {
		got, err := everything(r.connect(t), text)
		require.NoError(t, err, text)
		require.Equal(t, "1|***|\n", got, text)
	}
	got, err = everything(r.connect(t), "SELECT id, IFNULL(DEFAULT(city), 'none') FROM customers WHERE id = 1")
	require.NoError(t, err)
	require.Equal(t, "1|none|\n", got)
}

// A generated column may be computed from others that are, and so may a default.
func TestGeneratedFromGenerated(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskShop()}, maria: servers.MariaDBConfig{SQL: []string{"USE shop",
		"ALTER TABLE customers ADD COLUMN a VARCHAR(90) AS (UPPER(handle)) VIRTUAL, ADD COLUMN b VARCHAR(90) AS (LOWER(a)) STORED, ADD COLUMN c VARCHAR(90) AS (CONCAT(city, '!')) VIRTUAL, " +
			"ADD COLUMN d VARCHAR(90) DEFAULT (CONCAT(email, '!')), ADD COLUMN e VARCHAR(90) DEFAULT (CONCAT(d, '!'))",
		"UPDATE customers SET d = DEFAULT", "UPDATE customers SET e = DEFAULT", "CREATE VIEW lower AS SELECT id, CONCAT(b) AS x FROM customers"}}})
	for _, c := range []struct{ text, want string }{
		{"SELECT a, b, c, d, e FROM customers WHERE id = 1", "***|***|London!|***|***|\n"},
		{"SELECT CONCAT(a), CONCAT(b), CONCAT(c), CONCAT(d), CONCAT(e) FROM customers WHERE id = 1", "***|***|London!|***|***|\n"},
		{"SELECT id, x FROM lower WHERE id = 1", "1|***|\n"},
	} {
		got, err := everything(r.connect(t), c.text)
		require.NoError(t, err, c.text)
		require.Equal(t, c.want, got, c.text)
	}
}

// Columns that tables have without any definition are the key, or of a version.
func TestColumnsWithoutDefinition(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{middleware.Mask(mask.Rule{Name: "pin", Columns: []string{"shop.pins.pin"}, Transform: mask.Redact()})},
		maria: servers.MariaDBConfig{SQL: []string{"USE shop", "CREATE TABLE pins (pin INT PRIMARY KEY)", "INSERT INTO pins VALUES (12345678)"}}})
	db := r.connect(t)
	for _, text := range []string{"SELECT _rowid FROM pins", "SELECT (SELECT _rowid FROM pins LIMIT 1) AS r FROM (SELECT 1 AS _rowid) x", "SELECT (SELECT pins._ROWID FROM pins LIMIT 1) AS r FROM (SELECT 1 AS _rowid) pins",
		"SELECT (SELECT CONCAT(_rowid) FROM pins LIMIT 1) AS r FROM (SELECT 'x' AS _rowid) x", "DELETE FROM pins WHERE pin = 1 RETURNING _rowid"} {
		got, _ := everything(db, text)
		require.Empty(t, secretsIn(got), "%s\n%s", text, got)
	}
	got, err := everything(db, "SELECT x._rowid, row_start FROM (SELECT 1 AS _rowid, 2 AS row_start) x, pins")
	require.NoError(t, err)
	require.Equal(t, "1|2|\n", got)
}

// MariaDB keeps the code of routines in a table that statements can change.
func TestRoutinesChangedInTheirTable(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskShop()}, maria: servers.MariaDBConfig{SQL: []string{"USE shop", "CREATE PROCEDURE first_name() SELECT name FROM customers WHERE id = 1"}}})
	got, err := everything(r.connect(t), "CALL first_name()")
	require.NoError(t, err)
	require.Equal(t, "Ada|\n", got)
	body := quoted("SELECT CONCAT(email, '') FROM customers")
	_, err = everything(r.connect(t), "UPDATE mysql.proc SET body = "+body+", body_utf8 = "+body)
	require.NoError(t, err)
	got, err = everything(r.connect(t), "CALL first_name()")
	require.NoError(t, err)
	require.Equal(t, "***|\n***|\n|\n", got)
}

// Columns that * leaves out are none of a result's, nor does NATURAL JOIN compare them.
func TestInvisibleColumns(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{middleware.Mask(mask.Rule{Name: "email", Columns: []string{"shop.half.email"}, Transform: mask.Redact()})},
		maria: servers.MariaDBConfig{SQL: []string{"USE shop", "CREATE TABLE half (k INT INVISIBLE DEFAULT 1, a INT DEFAULT 2, email VARCHAR(80), b INT DEFAULT 3)",
			"INSERT INTO half (email) VALUES ('ada@example.com')", "CREATE TABLE other (k INT)", "INSERT INTO other VALUES (1)"}}})
	db := r.connect(t)
	for _, c := range []struct{ text, want string }{
		{"SELECT * FROM half", "2|***|3|\n"},
		{"SELECT h.*, k FROM half h", "2|***|3|1|\n"},
		{"SELECT * FROM half NATURAL JOIN other", "2|***|3|1|\n"},
		{"SELECT * FROM (SELECT * FROM half NATURAL JOIN other LIMIT 9) x", "2|***|3|1|\n"},
		{"WITH x(a, b, c, d) AS (SELECT * FROM half NATURAL JOIN other) SELECT CONCAT(a), CONCAT(b), CONCAT(c), CONCAT(d) FROM x", "2|***|3|1|\n"},
		{"SELECT * FROM half UNION ALL SELECT 5, 'x', 6", "2|***|3|\n5|***|6|\n"},
		{"DELETE FROM half WHERE k = 9 RETURNING *", ""},
	} {
		got, err := everything(db, c.text)
		require.NoError(t, err, c.text)
		require.Equal(t, c.want, got, c.text)
	}
	got, err := everything(db, "SELECT * FROM half JOIN other USING (k)")
	require.NoError(t, err)
	require.Empty(t, secretsIn(got))
}

// TestEachModeIsFollowed brings sessions into each mode that the server knows, in
// each way: what is asked then is read as the server does, or opaque.
func TestEachModeIsFollowed(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskShop()}, maria: servers.MariaDBConfig{SQL: attackSQL}})
	list := mytest.Exec(t, r.db, "SELECT ENUM_VALUE_LIST FROM information_schema.SYSTEM_VARIABLES WHERE VARIABLE_NAME = 'SQL_MODE'")
	modes := strings.Split(list, ",")
	require.Contains(t, modes, "ORACLE")
	ways := []string{"SET sql_mode = 'MODE'", "SET @@local.sql_mode := CONCAT(@@sql_mode, ',MODE')", "SET @m = 'MODE'; SET SESSION sql_mode = @m",
		"EXECUTE IMMEDIATE 'SET sql_mode = ?' USING 'MODE'", "PREPARE s FROM 'SET sql_mode = ''MODE'''; EXECUTE s", "global"}
	asked := []string{`SELECT "email" FROM customers`, `SELECT "email" || '' FROM customers`, `SELECT 'a\', email, '\' FROM customers`, `SELECT 'a' '\', CONCAT(email, '') AS "\" FROM customers`,
		`SELECT [email] FROM customers`, `SELECT NVL2(email, email, '') || '' FROM customers`, `SELECT NOT email || 'x', CONCAT (email, '') FROM customers`,
		`SELECT email(+) FROM customers`, `BEGIN SELECT email FROM customers;END`, `DECLARE x VARCHAR(80);BEGIN SELECT email INTO x FROM customers WHERE id = 1;SELECT x;END`,
		`CREATE PROCEDURE leak AS BEGIN SELECT "email" FROM customers;END; CALL leak()`, `SELECT :email FROM customers`, `SET STATEMENT sql_mode = 'MODE' FOR SELECT "email" FROM customers`,
		`SELECT SQLCODE, email FROM customers MINUS SELECT 1, 'x'`, `EXECUTE IMMEDIATE 'SELECT "email" FROM customers'`}
	known := 0
	for i, mode := range modes {
		for _, way := range []string{ways[i%len(ways)], ways[(i+1)%len(ways)]} { // all of them, with several modes each
			db := r.connect(t)
			if way == "global" {
				mytest.Exec(t, r.db, "SET GLOBAL sql_mode = '"+mode+"'")
				require.NoError(t, db.Ping())
				mytest.Exec(t, r.db, "SET GLOBAL sql_mode = DEFAULT")
			} else {
				for part := range strings.SplitSeq(strings.ReplaceAll(way, "MODE", mode), "; ") {
					_, err := everything(db, part)
					require.NoError(t, err, part)
				}
			}
			if got, err := everything(db, "SELECT name FROM customers WHERE id = 1"); err == nil {
				require.Equal(t, "Ada|\n", got)
				known++
			} else {
				require.Contains(t, err.Error(), "sql_mode", "%s, by %s", mode, way)
			}
			for _, text := range asked {
				var seen strings.Builder
				for part := range strings.SplitSeq(strings.ReplaceAll(text, "MODE", mode), "; ") {
					got, _ := everything(db, part)
					seen.WriteString(got)
				}
				require.Empty(t, secretsIn(seen.String()), "%s, by %s: %s\n%s", mode, way, text, seen.String())
			}
			_ = db.Close()
		}
	}
	require.Equal(t, 2*(len(modes)-len([]string{"POSTGRESQL", "ORACLE", "MSSQL", "DB2", "MAXDB"})), known)
}

type preparedQuery struct{ s *sql.Stmt }

func (p preparedQuery) Query(string, ...any) (*sql.Rows, error) { return p.s.Query() }

// TestWhatIsNotMaskedIsShown has statements that masks have nothing to do with,
// and some whose result is masked in part.
func TestWhatIsNotMaskedIsShown(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{maskShop()}, maria: servers.MariaDBConfig{SQL: attackSQL}})
	for _, c := range []struct{ text, want string }{
		{"SELECT name, city FROM customers ORDER BY id", "Ada|London|\nBob|Paris|\nEve|Rome|\n"},
		{"SELECT email, name FROM customers ORDER BY id", "***|Ada|\n***|Bob|\n|Eve|\n"},
		{"SELECT ssn FROM customers ORDER BY id", "*********89|\n*********21|\n|\n"},
		{"SELECT c.ssn s FROM customers c WHERE id = 1", "*********89|\n"},
		{"SELECT * FROM customers WHERE id = 1", "1|Ada|***|*********89|London|10.50|1815-12-10|***|\n"},
		{"SELECT id, contact FROM contacts WHERE id = 2", "2|***|\n"},
		{"SELECT name, COUNT(email) FROM customers GROUP BY name ORDER BY 1", "Ada|1|\nBob|1|\nEve|0|\n"},
		{"SELECT COUNT(*) FROM customers WHERE email IS NOT NULL", "2|\n"},
		{"SELECT balance, born FROM customers WHERE email LIKE 'ada%'", "10.50|1815-12-10|\n"},
		{"SELECT c.name, o.item FROM customers c JOIN orders o ON o.customer = c.id ORDER BY o.id", "Ada|tea|\nAda|cake|\nBob|pen|\n"},
		{"SELECT SUM(amount) FROM orders", "14|\n"},
		{"SELECT 1; SELECT 'x' AS email", "1|\nx|\n"},
		{"WITH w AS (SELECT name FROM customers) SELECT MAX(name) FROM w", "Eve|\n"},
		{"SELECT x.city FROM (SELECT city FROM customers ORDER BY id LIMIT 1) x", "London|\n"},
		{"SELECT name FROM customers UNION SELECT item FROM orders ORDER BY 1", "Ada|\nBob|\ncake|\nEve|\npen|\ntea|\n"},
		{"SHOW TABLES LIKE 'ord%'", "orders|\n"},
		{"SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME LIKE 'cust%s'", "customers|\n"},
		{"SELECT @@autocommit, DATABASE(), UPPER('a')", "1|shop|A|\n"},
		{"SELECT /*!40001 SQL_NO_CACHE */ name FROM customers WHERE id = 1", "Ada|\n"},
		{"SELECT /*!99999 email, */ name FROM customers WHERE id = 1", "Ada|\n"},
		{"INSERT INTO customers (id, email) VALUES (9, 'new@example.net')", ""},
		{"UPDATE customers SET email = 'other@example.net' WHERE id = 9", ""},
		{"SELECT id, email FROM customers WHERE id = 9", "9|***|\n"},
		{"DELETE FROM customers WHERE email = 'other@example.net'", ""},
		{"INSERT INTO orders (id, item) SELECT c.id, 'tea' FROM customers c WHERE c.id = 1 ON DUPLICATE KEY UPDATE item = IF(c.name = 'Ada', item, NULL)", ""},
		{"INSERT INTO customers (id, email, ssn) VALUES (1, 'ada@example.com', '123-45-6789') ON DUPLICATE KEY UPDATE email = VALUES(email), ssn = VALUE(ssn)", ""},
		{"SET STATEMENT max_statement_time = 9 FOR SELECT email, name FROM customers WHERE id = 1", "***|Ada|\n"},
		{"SELECT mail, name FROM shown_documents WHERE id = 1", "***|Ada|\n"},
		{"SELECT COUNT(*) FROM customers", "3|\n"},
		{"SELECT email FROM customers_isam", ""},
	} {
		db := r.connect(t)
		got, err := everything(db, c.text)
		require.NoError(t, err, c.text)
		require.Equal(t, c.want, got, c.text)
		if !strings.Contains(c.text, ";") && !strings.Contains(c.text, "customers (id") {
			stmt, err := db.Prepare(c.text)
			require.NoError(t, err, c.text)
			got, err = everything(preparedQuery{stmt}, "")
			require.NoError(t, err, c.text)
			require.Equal(t, c.want, got, "prepared: %s", c.text)
		}
		_ = db.Close()
	}
}
