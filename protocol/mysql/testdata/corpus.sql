-- What is asked of the schema in corpus_test.go through masks of people.email,
-- people.ssn, people.profile, hr.salaries.amount and two columns of history. Steps of
-- one session stand between ;; and each line says first what has to come back:
--   clear   what the target says without a gateway
--   masked  an answer without a mark
--   runs    no error, and no mark
--   dark    an error or an answer, without a mark

-- plain reading
clear SELECT id, name, city FROM people ORDER BY id
clear SELECT COUNT(*), COUNT(email) FROM people
clear SELECT city, COUNT(*) FROM people GROUP BY city WITH ROLLUP
clear SELECT name FROM people WHERE email LIKE '%@%' ORDER BY id
clear SELECT p.name, o.total FROM people p JOIN purchases o ON o.person = p.id ORDER BY o.id
clear SELECT p.name, (SELECT SUM(total) FROM purchases o WHERE o.person = p.id) s FROM people p ORDER BY p.id
clear SELECT * FROM purchases ORDER BY id
clear SELECT name, ROW_NUMBER() OVER (ORDER BY id) FROM people ORDER BY id
clear SELECT name, RANK() OVER w, LAG(name) OVER w FROM people WINDOW w AS (ORDER BY id) ORDER BY id
clear WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4) SELECT i FROM n
clear WITH RECURSIVE tree AS (SELECT id, boss, name, 0 AS depth FROM people WHERE boss IS NULL UNION ALL SELECT p.id, p.boss, p.name, t.depth + 1 FROM people p JOIN tree t ON p.boss = t.id) SELECT name, depth FROM tree ORDER BY id
clear SELECT name FROM people INTERSECT SELECT name FROM directory ORDER BY 1
clear SELECT name FROM people EXCEPT SELECT name FROM people WHERE id = 1 ORDER BY 1
clear SELECT city FROM people UNION SELECT item FROM purchases ORDER BY 1
clear (SELECT city FROM people ORDER BY id LIMIT 1) UNION ALL (SELECT item FROM purchases ORDER BY id LIMIT 1)
clear SELECT name, city FROM people ORDER BY id LIMIT 2 OFFSET 1
clear SELECT name FROM people ORDER BY id OFFSET 1 ROWS FETCH NEXT 2 ROWS ONLY
clear SELECT name FROM people ORDER BY id FETCH FIRST 1 ROW ONLY
clear SELECT name FROM people ORDER BY id LIMIT 3 ROWS EXAMINED 1000
clear SELECT GROUP_CONCAT(name ORDER BY id SEPARATOR '|') FROM people
clear SELECT GROUP_CONCAT(DISTINCT city ORDER BY city LIMIT 2) FROM people
clear SELECT JSON_OBJECTAGG(id, name) FROM people WHERE id < 3
clear VALUES (1, 'a'), (2, 'b')
clear SELECT * FROM (VALUES (1, 'a'), (2, 'b')) v
clear WITH v (a, b) AS (VALUES (1, 2), (3, 4)) SELECT a + b FROM v
dark TABLE purchases
clear SELECT 1 FROM DUAL
clear SELECT DATE_ADD('2020-01-31', INTERVAL 1 MONTH), NOW() > '2000-01-01', CAST('7' AS INT), CAST(12 AS VARCHAR(3))
clear SELECT CAST(id AS CHAR), CONVERT(name USING utf8mb4), name COLLATE latin1_bin FROM people ORDER BY id
clear SELECT MEDIAN(total) OVER () FROM purchases LIMIT 1
clear SELECT LAST_VALUE(id, name) FROM people ORDER BY id
masked SELECT LAST_VALUE(name, email), LAST_VALUE(email, name) FROM people
clear SELECT LAST_VALUE(total) OVER (PARTITION BY person ORDER BY id) FROM purchases ORDER BY id
clear SELECT COLUMN_GET(COLUMN_CREATE('a', 1 AS INT, 'b', CAST('x' AS CHAR(3)) AS CHAR), 'b' AS CHAR(9)), COLUMN_JSON(COLUMN_ADD(COLUMN_CREATE('a', 1), 'b', 2.5 AS DECIMAL(5,2)))
masked SELECT name, COLUMN_GET(COLUMN_CREATE('a', email AS CHAR), 'a' AS CHAR CHARACTER SET utf8mb4) FROM people
clear SELECT name FROM people WHERE name = _latin2'Ada' OR name = _cp1250"Bob" ORDER BY id
masked SELECT CONCAT(_latin2'x', email) FROM people
dark SET @q = _swe7'SELECT CONCAT(email) FROM people' ;; EXECUTE IMMEDIATE @q
runs UPDATE rates FOR PORTION OF p FROM '2020-03-01' TO '2020-04-01' SET price = 6 WHERE id = 1
runs DELETE FROM rates FOR PORTION OF p FROM '2020-05-01' TO '2020-06-01' WHERE id = 1
dark UPDATE rates FOR PORTION OF p FROM '2020-03-01' TO '2020-04-01' SET price = (SELECT MAX(amount) FROM hr.salaries) ;; SELECT price FROM rates
dark UPDATE rates FOR PORTION OF p FROM (SELECT MAX(email) FROM people) TO '2020-04-01' SET price = 1
runs CREATE TABLE pa (id INT) PARTITION BY LIST (id) (PARTITION p0 VALUES IN (1), PARTITION p1 VALUES IN (2)) ;; INSERT INTO pa VALUES (1), (2) ;; ALTER TABLE pa CONVERT PARTITION p0 TO TABLE pb ;; SELECT id FROM pb ;; ALTER TABLE pa CONVERT TABLE pb TO PARTITION p0 VALUES IN (1) ;; SELECT id FROM pa ;; DROP TABLE pa
dark CREATE TABLE ph (id INT, email VARCHAR(80), secret VARCHAR(80)) PARTITION BY LIST (id) (PARTITION p0 VALUES IN (7)) ;; ALTER TABLE ph CONVERT TABLE history TO PARTITION p1 VALUES IN (1) ;; SELECT email FROM ph
runs CREATE VIEW av AS SELECT name FROM people ;; ALTER VIEW av AS SELECT city AS name FROM people ;; SELECT name FROM av ;; DROP VIEW av
dark CREATE VIEW aw AS SELECT name FROM people ;; ALTER SQL SECURITY INVOKER VIEW aw AS SELECT email AS name FROM people ;; SELECT name FROM aw
runs ALTER PROCEDURE towns_of COMMENT 'x'
runs CREATE EVENT ae ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1 ;; ALTER EVENT ae COMMENT 'x' ;; DROP EVENT ae
dark CREATE EVENT af ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1 ;; ALTER EVENT af DO INSERT INTO log (what) SELECT email FROM people ;; DROP EVENT af
dark CALL pay_out(1, @n) ;; CREATE EVENT ag ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1 ;; ALTER EVENT ag ON SCHEDULE EVERY @n SECOND ;; SELECT INTERVAL_VALUE FROM information_schema.EVENTS ;; DROP EVENT ag
clear SELECT * FROM found ORDER BY id
clear SELECT CONVERT(name USING latin2), CAST(city AS CHAR(9) CHARACTER SET cp1250), CHAR(65 USING koi8r) FROM people ORDER BY id
masked SELECT CONVERT(email USING latin2), CAST(email AS CHAR CHARSET cp1250) FROM people
dark SELECT _foo'x', name AS rank FROM (SELECT CONCAT(email) AS _foo, name FROM people) q
dark SELECT (SELECT name FROM (SELECT charset name FROM (SELECT CONCAT(email) AS charset FROM people LIMIT 1) a) q) AS rank FROM people
dark SELECT (SELECT name FROM (SELECT MAX(email) charset name FROM people) q) AS rank FROM people
clear SELECT uuid, id AS rank FROM (SELECT id AS inet6, id FROM (SELECT id, name AS uuid FROM people) q) r JOIN (SELECT name AS uuid, id AS b FROM people) s ON s.b = r.id ORDER BY id
clear SELECT name, RANK() OVER (ORDER BY id) rank, LAG(name) OVER w AS lag FROM people WINDOW w AS (ORDER BY id) ORDER BY rank
clear SELECT * FROM (SELECT name, DENSE_RANK() OVER (ORDER BY id) AS dense_rank FROM people) t WHERE t.dense_rank <= 2 AND dense_rank > 0 ORDER BY 1
clear SELECT TABLE_SCHEMA AS schema, COUNT(*) AS option FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'hr' GROUP BY schema
clear SELECT id, SUM(total) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS row, ROW(1, 2) = ROW(1, 2) AS groups FROM purchases ORDER BY id FETCH FIRST 2 ROWS ONLY
clear WITH rank AS (SELECT name AS stored, id FROM people) SELECT rank.stored FROM rank ORDER BY rank.id
masked SELECT email AS rank, name AS groups FROM people
masked SELECT rank FROM (SELECT CONCAT(email) AS rank FROM people) q
masked SELECT (SELECT rank FROM (SELECT 'z' AS a) x) FROM (SELECT CONCAT(email) AS rank FROM people) q
masked SELECT rank.email FROM people rank
dark INSERT INTO log (what) SELECT rank FROM (SELECT CONCAT(email) AS rank FROM people) q ;; SELECT what FROM log
runs CREATE VIEW rv AS SELECT id, RANK() OVER (ORDER BY id) AS rank FROM people ;; SELECT rank FROM rv ORDER BY id ;; DROP VIEW rv
clear SELECT JSON_ARRAYAGG(DISTINCT city ORDER BY city LIMIT 2), JSON_ARRAYAGG(name ORDER BY id DESC) FROM people
masked SELECT JSON_ARRAYAGG(email ORDER BY id LIMIT 2) FROM people
clear SELECT CAST('::1' AS INET6), CAST('123e4567-e89b-12d3-a456-426655440000' AS UUID)
masked SELECT CAST(CAST(email AS INET6) AS CHAR), email FROM people
clear SELECT t.k FROM JSON_TABLE('[{"k":1},{"k":2}]', '$[*]' COLUMNS (k INT PATH '$.k')) t
clear SELECT p.id, t.tag, t.n FROM purchases p, JSON_TABLE(p.tags, '$[*]' COLUMNS (n FOR ORDINALITY, tag VARCHAR(20) PATH '$')) AS t ORDER BY p.id, t.n
clear SELECT JSON_VALUE(tags, '$[0]'), JSON_LENGTH(tags) FROM purchases ORDER BY id
clear SELECT id, price FROM prices FOR SYSTEM_TIME ALL ORDER BY id, price
clear SELECT id, price FROM prices FOR SYSTEM_TIME AS OF TIMESTAMP NOW() ORDER BY id
clear SELECT x.price FROM prices FOR SYSTEM_TIME BETWEEN '2000-01-01' AND NOW() AS x WHERE x.id = 1 ORDER BY 1
clear SELECT id FROM events PARTITION (p0) ORDER BY id
clear SELECT label FROM `odd ``name` ORDER BY 1
clear SELECT o.`a b` FROM `odd ``name` o ORDER BY 1
clear SELECT hr.salaries.grade FROM hr.salaries ORDER BY 1
clear SELECT s.grade FROM hr.salaries s JOIN people p ON p.id = s.person ORDER BY 1
clear SELECT STRAIGHT_JOIN p.name FROM people p JOIN purchases o ON o.person = p.id ORDER BY o.id
clear SELECT SQL_CALC_FOUND_ROWS name FROM people ORDER BY id LIMIT 1 ;; SELECT FOUND_ROWS()
clear SELECT name FROM people USE INDEX (PRIMARY) WHERE id = 2
clear SELECT EXISTS (SELECT 1 FROM people WHERE email = 'zoe@mark.example')
clear SELECT name FROM people WHERE (id, city) IN ((1, 'Rome'), (2, 'Oslo')) ORDER BY id
clear SELECT /* email */ name FROM people ORDER BY id -- , email
clear SELECT name FROM people WHERE id = 1 # email
clear SELECT 'email', "ssn", 'it''s', "a\"b", 'c\'d', N'x', _utf8mb4'y', X'41', 0x42, b'1'
clear SELECT 1;SELECT 2
clear SELECT city FROM people WHERE ssn IS NOT NULL GROUP BY city HAVING COUNT(*) > 0 ORDER BY 1
clear SELECT IF(email IS NULL, 1, 2) IS NOT NULL FROM people WHERE 1 = 0
clear SELECT total DIV 2, total MOD 2, -total, NOT total, total XOR 1 FROM purchases ORDER BY id
clear SELECT name REGEXP '^A', name RLIKE 'b', name SOUNDS LIKE 'Ada' FROM people ORDER BY id
clear SELECT * FROM directory ORDER BY id
clear SELECT city, n FROM towns ORDER BY city
clear SELECT id FROM people WHERE id = 1 LOCK IN SHARE MODE
clear SELECT NEXTVAL(numbers) > 0
clear SELECT NEXT VALUE FOR numbers > 0
clear SELECT @@version_comment IS NOT NULL, @@autocommit, @@session.sql_mode, @@global.read_only
clear SELECT DATABASE(), SCHEMA(), CONNECTION_ID() > 0, USER() IS NOT NULL
clear SELECT CHARSET(name), COLLATION(name) FROM people WHERE id = 1
clear DO SLEEP(0) ;; SELECT ROW_COUNT() IS NOT NULL
clear SELECT name FROM people PROCEDURE ANALYSE()

