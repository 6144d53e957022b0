// Package approval lets people decide about single operations: one request
// for each operation that a rule holds, shown in full to those who may decide,
// decided once, and bound to exactly what was shown.
//
// Start with [NewBroker], which keeps open requests in memory. A step calls
// [Broker.Submit] and [Pending.Wait]; whoever decides reads a [Request] with
// [Broker.Get] or [Broker.Watch] and calls [Broker.Decide]. [Handler] offers
// the same over HTTP, as JSON and as a page for a browser, and [Client] speaks
// to it. Most programs need only middleware.Approve, a Broker and a Handler.
//
// # What is promised
//
// A request is decided at most once, by people who logged in, are among its
// [Approvers], and are neither the requester nor anybody the requester acts
// for. A vote carries the [Request.Digest] of what its approver saw; a vote
// for anything else is refused. What nobody decides in time is refused.
//
// # What is not promised
//
// A digest binds the statement, its arguments, the account, the target and the
// session's settings. It does not bind what the target does with them: bodies
// of functions, triggers and views, or how many rows there are.
package approval
