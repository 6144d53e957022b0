-- Blocks and procedures, what they say, and where they fail.
CREATE TABLE log (n serial, t text);
DO $$ BEGIN RAISE DEBUG 'd'; RAISE LOG 'l'; RAISE INFO 'i'; RAISE NOTICE 'n'; RAISE WARNING 'w'; END $$;
SET client_min_messages = debug1;
DO $$ BEGIN RAISE DEBUG 'd'; RAISE LOG 'l'; RAISE INFO 'i'; RAISE NOTICE 'n'; RAISE WARNING 'w'; END $$;
SET client_min_messages = error;
DO $$ BEGIN RAISE DEBUG 'd'; RAISE LOG 'l'; RAISE INFO 'i'; RAISE NOTICE 'n'; RAISE WARNING 'w'; END $$;
RESET client_min_messages;
\set VERBOSITY verbose
DO $$ BEGIN RAISE EXCEPTION 'all fields' USING DETAIL = 'detail', HINT = 'hint', ERRCODE = 'P9999', COLUMN = 'c', CONSTRAINT = 'k', DATATYPE = 'd', TABLE = 't', SCHEMA = 's'; END $$;
DO $$ BEGIN RAISE SQLSTATE '01234' USING MESSAGE = 'a code alone'; END $$;
DO $$ BEGIN RAISE unique_violation; END $$;
DO $$ BEGIN INSERT INTO log VALUES (1, 'a'); PERFORM 1/0; END $$;
DO $$ BEGIN mistake END $$;
DO LANGUAGE nosuch $$ $$;
DO LANGUAGE plpgsql 'BEGIN NULL; END';
\errverbose
\set VERBOSITY terse
DO $$ BEGIN RAISE EXCEPTION 'terse' USING DETAIL = 'unseen'; END $$;
\set VERBOSITY sqlstate
DO $$ BEGIN RAISE EXCEPTION 'unseen'; END $$;
\set VERBOSITY default
\set SHOW_CONTEXT always
DO $$ BEGIN RAISE NOTICE 'with context'; BEGIN PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN RAISE NOTICE 'caught %', SQLERRM; END; END $$;
\set SHOW_CONTEXT errors
-- Transactions within.
DO $$ BEGIN FOR i IN 1..4 LOOP INSERT INTO log (t) VALUES ('loop ' || i); IF i % 2 = 0 THEN COMMIT; ELSE ROLLBACK; END IF; END LOOP; END $$;
SELECT t FROM log ORDER BY n;
BEGIN;
DO $$ BEGIN COMMIT; END $$;
ROLLBACK;
SELECT 1 \; DO $$ BEGIN COMMIT; END $$;
CREATE PROCEDURE kept(INOUT a int, OUT b text) LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log (t) VALUES ('kept ' || a); COMMIT; a := a + 1; b := 'out'; RAISE NOTICE 'in between'; INSERT INTO log (t) VALUES ('lost'); ROLLBACK; END $$;
CALL kept(1, NULL);
CALL kept('x', NULL);
CALL nosuch();
CALL kept(1, NULL) \; SELECT 1;
DO $$ DECLARE a int := 5; b text; BEGIN CALL kept(a, b); RAISE NOTICE '% %', a, b; END $$;
SELECT t FROM log ORDER BY n;
-- Code that makes, changes and drops what later statements use.
DO $$ BEGIN EXECUTE 'CREATE TABLE born (n int)'; EXECUTE 'INSERT INTO born VALUES (1)'; END $$;
SELECT * FROM born;
DO $$ BEGIN EXECUTE 'ALTER TABLE born RENAME n TO m'; END $$ \; SELECT m FROM born;
SELECT n FROM born;
DO $$ BEGIN EXECUTE 'DROP TABLE born'; END $$;
SELECT * FROM born;
DO $$ BEGIN EXECUTE 'SET search_path = nowhere'; END $$;
SELECT * FROM log;
RESET search_path;
DO $$ BEGIN PERFORM set_config('search_path', 'nowhere', true); END $$;
SELECT count(*) FROM log;
CREATE FUNCTION noisy(n int) RETURNS SETOF int LANGUAGE plpgsql AS $$ BEGIN FOR i IN 1..n LOOP RAISE NOTICE 'row %', i; RETURN NEXT i; END LOOP; IF n > 2 THEN RAISE EXCEPTION 'too many'; END IF; END $$;
SELECT * FROM noisy(2);
SELECT noisy(3);
CREATE FUNCTION sudden(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN IF n > 2 THEN RAISE EXCEPTION 'at row %', n; END IF; RAISE NOTICE 'row %', n; RETURN n; END $$;
SELECT sudden(n) FROM generate_series(1, 5) n;
DROP FUNCTION noisy, sudden;
DROP PROCEDURE kept;
DROP TABLE log;