-- information about definitions
clear SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop' ORDER BY 1
clear SELECT COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS WHERE TABLE_NAME = 'people' ORDER BY ORDINAL_POSITION
clear SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_VARIABLES WHERE VARIABLE_NAME = 'PORT'
clear SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = 'shop' ORDER BY 1
clear SELECT ID > 0, COMMAND FROM information_schema.PROCESSLIST WHERE ID = CONNECTION_ID()
clear SELECT User, Host FROM mysql.user ORDER BY 1, 2
dark SELECT Priv FROM mysql.global_priv
clear SELECT * FROM sys.schema_object_overview WHERE db = 'hr'
clear SELECT seq FROM seq_1_to_9_step_3 ORDER BY 1
clear SELECT p.name FROM seq_1_to_2 s JOIN people p ON p.id = s.seq ORDER BY s.seq
masked SELECT p.email, s.seq FROM seq_1_to_2 s JOIN people p ON p.id = s.seq
clear SHOW TABLES
clear SHOW FULL COLUMNS FROM people
clear SHOW INDEX FROM people
clear SHOW CREATE VIEW directory
clear SHOW DATABASES LIKE 'sho%'
clear SHOW VARIABLES LIKE 'sql_mode'
clear SHOW CREATE FUNCTION double_it
clear SHOW CREATE PROCEDURE towns_of
clear SHOW CREATE TRIGGER purchases_ai
clear SHOW FUNCTION STATUS LIKE 'double_it'
clear SHOW COUNT(*) WARNINGS
clear SHOW WARNINGS
clear SELECT name FROM people WHERE id = 1 ;; SHOW WARNINGS
clear DESCRIBE people
clear DESC people name
clear EXPLAIN SELECT name FROM people WHERE id = 1
clear EXPLAIN SELECT email FROM people WHERE ssn = 'x'
clear EXPLAIN EXTENDED SELECT email FROM people WHERE ssn = 'x'
clear EXPLAIN PARTITIONS SELECT id FROM events
clear EXPLAIN FORMAT=JSON SELECT name FROM people WHERE id = 1
runs ANALYZE SELECT name FROM people WHERE id = 1
runs ANALYZE SELECT email FROM people
runs ANALYZE FORMAT=JSON SELECT name FROM people
masked EXPLAIN FORMAT=JSON SELECT name FROM people WHERE email > (SELECT MIN(email) FROM people)
masked ANALYZE FORMAT=JSON SELECT * FROM people WHERE email = (SELECT MAX(email) FROM people)
runs CHECK TABLE purchases
runs CHECKSUM TABLE purchases
runs ANALYZE TABLE purchases
runs ANALYZE TABLE purchases PERSISTENT FOR ALL
dark CHECKSUM TABLE people
runs SHOW PROCESSLIST
runs SHOW ENGINE INNODB STATUS
runs SHOW STATUS LIKE 'Questions'
runs HELP 'select'

