// Package servers starts real servers on loopback, for tests and for trying
// things out, and makes what they need: ports, certificates, sample data,
// drivers of other languages.
//
// Nothing here imports testing; package pgtest beside it is the short form for
// tests. Start with [StartPostgres].
package servers
