package postgres_test

import (
	"context"
	"fmt"
	"log"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/postgres"
)

// Whoever looks after a fleet asks for what is in the journals of all gateways.
func ExampleOpen() {
	ctx := context.Background()
	x, err := postgres.Open(ctx, "postgres://auditor@db.example/audit?sslmode=verify-full", "")
	if err != nil {
		log.Fatal(err)
	}
	defer x.Close()
	page, err := x.Search(ctx, audit.Query{Who: "alice@example.com", Access: "write"})
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range page.Entries {
		fmt.Println(e.Origin, e.Seq, e.Time, e.Action.Verb)
	}
}
