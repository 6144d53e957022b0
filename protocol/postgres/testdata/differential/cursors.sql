-- Cursors: each direction, to their ends and beyond them.
CREATE TABLE letters (n int PRIMARY KEY, t text);
INSERT INTO letters SELECT n, chr(96 + n) FROM generate_series(1, 26) n;
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT * FROM letters ORDER BY n;
FETCH c;
FETCH 3 FROM c;
FETCH FORWARD ALL IN c;
FETCH NEXT FROM c;
FETCH BACKWARD 2 FROM c;
FETCH ABSOLUTE -2 FROM c;
FETCH RELATIVE 0 FROM c;
FETCH FIRST FROM c;
FETCH PRIOR FROM c;
FETCH LAST FROM c;
MOVE ABSOLUTE 10 FROM c;
FETCH 0 FROM c;
MOVE BACKWARD ALL IN c;
FETCH 2 FROM c \; MOVE 5 FROM c \; FETCH 2 FROM c;
CLOSE c;
FETCH c;
ROLLBACK;
-- One that cannot go back, one that is binary, one that writes.
BEGIN;
DECLARE n NO SCROLL CURSOR FOR SELECT * FROM letters ORDER BY n;
FETCH 2 FROM n;
SAVEPOINT s;
FETCH BACKWARD 1 FROM n;
ROLLBACK TO s;
FETCH 1 FROM n;
DECLARE b BINARY CURSOR FOR SELECT n, t FROM letters WHERE n = 1094795585 OR t = 'b';
FETCH ALL FROM b;
DECLARE w CURSOR FOR SELECT * FROM letters FOR UPDATE;
MOVE 5 FROM w;
UPDATE letters SET t = upper(t) WHERE CURRENT OF w RETURNING *;
DELETE FROM letters WHERE CURRENT OF w RETURNING *;
SELECT name, is_holdable, is_binary, is_scrollable FROM pg_cursors ORDER BY name;
CLOSE ALL;
SELECT count(*) FROM pg_cursors;
DELETE FROM letters WHERE CURRENT OF w;
COMMIT;
-- Cursors that outlive their transaction, and one that its transaction ends.
BEGIN;
DECLARE h CURSOR WITH HOLD FOR SELECT n, 26 / (26 - n) FROM letters WHERE n < 26 ORDER BY n DESC;
FETCH 2 FROM h;
DECLARE gone CURSOR FOR SELECT 1;
COMMIT;
FETCH 2 FROM h;
FETCH gone;
CREATE TABLE held AS SELECT 1 AS a;
BEGIN;
DECLARE o CURSOR WITH HOLD FOR SELECT * FROM held;
ROLLBACK;
FETCH o;
DECLARE o CURSOR WITH HOLD FOR SELECT a, a / 0 FROM held;
DECLARE o CURSOR FOR SELECT 1;
FETCH ALL FROM h;
CLOSE h;
CLOSE h;
-- A cursor that breaks in the middle.
BEGIN;
DECLARE bad CURSOR FOR SELECT n, 10 / (5 - n) FROM letters WHERE n < 10 ORDER BY n;
FETCH 3 FROM bad;
FETCH 3 FROM bad;
FETCH 3 FROM bad;
ROLLBACK;
BEGIN;
DECLARE twice CURSOR FOR SELECT 1;
DECLARE twice CURSOR FOR SELECT 2;
ROLLBACK;
-- Cursors that functions return.
CREATE FUNCTION opened(refcursor) RETURNS refcursor LANGUAGE plpgsql AS $$ BEGIN OPEN $1 FOR SELECT * FROM letters ORDER BY n LIMIT 3; RETURN $1; END $$;
BEGIN;
SELECT opened('f');
FETCH ALL IN f;
SELECT opened('f');
ROLLBACK;
FETCH ALL IN f;
BEGIN \; SELECT opened('"odd name"') \; FETCH 2 FROM "odd name" \; COMMIT;
-- psql's own use of cursors.
\set FETCH_COUNT 7
SELECT * FROM letters ORDER BY n;
SELECT n, 10 / (20 - n) FROM letters ORDER BY n;
SELECT 1 WHERE false;
SELECT 'after';
\unset FETCH_COUNT
DROP FUNCTION opened;
DROP TABLE letters, held;
