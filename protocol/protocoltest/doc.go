// Package protocoltest judges connectors. A connector author describes the
// connector in a [Kit], with a client and a target that speak its protocol, and
// calls [Test]; each check that fails names the rule that was broken.
//
//	func TestConformance(t *testing.T) {
//		protocoltest.Test(t, protocoltest.Kit{
//			NewServer:   func() protocol.Server { return &line.Server{} },
//			NewClient:   dialLine,
//			ServeTarget: serveLine,
//			Read:        func(tag string) string { return "GET " + tag },
//			Write:       func(tag string) string { return "SET " + tag },
//		})
//	}
//
// The checks run over loopback TCP and over net.Pipe, against a gateway with a
// recording step ([Recorder]) and rules that each check sets. After each check
// the kit looks at what was left: every begun operation ended once, no secret
// on the wrong side, no goroutine, no connection.
//
// The kit counts goroutines, so tests that use it do not run in parallel with
// others.
//
// Real servers for tests are in the packages servers and pgtest below.
package protocoltest
