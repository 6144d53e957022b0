package ssh_test

import (
	"fmt"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/ssh"
)

// A target is known by a key or an authority; nothing is trusted on first use.
func ExampleServer_CheckTarget() {
	s := &ssh.Server{}
	fmt.Println(s.CheckTarget(protocol.Resource{Name: "web1", Addr: "10.0.0.7:22", Options: map[string]string{
		"host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl", "auth": "certificate"}}))
	fmt.Println(s.CheckTarget(protocol.Resource{Name: "web1", Addr: "10.0.0.7:22"}))
	// Output:
	// <nil>
	// by what is the target known? Give host_key, from 'ssh-keyscan' checked against the host itself, or host_ca
}
