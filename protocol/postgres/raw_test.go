package postgres_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

// raw is a message of any form.
type raw struct {
	typ  byte
	body string
}

func (r raw) Encode(b []byte) ([]byte, error) {
	b = binary.BigEndian.AppendUint32(append(b, r.typ), uint32(len(r.body)+4))
	return append(b, r.body...), nil
}

// A round is what is sent in one write, and the types of the messages that end the
// reading of the answer.
type round struct {
	until string
	msgs  []any
}

func ask(until string, msgs ...any) round { return round{until, msgs} }

const long63 = "a123456789b123456789c123456789d123456789e123456789f123456789abc"

// rawScripts are what no driver sends, by what is odd about it.
var rawScripts = func() map[string][]round {
	parse := func(name, text string, oids ...uint32) any {
		return &pgproto3.Parse{Name: name, Query: text, ParameterOIDs: oids}
	}
	bind := func(portal, name string) *pgproto3.Bind {
		return &pgproto3.Bind{DestinationPortal: portal, PreparedStatement: name}
	}
	execute := func(portal string, rows uint32) any { return &pgproto3.Execute{Portal: portal, MaxRows: rows} }
	describe := func(kind byte, name string) any { return &pgproto3.Describe{ObjectType: kind, Name: name} }
	closing := func(kind byte, name string) any { return &pgproto3.Close{ObjectType: kind, Name: name} }
	q := func(text string) any { return &pgproto3.Query{String: text} }
	run := func(text string) []any { return []any{parse("", text), bind("", ""), execute("", 0)} }
	sync, flush := &pgproto3.Sync{}, &pgproto3.Flush{}
	data := func(s string) any { return &pgproto3.CopyData{Data: []byte(s)} }
	done, fail := &pgproto3.CopyDone{}, &pgproto3.CopyFail{Message: "changed my mind"}
	call := func(oid uint32, args ...[]byte) any {
		return &pgproto3.FunctionCall{Function: oid, ArgFormatCodes: []uint16{1}, Arguments: args, ResultFormatCode: 1}
	}
	const next = "select 'next'"
	return map[string][]round{
		"Close of unknown names":         {ask("Z", closing('S', "no"), closing('P', "no"), closing('S', ""), closing('P', ""), sync), ask("Z", q(next))},
		"Close of what an error skipped": {ask("Z", parse("s", "select 1"), parse("t", "select bad"), closing('S', "s"), sync), ask("ZZ", bind("", "s"), execute("", 0), sync, q(next))},
		"Close, then use":                {ask("Z", parse("s", "select 1"), bind("p", "s"), closing('S', "s"), execute("p", 0), bind("", "s"), sync), ask("Z", q(next))},
		"Close of the portal, then use":  {ask("Z", parse("s", "select 1"), bind("p", "s"), closing('P', "p"), execute("p", 0), sync), ask("Z", q(next))},
		"Describe of unknown names":      {ask("ZZZ", describe('S', "no"), sync, describe('P', "no"), sync, describe('S', ""), sync), ask("Z", describe('P', ""), sync)},
		"Describe after an error":        {ask("Z", parse("", "select 1/0"), bind("p", ""), execute("p", 0), describe('P', "p"), sync), ask("Z", describe('P', "p"), sync)},
		"Describe in a failed transaction": {ask("Z", q("begin")), ask("Z", parse("s", "select 1 as a"), bind("p", "s"), sync), ask("Z", q("select 1/0")),
			ask("ZZ", describe('P', "p"), sync, describe('S', "s"), sync), ask("ZZ", bind("", "s"), sync, execute("p", 0), sync), ask("Z", closing('P', "p"), closing('S', "s"), sync),
			ask("Z", parse("", "rollback"), bind("", ""), describe('P', ""), execute("", 0), sync)},
		"Bind of unknown":                     {ask("ZZ", bind("", "no"), sync, bind("", ""), sync)},
		"Bind to the name of a portal":        {ask("Z", parse("", "select 1"), bind("p", ""), bind("p", ""), sync), ask("Z", q(next))},
		"Bind of one format too many":         {ask("Z", parse("", "select $1::int"), &pgproto3.Bind{ParameterFormatCodes: []int16{0, 0}, Parameters: [][]byte{[]byte("1")}}, execute("", 0), sync), ask("Z", q(next))},
		"Bind of an unknown format":           {ask("Z", parse("", "select $1::int"), &pgproto3.Bind{ParameterFormatCodes: []int16{7}, Parameters: [][]byte{[]byte("1")}}, execute("", 0), sync), ask("Z", q(next))},
		"Bind of result formats too many":     {ask("Z", parse("", "select 1"), &pgproto3.Bind{ResultFormatCodes: []int16{0, 1, 0}}, execute("", 0), sync), ask("Z", q(next))},
		"Bind of an unknown result format":    {ask("Z", parse("", "select 1"), &pgproto3.Bind{ResultFormatCodes: []int16{9}}, execute("", 0), sync), ask("Z", q(next))},
		"Bind of too few parameters":          {ask("Z", parse("", "select $1::int, $2::int"), &pgproto3.Bind{Parameters: [][]byte{[]byte("1")}}, execute("", 0), sync), ask("Z", q(next))},
		"Bind of too many parameters":         {ask("Z", parse("", "select $1::int"), &pgproto3.Bind{Parameters: [][]byte{[]byte("1"), nil}}, execute("", 0), sync), ask("Z", q(next))},
		"Bind of a bad binary value":          {ask("Z", parse("", "select $1::int"), &pgproto3.Bind{ParameterFormatCodes: []int16{1}, Parameters: [][]byte{[]byte("1")}}, execute("", 0), sync), ask("Z", q(next))},
		"Bind of several commands in vain":    {ask("Z", parse("", "select 1; select 2"), bind("", ""), execute("", 0), sync), ask("Z", q(next))},
		"empty Parse":                         {ask("Z", parse("", ""), bind("", ""), describe('S', ""), describe('P', ""), execute("", 0), execute("", 1), sync), ask("Z", parse("e", " -- nothing\n"), bind("e", "e"), execute("e", 0), sync)},
		"empty Parse in a failed transaction": {ask("Z", q("begin; select 1/0")), ask("Z", parse("", ""), bind("", ""), execute("", 0), sync), ask("Z", q("")), ask("Z", q("rollback"))},
		"empty Query":                         {ask("ZZ", q(""), q(" ; ; ")), ask("Z", q(next))},
		"parameter type 0":                    {ask("Z", parse("s", "select $1 || 'x', $2::int", 0, 0), describe('S', "s"), &pgproto3.Bind{PreparedStatement: "s", Parameters: [][]byte{[]byte("a"), []byte("1")}}, execute("", 0), sync)},
		"parameter type unknown":              {ask("Z", parse("s", "select $1", 705), describe('S', "s"), &pgproto3.Bind{PreparedStatement: "s", Parameters: [][]byte{[]byte("a")}}, execute("", 0), sync)},
		"parameter type of nothing":           {ask("Z", parse("s", "select $1", 4294967295), describe('S', "s"), sync), ask("Z", q(next))},
		"more parameter types than used":      {ask("Z", parse("s", "select 1", 23, 0, 25), describe('S', "s"), sync), ask("Z", q(next))},
		"a parameter that cannot be told":     {ask("Z", parse("s", "select $2::int"), describe('S', "s"), sync), ask("Z", q(next))},
		"Parse of a name again":               {ask("Z", parse("s", "select 1"), parse("s", "select 2"), sync), ask("Z", bind("", "s"), execute("", 0), sync), ask("Z", parse("s", "select 3"), sync), ask("Z", bind("", "s"), execute("", 0), sync)},
		"Parse of a name again after Close":   {ask("Z", parse("s", "select 1"), closing('S', "s"), parse("s", "select 2"), bind("", "s"), execute("", 0), sync)},
		"Parse of no name again":              {ask("Z", parse("", "select 1"), bind("p", ""), parse("", "select 2"), bind("", ""), execute("p", 0), execute("", 0), sync)},
		"Parse of no name that fails":         {ask("Z", parse("", "select 1"), sync), ask("Z", parse("", "select bad"), sync), ask("Z", bind("", ""), execute("", 0), sync)},
		"a Query takes what has no name":      {ask("ZZZ", parse("", "select 1"), bind("", ""), sync, q(next), bind("", ""), sync), ask("Z", execute("", 0), sync)},
		"a Query takes the unnamed portal":    {ask("Z", q("begin")), ask("ZZ", parse("s", "select 1"), bind("", "s"), sync, q(next)), ask("Z", execute("", 0), sync), ask("Z", q("rollback"))},
		"names of 63 bytes and more": {ask("Z", parse(long63+"def", "select 1"), sync), ask("Z", bind(long63+"ghi", long63), execute(long63+"ghi", 0), describe('S', long63+"x"), sync), ask("Z", parse(long63, "select 2"), sync),
			ask("Z", bind("", long63+"def"), execute("", 0), sync), ask("Z", q(`deallocate "`+long63+`zzz"`)), ask("Z", bind("", long63), sync)},
		"very long names":                     {ask("Z", parse(strings.Repeat("n", 5000), "select 1"), bind(strings.Repeat("p", 5000), strings.Repeat("n", 5000)), execute(strings.Repeat("p", 5000), 0), sync), ask("Z", bind("", strings.Repeat("x", 5000)), sync), ask("Z", execute(strings.Repeat("y", 5000), 0), sync), ask("Z", describe('P', strings.Repeat("y", 5000)), sync)},
		"Flush with nothing":                  {ask("Z", flush, flush, q(next)), ask("Z", flush, sync)},
		"Sync with nothing":                   {ask("ZZZ", sync, sync, q(next))},
		"Flush, then errors":                  {ask("1", parse("", "select 1"), flush), ask("E", bind("", "no"), flush), ask("", execute("", 0), flush), ask("Z", sync)},
		"Query in a pipeline":                 {ask("Z", append(run("select 1"), q(next))...), ask("Z", q(next))},
		"Query in a pipeline behind an error": {ask("Z", append(run("select 1/0"), q(next), sync)...), ask("Z", q(next))},
		"Query behind changes":                {ask("Z", append(run("create temp table unsynced (a int)"), q("insert into unsynced values (1)"))...)},
		"Query in a pipeline, then goes on":   {ask("ZZ", append(run("select 1"), q(next), parse("", "select 2"), bind("", ""), execute("", 0), sync)...)},
		"BEGIN behind what is not synced":     {ask("ZZ", append(run("select 1"), q("begin"), q("commit"))...), ask("Z", q(next))},
		"errors in the middle":                {ask("ZZZ", append(append(append(run("select 1"), run("select 1/0")...), run("select 2")...), sync, q(next), sync)...)},
		"an error, then Flush and more":       {ask("Z", parse("", "select bad"), flush, parse("x", "select 1"), flush, describe('S', "x"), closing('S', "x"), execute("", 0), bind("", ""), sync), ask("Z", describe('S', "x"), sync)},
		"a pipeline in a transaction":         {ask("Z", append(append(append(run("begin"), run("select 1/0")...), run("commit")...), sync)...), ask("Z", append(run("select 2"), sync)...), ask("Z", append(run("commit"), sync)...)},
		"several transactions in a pipeline":  {ask("Z", append(append(append(append(append(run("begin"), run("select 1")...), run("commit")...), run("begin")...), run("rollback")...), sync)...)},
		"a row limit": {ask("Z", parse("", "select generate_series(1,5)"), bind("p", ""), execute("p", 2), execute("p", 2), execute("p", 2), execute("p", 2), sync),
			ask("Z", execute("p", 0), sync)},
		"a row limit below zero":               {ask("Z", parse("", "select generate_series(1,3)"), bind("", ""), execute("", 4294967295), execute("", 1), sync)},
		"a row limit of what changes":          {ask("Z", parse("", "insert into orders (id) select 100000 + generate_series(1,3) returning id"), bind("", ""), execute("", 1), execute("", 0), sync), ask("Z", q("delete from orders where id > 100000"))},
		"a row limit of what says nothing":     {ask("Z", parse("", "set application_name = 'x'"), bind("", ""), execute("", 1), execute("", 1), sync), ask("Z", q(next))},
		"Execute twice":                        {ask("Z", parse("", "select 1"), bind("", ""), execute("", 0), execute("", 0), sync), ask("Z", q(next))},
		"a portal in the next request":         {ask("Z", parse("", "select 1"), bind("p", ""), sync), ask("Z", execute("p", 0), sync), ask("Z", q("begin")), ask("Z", bind("p", ""), sync)},
		"COPY in":                              {ask("Z", append(run("copy copied from stdin"), data("1\n2\n"), done, sync)...), ask("Z", q(next))},
		"COPY in, Sync inside":                 {ask("G", append(run("copy copied from stdin"), sync)...), ask("Z", data("1\n"), sync, data("2\n"), flush, sync, done, sync), ask("Z", q(next))},
		"COPY in, failed, Sync inside":         {ask("G", append(run("copy copied from stdin"), sync)...), ask("Z", data("1\n"), sync, fail, sync), ask("Z", q(next))},
		"COPY in, a row limit":                 {ask("Z", parse("", "copy copied from stdin"), bind("", ""), execute("", 1), data("1\n"), done, sync), ask("Z", q(next))},
		"COPY in, described":                   {ask("Z", parse("", "copy copied from stdin"), describe('S', ""), bind("", ""), describe('P', ""), execute("", 0), data("1\n"), done, sync)},
		"COPY in, more behind it":              {ask("Z", append(append(run("copy copied from stdin"), data("1\n"), done), append(run("select 1"), sync)...)...)},
		"COPY in, bad data":                    {ask("Z", append(run("copy copied from stdin"), data("x\n"), data("1\n"), done, sync)...), ask("Z", q(next))},
		"COPY in, simple, bad data":            {ask("G", q("copy copied from stdin")), ask("Z", data("x\n"), data("1\n"), done), ask("Z", q(next))},
		"COPY in, simple, end behind the end":  {ask("Z", q("copy copied from stdin"), data("1\n\\.\n"), done, done, fail, data("3\n")), ask("Z", q(next))},
		"COPY in that fails at once":           {ask("Z", q("copy nowhere from stdin"), data("1\n"), done), ask("Z", q(next))},
		"COPY in that fails at once, pipeline": {ask("Z", append(run("copy nowhere from stdin"), data("1\n"), done, sync)...), ask("Z", q(next))},
		"COPY in twice":                        {ask("Z", q("copy copied from stdin; copy copied from stdin"), data("1\n"), done, data("2\n"), done), ask("Z", q(next))},
		"COPY in twice, the second fails":      {ask("Z", q("copy copied from stdin; copy copied from stdin"), data("1\n"), done, data("2\n"), fail), ask("Z", q(next))},
		"COPY in twice, the first fails":       {ask("Z", q("copy copied from stdin; copy copied from stdin"), data("1\n"), fail, data("2\n"), done), ask("Z", q(next))},
		"COPY in among others":                 {ask("Z", q("select 1; copy copied from stdin; select 2; copy copied from stdin; select 3"), data("1\n"), done, data("2\n"), done), ask("Z", q(next))},
		"COPY in twice, one after the other":   {ask("G", q("copy copied from stdin; copy copied from stdin")), ask("CG", data("1\n"), done), ask("Z", data("2\n"), done)},
		"COPY in twice, opaque":                {ask("Z", q("set client_encoding = latin1")), ask("G", q("copy copied from stdin; copy copied from stdin -- \xe4")), ask("CG", data("1\n"), done), ask("Z", data("2\n"), done), ask("Z", q(next))},
		"COPY in twice, opaque, at once":       {ask("Z", q("set client_encoding = latin1")), ask("Z", q("copy copied from stdin; select 1; copy copied from stdin -- \xe4"), data("1\n"), done, data("2\n"), done), ask("Z", q(next))},
		"COPY in twice, opaque, fails":         {ask("Z", q("set client_encoding = latin1")), ask("Z", q("copy copied from stdin; copy copied from stdin -- \xe4"), data("1\n"), fail, data("2\n"), done), ask("Z", q(next))},
		"COPY in, opaque, pipeline":            {ask("Z", q("set client_encoding = latin1")), ask("Z", append(append(run("copy copied from stdin -- \xe4"), data("1\n"), done), append(run("select 1"), sync)...)...), ask("Z", q(next))},

		"COPY out, a row limit":                {ask("Z", parse("", "copy (select generate_series(1,3)) to stdout"), bind("", ""), execute("", 1), execute("", 1), sync), ask("Z", q(next))},
		"COPY out, ends sent":                  {ask("Z", q("copy (select 1) to stdout"), done, fail, data("x")), ask("Z", q(next))},
		"CopyData with no COPY":                {ask("Z", data("1\n"), done, fail, q(next)), ask("Z", append(run("select 1"), data("1\n"), done, fail, sync)...)},
		"FunctionCall":                         {ask("Z", call(1265, []byte{0, 0, 0, 0})), ask("ZZ", call(4294967295), q(next)), ask("Z", call(177, []byte{0, 0, 0, 1}, []byte{0, 0, 0, 2}))},
		"FunctionCall, errors":                 {ask("Z", call(154, []byte{0, 0, 0, 1}, []byte{0, 0, 0, 0})), ask("Z", call(177, []byte{0, 0, 0, 1})), ask("Z", &pgproto3.FunctionCall{Function: 177, ArgFormatCodes: []uint16{1, 1, 1}, Arguments: [][]byte{{0, 0, 0, 1}, {0, 0, 0, 2}}}), ask("Z", &pgproto3.FunctionCall{Function: 177, ArgFormatCodes: []uint16{0}, Arguments: [][]byte{[]byte("1"), nil}, ResultFormatCode: 0}), ask("Z", &pgproto3.FunctionCall{Function: 177, ArgFormatCodes: []uint16{0}, Arguments: [][]byte{[]byte("1"), []byte("2")}, ResultFormatCode: 5}), ask("Z", q(next))},
		"FunctionCall in a failed transaction": {ask("Z", q("begin; select 1/0")), ask("Z", call(177, []byte{0, 0, 0, 1}, []byte{0, 0, 0, 2})), ask("Z", call(0)), ask("Z", q("rollback"))},
		"FunctionCall in a pipeline":           {ask("Z", append(run("select 1"), call(177, []byte{0, 0, 0, 1}, []byte{0, 0, 0, 2}))...), ask("Z", sync)},
		"FunctionCall in a transaction":        {ask("Z", q("begin")), ask("Z", call(154, []byte{0, 0, 0, 1}, []byte{0, 0, 0, 0})), ask("Z", q("rollback"))},
		"malformed Parse":                      {ask("Z", raw{'P', "s"}, sync), ask("Z", raw{'P', "s\x00select 1\x00\x00\x02"}, sync), ask("Z", raw{'P', "s\x00select 1\x00\x00\x00more"}, sync), ask("Z", q(next))},
		"malformed Bind":                       {ask("Z", raw{'B', ""}, sync), ask("Z", parse("", "select 1"), raw{'B', "\x00\x00\x00\x00\x00\x00\x00\x00more"}, execute("", 0), sync), ask("Z", q(next))},
		"malformed Flush and Sync in a COPY":   {ask("G", q("copy copied from stdin")), ask("Z", data("1\n"), raw{'H', "more"}, raw{'S', "more"}, done), ask("Z", q(next))},
		"malformed Flush in a pipeline":        {ask("Z", append(append(run("select 1"), raw{'H', "more"}, q("select 2")), sync)...), ask("ZZ", q(next), sync)},
		"DEALLOCATE ALL":                       {ask("Z", parse("", "select 1"), parse("n", "select 2"), parse("d", "deallocate all"), bind("", "d"), execute("", 0), bind("", ""), execute("", 0), bind("", "n"), sync)},
		"DEALLOCATE ALL, in requests":          {ask("Z", parse("", "select 1"), parse("d", "deallocate all"), sync), ask("Z", bind("", "d"), execute("", 0), sync), ask("Z", bind("", ""), execute("", 0), sync), ask("Z", bind("", "d"), sync)},
		"DISCARD ALL, in requests":             {ask("Z", parse("", "select 1"), parse("d", "discard all"), sync), ask("Z", bind("", "d"), execute("", 0), sync), ask("Z", bind("", ""), execute("", 0), sync)},
		"CLOSE ALL":                            {ask("Z", parse("", "select 1"), bind("p", ""), parse("", "close all"), bind("c", ""), execute("c", 0), execute("p", 0), sync)},
		"Parse and Bind of another":            {ask("Z", parse("a", "select 1"), parse("", "select 2"), bind("", "a"), execute("", 0), sync), ask("ZZ", parse("", "select 3"), sync, bind("", ""), execute("", 0), sync)},
		"Parse, and Bind that fails":           {ask("Z", parse("s", "select $1::int"), &pgproto3.Bind{PreparedStatement: "s", Parameters: [][]byte{[]byte("x")}}, execute("", 0), sync), ask("Z", &pgproto3.Bind{PreparedStatement: "s", Parameters: [][]byte{[]byte("5")}}, execute("", 0), sync)},
		"Parse that fails, and Bind":           {ask("Z", parse("s", "select bad"), bind("", "s"), execute("", 0), sync), ask("Z", parse("s", "select 1"), bind("", "s"), execute("", 0), sync)},
		"what goes on in a failed transaction": {ask("Z", parse("s", "select 1"), sync), ask("Z", q("begin; select 1/0")), ask("Z", parse("", "select 2"), sync), ask("Z", bind("", "s"), sync), ask("Z", parse("", "savepoint a"), sync),
			ask("Z", closing('S', "no"), closing('P', "no"), sync), ask("Z", parse("", "commit"), bind("", ""), execute("", 0), sync)},
		"savepoints and portals": {ask("Z", q("begin; savepoint a")), ask("Z", parse("s", "select generate_series(1,3)"), bind("p", "s"), execute("p", 1), sync), ask("Z", q("rollback to a")), ask("Z", execute("p", 1), sync),
			ask("Z", q("rollback to a; savepoint b")), ask("Z", bind("p", "s"), execute("p", 1), sync), ask("Z", q("release b")), ask("Z", execute("p", 1), sync), ask("Z", q("commit")), ask("Z", execute("p", 1), sync)},
		"FETCH of a portal":                  {ask("Z", q("begin")), ask("Z", parse("s", "select generate_series(1,4)"), bind("p", "s"), execute("p", 1), sync), ask("Z", q("fetch 1 from p")), ask("Z", execute("p", 1), sync), ask("Z", q("move 1 from p; fetch p")), ask("Z", q("close p")), ask("Z", execute("p", 1), sync), ask("Z", q("rollback"))},
		"FETCH of itself":                    {ask("Z", q("begin")), ask("Z", parse("", "fetch all from p"), bind("p", ""), sync), ask("Z", q("rollback"))},
		"FETCH of a portal of FETCH":         {ask("Z", q("begin; declare c cursor for select generate_series(1,4)")), ask("Z", parse("", "fetch 2 from c"), bind("p", ""), describe('P', "p"), execute("p", 1), execute("p", 1), execute("p", 1), sync), ask("Z", q("fetch c")), ask("Z", q("rollback"))},
		"a cursor of a portal's name":        {ask("Z", q("begin")), ask("Z", parse("s", "select 1"), bind("p", "s"), sync), ask("Z", q("declare p cursor for select 2")), ask("Z", q("rollback"))},
		"a portal of a cursor's name":        {ask("Z", q("begin; declare p cursor for select 2")), ask("Z", parse("s", "select 1"), bind("p", "s"), sync), ask("Z", q("rollback"))},
		"a cursor WITH HOLD":                 {ask("Z", q("declare h cursor with hold for select generate_series(1,3)")), ask("Z", describe('P', "h"), execute("h", 1), sync), ask("Z", execute("h", 0), sync), ask("Z", closing('P', "h"), execute("h", 0), sync)},
		"a plan that changes":                {ask("Z", q("create temp table planned (a int)")), ask("Z", parse("s", "select max(a) from planned"), describe('S', "s"), bind("", "s"), execute("", 0), sync), ask("Z", q("alter table planned alter a type text")), ask("Z", bind("", "s"), execute("", 0), sync), ask("Z", q("drop table planned")), ask("Z", bind("", "s"), sync), ask("Z", describe('S', "s"), sync)},
		"notices":                            {ask("Z", q("do $$ begin raise notice 'one'; raise warning 'two' using detail = 'd', hint = 'h'; end $$")), ask("Z", append(append(run("do $$ begin raise notice 'three'; end $$"), run("commit")...), sync)...), ask("Z", q("begin; begin; commit; commit; rollback"))},
		"settings told":                      {ask("Z", q("set application_name = 'a'; set datestyle = 'sql'; select 1; set client_encoding = latin1; reset all")), ask("Z", append(append(run("set application_name = 'b'"), run("select 1/0")...), sync)...), ask("Z", q("begin; set datestyle = 'german'; rollback")), ask("Z", q("discard all"))},
		"a text with an error":               {ask("Z", q("select 1; begin; select 2; select 1/0; select 3; commit")), ask("Z", q("select 4; rollback; select 5")), ask("Z", q("select 1; slect 2")), ask("Z", q("select 1; select nothing"))},
		"a text of empty ones":               {ask("Z", q(";;select 1;; ;select 2;/* */;")), ask("Z", q("-- only this")), ask("Z", q("\n"))},
		"time limits":                        {ask("Z", q("begin; set local statement_timeout = 100")), ask("Z", q("select pg_sleep(60)")), ask("Z", q("rollback; begin; set local statement_timeout = 100")), ask("Z", append(append(run("select pg_sleep(60)"), run("select 1")...), sync)...), ask("Z", q("rollback"))},
		"idle for too long":                  {ask("Z", q("set idle_session_timeout = 10")), ask("E")},
		"idle in a transaction for too long": {ask("Z", q("set idle_in_transaction_session_timeout = 10; begin")), ask("EZ")},
		"ended by itself":                    {ask("Z", append(append(append(run("select 1"), run("select pg_terminate_backend(pg_backend_pid())")...), run("select 2")...), sync)...)},
		"read only":                          {ask("Z", q("begin read only")), ask("Z", append(run("create table no (a int)"), sync)...), ask("Z", q("rollback"))},
		"serializable":                       {ask("Z", append(append(append(run("begin isolation level serializable"), run("select count(*) from once")...), run("commit")...), sync)...), ask("Z", q("select 1; set transaction isolation level serializable"))},
		"a prepared transaction":             {ask("Z", q("begin")), ask("Z", append(run("prepare transaction 'x'"), sync)...), ask("Z", append(run("commit prepared 'no'"), sync)...)},
		"VACUUM in a pipeline":               {ask("Z", append(append(run("vacuum once"), run("select 1")...), sync)...), ask("Z", append(append(run("insert into copied values (7)"), run("vacuum copied")...), sync)...), ask("Z", q("select 1; vacuum copied"))},
		"a procedure that commits":           {ask("Z", append(append(run("call commits()"), run("select 1")...), sync)...), ask("Z", append(append(run("insert into copied values (8)"), run("call commits()")...), sync)...), ask("Z", q("begin; call commits()")), ask("Z", q("rollback"))},
		"many parameters":                    {ask("Z", &pgproto3.Parse{Query: "select 1", ParameterOIDs: make([]uint32, 65535)}, sync), ask("Z", parse("", "select 1"), &pgproto3.Bind{Parameters: make([][]byte, 65535)}, sync), ask("Z", q(next))},
		"binary and text":                    {ask("Z", parse("s", "select 1::int4, 'a'::text, null::int8, 1.5::numeric"), &pgproto3.Bind{PreparedStatement: "s", ResultFormatCodes: []int16{1, 0, 1, 1}}, describe('P', ""), execute("", 0), sync), ask("Z", &pgproto3.Bind{PreparedStatement: "s", ResultFormatCodes: []int16{1}}, execute("", 0), sync)},
		"COPY out in binary":                 {ask("Z", append(run("copy (select 1, null, 'x'::text) to stdout (format binary)"), sync)...), ask("Z", q("copy (select 1) to stdout; select 2; copy (select 3) to stdout"))},
		"COPY to what is no file":            {ask("Z", q("copy once to '/nowhere/at/all'")), ask("Z", q("copy once from '/nowhere/at/all'"))},
		"EXPLAIN and SHOW":                   {ask("Z", parse("", "explain (costs off) select 1"), bind("", ""), describe('P', ""), execute("", 0), sync), ask("Z", parse("", "show datestyle"), describe('S', ""), bind("", ""), execute("", 1), execute("", 1), sync)},
		"EXECUTE":                            {ask("Z", q("prepare e as select generate_series(1,3)")), ask("Z", parse("", "execute e"), bind("", ""), describe('P', ""), execute("", 1), execute("", 0), sync), ask("Z", q("deallocate e")), ask("Z", parse("", "execute e"), sync)},
		"an unknown message in a COPY":       {ask("G", q("copy copied from stdin")), ask("", raw{'!', "what"})},
		"malformed Describe, Close, Execute": {ask("ZZZ", raw{'D', "X\x00"}, sync, raw{'C', "X\x00"}, sync, raw{'E', "\x00"}, sync), ask("ZZZ", raw{'D', "S"}, sync, raw{'C', "S\x00more"}, sync, raw{'E', "\x00\x00\x00\x00\x00\x00"}, sync), ask("Z", q(next))},
		"malformed Query":                    {ask("Z", raw{'Q', "select 1\x00select 2\x00"}), ask("Z", raw{'Q', "select 1"}), ask("Z", raw{'Q', ""}), ask("Z", q(next))},
		"malformed Sync and Flush":           {ask("Z", raw{'S', "more"}), ask("Z", raw{'H', "more"}, sync), ask("Z", q(next))},
		"malformed FunctionCall":             {ask("Z", raw{'F', "\x00\x00"}), ask("Z", q(next))},
		"malformed CopyDone":                 {ask("G", q("copy copied from stdin")), ask("Z", data("1\n"), raw{'c', "more"}), ask("Z", q(next))},
		"malformed CopyFail":                 {ask("G", q("copy copied from stdin")), ask("Z", data("1\n"), raw{'f', "no end"}), ask("Z", q(next))},
		"an unknown message":                 {ask("Z", raw{'!', "what"}, q(next))},
		"cursors and portals":                {ask("Z", q("begin; declare c cursor for select generate_series(1,3)")), ask("Z", describe('P', "c"), execute("c", 1), execute("c", 0), sync), ask("Z", closing('P', "c"), sync), ask("Z", q("fetch c")), ask("Z", q("rollback"))},
		"PREPARE and statements":             {ask("Z", q("prepare s(int) as select $1")), ask("Z", describe('S', "s"), &pgproto3.Bind{PreparedStatement: "s", Parameters: [][]byte{[]byte("4")}}, execute("", 0), sync), ask("Z", closing('S', "s"), sync), ask("Z", q("execute s(1)"))},
		"deferred constraints":               {ask("Z", append(run("insert into once values (1)"), sync)...), ask("Z", append(append(run("insert into once values (2)"), run("insert into once values (1)")...), sync)...), ask("Z", append(run("select 1"), sync)...)},
		"LISTEN in a pipeline":               {ask("Z", append(append(run("listen l"), run("notify l")...), sync)...), ask("Z", q(next))},
		"settings in a pipeline":             {ask("Z", append(append(run("set timezone = 'Asia/Tokyo'"), run("show timezone")...), sync)...), ask("Z", append(append(run("set timezone = 'UTC'"), run("select 1/0")...), sync)...), ask("Z", q("show timezone"))},
	}
}()