-- variables
clear SET @n = 5 ;; SELECT @n
clear SET @a = 1, @b = 'x' ;; SELECT @a, @b, @never_set
clear SET @id = 2 ;; SELECT name FROM people WHERE id = @id
clear SELECT @row := @row + 1 AS r, name FROM people, (SELECT @row := 0) i ORDER BY id
clear SELECT name INTO @who FROM people WHERE id = 1 ;; SELECT @who
clear SELECT name, city INTO @w, @c FROM people WHERE id = 1 ;; SELECT CONCAT(@w, @c)
clear SELECT name FROM people WHERE id = 1 INTO @who ;; SELECT @who
clear SET @who = (SELECT name FROM people WHERE id = 2) ;; SELECT @who
runs SET @item = 'cup' ;; INSERT INTO purchases (person, item, total) VALUES (1, @item, 2)
dark SET @e = (SELECT email FROM people WHERE id = 1) ;; SELECT @e
dark SELECT email INTO @e FROM people WHERE id = 1 ;; SELECT @e
dark SELECT @e := email FROM people ;; SELECT @e
dark SELECT @p, @p := email FROM people
dark SELECT @q := @p, @p := email FROM people
dark SELECT MAX(ssn) INTO @`my var` FROM people ;; SELECT @`My Var`
dark SET @x = 1 ;; SELECT email INTO @X FROM people WHERE id = 1 ;; SELECT @x
masked CALL mail_out(1, @m) ;; SELECT @m
clear CALL name_out(1, @m) ;; SELECT @m
dark CALL keeps_mail() ;; SELECT @kept
masked CALL pay_out(1, @m) ;; SELECT @m
dark CALL pay_out(1, @m) ;; CREATE PROCEDURE cp1(IN n INT, OUT o INT) SET o = n ;; CALL cp1(@m, @o) ;; SELECT @o ;; DROP PROCEDURE cp1
dark CALL pay_out(1, @m) ;; CREATE PROCEDURE cp2(IN n INT) SET @kept2 = n ;; CALL cp2(@m) ;; SELECT @kept2 ;; DROP PROCEDURE cp2
dark CALL pay_out(1, @m) ;; CREATE PROCEDURE cp3(INOUT n INT, OUT o INT) SET o = n + 0 ;; CALL cp3(@m, @o) ;; SELECT @o + 0 ;; DROP PROCEDURE cp3
dark CREATE PROCEDURE cp4(IN n INT, OUT o INT) SET o = n ;; CALL cp4((SELECT MAX(amount) FROM hr.salaries), @o) ;; SELECT @o ;; DROP PROCEDURE cp4
dark CREATE FUNCTION cf1(n INT) RETURNS INT BEGIN SET @kept3 = n; RETURN 1; END ;; SELECT cf1(amount) FROM hr.salaries ;; SELECT @kept3 ;; DROP FUNCTION cf1
dark CALL pay_out(1, @m) ;; CREATE PROCEDURE cp5(IN n INT) PREPARE st FROM 'SELECT 1' ;; CALL cp5(@m) ;; EXECUTE st ;; DROP PROCEDURE cp5
dark CALL pay_out(1, @m) ;; CREATE PROCEDURE cp6(IN n INT) SELECT n, n + 0 ;; CALL cp6(@m) ;; DROP PROCEDURE cp6
dark CALL pay_out(1, @m) ;; CREATE PROCEDURE cp7(IN n INT) CREATE TEMPORARY TABLE tt AS SELECT n AS a ;; CALL cp7(@m) ;; SELECT a FROM tt ;; DROP PROCEDURE cp7
dark CALL pay_out(1, @m) ;; CREATE PROCEDURE cp8(IN n INT) SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = n ;; CALL cp8(@m) ;; SHOW WARNINGS ;; DROP PROCEDURE cp8
clear CREATE PROCEDURE cp9(IN n INT, OUT o INT) SET o = n + 1 ;; CALL cp9(4, @o) ;; SELECT @o ;; DROP PROCEDURE cp9

