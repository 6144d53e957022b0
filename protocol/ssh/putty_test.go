package ssh_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	xssh "golang.org/x/crypto/ssh"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/sshtest"
)

// TestPuTTYFiles: pscp by sftp and by scp, both ways, with folders; psftp with a
// file of commands.
func TestPuTTYFiles(t *testing.T) {
	sshtest.Tool(t, "psftp", "putty-tools")
	r := newRig(t, rigConfig{})
	pub, err := os.ReadFile(r.dir + "/known_hosts")
	require.NoError(t, err)
	k, _, _, _, err := xssh.ParseAuthorizedKey([]byte(strings.SplitN(string(pub), " ", 2)[1]))
	require.NoError(t, err)
	putty := func(program string, args ...string) result {
		return stranger(t, []string{"HOME=" + r.dir}, program, "putty-tools", append([]string{"-batch", "-hostkey", xssh.FingerprintSHA256(k), "-P", r.port, "-l", "alice@web1", "-pw", r.token}, args...)...)
	}
	require.NoError(t, os.MkdirAll(r.dir+"/tree/sub", 0o700))
	data := random(t, r.dir+"/tree/a b", 1<<20)
	random(t, r.dir+"/tree/sub/c", 0)
	for _, how := range []string{"-sftp", "-scp"} {
		there, back := r.dir+"/there"+how, r.dir+"/back"+how
		require.NoError(t, os.Mkdir(there, 0o700))
		require.NoError(t, os.Mkdir(back, 0o700))
		got := putty("pscp", how, "-q", "-p", "-r", r.dir+"/tree", r.host+":"+there)
		require.Zero(t, got.code, got.out+got.err)
		same(t, there+"/tree/a b", data)
		got = putty("pscp", how, "-q", "-r", r.host+":"+there+"/tree", back)
		require.Zero(t, got.code, got.out+got.err)
		same(t, back+"/tree/a b", data)
		same(t, back+"/tree/sub/c", []byte{})
		require.NotZero(t, putty("pscp", how, "-q", r.host+":"+r.dir+"/missing", back).code)
	}
	got := putty("pscp", "-ls", r.host+":"+r.dir+"/tree")
	require.Contains(t, got.out, "a b", got.err)

	script := r.dir + "/script"
	require.NoError(t, os.WriteFile(script, []byte(strings.Join([]string{"cd " + r.dir, "pwd", "lcd " + r.dir, `put "tree/a b" up`, "get up down", "mv up moved", "chmod 600 moved",
		"mkdir made", `mput "tree/a*"`, "rmdir made", "rm moved", "ls", "quit"}, "\n")+"\n"), 0o600))
	got = putty("psftp", "-b", script, r.host)
	require.Zero(t, got.code, got.out+got.err)
	require.Contains(t, got.out, "Remote directory is "+r.dir)
	same(t, r.dir+"/down", data)
	require.NoFileExists(t, r.dir+"/moved")
	require.NoDirExists(t, r.dir+"/made")
	require.Equal(t, protocol.StatusOK, r.ops.ended(t, "rename", r.dir+"/up").out.Status)
	r.ops.ended(t, "remove", r.dir+"/moved")
}