// elsewhere finds the errors of which the gateway does not know where in its source the
// server would find them.
var elsewhere = regexp.MustCompile(`\x00C(08P01|34000)\x00|\x00Munnamed prepared`)

// say sends what r says and returns the answer, a message a line.
func (w *wireClient) say(r round) string {
	var b []byte
	for _, m := range r.msgs {
		var err error
		b, err = m.(interface{ Encode([]byte) ([]byte, error) }).Encode(b)
		require.NoError(w.t, err)
	}
	_, _ = w.Write(b) // to one that has hung up, too
	var got strings.Builder
	for until := r.until; until != ""; {
		typ, body, err := readMessage(w)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return got.String() + "nothing more comes\n"
		case err != nil:
			return got.String() + "hung up\n"
		}
		if typ == 'A' { // whose notification it is
			body = body[4:]
		}
		shown := string(body)
		if typ == 'E' && elsewhere.MatchString(shown) {
			shown, _, _ = strings.Cut(strings.TrimRight(shown, "\x00"), "\x00F")
		}
		fmt.Fprintf(&got, "%c %q\n", typ, shown)
		if typ == until[0] {
			until = until[1:]
		}
	}
	return got.String()
}

// TestRawClientsCannotTellTheGatewayFromTheServer sends what no driver does, directly
// and through a gateway that allows everything: each byte of the answers is the same.
func TestRawClientsCannotTellTheGatewayFromTheServer(t *testing.T) {
	schema := pgtest.SQL("create table copied (a int); create table once (a int, constraint u unique (a) deferrable initially deferred); insert into once values (1); create procedure commits() language plpgsql as $$ begin commit; end $$")
	direct := pgtest.Start(t, pgtest.Sample(), schema, pgtest.HBA("host all all 127.0.0.1/32 trust"))
	plain := newRig(t, rigConfig{pg: []pgtest.Option{schema}})
	looked := newRig(t, rigConfig{steps: []middleware.Step{looking()}, pg: []pgtest.Option{schema}})
	for name, script := range rawScripts {
		t.Run(name, func(t *testing.T) {
			play := func(w *wireClient) string {
				var b strings.Builder
				for i, r := range script {
					fmt.Fprintf(&b, "%d:\n%s", i, w.say(r))
				}
				return b.String()
			}
			w := dialWire(t, direct.Addr)
			w.send(startupOf(v30, "user", direct.Superuser.User, "database", "postgres"))
			w.until("Z")
			want := play(w)
			require.NotContains(t, want, "nothing more comes")
			for name, r := range map[string]*rig{"gateway": plain, "gateway that looks": looked} {
				w, _, _ := r.login(t, v30)
				if got := play(w); got != want {
					t.Errorf("%s: something else is answered:\n%s", name, firstDifference(want, got))
				}
			}
		})
	}
}
