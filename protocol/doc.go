// Package protocol is the vocabulary that connectors, steps and the gateway
// share: who connects ([Login], [Identity]), what they ask for ([Operation]),
// what was decided ([Decision]) and how results pass through the steps
// ([Exchange] and its taps).
//
// A connector author implements [Server] and reads [Session]; a step author
// reads [Operation] and [Decision] and then package middleware. The package
// imports nothing else of this module.
//
// # The life of a connection
//
// A Server turns the client's handshake into a Login with a [Proof] and calls
// [Handler.Open]. Nothing has been sent to the target so far. Open returns a
// Session whose identity is known and whose Connect operation was allowed.
// The Server then dials with [Session.Dial], logs in with
// [Session.Credentials], and turns everything that the client asks into an
// Operation: [Session.Begin] decides and records it, the taps of the returned
// Exchange see what comes back, and [Exchange.End] closes it.
package protocol
