// What node-postgres says of a server, in the order in which it says it.
const { Client, Pool } = require('pg')

const show = (name, v) => console.log(name, JSON.stringify(v, (_, x) => (typeof x === 'bigint' ? `${x}n` : x)))
const failure = (e) => ({ ...e, file: undefined, line: undefined, routine: undefined, message: e.message })

async function tried(name, f) {
  try {
    const r = await f()
    show(name, r && r.rows ? { command: r.command, count: r.rowCount, fields: r.fields.map((f) => [f.name, f.dataTypeID, f.format]), rows: r.rows } : r)
  } catch (e) {
    show(name, failure(e))
  }
}

async function main() {
  const c = new Client()
  c.on('notice', (n) => show('notice', failure(n)))
  c.on('notification', (n) => show('notification', [n.channel, n.payload]))
  await c.connect()
  const q = (...a) => c.query(...a)
  await tried('simple', () => q('SELECT 1 AS one, NULL AS none, \'text\' AS t'))
  await tried('values', () => q('SELECT $1::int AS i, $2::text AS t, $3::jsonb AS j, $4::bytea AS b, $5::text[] AS a', [1, "it's", { a: [1, null] }, Buffer.from([0, 255]), ['x', null, '"']]))
  await tried('several', async () => (await q('SELECT 1 AS a; SELECT 2 AS b; CREATE TEMP TABLE t (n int PRIMARY KEY, s text)')).map((r) => [r.command, r.rows]))
  await tried('insert', () => q('INSERT INTO t SELECT n, md5(n::text) FROM generate_series(1, 1000) n'))
  await tried('duplicate', () => q('INSERT INTO t VALUES ($1, $2)', [1, 'again']))
  await tried('mistake', () => q('SELEC 1'))
  await tried('wrong type', () => q('SELECT $1::int', ['x']))
  await tried('too few', () => q('SELECT $1::int, $2::int', [1]))
  await tried('binary', () => q({ text: 'SELECT n, s FROM t WHERE n < $1 ORDER BY n', values: [3], binary: true }))
  for (let i = 0; i < 3; i++) await tried('named', () => q({ name: 'by n', text: 'SELECT s FROM t WHERE n = $1', values: [i] }))
  await tried('named otherwise', () => q({ name: 'by n', text: 'SELECT 1', values: [] }))
  await tried('rows of arrays', () => q({ text: 'SELECT n, n FROM t WHERE n <= 2 ORDER BY n', rowMode: 'array' }))
  await tried('empty', () => q(''))
  await tried('portal', () => q({ text: 'SELECT n FROM t ORDER BY n', rows: 10 }).then((r) => r.rows.length))
  await tried('begin', () => q('BEGIN'))
  await tried('broken', () => q('SELECT 1/0'))
  await tried('in a failed transaction', () => q('SELECT $1::int', [1]))
  await tried('rollback', () => q('ROLLBACK'))
  await tried('notice', () => q("DO $$ BEGIN RAISE NOTICE 'said' USING DETAIL = 'more', HINT = 'hint'; END $$"))
  await tried('listen', () => q('LISTEN a'))
  await tried('notify', () => q("SELECT pg_notify('a', $1)", ['payload']))
  await tried('at once', () => Promise.all([1, 2, 3].map((n) => q('SELECT $1::int AS n', [n]).then((r) => r.rows))))
  await tried('one of three fails', () => Promise.allSettled([1, 0, 3].map((n) => q('SELECT 6 / $1::int AS n', [n]).then((r) => r.rows))).then((l) => l.map((r) => r.value || r.reason.message)))
  await tried('long', () => q('SELECT length($1::text) AS n, repeat(\'y\', 300000) AS r', ['x'.repeat(3000000)]).then((r) => [r.rows[0].n, r.rows[0].r.length]))
  await tried('timeout', () => q("SET statement_timeout = 50; SELECT pg_sleep(10)"))
  await c.end()

  const pool = new Pool({ max: 3 })
  await tried('pool', () => Promise.all([...Array(12).keys()].map((n) => pool.query('SELECT $1::int * 2 AS n', [n]).then((r) => r.rows[0].n))))
  await tried('pool error', () => pool.query('SELECT nosuch'))
  await pool.end()
}

main().catch((e) => {
  console.log('failed', e)
  process.exitCode = 1
})
