-- Large objects by function, by psql's commands, and wrongly.
SELECT lo_create(4242);
SELECT lo_put(4242, 0, 'hello, large world');
SELECT lo_get(4242), lo_get(4242, 7, 5);
SELECT lo_create(4242);
BEGIN;
SELECT lo_open(4242, x'60000'::int) AS fd;
SELECT lowrite(0, 'HELLO');
SELECT lo_lseek64(0, 0, 0);
SELECT loread(0, 100);
SELECT lo_tell(0), lo_truncate64(0, 7), lo_lseek(0, 0, 2);
SELECT loread(7, 1);
ROLLBACK;
SELECT loread(0, 1);
SELECT lo_from_bytea(4243, decode(repeat('00ff', 50000), 'hex'));
SELECT length(lo_get(4243)), md5(lo_get(4243));
\lo_export 4243 `echo $TMP_DIR/lo`
\! cksum < $TMP_DIR/lo
\lo_import `echo $TMP_DIR/lo` 'a comment'
SELECT lo_get(:LASTOID) = lo_get(4243) AS same;
\lo_unlink :LASTOID
\lo_unlink 1
\lo_export 1 /dev/null
\lo_import /nonexistent
BEGIN;
\lo_export 4242 `echo $TMP_DIR/small`
\! cat $TMP_DIR/small
\lo_unlink 4242
ROLLBACK;
SELECT lo_unlink(4242);
SELECT lo_unlink(4242);
SELECT lo_unlink(4243);
SELECT count(*) FROM pg_largeobject_metadata;
