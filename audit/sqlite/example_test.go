package sqlite_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/sqlite"
	"github.com/sallyport-dev/gateway/protocol"
)

// The index is made from the journal, and answers who did what.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	j, err := audit.Open(filepath.Join(dir, "journal"), audit.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := j.Record(&protocol.Event{Kind: protocol.LoginRefused, Time: time.Now(),
		Login: &protocol.Login{Protocol: "ssh", User: "root", Resource: "web-1"}}, audit.Detail{}); err != nil {
		log.Fatal(err)
	}
	if err := j.Close(); err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	x, err := sqlite.Open(ctx, filepath.Join(dir, "index.sqlite"), filepath.Join(dir, "journal"))
	if err != nil {
		log.Fatal(err)
	}
	defer x.Close()
	if err := x.Update(ctx); err != nil {
		log.Fatal(err)
	}
	page, err := x.Search(ctx, audit.Query{Target: "web-*"})
	fmt.Println(len(page.Entries), err)
	// Output: 1 <nil>
}
