// Package pgsql says what a PostgreSQL statement does before it is sent: what
// it may change, which objects and base columns it touches, which columns its
// result has and where each of them comes from, and what a connector has to
// follow in the session afterwards.
//
// [Analyzer.Analyze] is the entry. It uses PostgreSQL's own grammar, resolves
// names against a snapshot of the target's catalog ([Load]) and caches by the
// statement's shape, so that a statement which differs from an earlier one
// only in its literals is not parsed again.
//
// Everything fails closed. What is not understood is Opaque, a name that
// cannot be resolved is unknown, and an unknown function may do anything. An
// empty list of sources means "depends on nothing" only where Known is set.
package pgsql
