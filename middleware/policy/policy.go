// Package policy lets a configuration file say when a step applies, in CEL,
// the Common Expression Language (https://cel.dev):
//
//	operation.access.write && !operation.bounded && target.labels.env == "prod"
//
// [Compile] turns an expression into a [Condition], whose Eval fits the When
// field of the rules in package middleware. [AuthorizeKind], [BlockKind],
// [ApproveKind] and [RiskKind] are the steps that a file can name. A program
// that writes its rules in Go needs none of this, and compiles no CEL.
//
// # Variables
//
// Every field has a type, so a name that does not exist, a comparison between
// different types and a condition that is not a yes or no are errors when the
// file is loaded.
//
//	identity   issuer subject name email kind groups method claims on_behalf_of
//	tool       name version raw attested
//	target     name protocol labels
//	session    user database remote tls
//	operation  verb text args access pure bounded objects reads reads_known
//	           writes fingerprint why risk risk_why prepare in_tx no_wait
//	now        when the operation was asked for
//
// identity.kind is "human", "workload", "agent" or "". identity.on_behalf_of
// is an identity; has(identity.on_behalf_of) says whether there is one.
// operation.access has the fields read, write, schema, admin, execute, control
// and opaque. operation.objects is a list of objects with kind, name and
// access; reads and writes are lists of "schema.table.column". operation.inferred is
// a list of columns of whose values the operation tells without showing them, such as
// by WHERE: each has a column and a how, which is "null", "equality", "list", "join",
// "group", "order", "range", "pattern", "computed" or "unknown"; it is complete if
// operation.inferred_known. session.remote
// is the client's IP address without the port. operation.prepare says that a
// statement is only being prepared; it is asked about again when it runs.
//
// # Functions
//
// Besides CEL's own, its optional values and its network functions, such as
// cidr("10.0.0.0/8").containsIP(session.remote), there are:
//
//	text.lowerAscii()               A to Z in lower case
//	glob(text, pattern)             * is any run of characters, ? any one
//	operation.mayRead(pattern)      may read a column schema.table.column
//
// mayRead is also true if what the operation reads could not be determined.
// Prefer it to operation.reads, which lists only what is known, in rules that
// protect something.
//
// # Errors at run time
//
// Some things are known only when the condition runs: a claim or a label that
// is not there, a text that is no IP address, a cost above the limit. They are
// errors, and a step whose condition fails refuses the operation. Ask with
// has(identity.claims.department), or give a default with
// target.labels[?"env"].orValue("none").
//
// # Cost
//
// A condition that compares texts, numbers and flags, or looks for one in
// identity.groups, a list of constants or target.labels, takes some ten
// nanoseconds and no memory; so does mayRead. Anything else, such as a loop, a
// claim or a regular expression, takes some hundred and more. Behind && and ||
// it takes time only when it is reached.
package policy
