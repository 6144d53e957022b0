package pgsql

import "fmt"

func ExampleNewAnalyzer() {
	a := NewAnalyzer(Options{})
	st := &State{Catalog: testCatalog(), SearchPath: []string{"public"}, StandardStrings: true}

	s := a.Analyze([]byte("SELECT upper(email) AS city FROM customers WHERE id = 1; DELETE FROM orders"), st)
	for _, stmt := range s.Statements {
		fmt.Println(stmt.Verb, stmt.Access, "pure:", stmt.Pure, "bounded:", stmt.Bounded)
		for _, c := range stmt.Columns {
			fmt.Println(" ", c.Name, "comes from", c.Sources[0].ColumnRef)
		}
	}
	// Output:
	// select read pure: true bounded: true
	//   city comes from public.customers.email
	// delete write pure: false bounded: false
}
