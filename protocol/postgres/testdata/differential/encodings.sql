-- Clients of other encodings. The bytes are made by psql's shell, so that this
-- file stays readable.
CREATE TABLE words (w text);
INSERT INTO words VALUES ('Grüße'), ('日本語');
\encoding LATIN1
\echo :ENCODING
SHOW client_encoding;
\set bytes `printf '\374\337\351'`
INSERT INTO words VALUES (:'bytes') RETURNING w;
SELECT w, length(w), octet_length(w) FROM words WHERE w = :'bytes';
SELECT w FROM words WHERE w LIKE 'G%';
SELECT w FROM words;
SELECT 'after an error';
COPY words FROM STDIN;
plain
\.
\copy words from program 'printf ''\344\366\n'''
\copy (select w from words where octet_length(w) < 8 order by w) to stdout
\copy words to stdout
SELECT 1 AS :"bytes";
SELECT :"bytes";
PREPARE :"bytes" AS SELECT :'bytes';
EXECUTE :"bytes";
DEALLOCATE :"bytes";
CREATE TABLE :"bytes" (:"bytes" text);
INSERT INTO :"bytes" VALUES (:'bytes');
SELECT * FROM :"bytes";
SELECT nosuch FROM :"bytes";
DROP TABLE :"bytes";
DO $$ BEGIN RAISE NOTICE '%', (SELECT min(w) FROM words WHERE w LIKE 'G%'); END $$;
\encoding SJIS
\echo :ENCODING
-- The second byte of this one is a backslash to those who read it wrongly.
\set tricky `printf '\225\134'`
SELECT :'tricky';
SELECT length(:'tricky'), octet_length(:'tricky'), convert_to(:'tricky', 'UTF8');
INSERT INTO words VALUES (:'tricky');
SELECT w FROM words WHERE w = :'tricky';
SELECT w FROM words WHERE w ~ '^[日]';
SELECT w FROM words WHERE w LIKE 'G%';
SET standard_conforming_strings = off;
SELECT :'tricky';
SET standard_conforming_strings = on;
\set broken `printf '\201'`
SELECT :'broken';
\copy words from program 'printf ''\201\n'''
\copy (select w from words where octet_length(w) = 3 order by w) to stdout
\encoding UTF8
SELECT convert_to(w, 'UTF8') FROM words ORDER BY 1;
\set broken `printf '\377\376'`
SELECT :'broken';
SELECT 'after a broken text';
SET client_encoding = 'nosuch';
SET NAMES 'LATIN1';
SHOW client_encoding;
SELECT 'Grüße';
RESET client_encoding;
BEGIN;
SET LOCAL client_encoding = 'LATIN1';
SELECT w FROM words WHERE w LIKE 'G%';
SELECT w FROM words;
SELECT 1;
ROLLBACK;
SELECT w FROM words WHERE w LIKE 'G%';
\encoding EUC_JP
SELECT w FROM words WHERE w ~ '本';
\encoding SQL_ASCII
SELECT w FROM words WHERE w LIKE 'G%';
SET client_encoding = 'UTF8' \; SELECT w FROM words WHERE w LIKE 'G%' \; SET client_encoding = 'LATIN1' \; SELECT w FROM words WHERE w LIKE 'G%';
\encoding UTF8
DROP TABLE words;
