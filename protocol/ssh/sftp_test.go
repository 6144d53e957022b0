package ssh

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
)

// A later version has other messages under the same numbers.
func TestSFTPVersionIsThree(t *testing.T) {
	s := newSFTP(nil)
	hello := []byte{0, 0, 0, 5, fxpInit, 0, 0, 0, 6}
	pass, err := s.asked(hello)
	require.NoError(t, err)
	require.True(t, pass)
	require.Equal(t, uint32(3), binary.BigEndian.Uint32(hello[5:]), "the target hears of version 3 only")
	require.Error(t, s.answered([]byte{0, 0, 0, 5, fxpVersion, 0, 0, 0, 6}), "a target that answers with another")
	require.NoError(t, s.answered([]byte{0, 0, 0, 5, fxpVersion, 0, 0, 0, 3}))
	require.Error(t, s.answered([]byte{0, 0, 0, 5, fxpVersion, 0, 0, 0, 3}), "twice")
}

// One file has one name for policy, whatever a client calls it.
func TestSFTPPathsAreAbsolute(t *testing.T) {
	s := newSFTP(nil)
	s.home = "/home/alice"
	for in, want := range map[string]string{"/etc/passwd": "/etc/passwd", "/srv/../etc//./passwd": "/etc/passwd", "x": "/home/alice/x", "": "/home/alice",
		"../../etc/passwd": "/etc/passwd", "/../..": "/"} {
		op := s.operation(OpenFile, protocol.Read, in)
		require.Equal(t, want, op.Objects[0].Name)
		require.Equal(t, "open "+in, op.Text)
		require.Equal(t, in == "/srv/../etc//./passwd", op.Access.Has(protocol.Opaque), "srv may be a link: "+in)
	}
	require.True(t, newSFTP(nil).operation(OpenFile, protocol.Read, "x").Access.Has(protocol.Opaque), "the home is not known")
}

// A link's text begins where the link is, and not in the home folder.
func TestSFTPLinksBeginWhereTheyAre(t *testing.T) {
	s := newSFTP(nil)
	s.home = "/home/alice"
	for _, c := range [][3]string{{"etc/passwd", "/l", "/etc/passwd"}, {"../x", "a/l", "/home/alice/x"}, {"/etc/passwd", "l", "/etc/passwd"}} {
		var b []byte
		for _, p := range c[:2] {
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(p))), p...)
		}
		op := s.names(fxpSymlink, &fields{b: b}, &request{})
		require.Equal(t, c[2], op.Objects[0].Name)
		require.Equal(t, protocol.Write, op.Access)
	}
}

// A target in C would end the path at the NUL.
func TestSFTPPathsHaveNoNUL(t *testing.T) {
	for _, typ := range []byte{fxpOpen, fxpOpendir, fxpStat, fxpRemove, fxpRename, fxpMkdir, fxpSetstat, fxpSymlink, fxpReadlink} {
		path := "\x00\x00\x00\x03a\x00b"
		f := &fields{b: []byte(path + path + "\x00\x00\x00\x01")}
		newSFTP(nil).names(typ, f, &request{})
		require.True(t, f.bad, "%d", typ)
	}
}
