package ssh_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/pkg/sftp"
	"github.com/stretchr/testify/require"
	"github.com/zeebo/blake3"
	xssh "golang.org/x/crypto/ssh"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/sshtest"
	"github.com/sallyport-dev/gateway/protocol/ssh"
)

func random(t testing.TB, name string, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	_, _ = rand.Read(b)
	require.NoError(t, os.WriteFile(name, b, 0o600))
	return b
}

func same(t testing.TB, name string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(name)
	require.NoError(t, err)
	require.True(t, string(got) == string(want), "%s: %d bytes, want %d", name, len(got), len(want))
}

// denying refuses what f says.
func denying(f func(op *protocol.Operation) bool) middleware.Step {
	return middleware.Step{Name: "freeze", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if f(op) {
			return protocol.Deny("changes are frozen"), nil
		}
		return protocol.Pass, nil
	}}
}

func TestSCPBothWays(t *testing.T) {
	for _, c := range []struct {
		name, flag string
		put, get   protocol.Verb
		hash       ssh.FileHash
	}{{"sftp", "-s", "open", "open", ""}, {"sftp, SHA-256", "-s", "open", "open", ssh.SHA256}, {"legacy", "-O", "scp", "scp", ""}} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, rigConfig{server: &ssh.Server{FileHash: c.hash}})
			data := random(t, r.dir+"/a", 9<<20)
			require.Equal(t, result{}, run(t, r.command(t, "scp", c.flag, "-p", r.dir+"/a", "web1:"+r.dir+"/b")))
			same(t, r.dir+"/b", data)
			put := r.ops.ended(t, c.put, r.dir+"/b")
			require.Equal(t, protocol.Write, put.access)
			require.Contains(t, put.objects, protocol.Object{Kind: "file", Name: r.dir + "/b", Access: protocol.Write})
			require.GreaterOrEqual(t, put.out.BytesIn, int64(len(data)))

			require.NoError(t, os.Rename(r.dir+"/b", r.dir+"/d"))
			require.Equal(t, result{}, run(t, r.command(t, "scp", c.flag, "-P", r.port, "alice@web1@"+r.host+":"+r.dir+"/d", r.dir+"/c")))
			same(t, r.dir+"/c", data)
			get := r.ops.ended(t, c.get, r.dir+"/d")
			require.Equal(t, protocol.Read, get.access)
			require.GreaterOrEqual(t, get.out.Bytes, int64(len(data)))
			if c.flag == "-s" {
				sum := fmt.Sprintf("blake3:%x", blake3.Sum256(data))
				if c.hash == ssh.SHA256 {
					sum = fmt.Sprintf("sha256:%x", sha256.Sum256(data))
				}
				require.Equal(t, []string{sum, sum}, []string{put.out.Tag, get.out.Tag})
				require.Equal(t, protocol.StatusOK, put.out.Status)
			}
		})
	}
}

func TestSFTPIsAskedAboutFileByFile(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{denying(func(op *protocol.Operation) bool { return op.Verb == "remove" || strings.Contains(op.Text, "secret") })}})
	data := random(t, r.dir+"/a", 1<<20)
	random(t, r.dir+"/secret", 10)
	cmd := r.command(t, "sftp", "-b", "-", "web1")
	cmd.Stdin = strings.NewReader(strings.Join([]string{"cd " + r.dir, "put a b", "-rm b", "-get secret s2", "rename b c", "mkdir d", "chmod 700 d", "ls -l", "ln -s c l",
		"rmdir d", "get c e", ""}, "\n"))
	cmd.Dir = r.dir
	got := run(t, cmd)
	require.Zero(t, got.code, got.err+got.out)
	same(t, r.dir+"/e", data)
	require.Contains(t, got.err+got.out, "changes are frozen")
	_, err := os.Stat(r.dir + "/s2")
	require.Error(t, err)
	for _, verb := range []protocol.Verb{"rename", "mkdir", "setstat", "list", "link", "rmdir"} {
		require.Equal(t, protocol.StatusOK, r.ops.ended(t, verb, r.dir).out.Status, verb)
	}
	require.Equal(t, protocol.DenyEffect, r.ops.find(t, protocol.Decided, "remove", "/b").effect)
}

