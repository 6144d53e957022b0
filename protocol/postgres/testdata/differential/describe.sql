-- psql's own questions about what there is.
CREATE SCHEMA shown;
SET search_path = shown;
CREATE TABLE parent (id int PRIMARY KEY, name text NOT NULL DEFAULT 'x', at timestamptz, CHECK (id > 0));
CREATE TABLE child (id int REFERENCES parent, parts int[]) PARTITION BY RANGE (id);
CREATE TABLE child1 PARTITION OF child FOR VALUES FROM (1) TO (10);
CREATE INDEX ON parent (lower(name)) WHERE id > 5;
CREATE VIEW v AS SELECT id, upper(name) AS loud FROM parent;
CREATE MATERIALIZED VIEW m AS SELECT * FROM v;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE SEQUENCE seq;
COMMENT ON TABLE parent IS 'with a comment';
\d
\d+ parent
\d+ child
\d child1
\d+ v
\d+ m
\d seq
\dT+
\dD
\df+ twice
\sf twice
\sv v
\dn shown
\di
\dp
\dt shown.*
\d nosuch
\dE
\dx plpgsql
\l template0
\set ECHO_HIDDEN on
\dt
\set ECHO_HIDDEN off
SELECT * FROM v;
INSERT INTO parent VALUES (1, 'one', NULL);
REFRESH MATERIALIZED VIEW m;
SELECT * FROM m;
\x
SELECT * FROM parent;
\x
DROP SCHEMA shown CASCADE;
