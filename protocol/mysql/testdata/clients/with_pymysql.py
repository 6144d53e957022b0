# What PyMySQL says of a server, in the order in which it says it.
import os
import ssl
import pymysql
from pymysql.constants import CLIENT

E = os.environ


def connect(**more):
    tls = None
    if E.get("CA"):
        tls = ssl.create_default_context(cafile=E["CA"])
        tls.check_hostname = False
    return pymysql.connect(host=E["HOST"], port=int(E["PORT"]), user=E["USER"], password=E["PASSWORD"], database=E["DATABASE"], ssl=tls, **more)


def tried(name, f):
    try:
        print(name, f())
    except pymysql.MySQLError as e:
        print(name, type(e).__name__, e.args)


c = connect(client_flag=CLIENT.MULTI_STATEMENTS)
q = c.cursor()


def run(sql, *args):
    n = q.execute(sql, *args)
    return n, q.description, q.fetchall(), q.lastrowid


tried("simple", lambda: run("SELECT 1 AS one, NULL AS none, 'text' AS t, 1.5 AS d, CAST('2020-01-02' AS DATE) AS day"))
tried("args", lambda: run("SELECT %s, %s, %s", (1, "it's", b"ab")))
tried("table", lambda: run("CREATE TEMPORARY TABLE t (n INT PRIMARY KEY AUTO_INCREMENT, s VARCHAR(20), b BLOB, j JSON)"))
tried("insert", lambda: run("INSERT INTO t (s) VALUES ('a'), ('b'), ('\u00e9')"))
tried("many", lambda: q.executemany("INSERT INTO t (s) VALUES (%s)", [("x",), ("y",), ("z",)]))
tried("all", lambda: run("SELECT * FROM t ORDER BY n"))
tried("duplicate", lambda: run("INSERT INTO t (n) VALUES (1)"))
tried("mistake", lambda: run("SELEC 1"))
tried("missing", lambda: run("SELECT * FROM missing"))
tried("several", lambda: (run("SELECT 1; SELECT 2; DO 0"), q.nextset(), q.fetchall(), q.nextset(), q.nextset()))
tried("second fails", lambda: (run("SELECT 1; SELECT * FROM missing"), q.nextset()))
tried("warnings", lambda: (run("SELECT CAST('abc' AS SIGNED)"), run("SHOW WARNINGS")))
tried("begin", lambda: (c.begin(), run("DELETE FROM t"), c.rollback(), run("SELECT COUNT(*) FROM t")))
tried("use", lambda: (c.select_db("information_schema"), run("SELECT DATABASE()"), c.select_db("shop")))
tried("no such database", lambda: c.select_db("nowhere"))
tried("ping", lambda: c.ping(reconnect=False))
tried("long", lambda: run("SELECT LENGTH(%s)", ("x" * 20_000_000,)))
tried("long back", lambda: len(run("SELECT REPEAT('y', 17000000)")[2][0][0]))
tried("wide", lambda: sum(len(r[1]) for r in run("SELECT seq, REPEAT('w', 1000) FROM seq_1_to_3000")[2]))
tried("empty", lambda: run(""))
tried("procedure", lambda: (q.callproc("several"), q.fetchall(), q.nextset(), q.fetchall(), q.nextset()))
tried("file", lambda: run("LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE t (s)"))
s = c.cursor(pymysql.cursors.SSCursor)
s.execute("SELECT seq FROM seq_1_to_5")
print("unbuffered", list(s))
s.close()
d = c.cursor(pymysql.cursors.DictCursor)
d.execute("SELECT name, city FROM customers ORDER BY id LIMIT 2")
print("dict", d.fetchall())
c.close()
