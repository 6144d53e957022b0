package ssh_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	xssh "golang.org/x/crypto/ssh"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/ssh"
)

// recordings returns the text of the recordings below dir.
func recordings(t testing.TB, dir string) string {
	t.Helper()
	files, err := filepath.Glob(dir + "/*/*.cast")
	require.NoError(t, err)
	var all strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		all.Write(b)
	}
	return all.String()
}

func TestRecordings(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, rigConfig{steps: []middleware.Step{middleware.Recordings(middleware.RecordingConfig{Dir: dir})}})
	c := r.dial(t)
	s, err := c.NewSession()
	require.NoError(t, err)
	require.NoError(t, s.RequestPty("xterm", 24, 80, xssh.TerminalModes{}))
	in, err := s.StdinPipe()
	require.NoError(t, err)
	out, err := s.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, s.Start("read x; stty size; read x; exit 3"))
	require.NoError(t, s.WindowChange(40, 120))
	_, err = io.WriteString(in, "not-kept\n")
	require.NoError(t, err)
	buf, got := make([]byte, 4096), ""
	for !strings.Contains(got, "40 120") {
		n, err := out.Read(buf)
		require.NoError(t, err, got)
		got += string(buf[:n])
	}
	// The recording can be followed: what the client has seen is in it.
	require.Contains(t, recordings(t, dir), `40 120`)
	_, err = io.WriteString(in, "\n")
	require.NoError(t, err)
	require.Error(t, s.Wait())
	require.Eventually(t, func() bool { return strings.Contains(recordings(t, dir), `"x", "3"]`) }, 5*time.Second, 10*time.Millisecond)
	cast := recordings(t, dir)
	require.Contains(t, cast, `"term":{"cols":80,"rows":24,"type":"xterm"}`)
	require.Contains(t, cast, `"r", "120x40"]`)
	require.NotContains(t, cast, `"i",`)

	require.Equal(t, 7, r.ssh(t, "web1", "echo out; echo err >&2; exit 7").code)
	require.Eventually(t, func() bool { return strings.Contains(recordings(t, dir), `"x", "7"]`) }, 5*time.Second, 10*time.Millisecond)
	require.Contains(t, recordings(t, dir), `"o", "out\n"]`)
	require.Contains(t, recordings(t, dir), `"e", "err\n"]`)
}

func TestWhatCannotBeRecordedDoesNotRun(t *testing.T) {
	dir := t.TempDir() + "/file"
	require.NoError(t, os.WriteFile(dir, nil, 0o600))
	log, err := os.Create(t.TempDir() + "/log")
	require.NoError(t, err)
	defer log.Close()
	r := newRig(t, rigConfig{server: &ssh.Server{Logger: slog.New(slog.NewTextHandler(log, nil))},
		steps: []middleware.Step{middleware.Recordings(middleware.RecordingConfig{Dir: dir, Verbs: []protocol.Verb{"exec", "forward"}})}})
	file := r.dir + "/touched"
	got := r.ssh(t, "web1", "touch "+file)
	require.Equal(t, 126, got.code)
	require.Contains(t, got.err, "the gateway could not process this request")
	require.NoFileExists(t, file)
	_, err = r.dial(t).Dial("tcp", r.sshd.Addr)
	require.ErrorContains(t, err, "the gateway could not process this request")
	said, err := os.ReadFile(log.Name())
	require.NoError(t, err)
	require.Equal(t, 2, strings.Count(string(said), "not a directory"), "its operator, who finds the cause in the log: %s", said)
}

// TestForwardsAreRecorded: where a policy says so, what goes over forwards is kept
// byte for byte, while it goes; and the journal's record has how much it was.
func TestForwardsAreRecorded(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, rigConfig{steps: []middleware.Step{middleware.Recordings(middleware.RecordingConfig{Dir: dir, Verbs: []protocol.Verb{"forward", "accept"}, Input: true})}})
	reverse := func(network, addr string) string { // answers each byte with its complement
		l, err := net.Listen(network, addr)
		require.NoError(t, err)
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				nc, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer nc.Close()
					b := make([]byte, 64<<10)
					for {
						n, err := nc.Read(b)
						for i := range b[:n] {
							b[i] ^= 0xff
						}
						if _, werr := nc.Write(b[:n]); err != nil || werr != nil {
							return
						}
					}
				}()
			}
		}()
		return l.Addr().String()
	}
	tcp, socket := reverse("tcp", "127.0.0.1:0"), reverse("unix", r.dir+"/socket")
	c := r.dial(t)
	listener, err := c.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	go func() {
		for {
			nc, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(nc, nc); _ = nc.Close() }()
		}
	}()
	recorded := func(file string) (in, out []byte) {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range strings.SplitSeq(string(b), "\n") {
			var e []any
			if !strings.HasPrefix(line, "[") || json.Unmarshal([]byte(line), &e) != nil || e[1] != "I" && e[1] != "O" {
				continue
			}
			data, err := base64.StdEncoding.DecodeString(e[2].(string))
			require.NoError(t, err)
			if e[1] == "I" {
				in = append(in, data...)
			} else {
				out = append(out, data...)
			}
		}
		return in, out
	}
	sent := make([]byte, 100<<10)
	_, _ = rand.Read(sent)
	for i, where := range []struct {
		verb protocol.Verb
		text string
		dial func() (net.Conn, error)
	}{
		{"forward", tcp, func() (net.Conn, error) { return c.Dial("tcp", tcp) }},
		{"forward", socket, func() (net.Conn, error) { return c.Dial("unix", socket) }},
		{"accept", listener.Addr().String(), func() (net.Conn, error) { return net.Dial("tcp", listener.Addr().String()) }},
	} {
		nc, err := where.dial()
		require.NoError(t, err)
		got := make([]byte, len(sent))
		for part := 0; part < len(sent); part += 10 << 10 {
			_, err = nc.Write(sent[part : part+10<<10])
			require.NoError(t, err)
			_, err = io.ReadFull(nc, got[part:part+10<<10])
			require.NoError(t, err)
		}
		files, err := filepath.Glob(dir + "/*/*.cast")
		require.NoError(t, err)
		require.Len(t, files, i+1)
		file := files[0]
		for _, f := range files { // the newest has the highest number
			if len(f) > len(file) || len(f) == len(file) && f > file {
				file = f
			}
		}
		in, out := recorded(file)   // while the connection is open
		if where.verb == "accept" { // the client answers
			in, out = out, in
		}
		require.True(t, bytes.Equal(sent, in), "%s: what was sent", where.text)
		require.True(t, bytes.Equal(got, out), "%s: what came back", where.text)
		require.NoError(t, nc.Close())
		end := r.ops.ended(t, where.verb, where.text)
		require.EqualValues(t, len(sent), end.out.Bytes)
		require.EqualValues(t, len(sent), end.out.BytesIn)
		require.Contains(t, recordings(t, dir), `"title":"alice at web1","command":"`+string(where.verb)+` `)
	}
}
