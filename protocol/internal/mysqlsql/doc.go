// Package mysqlsql says what a statement of MySQL or MariaDB does before it
// runs: which columns it reads and writes, where the columns of its result come
// from, whether it can change anything. The grammar is TiDB's. What that does
// not parse, and what could mean something else to the target than to it, is
// Opaque: the worst is assumed.
package mysqlsql
