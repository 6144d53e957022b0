"""What psycopg2 says of a server, in the order in which it says it."""
import io
import select

import psycopg2
import psycopg2.extensions
import psycopg2.extras


def tried(name, f):
    try:
        print(name, f())
    except psycopg2.Error as e:
        d = e.diag
        print(name, type(e).__name__, e.pgcode, repr(str(e)), d.severity, d.message_detail, d.message_hint, d.statement_position, d.constraint_name)


c = psycopg2.connect("")
cur = c.cursor()


def run(sql, *args, of=None):
    def f():
        k = of or cur
        k.execute(sql, *args)
        rows = [[bytes(v) if isinstance(v, memoryview) else v for v in row] for row in k.fetchall()] if k.description else None
        return k.statusmessage, k.rowcount, k.description and [(d.name, d.type_code) for d in k.description], rows
    return f


tried("status", lambda: (c.encoding, c.status, c.get_transaction_status(), c.get_parameter_status("standard_conforming_strings"), c.protocol_version))
tried("simple", run("SELECT 1, NULL, 'text', now() IS NOT NULL"))
tried("values", run("SELECT %s, %s, %s::jsonb, %s, %s", (1, "it's \\", psycopg2.extras.Json({"a": None}), psycopg2.Binary(b"\0\xff"), ["x", None, '"'])))
tried("table", run("CREATE TEMP TABLE t (n int PRIMARY KEY, s text)"))
tried("many", lambda: psycopg2.extras.execute_values(cur, "INSERT INTO t VALUES %s RETURNING n", [(n, str(n) * n) for n in range(50)], fetch=True))
c.commit()
tried("duplicate", run("INSERT INTO t VALUES (1, 'again')"))
tried("in a failed transaction", run("SELECT 1"))
print(c.get_transaction_status())
c.rollback()
tried("mistake", run("SELEC 1"))
c.rollback()
tried("several", run("SELECT 1; SELECT 2; SELECT 3"))
tried("empty", run(""))
tried("comment", run("-- nothing"))
c.rollback()
named = c.cursor("a name", scrollable=True)
named.itersize = 7
tried("cursor", run("SELECT n FROM t ORDER BY n", of=named))
named.scroll(-10)
tried("scrolled", lambda: named.fetchmany(3))
named.scroll(5, mode="absolute")
tried("absolute", lambda: named.fetchone())
named.close()
named = c.cursor("held", withhold=True)
named.execute("SELECT n FROM t WHERE n < 20 ORDER BY n")
c.commit()
tried("held", lambda: [n for n, in named])
named.close()
out = io.StringIO()
tried("copy out", lambda: (cur.copy_expert("COPY (SELECT * FROM t WHERE n < 5 ORDER BY n) TO STDOUT (FORMAT csv, HEADER)", out), out.getvalue()))
tried("copy in", lambda: (cur.copy_expert("COPY t FROM STDIN", io.StringIO("100\ta\n101\tb\\tc\n102\t\\N\n")), cur.rowcount))
tried("copy wrong", lambda: cur.copy_expert("COPY t FROM STDIN", io.StringIO("100\ta\n")))
c.rollback()
tried("copy that breaks", lambda: cur.copy_expert("COPY t FROM STDIN", io.StringIO("".join("%d\tx\n" % n for n in range(1000, 90000)) + "x\n")))
c.rollback()
tried("copy nothing", lambda: cur.copy_expert("COPY t FROM STDIN", io.StringIO("")))
c.rollback()
tried("notice", run("DO $$ BEGIN RAISE NOTICE 'said'; RAISE WARNING 'warned' USING HINT = 'hint'; END $$"))
print(c.notices)
c.set_isolation_level(psycopg2.extensions.ISOLATION_LEVEL_SERIALIZABLE)
tried("isolation", run("SHOW transaction_isolation"))
c.rollback()
c.autocommit = True
tried("listen", run("LISTEN a; NOTIFY a, 'payload'"))
c.poll()
print([(n.channel, n.payload) for n in c.notifies])
tried("encoding", lambda: (c.set_client_encoding("LATIN1"), c.encoding))
tried("in LATIN1", run("SELECT %s, length(%s)", ("Gr\u00fc\u00dfe", "Gr\u00fc\u00dfe")))
tried("not in LATIN1", run("SELECT convert_from('\\xe697a5', 'UTF8')"))
c.set_client_encoding("UTF8")
tried("call", lambda: (cur.callproc("upper", ["x"]), cur.fetchall()))
c.autocommit = False
lob = c.lobject(0, "wb", 0)
lob.write(b"large object" * 1000)
lob.seek(6)
lob.close()
lob = c.lobject(lob.oid, "rb")
tried("large object", lambda: (len(lob.read()), lob.seek(-6, 2), lob.read()))
lob.unlink()
c.rollback()
tried("no large object", lambda: c.lobject(1, "rb"))
c.rollback()
tried("first phase", lambda: (c.tpc_begin(c.xid(1, "gtrid", "bqual")), cur.execute("SELECT 1"), c.tpc_prepare()))
tried("recovered", lambda: [x.gtrid for x in c.tpc_recover()])
tried("second phase", lambda: c.tpc_rollback())
c.reset()
tried("timeout", run("SET statement_timeout = 50; SELECT pg_sleep(10)"))
c.close()
tried("closed", lambda: c.cursor())

a = psycopg2.connect("", async_=1)


def wait(x):
    while True:
        state = x.poll()
        if state == psycopg2.extensions.POLL_OK:
            return
        if state == psycopg2.extensions.POLL_READ:
            select.select([x.fileno()], [], [])
        else:
            select.select([], [x.fileno()], [])


wait(a)
k = a.cursor()
k.execute("SELECT n FROM generate_series(1, 3) n")
wait(k.connection)
print("asynchronous", k.fetchall())
a.close()