-- what the last statement left
runs INSERT INTO purchases (person, item, total) VALUES (1, 'hat', 3) ;; SELECT LAST_INSERT_ID()
clear SELECT LAST_INSERT_ID() ;; SELECT @@last_insert_id, @@identity
dark SELECT LAST_INSERT_ID(REPLACE(ssn, '-', '')) FROM people ;; SELECT LAST_INSERT_ID() ;; SELECT @@identity
dark SELECT CAST(email AS DATE) FROM people ;; SHOW WARNINGS
dark SELECT CAST(email AS DATE) FROM people ;; SHOW WARNINGS LIMIT 1
dark SELECT CAST(email AS DATE) FROM people ;; GET DIAGNOSTICS CONDITION 1 @m = MESSAGE_TEXT ;; SELECT @m
dark SELECT CAST(email AS DATE) FROM people ;; SELECT 1 ;; SHOW ERRORS
clear SELECT 1 ;; GET DIAGNOSTICS @n = NUMBER ;; SELECT @n
dark EXPLAIN EXTENDED SELECT * FROM purchases WHERE item = (SELECT email FROM people WHERE id = 1) ;; SHOW WARNINGS

dark SELECT CAST(email AS DATE) FROM people ;; GET DIAGNOSTICS CONDITION 1 @m = MESSAGE_TEXT ;; SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = @m
dark SELECT CAST(email AS DATE) FROM people ;; GET DIAGNOSTICS CONDITION 1 @m = MESSAGE_TEXT ;; SET sql_mode = @m
dark SELECT CAST(email AS DATE) FROM people ;; GET DIAGNOSTICS CONDITION 1 @m = MESSAGE_TEXT ;; PREPARE s FROM @m
dark CALL mail_out(1, @m) ;; SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = @m
dark CALL mail_out(1, @m) ;; PREPARE s FROM @m
dark CALL mail_out(1, @m) ;; PREPARE s FROM CONCAT('x', @m)
dark CALL mail_out(1, @m) ;; EXECUTE IMMEDIATE @m
dark CALL mail_out(1, @m) ;; SET time_zone = @m
dark CALL mail_out(1, @m) ;; SET @x = @m ;; SELECT @x
dark CALL mail_out(1, @m) ;; DO EXTRACTVALUE(1, CONCAT('~', @m))
dark CALL dynamic_out('email', @m) ;; SET sql_mode = @m
dark CALL dynamic_out('email', @m) ;; PREPARE s FROM @m
dark CALL dynamic_out('email', @m) ;; SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = @m
clear SIGNAL SQLSTATE '01000' SET MESSAGE_TEXT = 'x' ;; SELECT 1