func (r *rig) key(t testing.TB) xssh.Signer {
	t.Helper()
	pem, err := os.ReadFile(r.dir + "/key")
	require.NoError(t, err)
	key, err := xssh.ParsePrivateKey(pem)
	require.NoError(t, err)
	return key
}

func (r *rig) dial(t testing.TB) *xssh.Client {
	t.Helper()
	c, err := xssh.Dial("tcp", r.addr, &xssh.ClientConfig{User: "alice@web1", Auth: []xssh.AuthMethod{xssh.PublicKeys(r.key(t))}, HostKeyCallback: xssh.InsecureIgnoreHostKey()})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestSFTPLibrary(t *testing.T) {
	r := newRig(t, rigConfig{})
	c, err := sftp.NewClient(r.dial(t), sftp.UseConcurrentWrites(true))
	require.NoError(t, err)
	data := random(t, r.dir+"/a", 3<<20)
	f, err := c.Create(r.dir + "/b")
	require.NoError(t, err)
	_, err = f.ReadFrom(strings.NewReader(string(data)))
	require.NoError(t, err)
	require.NoError(t, f.Close())
	same(t, r.dir+"/b", data)
	require.Equal(t, int64(len(data)), r.ops.ended(t, "open", "/b").out.BytesIn)
	_, err = c.Stat(r.dir + "/nothing")
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, c.PosixRename(r.dir+"/b", r.dir+"/c"))
	require.NoError(t, c.Close())
}

func TestRsyncAndGit(t *testing.T) {
	r := newRig(t, rigConfig{})
	require.NoError(t, os.Mkdir(r.dir+"/tree", 0o700))
	data := random(t, r.dir+"/tree/a", 1<<20)
	rsh := "ssh -F " + r.dir + "/config"
	got := run(t, r.command(t, "rsync", "-az", "-e", rsh, r.dir+"/tree/", "web1:"+r.dir+"/copy/"))
	require.Zero(t, got.code, got.err)
	same(t, r.dir+"/copy/a", data)
	n := r.ops.ended(t, "rsync", "--server")
	require.Equal(t, protocol.Write, n.access)
	require.Contains(t, n.objects, protocol.Object{Kind: "file", Name: r.dir + "/copy", Access: protocol.Write})

	git := func(args ...string) string {
		cmd := exec.Command(sshtest.Tool(t, "git", "git"), args...)
		cmd.Env = append(os.Environ(), "GIT_SSH_COMMAND="+rsh, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return string(out)
	}
	git("init", "-q", "--bare", r.dir+"/repo.git")
	git("clone", "-q", "web1:"+r.dir+"/repo.git", r.dir+"/work")
	git("-C", r.dir+"/work", "commit", "-q", "--allow-empty", "-m", "first")
	git("-C", r.dir+"/work", "push", "-q", "origin", "HEAD:refs/heads/x")
	require.Contains(t, git("-C", r.dir+"/repo.git", "log", "--oneline", "x"), "first")
	require.Equal(t, protocol.Read, r.ops.ended(t, "git", "git-upload-pack").access)
	require.True(t, r.ops.ended(t, "git", "git-receive-pack").access.Has(protocol.Write))
}

// rsync takes options behind its paths too: who may read only must not write with them.
func TestRsyncThatReadsWritesNothing(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{denying(func(op *protocol.Operation) bool { return op.Access.Has(protocol.Write) })}})
	require.NoError(t, os.Mkdir(r.dir+"/tree", 0o700))
	cmd := r.command(t, "ssh", "web1", "rsync --server --sender -re.LsfxCIvu . "+r.dir+"/tree --log-file="+r.dir+"/log")
	cmd.Stdin = strings.NewReader("")
	require.Equal(t, 126, run(t, cmd).code)
	require.NoFileExists(t, r.dir+"/log")
}
