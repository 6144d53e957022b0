package ssh_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
)

// What looks like a secret is masked in the output of commands and of shells.
func TestMaskWhatIsFound(t *testing.T) {
	r := newRig(t, rigConfig{steps: []middleware.Step{middleware.Mask(mask.Rule{Name: "found", Detect: []string{"*"}, Transform: mask.Redact()})}})
	require.Equal(t, result{"mail *** and\ncard ***", "ssn ***\n", 3},
		r.ssh(t, "web1", `printf 'mail ada@'; printf 'example.com and\ncard 4111 1111 1111 1111'; echo ssn 536-90-4399 >&2; exit 3`))
	cmd := r.command(t, "ssh", "-tt", "web1")
	cmd.Stdin = strings.NewReader("PS1=; printf '\\033[31mada@%s\\033[0m\\n' example.com; exit 3\n")
	got := run(t, cmd)
	require.Equal(t, 3, got.code)
	require.Contains(t, got.out, "\x1b[31m***\x1b[0m")
	require.NotContains(t, got.out, "ada@example.com")

	require.NotZero(t, r.ssh(t, "web1", "scp -f /etc/hostname").code, "what is no text cannot be looked into")
}
