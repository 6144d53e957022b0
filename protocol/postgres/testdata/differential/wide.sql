-- Rows of as many columns as a table may have, and results of more.
\pset format unaligned
\set ECHO errors
SELECT 'CREATE TABLE broad (' || string_agg(format('c%s int2', i), ', ') || ')' FROM generate_series(1, 1600) i
\gexec
SELECT 'INSERT INTO broad SELECT ' || string_agg(CASE WHEN i % 3 = 0 THEN 'NULL' ELSE 'n * ' || i END, ', ') || ' FROM generate_series(1, 3) n' FROM generate_series(1, 1600) i
\gexec
\set ECHO all
\o |cksum
SELECT * FROM broad ORDER BY 1;
\o
\copy broad to program 'cksum'
\copy broad to program 'cksum' (format csv, header)
\copy broad to program 'cat > $TMP_DIR/broad' (format binary)
\copy broad from program 'cat $TMP_DIR/broad' (format binary)
SELECT count(*), sum(c1600), max(c1599) FROM broad;
SELECT * FROM broad \gdesc
\set ECHO errors
SELECT 'ALTER TABLE broad ADD c1601 int'
\gexec
SELECT 'SELECT ' || string_agg(i::text, ', ') FROM generate_series(1, 1664) i
\o |cksum
\gexec
\o
SELECT 'SELECT ' || string_agg(i::text, ', ') FROM generate_series(1, 1665) i
\gexec
SELECT 'SELECT row(' || string_agg(i::text, ', ') || ')' FROM generate_series(1, 1600) i
\o |cksum
\gexec
\o
\set ECHO all
DROP TABLE broad;
-- No columns at all, and long values.
CREATE TABLE none ();
INSERT INTO none DEFAULT VALUES;
SELECT * FROM none;
SELECT;
SELECT FROM none UNION ALL SELECT FROM none;
\copy none to stdout
DROP TABLE none;
\o |cksum
SELECT repeat('long ', 2000000), NULL, '', repeat('x', 70000);
\o
SELECT length(repeat('long ', 2000000));
