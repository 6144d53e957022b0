package ssh

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
)

func TestAddressesHaveOneName(t *testing.T) {
	for _, c := range []struct {
		verb     protocol.Verb
		in, want string
	}{
		{Forward, "0x7f.1", "127.0.0.1:1"}, {Forward, "0", "127.0.0.1:1"}, {Forward, "::", "[::1]:1"}, {Forward, "::1%1", "[::1]:1"},
		{Forward, "fe80::1%eth0", "[fe80::1%eth0]:1"},                            // another host in each network
		{Forward, "0b1.0.0.1", "0b1.0.0.1:1"}, {Forward, "0o177.1", "0o177.1:1"}, // numbers to Go only
		{Listen, "", ":1"}, {Listen, "*", ":1"}, {Listen, "0.0.0.0", "0.0.0.0:1"}, {Listen, "::", "[::]:1"},
	} {
		require.Equal(t, c.want, tcpOperation(c.verb, c.in, 1).Objects[0].Name, c.in)
	}
}
