-- Notifications arrive with the same payloads, order and moments. psql names
-- the sender's process, which no two servers share.
\o |sed 's/PID [0-9]*/PID ?/'
LISTEN a;
LISTEN "Odd Name";
NOTIFY a;
NOTIFY a, 'payload';
NOTIFY "Odd Name", 'it''s';
SELECT pg_notify('a', 'by function ' || n) FROM generate_series(1, 3) n;
BEGIN;
NOTIFY a, 'once';
NOTIFY a, 'once';
NOTIFY a, 'twice';
SELECT 'nothing before the end';
COMMIT;
BEGIN;
NOTIFY a, 'never';
ROLLBACK;
NOTIFY a, 'before the error' \; SELECT 1/0;
NOTIFY a, 'one' \; SELECT 'between' \; NOTIFY a, 'two';
SELECT pg_notify('a', repeat('x', 8000));
SELECT pg_notify('', 'nowhere');
SELECT * FROM pg_listening_channels() ORDER BY 1;
UNLISTEN a;
NOTIFY a, 'unheard';
UNLISTEN *;
NOTIFY "Odd Name", 'unheard';
BEGIN;
LISTEN b;
NOTIFY b, 'listened to in the same transaction';
COMMIT;
\o
UNLISTEN *;
-- The longest there is.
LISTEN long;
\o |sed 's/PID [0-9]*/PID ?/' | cksum
SELECT pg_notify('long', repeat('x', 7999));
\o
UNLISTEN long;
-- Of another session.
\o |sed 's/PID [0-9]*/PID ?/'
LISTEN c;
\! psql -X -q -c "NOTIFY c, 'from another session'"
SELECT 'then';
\o
UNLISTEN c;
