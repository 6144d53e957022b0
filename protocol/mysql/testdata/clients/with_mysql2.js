// What mysql2 says of a server, in the order in which it says it.
const mysql = require('mysql2/promise')
const fs = require('fs')
const E = process.env
const show = (name, v) => console.log(name, JSON.stringify(v, (_, x) => (typeof x === 'bigint' ? `${x}n` : x)))
const options = () => ({
  host: E.HOST, port: +E.PORT, user: E.USER, password: E.PASSWORD, database: E.DATABASE, multipleStatements: true, enableCleartextPlugin: true,
  ssl: E.CA ? { ca: fs.readFileSync(E.CA) } : undefined
})

async function tried(name, f) {
  try {
    const r = await f()
    show(name, Array.isArray(r) && r[1] ? [r[0], [].concat(r[1]).map((f) => f && [f.name, f.columnType, f.flags, f.characterSet])] : r)
  } catch (e) {
    show(name, [e.code, e.errno, e.sqlState, e.sqlMessage])
  }
}

async function main() {
  const c = await mysql.createConnection(options())
  await tried('simple', () => c.query("SELECT 1 AS one, NULL AS none, 'text' AS t, 1.5 AS d"))
  await tried('prepared', () => c.execute('SELECT ? AS a, ? AS b, ? AS c, ? AS d', [1, "it's", null, Buffer.from([0, 255])]))
  await tried('table', () => c.query('CREATE TEMPORARY TABLE t (n INT PRIMARY KEY AUTO_INCREMENT, s VARCHAR(20), d DATETIME(3), t TIME, f FLOAT, u BIGINT UNSIGNED, y YEAR, b BLOB)'))
  await tried('insert', () => c.execute('INSERT INTO t (s, d, t, f, u, y, b) VALUES (?, ?, ?, ?, ?, ?, ?)', ['é', '2020-01-02 03:04:05.678', '-12:34:56', 1.5, '18446744073709551615', 1999, Buffer.from('x')]))
  for (let i = 0; i < 3; i++) await tried('rows', () => c.execute('SELECT * FROM t WHERE n = ?', [1]))
  await tried('array', () => c.execute({ sql: 'SELECT n, s FROM t', rowsAsArray: true }))
  await tried('documents', () => c.query("CREATE TEMPORARY TABLE doc (j JSON, t TEXT); INSERT INTO doc VALUES ('[1]', '[2]')"))
  await tried('document', () => c.query('SELECT j, t FROM doc'))
  await tried('document prepared', () => c.execute('SELECT j, t FROM doc WHERE t = ?', ['[2]']))
  await tried('duplicate', () => c.execute('INSERT INTO t (n) VALUES (?)', [1]))
  await tried('mistake', () => c.execute('SELEC ?', [1]))
  await tried('too few', () => c.execute('SELECT ?, ?', [1]))
  await tried('several', () => c.query('SELECT 1 AS a; SELECT 2 AS b; DO 0'))
  await tried('procedure', () => c.query('CALL several()'))
  await tried('prepared procedure', () => c.execute('CALL several()'))
  await tried('unprepare', () => { c.unprepare('SELECT * FROM t WHERE n = ?') })
  await tried('again', () => c.execute('SELECT s FROM t WHERE n = ?', [1]))
  await tried('begin', () => c.beginTransaction())
  await tried('rollback', () => c.rollback())
  await tried('ping', () => c.ping())
  await tried('long', () => c.execute('SELECT LENGTH(?) AS n', ['x'.repeat(17000000)]))
  await tried('change user', () => c.changeUser({ database: 'shop' }))
  await tried('after it', () => c.query('SELECT * FROM t'))
  // Cancelled from another connection, by the id that the server greeted with.
  const other = await mysql.createConnection(options())
  const slow = c.query('SELECT SLEEP(30) AS s')
  slow.catch(() => {})
  await new Promise((done) => setTimeout(done, 300))
  await tried('kill', () => other.query(`KILL QUERY ${c.threadId}`).then(([r]) => r))
  await tried('killed', () => slow)
  await tried('alive', () => c.query('SELECT 1'))
  await other.end()
  await c.end()
}

main().catch((e) => { console.log('failed', e); process.exit(1) })
