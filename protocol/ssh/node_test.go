package ssh_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// nodeSSH2 uses what Node's ssh2 can, with what it asks only of a version that
// begins as OpenSSH's does: sockets, no more sessions, and a link's two paths in
// OpenSSH's order.
const nodeSSH2 = `
const { Client } = require('ssh2'), fs = require('fs'), net = require('net'), assert = require('assert')
const [host, port, key, folder] = process.argv.slice(2)
const conn = new Client()
const p = f => new Promise((done, failed) => f((err, v) => err ? failed(err) : done(v)))
const all = s => new Promise(done => {
  const r = { out: '', err: '' }
  s.on('data', b => r.out += b.toString('latin1'))
  if (s.stderr) s.stderr.on('data', b => r.err += b)
  s.on('exit', (code, signal) => { r.code = code; r.signal = signal })
  s.on('close', () => done(r))
})
const run = (command, options, input) => new Promise((done, failed) => conn.exec(command, options || {}, (err, s) => {
  if (err) return failed(err)
  all(s).then(done) // at once: an exit that comes with the answer is told to who listens by then
  if (input) s.end(input)
}))
conn.on('ready', async () => {
  const data = 'x'.repeat(3 << 20)
  assert.deepStrictEqual(await run('cat; echo err >&2; exit 7', {}, data), { out: data, err: 'err\n', code: 7, signal: undefined })
  assert.strictEqual((await run('kill -TERM $$')).signal, 'SIGTERM')
  assert.strictEqual((await run('echo $LC_A', { env: { LC_A: 'b' } })).out, 'b\n')
  assert.strictEqual((await run('stty size; echo $TERM', { pty: { cols: 91, rows: 31, term: 'vt100' } })).out, '31 91\r\nvt100\r\n')
  assert.deepStrictEqual((await Promise.all([...Array(8).keys()].map(i => run('echo ' + i)))).map(r => r.out), [...Array(8).keys()].map(i => i + '\n'))

  const shell = await p(cb => conn.shell({ cols: 80, rows: 24 }, cb)), shown = all(shell)
  shell.setWindow(40, 120, 0, 0)
  shell.write('stty size; exit 3\n')
  const r = await shown
  assert.strictEqual(r.code, 3)
  assert.match(r.out, /40 120/)

  const s = await p(cb => conn.sftp(cb)), at = n => folder + '/' + n
  fs.writeFileSync(at('a'), data)
  await p(cb => s.fastPut(at('a'), at('b'), cb))
  await p(cb => s.fastGet(at('b'), at('c'), cb))
  assert(fs.readFileSync(at('c')).equals(fs.readFileSync(at('a'))))
  await p(cb => s.ext_openssh_rename(at('b'), at('c'), cb))
  assert.strictEqual((await p(cb => s.stat(at('c'), cb))).size, data.length)
  await p(cb => s.symlink(at('c'), at('link'), cb))
  assert.strictEqual(fs.readlinkSync(at('link')), at('c'))
  await p(cb => s.ext_openssh_hardlink(at('c'), at('d'), cb))
  await p(cb => s.ext_openssh_statvfs(folder, cb))
  await p(cb => s.unlink(at('d'), cb))
  await assert.rejects(p(cb => s.stat(at('d'), cb)), { code: 2 })
  assert.deepStrictEqual((await p(cb => s.readdir(folder, cb))).map(f => f.filename).filter(n => n.length == 1).sort(), ['a', 'c'])
  s.end()

  const upper = net.createServer({ allowHalfOpen: true }, c => {
    let all = ''
    c.on('data', b => all += b)
    c.on('end', () => c.end(all.toUpperCase()))
  })
  await new Promise(done => upper.listen(0, '127.0.0.1', done))
  const ask = async c => {
    const r = all(c)
    c.end('z'.repeat(400000))
    assert.strictEqual((await r).out, 'Z'.repeat(400000))
  }
  const { port: there } = upper.address()
  await ask(await p(cb => conn.forwardOut('127.0.0.1', 1, '127.0.0.1', there, cb)))
  await assert.rejects(p(cb => conn.forwardOut('127.0.0.1', 1, '127.0.0.1', 1, cb)), { reason: 2 })
  conn.on('tcp connection', (_, accept) => {
    const c = accept(), back = net.connect({ port: there, host: '127.0.0.1', allowHalfOpen: true })
    c.pipe(back).pipe(c)
  })
  const here = await p(cb => conn.forwardIn('127.0.0.1', 0, cb))
  await ask(net.connect({ port: here, host: '127.0.0.1', allowHalfOpen: true }))
  await p(cb => conn.unforwardIn('127.0.0.1', here, cb))
  const sockets = net.createServer({ allowHalfOpen: true }, c => { c.resume(); c.end('unix') })
  await new Promise(done => sockets.listen(at('s'), done))
  const unix = await p(cb => conn.openssh_forwardOutStreamLocal(at('s'), cb)), said = all(unix)
  unix.end()
  assert.strictEqual((await said).out, 'unix')
  await p(cb => conn.openssh_forwardInStreamLocal(at('t'), cb))
  await p(cb => conn.openssh_unforwardInStreamLocal(at('t'), cb))
  sockets.close()
  upper.close()
  await assert.rejects(p(cb => conn.subsys('nothing', cb)), /Unable to start subsystem/)
  await p(cb => conn.openssh_noMoreSessions(cb))
  await assert.rejects(run('true'))
  console.log('done')
  conn.end()
})
conn.connect({ host, port: +port, username: 'alice@web1', privateKey: fs.readFileSync(key) })
`

func TestNodeSSH2(t *testing.T) {
	node, modules, err := servers.NodeModule(t.Context(), os.Stderr, "ssh2", "1.17.0")
	require.NoError(t, err)
	r := newRig(t, rigConfig{})
	folder, err := os.MkdirTemp("", "n") // a socket's path has to be short
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(folder)) })
	script := r.dir + "/client.js"
	require.NoError(t, os.WriteFile(script, []byte(nodeSSH2), 0o600))
	got := stranger(t, []string{"NODE_PATH=" + modules}, node, "nodejs", script, r.host, r.port, r.dir+"/key", folder)
	require.Equal(t, "done\n", got.out, got.err)
	n := r.ops.ended(t, "link", folder+"/link")
	require.Equal(t, protocol.StatusOK, n.out.Status)
}
