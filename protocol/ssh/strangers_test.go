package ssh_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/sshtest"
)

// stranger runs a client program that has no configuration of ssh's.
func stranger(t testing.TB, env []string, program, debian string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, sshtest.Tool(t, program, debian), args...)
	cmd.Env = append(append(os.Environ(), "LC_ALL=C.UTF-8"), env...)
	return run(t, cmd)
}

// TestCurl: libcurl with libssh2 reads, writes, lists and removes over sftp and scp.
func TestCurl(t *testing.T) {
	r := newRig(t, rigConfig{})
	data := random(t, r.dir+"/a", 3<<20)
	curl := func(args ...string) result {
		return stranger(t, nil, "curl", "curl", append([]string{"-sS", "--insecure", "-u", "alice@web1:" + r.token}, args...)...)
	}
	for _, scheme := range []string{"sftp", "scp"} {
		at := scheme + "://" + r.addr
		require.Equal(t, result{}, curl("-T", r.dir+"/a", at+r.dir+"/b-"+scheme))
		same(t, r.dir+"/b-"+scheme, data)
		require.Equal(t, result{}, curl("-o", r.dir+"/c", at+r.dir+"/b-"+scheme))
		same(t, r.dir+"/c", data)
	}
	at := "sftp://" + r.addr
	require.Equal(t, result{}, curl("-r", "100-199", "-o", r.dir+"/part", at+r.dir+"/a"))
	same(t, r.dir+"/part", data[100:200])
	got := curl(at + r.dir + "/")
	require.Contains(t, got.out, "b-sftp")
	got = curl("-Q", "-rm "+r.dir+"/b-sftp", "-o", "/dev/null", at+r.dir+"/a")
	require.Zero(t, got.code, got.err)
	require.NoFileExists(t, r.dir+"/b-sftp")
	require.NotZero(t, curl(at+r.dir+"/missing").code)
	r.ops.ended(t, "remove", r.dir+"/b-sftp")
	require.Equal(t, int64(len(data)), r.ops.ended(t, "open", r.dir+"/b-sftp").out.BytesIn)
}

// TestLftp mirrors a tree there and back, several files at a time.
func TestLftp(t *testing.T) {
	r := newRig(t, rigConfig{})
	want := map[string][]byte{}
	for _, name := range []string{"tree/a", "tree/b c", "tree/sub/d", "tree/sub/é"} {
		require.NoError(t, os.MkdirAll(filepath.Dir(r.dir+"/"+name), 0o700))
		want[name] = random(t, r.dir+"/"+name, 100<<10)
	}
	sftp := "set sftp:connect-program \"ssh -a -x -F " + r.dir + "/config\"; set net:max-retries 1; set cmd:fail-exit yes; open sftp://web1; "
	got := stranger(t, nil, "lftp", "lftp", "-c", sftp+"mirror -R -P 3 "+r.dir+"/tree "+r.dir+"/there; mirror -P 3 "+r.dir+"/there "+r.dir+"/back; mv "+r.dir+"/there/a "+r.dir+"/there/z; rm -r "+r.dir+"/there/sub; ls "+r.dir+"/there")
	require.Zero(t, got.code, got.err)
	require.Contains(t, got.out, " z\n")
	require.NoDirExists(t, r.dir+"/there/sub")
	for name, data := range want {
		same(t, r.dir+"/"+strings.Replace(name, "tree", "back", 1), data)
	}
	require.Equal(t, protocol.StatusOK, r.ops.ended(t, "rename", r.dir+"/there/a").out.Status)
}

// TestSSHFS works in a mounted folder.
func TestSSHFS(t *testing.T) {
	if f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0); err != nil {
		t.Skip("there is no FUSE: ", err)
	} else {
		require.NoError(t, f.Close())
	}
	r := newRig(t, rigConfig{})
	at := t.TempDir()
	got := stranger(t, nil, "sshfs", "sshfs", "-F", r.dir+"/config", "web1:"+r.dir, at)
	if strings.Contains(got.err, "mount failed: Operation not permitted") || strings.Contains(got.err, "fuse:") && got.code != 0 {
		t.Skip("FUSE does not mount here: ", got.err)
	}
	require.Zero(t, got.code, got.err)
	defer func() { _ = exec.Command("fusermount3", "-u", at).Run(); _ = exec.Command("umount", "-l", at).Run() }()
	data := random(t, r.dir+"/a", 1<<20)
	same(t, at+"/a", data)
	require.NoError(t, os.WriteFile(at+"/b", data[:1000], 0o600))
	require.NoError(t, os.Rename(at+"/b", at+"/c"))
	same(t, r.dir+"/c", data[:1000])
	require.NoError(t, os.Truncate(at+"/c", 10))
	require.NoError(t, os.Mkdir(at+"/d", 0o700))
	require.NoError(t, os.Symlink("c", at+"/d/link"))
	require.NoError(t, os.Remove(at+"/c"))
	link, err := os.Readlink(r.dir + "/d/link")
	require.NoError(t, err)
	require.Equal(t, "c", link)
	r.ops.ended(t, "rename", r.dir+"/b")
}

