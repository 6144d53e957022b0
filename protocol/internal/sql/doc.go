// Package sql holds what the analyses of SQL dialects share: a snapshot of a
// target's catalog and the arithmetic of lineage, that is, which base columns
// a result column depends on and how.
//
// Nothing here parses. A dialect's own package parses a statement, resolves
// its names against a [Catalog] and combines [Sources].
package sql
