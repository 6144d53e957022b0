-- Prepared statements by SQL.
CREATE TABLE p (n int, t text);
PREPARE ins (int, text) AS INSERT INTO p VALUES ($1, $2) RETURNING *;
EXECUTE ins (1, 'one');
EXECUTE ins (2, NULL);
EXECUTE ins (1 + 2, upper('three'));
EXECUTE ins ('x', 'y');
EXECUTE ins (1);
EXECUTE ins (1, 2, 3);
PREPARE sel AS SELECT * FROM p WHERE n > $1 ORDER BY n;
EXECUTE sel (1);
EXECUTE sel ((SELECT 2));
PREPARE sel AS SELECT 1;
EXECUTE nosuch;
DEALLOCATE nosuch;
SELECT name, statement, parameter_types, from_sql FROM pg_prepared_statements ORDER BY name;
ALTER TABLE p ADD c date;
EXECUTE sel (1);
EXECUTE ins (4, 'four');
DEALLOCATE sel;
PREPARE sel AS SELECT * FROM p WHERE n > $1 ORDER BY n;
EXECUTE sel (1);
-- In transactions, in texts of several statements, within other commands.
BEGIN;
PREPARE kept AS SELECT 'kept';
ROLLBACK;
EXECUTE kept;
PREPARE x AS SELECT 1 \; EXECUTE x \; DEALLOCATE x \; SELECT 1/0;
EXECUTE x;
PREPARE y AS SELECT 1/0 \; EXECUTE y \; SELECT 'never';
EXECUTE y;
PREPARE z AS SELECT $1::int + $2::int AS sum;
EXECUTE z (1, 2) \; EXECUTE z (3, 4);
CREATE TABLE made AS EXECUTE z (5, 6);
SELECT * FROM made;
CREATE TABLE made2 AS EXECUTE nosuch (5, 6);
EXPLAIN (COSTS OFF) EXECUTE sel (1);
PREPARE v AS VALUES ($1::text, $2::numeric, $3::bytea, $4::timestamptz);
EXECUTE v ('a', 1.50, '\x00ff', '2024-01-02 03:04:05+06');
PREPARE wrong AS SELECT $1 + $2;
PREPARE wrong (int) AS SELECT $1 || $2 || nosuch;
PREPARE ddl AS CREATE TABLE never (n int);
PREPARE unknown AS SELECT $1 IS NULL, $2;
EXECUTE unknown (1, 'text');
\set ECHO errors
SELECT format('PREPARE many%s AS SELECT %s', i, i) FROM generate_series(1, 50) i
\gexec
SELECT format('EXECUTE many%s', i) FROM generate_series(1, 50, 7) i
\gexec
\set ECHO all
DEALLOCATE PREPARE ALL;
SELECT count(*) FROM pg_prepared_statements;
EXECUTE many1;
-- psql describes statements by the extended protocol.
SELECT n, t, n::numeric(10,2) AS num, now() AS at FROM p \gdesc
SELECT 1/0 \gdesc
SELECT nosuch \gdesc
INSERT INTO p VALUES (9) \gdesc
SELECT $1::int \gdesc
CREATE TABLE never (n int) \gdesc
\gdesc
BEGIN;
SELECT 1 AS one \gdesc
SELECT nosuch \gdesc
SELECT 1 AS one \gdesc
ROLLBACK;
SELECT 1 AS one \gdesc
SELECT 'a' AS k, 1 AS v UNION ALL SELECT 'b', 2 \gset pre_
\echo :pre_k
SELECT 'a' AS k, 1 AS v \gset pre_
\echo :pre_k :pre_v
SELECT n % 2 AS r, n AS c, t FROM p WHERE n < 4 \crosstabview
DROP TABLE p, made;
