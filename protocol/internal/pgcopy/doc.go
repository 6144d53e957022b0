// Package pgcopy reads the rows that PostgreSQL sends for COPY ... TO STDOUT, in
// each of the three formats, and writes what takes their place. It is for
// package postgres alone.
//
// What it relies on is PostgreSQL's documentation of COPY, "File Formats", and
// what the server's copyto.c writes: it takes what a server writes, not all that
// a server would read. What is written otherwise is an error, since a field that
// is taken for another would be shown by the other's rule.
package pgcopy
