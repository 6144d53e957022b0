package ssh_test

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

func TestExecWithAllItsStreams(t *testing.T) {
	r := newRig(t, rigConfig{})
	got := r.ssh(t, "web1", "echo out; echo err >&2; exit 7")
	require.Equal(t, result{"out\n", "err\n", 7}, got)
	n := r.ops.ended(t, "exec", "echo out")
	require.Equal(t, protocol.StatusFailed, n.out.Status)
	require.Equal(t, "7", n.out.Code)
	require.Equal(t, int64(8), n.out.Bytes)

	cmd := r.command(t, "ssh", "web1", "cat")
	cmd.Stdin = strings.NewReader("through and back")
	require.Equal(t, result{"through and back", "", 0}, run(t, cmd), "half-close: cat ends when its input does")
	n = r.ops.ended(t, "exec", "cat")
	require.Equal(t, protocol.StatusOK, n.out.Status)
	require.Equal(t, int64(16), n.out.BytesIn)

	require.Equal(t, 255, r.ssh(t, "web1", "kill -TERM $$").code, "exit-signal")
	require.Equal(t, "SIGTERM", r.ops.ended(t, "exec", "kill").out.Code)
}

func TestBigTransfersAreIdentical(t *testing.T) {
	r := newRig(t, rigConfig{})
	data := make([]byte, 64<<20)
	_, _ = rand.Read(data)
	cmd := r.command(t, "ssh", "-o", "RekeyLimit=8M", "web1", "cat")
	cmd.Stdin = strings.NewReader(string(data))
	got := run(t, cmd)
	require.Zero(t, got.code, got.err)
	require.True(t, got.out == string(data), "%d bytes came back of %d", len(got.out), len(data))
}

func TestShellOnATerminal(t *testing.T) {
	r := newRig(t, rigConfig{})
	cmd := r.command(t, "ssh", "-tt", "web1")
	cmd.Stdin = strings.NewReader("PS1=; stty size; echo is$((40+2))\nexit 3\n")
	got := run(t, cmd)
	require.Contains(t, got.out, "is42")
	require.Equal(t, 3, got.code)
	n := r.ops.ended(t, "shell", "")
	require.True(t, n.access.Has(protocol.Opaque))
	require.Contains(t, n.state, "pty ")
}

func TestRefusedCommandSaysWhy(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{{Name: "freeze", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if strings.Contains(op.Text, "touch") {
			return protocol.Deny("changes are frozen"), nil
		}
		return protocol.Pass, nil
	}}}})
	file := r.dir + "/touched"
	got := r.ssh(t, "web1", "touch "+file)
	require.Equal(t, 126, got.code)
	require.Equal(t, "sallyport: changes are frozen (freeze)\n", got.err)
	_, err := os.Stat(file)
	require.ErrorIs(t, err, os.ErrNotExist)
}

// holdOn holds what mentions text until answer is sent to.
func holdOn(text string) (step middleware.Step, waiting chan struct{}, answer chan protocol.Decision, gone chan struct{}) {
	waiting, answer, gone = make(chan struct{}, 9), make(chan protocol.Decision, 1), make(chan struct{})
	step = middleware.Step{Name: "approve", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if string(op.Verb) != text && (op.Text == "" || !strings.Contains(op.Text, text)) {
			return protocol.Pass, nil
		}
		return protocol.Hold("t-1", "a second person has to look", func(ctx context.Context) (protocol.Decision, error) {
			waiting <- struct{}{}
			select {
			case d := <-answer:
				return d, nil
			case <-ctx.Done():
				close(gone)
				return protocol.Decision{}, context.Cause(ctx)
			}
		}), nil
	}}
	return step, waiting, answer, gone
}

func TestHeldCommandSaysSoAndRuns(t *testing.T) {
	step, waiting, answer, _ := holdOn("held")
	r := newRig(t, rigConfig{steps: []middleware.Step{step}})
	go func() { <-waiting; answer <- protocol.Allow("bob") }()
	got := r.ssh(t, "web1", "echo held; cat", "<", "/dev/null")
	require.Equal(t, "held\n", got.out)
	require.Equal(t, "sallyport: waiting for approval: a second person has to look, request t-1 (to withdraw, interrupt)\n", got.err)
}

func TestHeldCommandIsWithdrawn(t *testing.T) { withdrawn(t, "held", "echo held") }

func TestHeldLoginIsWithdrawn(t *testing.T) {
	r := withdrawn(t, "connect", "true")
	require.NotContains(t, r.sshd.Log(), "Connection from")
}

// withdrawn kills a client whose command waits at hold for a decision.
func withdrawn(t *testing.T, hold, command string) *rig {
	t.Helper()
	step, waiting, _, gone := holdOn(hold)
	r := newRig(t, rigConfig{steps: []middleware.Step{step}})
	cmd := r.command(t, "ssh", "web1", command)
	require.NoError(t, cmd.Start())
	<-waiting
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	select {
	case <-gone:
	case <-time.After(time.Second):
		t.Fatal("the client is gone, and the request still waits")
	}
	return r
}

func TestCtrlCWithdrawsOnATerminal(t *testing.T) {
	step, waiting, _, gone := holdOn("held")
	r := newRig(t, rigConfig{steps: []middleware.Step{step}})
	cmd := r.command(t, "ssh", "-tt", "web1", "echo held")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	go func() { <-waiting; _, _ = in.Write([]byte("x\x03")) }()
	got := run(t, cmd)
	<-gone
	require.Equal(t, 126, got.code)
	require.Contains(t, got.err+got.out, "withdrawn; it did not run")
}

func TestWhatIsTypedWhileHeldIsNotLost(t *testing.T) {
	step, waiting, answer, _ := holdOn("held")
	r := newRig(t, rigConfig{steps: []middleware.Step{step}})
	cmd := r.command(t, "ssh", "-tt", "web1", ": held; read x; echo got $x")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	go func() {
		<-waiting
		_, _ = in.Write([]byte("early\n"))
		time.Sleep(50 * time.Millisecond) // so that it comes while held; later it would be read all the same
		answer <- protocol.Allow("bob")
	}()
	got := run(t, cmd)
	require.Contains(t, got.out, "got early")
}

func TestHeldLoginSaysSo(t *testing.T) {
	step, waiting, answer, _ := holdOn("connect")
	r := newRig(t, rigConfig{steps: []middleware.Step{step}})
	go func() { <-waiting; answer <- protocol.Allow("bob") }()
	got := r.ssh(t, "-o", "LogLevel=INFO", "web1", "echo in")
	require.Equal(t, "in\n", got.out)
	require.Contains(t, got.err, "sallyport: waiting for approval: a second person has to look")
}

func TestUnknownTargetIsSaidClearly(t *testing.T) {
	r := newRig(t, rigConfig{})
	got := r.ssh(t, "-o", "LogLevel=INFO", "-l", "alice:nowhere", "-p", r.port, r.host, "true")
	require.Equal(t, 255, got.code)
	require.Contains(t, got.err, `sallyport: there is no target "nowhere" for you here`)
	got = r.ssh(t, "-o", "LogLevel=INFO", "-l", "alice", "-p", r.port, r.host, "true")
	require.Contains(t, got.err, "sallyport: which target? Name it behind the user: ssh alice@TARGET@GATEWAY")
	require.Equal(t, "1\n", r.ssh(t, "-p", r.port, "alice:web1@"+r.host, "echo 1").out)
}
