// Package mysqlsql says what a statement of MySQL or MariaDB does before it
// runs: which columns it reads and writes, where the columns of its result come
// from, whether it can change anything.
//
// The grammar is TiDB's. What that lacks is brought into its form first, where
// that has the same lineage (dialect.go), or read here (special.go, body.go).
// What a session has left on the target, such as variables and temporary tables,
// is its [Memory]. What is not understood, and what could mean something else to
// the target than to the grammar, is Opaque: the worst is assumed.
package mysqlsql