// TestDropbear: the client of small machines.
func TestDropbear(t *testing.T) {
	r := newRig(t, rigConfig{})
	got := stranger(t, []string{"DROPBEAR_PASSWORD=" + r.token, "HOME=" + r.dir}, "dbclient", "dropbear-bin", "-y", "-y", "-p", r.port, "-l", "alice@web1", r.host, "echo out; echo err >&2; exit 7")
	require.Equal(t, "out\n", got.out, got.err)
	require.Contains(t, got.err, "err\n")
	require.Equal(t, 7, got.code)
}

// asyncSSH uses what asyncssh can that others do not: many sessions at once over
// one connection, forwards both ways, and sftp with many requests on their way.
const asyncSSH = `
import asyncio, asyncssh, sys
host, port, token, folder = sys.argv[1:5]

async def main():
    async with asyncssh.connect(host, int(port), username='alice@web1', password=token, known_hosts=None, client_keys=None, agent_path=None, config=None) as c:
        r = await c.run('cat; echo err >&2; exit 3', input='x' * 300000)
        assert (r.stdout, r.stderr, r.exit_status) == ('x' * 300000, 'err\n', 3), r
        rs = await asyncio.gather(*[c.run('echo %d' % i) for i in range(8)])
        assert [r.stdout for r in rs] == ['%d\n' % i for i in range(8)], rs
        r = await c.run('kill -TERM $$')
        assert r.exit_signal and r.exit_signal[0] == 'TERM', r
        p = await c.create_process('stty size; read x; stty size', term_type='xterm', term_size=(100, 30))
        out = await p.stdout.readline()
        assert out.strip() == '30 100', out
        p.change_terminal_size(120, 40)
        p.stdin.write('\n')
        rest = await p.stdout.read()
        assert '40 120' in rest, rest
        async with c.start_sftp_client() as s:
            async with s.open(folder + '/a', 'wb') as f:
                await f.write(b'y' * 2000000)
            assert (await s.stat(folder + '/a')).size == 2000000
            async with s.open(folder + '/a', 'rb') as f:
                await f.seek(1999990)
                assert await f.read() == b'y' * 10
            await s.rename(folder + '/a', folder + '/b')
            await s.symlink(folder + '/b', folder + '/l')
            assert sorted(n for n in await s.listdir(folder) if len(n) == 1 and n != '.') == ['b', 'l']
            await s.put(sys.argv[0], folder + '/copy')
            await s.remove(folder + '/l')
        async def up(r, w):
            w.write((await r.read()).upper())
            w.write_eof()
        server = await asyncio.start_server(up, '127.0.0.1', 0)
        p = server.sockets[0].getsockname()[1]
        l = await c.forward_local_port('127.0.0.1', 0, '127.0.0.1', p)
        b = await c.forward_remote_port('127.0.0.1', 0, '127.0.0.1', p)
        for at in l.get_port(), b.get_port():
            r, w = await asyncio.open_connection('127.0.0.1', at)
            w.write(b'z' * 500000)
            w.write_eof()
            assert await r.read() == b'Z' * 500000
            w.close()
        b.close()
        await b.wait_closed()
        try:
            await c.open_connection('127.0.0.1', 1)
            assert False
        except asyncssh.ChannelOpenError:
            pass
    print('done')

asyncio.run(asyncio.wait_for(main(), 200))
`

func TestAsyncSSH(t *testing.T) {
	if exec.Command("/usr/bin/python3", "-c", "import asyncssh").Run() != nil {
		require.NoError(t, servers.InstallTools(t.Context(), os.Stderr, []string{"python3-asyncssh"}, "python3-asyncssh")) // no program: it is a library
	}
	r := newRig(t, rigConfig{})
	script := r.dir + "/client.py"
	require.NoError(t, os.WriteFile(script, []byte(asyncSSH), 0o600))
	got := stranger(t, nil, "/usr/bin/python3", "python3", script, r.host, r.port, r.token, r.dir)
	require.Equal(t, "done\n", got.out, got.err)
	require.EqualValues(t, 2000000, r.ops.ended(t, "open", r.dir+"/a").out.BytesIn)
	require.Equal(t, "SIGTERM", r.ops.ended(t, "exec", "kill").out.Code)
}
