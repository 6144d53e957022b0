-- COPY in the middle of a query of many statements, and what comes after it.
SELECT 'first' AS begin \;
CREATE TABLE comics (s text) \;
INSERT INTO comics VALUES ('Calvin'), ('hobbes') \;
COPY comics FROM STDIN \;
UPDATE comics SET s = 'Hobbes' WHERE s = 'hobbes' \;
COPY comics TO STDOUT \;
SELECT 'last' AS done;
Moe
Susie
\.
SELECT * FROM comics ORDER BY 1;
-- A COPY that fails at its data, at its start, and in a transaction.
CREATE TABLE numbers (n int PRIMARY KEY, t text);
COPY numbers FROM STDIN;
1	one
x	two
3	three
\.
SELECT count(*) FROM numbers;
COPY no_such_table FROM STDIN;
BEGIN;
COPY numbers FROM STDIN;
1	one
1	again
\.
SELECT 1;
ROLLBACK;
COPY numbers FROM STDIN (FORMAT csv, HEADER, NULL '-');
n,t
1,"a ""quoted"" one"
2,-
3,
\.
COPY (SELECT * FROM numbers ORDER BY n) TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE *);
COPY numbers TO STDOUT;
COPY numbers (t) TO STDOUT \; COPY numbers (n) TO STDOUT \; SELECT 1;
COPY (SELECT 1/0) TO STDOUT;
COPY (SELECT n/(2-n) FROM numbers ORDER BY n) TO STDOUT;
-- Two COPYs from the client in one query.
COPY numbers (n) FROM STDIN \; COPY comics FROM STDIN \; SELECT count(*) FROM numbers, comics;
11
12
\.
Rosalyn
\.
-- Through files of psql, binary too.
\copy numbers to program 'cat > $TMP_DIR/n.bin' (format binary)
TRUNCATE numbers;
\copy numbers from program 'cat $TMP_DIR/n.bin' (format binary)
SELECT * FROM numbers ORDER BY n;
\copy numbers from program 'echo broken' (format binary)
\copy (select * from numbers order by 1) to stdout
-- Rows that are longer than any buffer, and many of them.
CREATE TABLE wide (id int, t text);
\copy wide from program 'yes 1234567890123456789012345678901234567890 | head -20000 | nl'
SELECT count(*), sum(id), sum(length(t)) FROM wide;
\copy wide to program 'cksum'
INSERT INTO wide SELECT 0, repeat('x', 5000000);
\copy (select * from wide where id = 0) to program 'cksum'
COPY wide FROM STDIN WHERE id > 1;
1	a
2	b
\.
DROP TABLE comics, numbers, wide;