-- prepared in SQL
clear PREPARE s FROM 'SELECT name FROM people WHERE id = ?' ;; SET @i = 1 ;; EXECUTE s USING @i ;; DEALLOCATE PREPARE s
clear SET @q = 'SELECT city FROM people ORDER BY id' ;; PREPARE s FROM @q ;; EXECUTE s
clear SET @t = 'people' ;; SET @q = CONCAT('SELECT COUNT(*) FROM ', @t) ;; PREPARE s FROM @q ;; EXECUTE s
clear EXECUTE IMMEDIATE 'SELECT name FROM people ORDER BY id'
clear EXECUTE IMMEDIATE 'SELECT name FROM people WHERE id = ?' USING 2
clear EXECUTE IMMEDIATE CONCAT('SELECT name ', 'FROM people ORDER BY id')
clear PREPARE s FROM CONCAT('SELECT ', '1') ;; EXECUTE s
masked PREPARE s FROM 'SELECT email FROM people' ;; EXECUTE s
masked EXECUTE IMMEDIATE 'SELECT email, name FROM people'
masked SET @q = 'SELECT ssn FROM people' ;; PREPARE s FROM @q ;; EXECUTE s
dark PREPARE s FROM 'SELECT name FROM people' ;; PREPARE s FROM 'SELECT email FROM people' ;; EXECUTE s
dark SET @c = 'email' ;; SET @q = CONCAT('SELECT ', @c, ' FROM people') ;; PREPARE s FROM @q ;; EXECUTE s
dark EXECUTE IMMEDIATE (SELECT CONCAT('SELECT ''', email, '''') FROM people LIMIT 1)
dark EXECUTE IMMEDIATE 'SELECT ?' USING (SELECT email FROM people LIMIT 1)
dark PREPARE s FROM 'SELECT 1' ;; SET @q = 'PREPARE s FROM ''SELECT email FROM people''' ;; EXECUTE IMMEDIATE @q ;; EXECUTE s
dark CALL swaps() ;; EXECUTE s
clear PREPARE s FROM 'INSERT INTO purchases (person, item, total) VALUES (?, ?, ?)' ;; EXECUTE s USING 1, 'x', 2

-- temporary tables
clear CREATE TEMPORARY TABLE t (a INT, b VARCHAR(9)) ;; INSERT INTO t VALUES (1, 'x') ;; SELECT * FROM t ;; DROP TEMPORARY TABLE t
clear CREATE TEMPORARY TABLE t AS SELECT id, name FROM people ;; SELECT name FROM t ORDER BY id ;; SELECT name FROM people ORDER BY id
clear CREATE TEMPORARY TABLE t LIKE purchases ;; INSERT INTO t SELECT * FROM purchases ;; SELECT SUM(total) FROM t
clear CREATE TEMPORARY TABLE t (a INT) ;; SELECT name FROM people ORDER BY id
clear CREATE TEMPORARY TABLE IF NOT EXISTS t (a INT) ;; INSERT INTO t SELECT id FROM people ;; UPDATE t SET a = a + 1 ;; SELECT a FROM t ORDER BY a
dark CREATE TEMPORARY TABLE t AS SELECT email AS city FROM people ;; SELECT city FROM t
dark CREATE TEMPORARY TABLE t (a VARCHAR(80)) ;; INSERT INTO t SELECT email FROM people ;; SELECT a FROM t
dark CREATE TEMPORARY TABLE directory (a INT) ;; DROP TABLE directory ;; SELECT * FROM people
masked CREATE TEMPORARY TABLE t (a INT) ;; DROP TABLE t ;; SELECT * FROM people
dark CREATE TEMPORARY TABLE people (id INT, city VARCHAR(80)) ;; DROP TEMPORARY TABLE people ;; SELECT email AS city FROM people
dark CREATE TEMPORARY TABLE t (a INT) ;; ALTER TABLE t RENAME TO towns ;; SELECT * FROM towns

-- handlers
clear HANDLER purchases OPEN ;; HANDLER purchases READ FIRST ;; HANDLER purchases READ NEXT LIMIT 2 ;; HANDLER purchases CLOSE
clear HANDLER purchases OPEN AS h ;; HANDLER h READ `PRIMARY` = (1) ;; HANDLER h READ `PRIMARY` NEXT WHERE total > 0 ;; HANDLER h CLOSE
masked HANDLER people OPEN ;; HANDLER people READ FIRST
masked HANDLER people OPEN AS purchases ;; HANDLER purchases READ FIRST
dark HANDLER purchases OPEN AS h ;; HANDLER h CLOSE ;; HANDLER people OPEN AS h ;; HANDLER h READ FIRST

-- RETURNING
clear INSERT INTO purchases (id, person, item, total) VALUES (1000, 1, 'a', 1) RETURNING id, item ;; DELETE FROM purchases WHERE id = 1000 RETURNING id, total + 1 AS more
clear INSERT INTO purchases (id, person, item, total) VALUES (1001, 1, 'a', 1) RETURNING * ;; REPLACE INTO purchases (id, person, item, total) VALUES (1001, 2, 'b', 2) RETURNING id, item ;; DELETE FROM purchases WHERE id = 1001
clear INSERT INTO people (id, name, email) VALUES (77, 'New', 'n@x.org') RETURNING id ;; DELETE FROM people WHERE id = 77 RETURNING name
masked DELETE FROM people WHERE id = 3 RETURNING email
dark INSERT INTO people (id, name) VALUES (78, 'x') RETURNING (SELECT email FROM people WHERE id = 1)
dark DELETE FROM purchases WHERE id = 1 RETURNING (SELECT MAX(email) FROM people)
dark REPLACE INTO people (id, name) VALUES (1, 'x') RETURNING email, ssn
masked INSERT INTO history (id, email, secret) VALUES (9, 'xia@mark.example', 's') RETURNING id, email ;; DELETE FROM history WHERE email = 'xia@mark.example' AND id = 9
runs UPDATE hr.salaries SET grade = 'b' WHERE amount = 9876540
runs UPDATE hr.salaries SET amount = amount WHERE amount > 5
runs INSERT INTO log (what) SELECT grade FROM hr.salaries WHERE amount > 1
runs UPDATE purchases o JOIN hr.salaries s ON s.person = o.person AND s.amount > 5 SET o.total = o.total + 0
dark INSERT INTO log (what) SELECT amount FROM hr.salaries WHERE amount > 1 ;; SELECT what FROM log
dark INSERT INTO log (id, what) SELECT 1, grade FROM hr.salaries ON DUPLICATE KEY UPDATE what = amount ;; SELECT what FROM log
dark REPLACE INTO log (id, what) VALUES (1, (SELECT MAX(amount) FROM hr.salaries)) ;; SELECT what FROM log
dark UPDATE purchases o, (SELECT MAX(amount) m FROM hr.salaries) s SET o.item = s.m ;; SELECT item FROM purchases
dark UPDATE hr.salaries SET grade = 'z' WHERE grade = 'a' AND UPDATEXML(1, CONCAT('~', amount), 1) ;; SHOW WARNINGS
dark UPDATE purchases SET total = 1 WHERE id IN (SELECT id FROM people WHERE email + 0 > 1) ;; SHOW WARNINGS
dark DELETE FROM purchases WHERE id = 0 OR SETVAL(numbers, (SELECT MAX(amount) FROM hr.salaries)) > 0 ;; SELECT NEXTVAL(numbers)

-- routines
clear SELECT double_it(4), shop.double_it(total) FROM purchases ORDER BY id
clear SELECT name_of(1), name_of(id) FROM people ORDER BY id
clear CALL towns_of('A%')
clear CALL two_results()
clear CALL count_to(3, @n) ;; SELECT @n
masked SELECT mail_of(1), name FROM people
masked SELECT name FROM people WHERE id = 1 AND mail_of(1) <> ''
masked CALL show_mails()
masked CALL loop_mails()
masked SELECT nested_mail(1)
dark CALL dynamic_mails('email')
dark CALL raises_mail()
dark SELECT raising_mail(1)
dark SELECT raising_mail(1) ;; SHOW WARNINGS
runs INSERT INTO purchases (person, item, total) VALUES (2, 'pot', 4) ;; SELECT item FROM purchases WHERE item = 'pot'
runs UPDATE purchases SET total = total + 1 WHERE id = 1
dark UPDATE people SET name = 'Zoe' WHERE id = 1 ;; SELECT what FROM log
clear BEGIN NOT ATOMIC DECLARE i INT DEFAULT 0; WHILE i < 2 DO SET i = i + 1; END WHILE; SELECT i; END
masked BEGIN NOT ATOMIC SELECT email FROM people; END
dark BEGIN NOT ATOMIC DECLARE e VARCHAR(80); SELECT email INTO e FROM people WHERE id = 1; SET @got = e; END ;; SELECT @got
dark BEGIN NOT ATOMIC DECLARE e VARCHAR(80); SELECT email INTO e FROM people WHERE id = 1; SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = e; END
masked FOR r IN (SELECT email FROM people) DO SELECT r.email; END FOR
clear IF 1 = 1 THEN SELECT 'yes'; END IF
dark CREATE FUNCTION steal(i INT) RETURNS VARCHAR(80) RETURN (SELECT email FROM people WHERE id = i) ;; SELECT steal(1)
dark CREATE TRIGGER people_bu BEFORE UPDATE ON people FOR EACH ROW SET NEW.city = OLD.email ;; UPDATE people SET name = name ;; SELECT city FROM people
runs CREATE FUNCTION plus_one(i INT) RETURNS INT DETERMINISTIC RETURN i + 1 ;; SELECT plus_one(1) ;; DROP FUNCTION plus_one
runs CREATE PROCEDURE p1(IN i INT) BEGIN DECLARE EXIT HANDLER FOR NOT FOUND BEGIN END; SELECT i; END ;; CALL p1(3) ;; DROP PROCEDURE p1
runs CREATE TABLE t9 (a INT, b UUID, c INET6, d INT INVISIBLE DEFAULT 3) ;; DROP TABLE t9
runs CREATE OR REPLACE TABLE t8 (a INT) ;; ALTER TABLE t8 ADD COLUMN b INT ;; DROP TABLE t8
runs XA START 'x' ;; XA END 'x' ;; XA ROLLBACK 'x'
runs SET STATEMENT max_statement_time = 5 FOR SELECT name FROM people
dark SET STATEMENT sql_mode = 'ANSI_QUOTES' FOR SELECT "email" FROM people
dark SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'x'

-- masked, in many forms
masked SELECT email FROM people
masked SELECT * FROM people
masked SELECT p.* FROM people p
dark TABLE people
masked SELECT contact FROM directory_full
masked SELECT a.contact FROM (SELECT contact FROM directory_full) a
masked SELECT login FROM people
masked SELECT profile FROM people
masked SELECT JSON_VALUE(profile, '$.phone') FROM people
dark SELECT profile->'$.phone', profile->>'$.phone' FROM people
masked SELECT j.phone FROM people p, JSON_TABLE(p.profile, '$' COLUMNS (phone VARCHAR(40) PATH '$.phone')) j
masked SELECT j.* FROM people p JOIN JSON_TABLE(p.profile, '$' COLUMNS (NESTED PATH '$.list[*]' COLUMNS (x VARCHAR(40) PATH '$'))) j
masked SELECT person, amount FROM hr.salaries
masked SELECT MAX(amount) FROM hr.salaries
masked SELECT p.name, s.amount FROM people p LEFT JOIN hr.salaries s ON s.person = p.id
masked SELECT name, email FROM people UNION SELECT item, item FROM purchases
masked SELECT item FROM purchases UNION SELECT email FROM people
masked SELECT name FROM people INTERSECT SELECT email FROM people UNION SELECT ssn FROM people
masked WITH RECURSIVE w AS (SELECT email AS e, 1 AS n FROM people UNION ALL SELECT CONCAT(e, '!'), n + 1 FROM w WHERE n < 2) SELECT e FROM w
masked WITH RECURSIVE w (a, b) AS (SELECT email, name FROM people UNION SELECT b, a FROM w) SELECT b FROM w
dark SELECT e FROM (VALUES (1)) v, LATERAL (SELECT email e FROM people) x
masked SELECT FIRST_VALUE(email) OVER (ORDER BY id), NTH_VALUE(ssn, 1) OVER () FROM people
masked SELECT GROUP_CONCAT(email ORDER BY id LIMIT 2) FROM people
masked SELECT JSON_ARRAYAGG(JSON_OBJECT('e', email)) FROM people
masked SELECT HEX(email), TO_BASE64(email), MD5(email), AES_ENCRYPT(email, 'k') FROM people
masked SELECT ELT(1, email), FIELD(email, 'a'), INSERT('a', 1, 0, email), QUOTE(email) FROM people
masked SELECT CASE email WHEN 'a' THEN 1 ELSE email END FROM people
masked SELECT COALESCE(NULL, email), IFNULL(email, 1), NVL(email, 1), NVL2(1, email, 2) FROM people
masked SELECT (SELECT email FROM people p2 WHERE p2.id = p.id) FROM people p
masked SELECT email FROM people WHERE id = 1 FOR UPDATE
dark SELECT email FROM people FOR SYSTEM_TIME ALL
masked SELECT x.email FROM history FOR SYSTEM_TIME ALL x
masked SELECT secret FROM history FOR SYSTEM_TIME AS OF NOW()
masked SELECT email FROM people ORDER BY id FETCH FIRST 1 ROWS ONLY
masked SELECT email FROM people PROCEDURE ANALYSE(10, 256)
masked SELECT `email` AS `name` FROM `shop`.`people` `purchases`
masked SELECT people.email FROM shop.people, purchases LIMIT 1
masked SELECT EMAIL, Email, eMail FROM people
masked SELECT e.email FROM (people e)
masked SELECT * FROM (SELECT * FROM people) a NATURAL JOIN (SELECT id FROM people) b
masked SELECT * FROM people a LEFT JOIN people b USING (id)
masked SELECT * FROM purchases RIGHT JOIN people USING (id)
masked SELECT name, email FROM people GROUP BY email, name WITH ROLLUP
masked SELECT DISTINCT email FROM people
masked SELECT email+0, email||'x', -email, email IN ('a'), email = ssn FROM people
masked SELECT MID(email, 1, 3), email LIKE 'z%', LOCATE('@', email), ASCII(email), LENGTH(ssn) FROM people
masked SELECT /*! email */ FROM people
masked SELECT /*M! email, */ name FROM people
masked SELECT /*!40100 email, */ name FROM people
masked SELECT /*M!100500 email, */ name FROM people
clear SELECT /*!99999 email, */ name FROM people ORDER BY id
clear SELECT /*M!999999 email, */ name FROM people ORDER BY id
dark SELECT name /*!50000 , /* email */ */ FROM people
dark SELECT email/**/AS/**/city FROM people
dark SELECT city FROM (SELECT email AS city FROM people LIMIT 1) people
dark SELECT email FROM people INTO OUTFILE '/tmp/never'
dark SELECT email INTO DUMPFILE '/tmp/never' FROM people LIMIT 1
dark SELECT LOAD_FILE('/etc/hostname')
dark LOAD DATA INFILE '/etc/hostname' INTO TABLE purchases (item)
dark SELECT EXTRACTVALUE(1, CONCAT('~', (SELECT email FROM people LIMIT 1)))
dark SELECT UPDATEXML(1, CONCAT('~', (SELECT ssn FROM people LIMIT 1)), 1)
dark INSERT INTO people (id, email) SELECT 1, email FROM people
dark INSERT INTO people (id, name, email) VALUES (90, 'x', 'zoe@mark.example')
dark UPDATE people SET email = 'zoe@mark.example' WHERE id = 2
dark INSERT INTO purchases (item) SELECT email FROM people ;; SELECT item FROM purchases
dark UPDATE people SET city = email ;; SELECT city FROM people
dark UPDATE purchases o JOIN people p ON p.id = o.person SET o.item = p.email ;; SELECT item FROM purchases
dark CREATE TABLE copied AS SELECT * FROM people ;; SELECT * FROM copied
dark CREATE VIEW v7 AS SELECT email AS e FROM people ;; SELECT e FROM v7
dark CREATE OR REPLACE VIEW directory AS SELECT id, email AS name, city FROM people ;; SELECT name FROM directory
dark ALTER TABLE people CHANGE email mail VARCHAR(80) ;; SELECT mail FROM people
dark ALTER TABLE people RENAME COLUMN email TO note ;; SELECT note FROM people
dark RENAME TABLE people TO folk ;; SELECT email FROM folk
dark ALTER TABLE events EXCHANGE PARTITION p0 WITH TABLE people
dark CREATE TABLE m (id INT, email VARCHAR(80)) ENGINE=MERGE UNION=(people)
dark SELECT * FROM mysql.column_stats
dark ANALYZE TABLE people PERSISTENT FOR ALL ;; SELECT min_value, max_value FROM mysql.column_stats
dark SELECT * FROM information_schema.PROCESSLIST
dark SELECT INFO FROM information_schema.PROCESSLIST
dark SHOW FULL PROCESSLIST
dark SET profiling = 1 ;; SELECT name FROM people WHERE email = 'zoe@mark.example' ;; SHOW PROFILES
clear SHOW TABLES WHERE Tables_in_shop LIKE 'pu%' AND LENGTH(Tables_in_shop) > 3
clear SHOW FULL COLUMNS FROM people WHERE Field = 'name' OR Type = @unset
clear SHOW VARIABLES WHERE Variable_name IN (SELECT 'autocommit')
clear SHOW PACKAGE STATUS WHERE Name = 'x'
dark SHOW TABLES WHERE EXTRACTVALUE(1, CONCAT('~', mail_of(1)))
dark SHOW VARIABLES WHERE UPDATEXML(1, CONCAT('~', mail_of(1)), 1)
dark SHOW VARIABLES WHERE UPDATEXML(1, CONCAT('~', (SELECT MAX(email) FROM people)), 1)
dark SHOW COLUMNS FROM people WHERE UPDATEXML(1, CONCAT('~', mail_of(1)), 1)
dark CALL mail_out(1, @m) ;; SHOW TABLES WHERE EXTRACTVALUE(1, CONCAT('~', @m))
dark SHOW PACKAGE STATUS WHERE EXTRACTVALUE(1, CONCAT('~', mail_of(1)))
dark SHOW FUNCTION STATUS WHERE EXTRACTVALUE(1, CONCAT('~', mail_of(1)))
dark SHOW INDEX FROM purchases WHERE EXTRACTVALUE(1, CONCAT('~', mail_of(1)))
dark HANDLER purchases OPEN ;; HANDLER purchases READ `PRIMARY` = (EXTRACTVALUE(1, CONCAT('~', mail_of(1))))
dark CALL mail_out(1, @m) ;; HANDLER purchases OPEN ;; HANDLER purchases READ `PRIMARY` = (EXTRACTVALUE(1, CONCAT('~', @m)))
clear HANDLER purchases OPEN ;; HANDLER purchases READ `PRIMARY` >= (2) LIMIT 2 ;; HANDLER purchases CLOSE
dark SET autocommit = mail_of(1)
dark SET sql_select_limit = EXTRACTVALUE(1, CONCAT('~', mail_of(1)))
dark CALL mail_out(1, @m) ;; SET autocommit = @m
dark CALL mail_out(1, @m) ;; SET time_zone = @m
dark KILL EXTRACTVALUE(1, CONCAT('~', mail_of(1)))
dark CREATE EVENT e ON SCHEDULE AT EXTRACTVALUE(1, CONCAT('~', mail_of(1))) DO SELECT 1
dark CALL mail_out(1, @m) ;; CREATE TABLE dt (a INT, b VARCHAR(80) DEFAULT (@m)) ;; INSERT INTO dt (a) VALUES (1) ;; SELECT b FROM dt
dark CALL mail_out(1, @m) ;; CREATE TABLE dt (a INT, CHECK (EXTRACTVALUE(1, CONCAT('~', @m)) IS NULL)) ;; INSERT INTO dt (a) VALUES (1)
dark CREATE TABLE dt (a INT, b VARCHAR(80) DEFAULT (mail_of(1))) ;; INSERT INTO dt (a) VALUES (1) ;; SELECT b FROM dt
dark CALL mail_out(1, @m) ;; ALTER TABLE purchases ADD COLUMN e VARCHAR(80) DEFAULT (@m) ;; SELECT e FROM purchases
dark CALL mail_out(1, @m) ;; ALTER TABLE purchases ALTER item SET DEFAULT (@m) ;; INSERT INTO purchases (total) VALUES (1) ;; SELECT item FROM purchases
dark CREATE TABLE xp (id INT, email VARCHAR(80), secret VARCHAR(80)) PARTITION BY HASH (id) PARTITIONS 1 ;; ALTER TABLE xp EXCHANGE PARTITION p0 WITH TABLE history ;; SELECT email FROM xp
dark SET optimizer_trace = 'enabled=on' ;; SELECT name FROM people WHERE email = mail_of(1) ;; SELECT * FROM information_schema.OPTIMIZER_TRACE
dark PREPARE s FROM CONCAT('SELECT ', QUOTE(mail_of(1)), ' AS x') ;; EXECUTE s
dark PREPARE s FROM mail_of(1)
dark EXECUTE IMMEDIATE mail_of(1)
dark SELECT name FROM people LIMIT 1 PROCEDURE ANALYSE(10)
dark SELECT email FROM people WHERE id = 1 INTO @m ;; SHOW TABLES LIKE @m
clear SET sql_mode = 'ANSI_QUOTES' ;; SELECT "name", 'x' AS "a ""b" FROM "people" WHERE "id" = 1
masked SET sql_mode = 'ANSI_QUOTES' ;; SELECT "email", p."ssn" FROM "shop"."people" p
clear SET sql_mode = 'NO_BACKSLASH_ESCAPES' ;; SELECT 'a\', name, '\' FROM people ORDER BY id
masked SET sql_mode = 'NO_BACKSLASH_ESCAPES' ;; SELECT 'a\', email, '\' FROM people
clear SET sql_mode = 'PIPES_AS_CONCAT' ;; SELECT 'a' || name, 'b' || NULL FROM people ORDER BY id
masked SET sql_mode = 'PIPES_AS_CONCAT' ;; SELECT 'a' || email FROM people
clear SET sql_mode = 'ANSI' ;; SELECT "name" || '!', COUNT (*) FROM people WHERE NOT "id" = 2 GROUP BY "name" ORDER BY 1
masked SET sql_mode = 'ANSI' ;; SELECT MAX ("email"), CONCAT ('\\', "ssn") FROM people GROUP BY "id"
clear SET sql_mode = 'IGNORE_SPACE' ;; SELECT COUNT (*), MAX (name) FROM people
clear SET sql_mode = 'HIGH_NOT_PRECEDENCE' ;; SELECT NOT 1 BETWEEN -5 AND 5
clear SET sql_mode = 'EMPTY_STRING_IS_NULL' ;; SELECT '' IS NULL, name FROM people ORDER BY id
clear SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES' ;; PREPARE s FROM 'SELECT "name", ''\'' FROM people ORDER BY id' ;; EXECUTE s
dark SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES' ;; PREPARE s FROM 'SELECT "email", ''\'' FROM people ORDER BY id' ;; SET sql_mode = '' ;; EXECUTE s
dark SET @@session.sql_mode := 'ANSI_QUOTES' ;; SELECT "email" FROM people
dark SET @m = 'ANSI_QUOTES' ;; SET autocommit = 1, sql_mode = @m ;; SELECT "email" FROM people
dark EXECUTE IMMEDIATE 'SET sql_mode = ''ANSI_QUOTES''' ;; SELECT "email" FROM people
dark SET sql_mode = 'ORACLE' ;; BEGIN SELECT email FROM people; END
dark SET sql_mode = 'ORACLE' ;; SELECT name || email FROM people
dark SET sql_mode = 'MSSQL' ;; SELECT [email] FROM people
dark SET sql_mode = 'DB2' ;; SELECT "email" FROM people
dark SET sql_mode = 'ANSI_QUOTES' ;; SELECT "email" FROM people
dark SET sql_mode = 'NO_BACKSLASH_ESCAPES' ;; SELECT 'a\', email, '\' FROM people
dark SET sql_mode = 'PIPES_AS_CONCAT' ;; SELECT 'a' || email FROM people
dark SET sql_mode = 'ORACLE' ;; SELECT email FROM people
dark SET NAMES gbk ;; SELECT email FROM people
clear SET NAMES utf8mb4 ;; SELECT name FROM people ORDER BY id
dark SET character_set_results = utf16 ;; SELECT email FROM people
dark SELECT email FROM people WHERE id = (SELECT MAX(id) FROM nowhere)
dark SELECT emial FROM people
dark SELECT email'x' FROM people
dark SELECT email FROM shop . people
dark SELECT shop.people.email FROM people
dark SELECT SUBSTRING(email FROM 1 FOR 3), TRIM(BOTH 'z' FROM email), POSITION('@' IN email) FROM people
dark SELECT CONVERT(email, CHAR), CONVERT(email USING utf16), BINARY email, CAST(email AS BINARY) FROM people
dark SELECT VALUES(email) FROM people
dark SELECT JSON_EXTRACT(JSON_ARRAY(email), '$[0]'), JSON_SEARCH(JSON_ARRAY(email), 'one', '%') FROM people
dark SELECT JSON_KEYS(JSON_OBJECT(email, 1)), COLUMN_GET(COLUMN_CREATE('a', email), 'a' AS CHAR) FROM people
masked SELECT PERCENTILE_DISC(0.5) WITHIN GROUP (ORDER BY amount) OVER () FROM hr.salaries
dark SELECT name FROM people ORDER BY EXTRACTVALUE(1, CONCAT('~', email))
dark SELECT name FROM people WHERE id = 1 AND UPDATEXML(1, CONCAT('~', email), 1)
dark SELECT name FROM people GROUP BY name HAVING EXTRACTVALUE(1, CONCAT('~', MAX(email)))
dark SELECT SLEEP(0), BENCHMARK(1, email) FROM people
dark SELECT GET_LOCK(email, 0) FROM people
dark KILL (SELECT 1 FROM people WHERE email > '')
dark SHOW TABLES WHERE EXTRACTVALUE(1, CONCAT('~', (SELECT email FROM people LIMIT 1)))
dark DO EXTRACTVALUE(1, CONCAT('~', (SELECT email FROM people LIMIT 1)))
dark CALL towns_of((SELECT EXTRACTVALUE(1, CONCAT('~', email)) FROM people LIMIT 1))
dark SELECT * FROM people LIMIT 1 INTO @a, @b, @c, @d, @e, @f, @g, @h ;; SELECT @a, @b, @c, @d, @e, @f

-- defaults that read variables, or other columns of the row
dark CALL mail_out(1,@m) ;; CREATE TABLE dt (id INT, s VARCHAR(100) DEFAULT (@m)) ;; INSERT INTO dt (id) VALUES (1) ;; SELECT s FROM dt ;; DROP TABLE dt
dark CREATE TABLE dt2 (id INT, s VARCHAR(100) DEFAULT (@m)) ;; CALL mail_out(1,@m) ;; INSERT INTO dt2 (id) VALUES (1) ;; SELECT s FROM dt2 ;; DROP TABLE dt2
dark CALL mail_out(1,@m) ;; CREATE TABLE dt3 (id INT, s VARCHAR(100)) ;; ALTER TABLE dt3 ALTER s SET DEFAULT (@m) ;; INSERT INTO dt3 (id) VALUES (1) ;; SELECT s FROM dt3 ;; DROP TABLE dt3
dark CALL mail_out(1,@m) ;; CREATE TABLE dt5 (id INT, s VARCHAR(100) DEFAULT (concat(@m,''))) ;; INSERT INTO dt5 VALUES (1, DEFAULT) ;; SELECT s FROM dt5 ;; DROP TABLE dt5
dark CREATE TABLE dt6 (id INT, s VARCHAR(100) DEFAULT (@m)) ;; INSERT INTO dt6 (id) SELECT 1 ;; CALL mail_out(1,@m) ;; SELECT DEFAULT(s) FROM dt6 ;; DROP TABLE dt6
dark CREATE TABLE dt7 (id INT, s VARCHAR(100) DEFAULT (@m)) ;; CALL mail_out(1,@m) ;; INSERT INTO dt7 (id) VALUES (1) RETURNING s ;; DROP TABLE dt7
clear CREATE TABLE dt14 (id INT, s VARCHAR(100) DEFAULT 'a@b.c', at TIMESTAMP DEFAULT CURRENT_TIMESTAMP) ;; INSERT INTO dt14 (id) VALUES (1) ;; UPDATE dt14 SET s = DEFAULT ;; SELECT id, s FROM dt14 ;; DROP TABLE dt14
