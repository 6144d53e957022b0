package sql_test

import (
	"fmt"

	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

func ExampleNew() {
	c := sql.New(sql.Snapshot{Relations: []*sql.Relation{{
		OID: 20001, Schema: "public", Name: "customers", Kind: sql.Table,
		Columns: []sql.Column{{Num: 1, Name: "email"}, {Num: 2, Name: "handle", From: []int16{1}}},
	}}}, nil)
	for _, s := range c.Sources(20001, 2) {
		fmt.Println(s.ColumnRef)
	}
	// Output:
	// public.customers.email
	// public.customers.handle
}
