//go:build !cgo

package pgsql

import (
	pg "github.com/pganalyze/pg_query_go/v6"
	wasm "github.com/wasilibs/go-pgquery"
)

func parseText(text string) (*pg.ParseResult, error) { return wasm.Parse(text) }
func fingerprintText(text string) (uint64, error)    { return wasm.FingerprintToUInt64(text) }
