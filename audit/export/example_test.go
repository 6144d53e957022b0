package export_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/export"
	"github.com/sallyport-dev/gateway/audit/store"
)

// NDJSON on standard output, for whatever collects that.
func ExampleLines() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	j, err := audit.Open(dir, audit.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer j.Close()
	sink := export.Lines(os.Stdout, func(_ string, e *audit.Event) ([]byte, error) { return []byte(e.Kind), nil }) // or export.JSON
	for e, err := range audit.Events(dir) {
		if err != nil {
			log.Fatal(err)
		}
		if err := sink.Send(context.Background(), "", []audit.Event{e}); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// audit.segment
	// audit.opened
}

// An object of each batch, for whatever reads files of lines.
func ExampleObjects() {
	journal, err := os.MkdirTemp("", "journal")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(journal)
	j, err := audit.Open(journal, audit.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if err := j.Close(); err != nil {
		log.Fatal(err)
	}
	bucket := store.Dir(journal + "/exported") // or s3.New, a bucket
	x := &export.Exporter{Dir: journal, Cursor: journal + "/cursor", Sink: export.Objects(bucket, export.NDJSON(export.OCSF)), Batch: 10_000, Every: time.Minute}
	if err := x.Run(context.Background(), false); err != nil { // true: goes on with what comes
		log.Fatal(err)
	}
	for o, err := range bucket.List(context.Background(), "") {
		fmt.Println(o.Name[len(o.Name)-len("00000000000000000000.ndjson.gz"):], err)
	}
	// Output: 00000000000000000000.ndjson.gz <nil>
}

// NDJSON of a format of one's own.
func ExampleNDJSON() {
	e := export.NDJSON(func(_ string, e *audit.Event) ([]byte, error) { return []byte(e.Kind), nil })
	fmt.Println(e.Suffix)
	// Output: .ndjson.gz
}
