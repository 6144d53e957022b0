package middleware_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log"
	"os"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

func ExampleRecord() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	journal, err := audit.Open(dir, audit.Options{})
	if err != nil {
		log.Fatal(err)
	}
	step := middleware.Record(journal, middleware.RecordDetail(audit.Detail{HideArgs: true}))

	// The chain calls the step; a test can do so too.
	ctx := context.Background()
	s := &protocol.SessionInfo{ID: "s1", Identity: &protocol.Identity{Issuer: "static", Subject: "alice"}}
	op := &protocol.Operation{Session: s, ID: 1, Verb: "update", Text: "update t set a = $1", Args: []protocol.Arg{{Text: "secret"}}}
	d := protocol.Allow("writers")
	op.Decide(d, nil)
	if err := step.Event(ctx, &protocol.Event{Kind: protocol.Decided, Session: s, Op: op, Decision: d}); err != nil {
		log.Fatal(err)
	}
	if err := step.Commit(ctx, protocol.BeforeSend, []*protocol.Operation{op}); err != nil { // durable from here on
		log.Fatal(err)
	}
	if err := journal.Close(); err != nil {
		log.Fatal(err)
	}
	for e, err := range audit.Events(dir) {
		if err != nil {
			log.Fatal(err)
		}
		if e.Kind == audit.CommandDecided {
			fmt.Printf("%s: %s, %s; argument hidden: %t\n", e.Identity.Subject, e.Action.Text.Text, e.Decision.Effect, e.Action.Args[0].Value.Hidden)
		}
	}
	// Output: alice: update t set a = $1, allow; argument hidden: true
}

// Neither texts nor arguments are kept, only how long they were. With a Key,
// equal ones could still be found.
func ExampleRecordDetail() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	journal, err := audit.Open(dir, audit.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer journal.Close()
	step := middleware.Record(journal, middleware.RecordDetail(audit.Detail{HideText: true, HideArgs: true}))
	fmt.Println(step.Name)
	// Output: record
}

// Every operation waits for the disk, reads too.
func ExampleRecordStrict() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	journal, err := audit.Open(dir, audit.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer journal.Close()
	step := middleware.Record(journal, middleware.RecordStrict())
	fmt.Println(step.Name)
	// Output: record
}

func ExampleRecordKind() {
	var journals audit.Set // shared by all readings of the configuration
	fmt.Println(middleware.RecordKind(&journals).Name)
	// Output: record
}

// A configuration is checked without its journal, which a gateway may have open.
func ExampleDryRecordKind() {
	fmt.Println(middleware.DryRecordKind().Name)
	// Output: record
}

// Decisions say by which rules they were made.
func ExampleRecordPolicy() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	journal, err := audit.Open(dir, audit.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer journal.Close()
	rules := []byte("steps: ...")
	step := middleware.Record(journal, middleware.RecordPolicy(fmt.Sprintf("%x", sha256.Sum256(rules))))
	fmt.Println(step.Name)
	// Output: record
}
