package pgsql

import (
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// OIDs of the test catalog's types.
const (
	int4OID   = 23
	dateOID   = 1082
	textArray = 1009
	moodOID   = 20001
	citextOID = 20002
	posOID    = 20003
)

// relation makes a table of columns given as name and type.
func relation(oid uint32, schema, name string, kind byte, cols ...any) *sql.Relation {
	r := &sql.Relation{OID: oid, Schema: schema, Name: name, Kind: kind}
	for i := 0; i < len(cols); i += 2 {
		r.Columns = append(r.Columns, sql.Column{Num: int16(i/2 + 1), Name: cols[i].(string), Type: uint32(cols[i+1].(int))})
	}
	return r
}

// testCatalog is a catalog without a server behind it.
func testCatalog() *sql.Catalog {
	customers := relation(20100, "public", "customers", sql.Table, "id", int4OID, "name", textOID, "email", textOID, "city", textOID, "handle", textOID)
	customers.Columns[4].From = []int16{3}
	orders := relation(20101, "public", "orders", sql.Table, "id", int4OID, "customer_id", int4OID, "total", numericOID, "note", textOID, "tags", textArray)
	view := relation(20102, "public", "v", sql.View, "id", int4OID, "mail", textOID, "loud", textOID)
	view.Definition = "SELECT customers.id, customers.email AS mail, upper(customers.email) AS loud FROM public.customers WHERE customers.city <> ''"
	viewed := relation(20103, "public", "vv", sql.View, "m", textOID)
	viewed.Definition = "SELECT v.mail AS m FROM public.v"
	evil := relation(20104, "public", "v_evil", sql.View, "x", int4OID)
	evil.Definition = "SELECT public.touch(customers.id) AS x FROM public.customers"
	broken := relation(20105, "public", "v_broken", sql.View, "x", int4OID)
	broken.Definition = "SELECT FROM WHERE"
	loop := relation(20106, "public", "v_loop", sql.View, "x", int4OID)
	loop.Definition = "SELECT v_loop.x FROM public.v_loop"
	base := relation(20107, "public", "base", sql.Table, "id", int4OID, "secret", textOID)
	child := relation(20108, "public", "child", sql.Table, "id", int4OID, "secret", textOID, "more", textOID)
	child.Parents = []uint32{20107}
	grand := relation(20109, "app", "grand", sql.Table, "id", int4OID, "secret", textOID)
	grand.Parents = []uint32{20108}
	typed := relation(20110, "public", "typed", sql.Table, "m", moodOID, "c", citextOID, "p", posOID)
	notes := relation(20111, "app", "notes", sql.Table, "id", int4OID, "body", textOID)
	stats := relation(3000, "pg_catalog", "pg_stats", sql.View, "attname", textOID, "most_common_vals", textOID)
	class := relation(1259, "pg_catalog", "pg_class", sql.Table, "oid", 26, "relname", 19)
	foreign := relation(20112, "public", "far", sql.ForeignTable, "id", int4OID)

	s := sql.Snapshot{
		Relations: []*sql.Relation{customers, orders, view, viewed, evil, broken, loop, base, child, grand, typed, notes, stats, class, foreign},
		Functions: []*sql.Function{
			{OID: 20200, Schema: "public", Name: "touch", Args: []uint32{int4OID}, Volatility: 'v', Kind: 'f', Returns: int4OID},
			{OID: 20201, Schema: "app", Name: "lower", Args: []uint32{textOID}, Volatility: 'i', Kind: 'f', Returns: textOID},
			{OID: 20202, Schema: "public", Name: "regexp_match", Args: []uint32{citextOID, citextOID}, Volatility: 'i', Kind: 'f', Returns: textArray, Trusted: true},
			{OID: 20203, Schema: "public", Name: "fullname", Args: []uint32{20300}, Volatility: 's', Kind: 'f', Returns: textOID},
		},
		Operators: []*sql.Operator{
			{Schema: "public", Name: "=", Left: citextOID, Right: citextOID, Trusted: true},
			{Schema: "app", Name: "+", Left: int4OID, Right: int4OID},
		},
		Types: []*sql.Type{
			{OID: boolOID, Schema: "pg_catalog", Name: "bool", Kind: 'b'}, {OID: int4OID, Schema: "pg_catalog", Name: "int4", Kind: 'b'},
			{OID: textOID, Schema: "pg_catalog", Name: "text", Kind: 'b'}, {OID: varcharOID, Schema: "pg_catalog", Name: "varchar", Kind: 'b'},
			{OID: 1042, Schema: "pg_catalog", Name: "bpchar", Kind: 'b'}, {OID: numericOID, Schema: "pg_catalog", Name: "numeric", Kind: 'b'},
			{OID: dateOID, Schema: "pg_catalog", Name: "date", Kind: 'b'}, {OID: 2205, Schema: "pg_catalog", Name: "regclass", Kind: 'b'},
			{OID: 700, Schema: "pg_catalog", Name: "float4", Kind: 'b'}, {OID: 701, Schema: "pg_catalog", Name: "float8", Kind: 'b'}, {OID: 1186, Schema: "pg_catalog", Name: "interval", Kind: 'b'},
			{OID: textArray, Schema: "pg_catalog", Name: "_text", Kind: 'b', Element: textOID},
			{OID: moodOID, Schema: "public", Name: "mood", Kind: 'e'}, {OID: citextOID, Schema: "public", Name: "citext", Kind: 'b', Trusted: true},
			{OID: posOID, Schema: "public", Name: "positive", Kind: 'd'},
			{OID: 20005, Schema: "app", Name: "text", Kind: 'd'},
		},
		Builtins: builtins(
			sql.Builtin{Name: "lower", Volatility: 'i'}, sql.Builtin{Name: "upper", Volatility: 'i'}, sql.Builtin{Name: "length", Volatility: 's'}, sql.Builtin{Name: "concat", Volatility: 's'},
			sql.Builtin{Name: "count", Volatility: 'i', Aggregate: true}, sql.Builtin{Name: "sum", Volatility: 'i', Aggregate: true}, sql.Builtin{Name: "max", Volatility: 'i', Aggregate: true},
			sql.Builtin{Name: "string_agg", Volatility: 'i', Aggregate: true}, sql.Builtin{Name: "array_agg", Volatility: 'i', Aggregate: true},
			sql.Builtin{Name: "row_number", Volatility: 'i', Window: true}, sql.Builtin{Name: "lag", Volatility: 'i', Window: true},
			sql.Builtin{Name: "generate_series", Volatility: 's', Set: true}, sql.Builtin{Name: "unnest", Volatility: 'i', Set: true, Record: true},
			sql.Builtin{Name: "json_each", Volatility: 'i', Set: true, Record: true, Out: []string{"key", "value"}},
			sql.Builtin{Name: "row_to_json", Volatility: 's'}, sql.Builtin{Name: "now", Volatility: 's'}, sql.Builtin{Name: "random", Volatility: 'v'}, sql.Builtin{Name: "nextval", Volatility: 'v'},
			sql.Builtin{Name: "set_config", Volatility: 'v'}, sql.Builtin{Name: "current_setting", Volatility: 's'}, sql.Builtin{Name: "pg_terminate_backend", Volatility: 'v'},
			sql.Builtin{Name: "query_to_xml", Volatility: 'v'}, sql.Builtin{Name: "table_to_xml", Volatility: 's'}, sql.Builtin{Name: "regexp_match", Volatility: 'i'}, sql.Builtin{Name: "like_escape", Volatility: 'i'},
			sql.Builtin{Name: "timezone", Volatility: 's'}, sql.Builtin{Name: "date_part", Volatility: 's'}, sql.Builtin{Name: "extract", Volatility: 's'}, sql.Builtin{Name: "percentile_disc", Volatility: 'i', Aggregate: true},
			sql.Builtin{Name: "left", Volatility: 'i'}, sql.Builtin{Name: "substr", Volatility: 'i'}, sql.Builtin{Name: "substring", Volatility: 'i'}, sql.Builtin{Name: "starts_with", Volatility: 'i'},
			sql.Builtin{Name: "ascii", Volatility: 'i'}, sql.Builtin{Name: "repeat", Volatility: 'i'}, sql.Builtin{Name: "similar_to_escape", Volatility: 'i'}, sql.Builtin{Name: "pg_sleep", Volatility: 'v'},
			sql.Builtin{Name: "rank", Volatility: 'i', Window: true}, sql.Builtin{Name: "string_to_table", Volatility: 'i', Set: true},
		),
	}
	return sql.New(s, ExpandView)
}

func testState() *State {
	return &State{Catalog: testCatalog(), SearchPath: []string{"public"}, StandardStrings: true}
}

// builtins returns a list by name.
func builtins(list ...sql.Builtin) map[string]sql.Builtin {
	m := map[string]sql.Builtin{}
	for _, b := range list {
		m[b.Name] = b
	}
	return m
}
