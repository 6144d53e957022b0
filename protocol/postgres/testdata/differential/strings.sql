-- What a backslash means depends on settings.
CREATE TABLE s (n int, t text);
SELECT 'a\b', E'a\tb', 'it''s', U&'d\0061t\+000061', $$do'llar$$, $tag$ $$ $tag$;
SET standard_conforming_strings = off;
SHOW standard_conforming_strings;
SELECT 'a\\b', 'it\'s', 'x\n', E'\\';
SET escape_string_warning = off;
SELECT 'a\\b', 'it\'s', 'x\n';
SELECT U&'d\0061';
SET backslash_quote = off;
SELECT 'it\'s';
SET backslash_quote = safe_encoding;
INSERT INTO s VALUES (1, 'one\\two'), (2, 'it\'s; SELECT 1 -- ') RETURNING t;
SELECT * FROM s WHERE t = 'one\\two';
PREPARE p AS SELECT 'with \'quotes\'', $1::text;
EXECUTE p ('back\\slash');
DO 'BEGIN RAISE NOTICE \'quoted\'; END';
COPY s FROM STDIN;
3	tab\ttab
4	back\\slash
5	\N
\.
COPY s TO STDOUT;
SET standard_conforming_strings = on;
SELECT 'a\b';
EXECUTE p ('back\\slash');
BEGIN;
SET LOCAL standard_conforming_strings = off;
SELECT 'a\\b';
SELECT 1/0;
ROLLBACK;
SELECT 'a\\b';
SET standard_conforming_strings = off \; SELECT 'a\\b' \; SET standard_conforming_strings = on \; SELECT 'a\\b';
SELECT 'a\\b';
SELECT set_config('standard_conforming_strings', 'off', false);
SELECT 'a\\b';
DO $$ BEGIN PERFORM set_config('standard_conforming_strings', 'on', false); END $$;
SELECT 'a\\b';
SET bytea_output = escape;
SELECT '\x00ff5c'::bytea;
SET xmloption = document;
SET quote_all_identifiers = on;
SELECT pg_get_viewdef('pg_tables'::regclass) LIKE '%"n"."nspname"%' AS quoted;
RESET ALL;
SHOW standard_conforming_strings;
DROP TABLE s;
