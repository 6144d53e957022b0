//go:build cgo

package pgsql

import pg "github.com/pganalyze/pg_query_go/v6"

func parseText(text string) (*pg.ParseResult, error) { return pg.Parse(text) }
func fingerprintText(text string) (uint64, error)    { return pg.FingerprintToUInt64(text) }
