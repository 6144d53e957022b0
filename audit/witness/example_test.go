package witness_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"
	"os"

	"golang.org/x/mod/sumdb/note"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/witness"
)

// A witness, a journal that is witnessed, and somebody who verifies.
func ExampleCollector() {
	journal, seen := temp(), temp()
	defer os.RemoveAll(journal)
	defer os.RemoveAll(seen)
	private, public, err := audit.NewKey("gateway.example.com")
	check(err)
	gateway, err := audit.ParseKey(public)
	check(err)
	witnessPrivate, witnessPublic, err := audit.NewKey("witness.example.org")
	check(err)

	signer, err := witness.ParseSigner(witnessPrivate)
	check(err)
	server := httptest.NewServer(&witness.Server{Signer: signer, Keys: []note.Verifier{gateway}, Dir: seen})
	defer server.Close()

	j, err := audit.Open(journal, audit.Options{Key: private})
	check(err)
	defer j.Close()
	key, err := witness.ParseKey(witnessPublic)
	check(err)
	c := &witness.Collector{Dir: journal, Keys: []note.Verifier{gateway}, Peers: []witness.Peer{{URL: server.URL, Key: key}}}
	n, err := c.Round(context.Background()) // or Run, beside the gateway
	fmt.Println(n, err)

	rep, err := audit.Trust{Keys: []note.Verifier{gateway}, Witnesses: []note.Verifier{key}}.Verify(context.Background(), journal)
	fmt.Println(rep.Witnessed.By, err)
	// Output:
	// 1 <nil>
	// [witness.example.org] <nil>
}

func ExampleParseKey() {
	_, public, err := audit.NewKey("witness.example.org")
	check(err)
	key, err := witness.ParseKey(public)
	fmt.Println(key.Name(), err)
	// Output: witness.example.org <nil>
}

func ExampleParseSigner() {
	private, _, err := audit.NewKey("witness.example.org")
	check(err)
	s, err := witness.ParseSigner(private)
	fmt.Println(s.Name(), err)
	// Output: witness.example.org <nil>
}

func temp() string {
	dir, err := os.MkdirTemp("", "example")
	check(err)
	return dir
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
