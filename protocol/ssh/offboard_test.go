package ssh_test

import (
	"encoding/binary"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	xssh "golang.org/x/crypto/ssh"

	"github.com/sallyport-dev/gateway/protocol"
)

// A client that reads nothing keeps its session for the time of a farewell: nothing
// begins in it any more.
func TestNothingBeginsWhenASessionIsOver(t *testing.T) {
	r := newRig(t, rigConfig{})
	c := r.dial(t)
	full, reqs, err := c.OpenChannel("session", nil)
	require.NoError(t, err)
	go xssh.DiscardRequests(reqs)
	ok, err := full.SendRequest("exec", true, payload("head -c 9000000 /dev/zero; cat"))
	require.NoError(t, err)
	require.True(t, ok)

	s, err := c.NewSession()
	require.NoError(t, err)
	in, err := s.StdinPipe()
	require.NoError(t, err)
	out, err := s.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, s.RequestSubsystem("sftp"))
	send := func(p string) error {
		_, err := io.WriteString(in, string(binary.BigEndian.AppendUint32(nil, uint32(len(p))))+p)
		return err
	}
	require.NoError(t, send("\x01\x00\x00\x00\x03"))
	answer := make([]byte, 4)
	_, err = io.ReadFull(out, answer)
	require.NoError(t, err)
	go func() { _, _ = io.Copy(io.Discard, out) }()

	r.gateway.Sessions()[0].Terminate(&protocol.DeniedError{Reason: "over"})
	for id := 1; ; id++ {
		if send("\x0e"+string(binary.BigEndian.AppendUint32(nil, uint32(id)))+text(r.dir+"/made")+"\x00\x00\x00\x00") != nil {
			break
		}
	}
	_, err = os.Stat(r.dir + "/made")
	require.ErrorIs(t, err, os.ErrNotExist)
}
