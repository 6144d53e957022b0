package export_test

import (
	"context"
	"log"
	"os"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/export"
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
