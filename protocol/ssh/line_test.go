package ssh_test

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	xssh "golang.org/x/crypto/ssh"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// A typist types into a shell and reads what it says.
type typist struct {
	t         testing.TB
	in        io.Writer
	out, errs io.Reader
	got       string
}

func (r *rig) typist(t testing.TB) *typist {
	t.Helper()
	s, err := r.dial(t).NewSession()
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	require.NoError(t, s.RequestPty("xterm", 24, 40, xssh.TerminalModes{}))
	in, err := s.StdinPipe()
	require.NoError(t, err)
	out, err := s.StdoutPipe()
	require.NoError(t, err)
	errs, err := s.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, s.Shell())
	return &typist{t: t, in: in, out: out, errs: errs}
}

func (p *typist) types(s string) {
	p.t.Helper()
	_, err := io.WriteString(p.in, s)
	require.NoError(p.t, err)
}

// reads reads until text has come.
func (p *typist) reads(text string) {
	p.t.Helper()
	buf := make([]byte, 4096)
	for !strings.Contains(p.got, text) {
		n, err := p.out.Read(buf)
		require.NoError(p.t, err, p.got)
		p.got += string(buf[:n])
	}
	p.got = p.got[strings.Index(p.got, text)+len(text):]
}

func TestTypedLines(t *testing.T) {
	r := newRig(t, rigConfig{options: map[string]string{"typed_lines": "yes"}, steps: []middleware.Step{denying(func(op *protocol.Operation) bool {
		return op.Verb == "line" && strings.Contains(op.Text, "forbidden")
	})}})
	p := r.typist(t)
	p.types("PS1='P''> '\r")
	p.reads("P> ")
	p.types("echo first\r")
	p.reads("\rfirst\r\n")
	p.reads("P> ")
	require.Equal(t, "echo first", r.ops.ended(t, "line", "echo first").text)

	p.types("echo wromg\x7f\x7fng\r") // a mistake, taken back
	p.reads("\rwrong\r\n")
	p.reads("P> ")
	require.Equal(t, "echo wrong", r.ops.ended(t, "line", "echo wrong").text)

	p.types("\x1b[A") // from the history
	p.reads("echo wrong")
	p.types(" again\r")
	p.reads("\rwrong again\r\n")
	p.reads("P> ")
	r.ops.ended(t, "line", "echo wrong again")

	long := "echo " + strings.Repeat("0123456789", 7) // over the edge of the screen
	p.types(long + "\r")
	p.reads("\r" + strings.Repeat("0123456789", 7) + "\r\n")
	p.reads("P> ")
	require.Equal(t, long, r.ops.ended(t, "line", "0123456789").text)

	p.types("touch " + r.dir + "/forbidden\r")
	said := make([]byte, 42)
	_, err := io.ReadFull(p.errs, said)
	require.NoError(t, err)
	require.Equal(t, "\r\nsallyport: changes are frozen (freeze)\r\n", string(said))
	p.reads("P> ")
	p.types("echo beh''ind\r")
	p.reads("\rbehind\r\n")
	p.reads("P> ")
	require.NoFileExists(t, r.dir+"/forbidden")

	p.types("read -sp 'se''cret? ' x; echo len${#x}\r") // a password is on no screen
	p.reads("secret? ")
	p.types("hunter22\r")
	p.reads("len8\r\n")
	p.reads("P> ")
	p.types("exit\r")
	r.ops.ended(t, "shell", "")
	r.ops.mu.Lock()
	defer r.ops.mu.Unlock()
	for _, n := range r.ops.all {
		require.NotContains(t, n.text, "hunter")
	}
}

// TestTabsWithoutEnd: a number in a target's output keeps the emulation busy for no
// longer than its text does; and what is written in letters stays.
func TestTabsWithoutEnd(t *testing.T) {
	r := newRig(t, rigConfig{options: map[string]string{"typed_lines": "yes"}})
	cmd := r.command(t, "ssh", "-tt", "web1")
	cmd.Stdin = strings.NewReader("printf '\\033[9000000000000000000I\\033[9000000000000000000Z'; echo IZ\nexit 3\n")
	got := run(t, cmd)
	require.Equal(t, 3, got.code)
	require.Contains(t, got.out, "\x1b[9000000000000000000I", "the client gets what the target sent")
	r.ops.ended(t, "line", "exit 3")
}
