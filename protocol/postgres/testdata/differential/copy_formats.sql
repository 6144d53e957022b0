-- COPY in each format, with each kind of mistake in its data.
CREATE TABLE c (n int, t text, d date);
\set VERBOSITY verbose
COPY c FROM STDIN (FORMAT csv);
1,"a ""quote"", a comma",2024-01-02
2,,
"3","",""
\.
COPY c FROM STDIN (FORMAT csv);
1,"unterminated,2024-01-02
2,b,
\.
COPY c FROM STDIN (FORMAT csv, HEADER match);
n,t,wrong
1,a,2024-01-01
\.
COPY c FROM STDIN (FORMAT csv, HEADER match, DELIMITER ';', QUOTE '''', ESCAPE '\', NULL 'nil', FORCE_NOT_NULL (t));
n;t;d
5;'it\'s; so';nil
6;nil;nil
\.
COPY c FROM STDIN (FORMAT csv);
1,too,2024-01-01,many
\.
COPY c FROM STDIN (FORMAT csv);
7,few
\.
COPY c FROM STDIN (FORMAT text);
8	octal \101 hex \x41 tab\t nul-less	\N
9	x	not a date
\.
COPY c FROM STDIN;
10	missing newline at the end	\N
\.
COPY c FROM STDIN;
11	x
\.
COPY c FROM STDIN (DELIMITER E'\t', DELIMITER ',');
COPY c FROM STDIN (FORMAT nosuch);
COPY c FROM STDIN (FORMAT binary, DELIMITER ',');
COPY c (n, n) FROM STDIN;
COPY c (nosuch) TO STDOUT;
COPY c TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE (t), NULL 'nil');
COPY (SELECT * FROM c ORDER BY n DESC) TO STDOUT (DELIMITER '|');
COPY (SELECT 1 AS n, E'line\nbreak\r\ttab\\back' AS t) TO STDOUT;
COPY (SELECT 1 AS n, E'line\nbreak\r\ttab\\back' AS t) TO STDOUT (FORMAT csv);
COPY (INSERT INTO c VALUES (12) RETURNING *) TO STDOUT;
COPY (SELECT 1; SELECT 2) TO STDOUT;
COPY (SELECT g, 100 / (3 - g) FROM generate_series(1, 5) g) TO STDOUT;
SELECT * FROM c ORDER BY n;
-- Binary data: whole, cut at each place, and wrong.
\copy c to program 'cat > $TMP_DIR/c.bin' (format binary)
\! cksum < $TMP_DIR/c.bin
TRUNCATE c;
\copy c from program 'cat $TMP_DIR/c.bin' (format binary)
\copy c from program 'head -c 5 $TMP_DIR/c.bin' (format binary)
\copy c from program 'head -c 15 $TMP_DIR/c.bin' (format binary)
\copy c from program 'head -c 19 $TMP_DIR/c.bin' (format binary)
\copy c from program 'head -c 30 $TMP_DIR/c.bin' (format binary)
\copy c from program 'head -c -2 $TMP_DIR/c.bin' (format binary)
\copy c from program 'cat $TMP_DIR/c.bin $TMP_DIR/c.bin' (format binary)
\copy c (n) from program 'cat $TMP_DIR/c.bin' (format binary)
\copy c from program 'true' (format binary)
\copy c from program 'false'
\copy c from '/nonexistent'
\copy nosuch from program 'true'
SELECT count(*), md5(string_agg(c::text, ',' ORDER BY n)) FROM c;
-- In transactions and beside other statements.
BEGIN;
COPY c FROM STDIN;
20	in a transaction	\N
\.
SAVEPOINT s;
COPY c FROM STDIN;
x	bad	\N
\.
ROLLBACK TO s;
COPY c TO STDOUT;
COMMIT;
BEGIN;
SELECT 1/0;
COPY c FROM STDIN;
21	not looked at	\N
\.
COPY c TO STDOUT;
ROLLBACK;
SELECT 'a' \; COPY c FROM STDIN \; SELECT 'b' \; COPY c TO STDOUT \; SELECT 1/0 \; SELECT 'never';
22	taken back	\N
\.
SELECT 1/0 \; COPY c FROM STDIN;
23	not reached	\N
\.
COPY c FROM STDIN \; COPY nosuch FROM STDIN;
24	taken back	\N
\.
SELECT count(*) FROM c;
-- Triggers, defaults and conditions meet the rows.
CREATE FUNCTION odd() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'row %', new.n; IF new.n = 33 THEN RAISE EXCEPTION 'unwanted'; END IF; RETURN CASE WHEN new.n % 2 = 1 THEN new END; END $$;
CREATE TRIGGER odd BEFORE INSERT ON c FOR EACH ROW EXECUTE FUNCTION odd();
COPY c (n) FROM STDIN WHERE n > 30;
30
31
32
\.
COPY c (n) FROM STDIN;
31
33
35
\.
CREATE TABLE k (n int CHECK (n > 0), g int GENERATED ALWAYS AS (n * 2) STORED, UNIQUE (n));
COPY k FROM STDIN;
1
2
1
\.
COPY k FROM STDIN;
-1
\.
COPY k (g) FROM STDIN;
COPY k FROM STDIN (FREEZE);
COPY k TO STDOUT;
COPY pg_class TO '/nonexistent/file';
COPY c TO PROGRAM 'false';
COPY c FROM '/nonexistent/file';
DROP TABLE c, k;
DROP FUNCTION odd;
