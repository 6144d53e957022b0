package audit_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"golang.org/x/mod/sumdb/note"

	"github.com/sallyport-dev/gateway/audit"
)

// What is sealed of a journal, and may be copied elsewhere: package archive does.
func ExampleSealed() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	private, _, err := audit.NewKey("gateway.example.com")
	if err != nil {
		log.Fatal(err)
	}
	for range 2 { // each start begins a segment
		j, err := audit.Open(dir, audit.Options{Key: private})
		if err != nil {
			log.Fatal(err)
		}
		if err := j.Close(); err != nil {
			log.Fatal(err)
		}
	}
	sealed, err := audit.Sealed(dir)
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range sealed {
		err := s.Check(context.Background(), dir, nil)
		fmt.Println(s.File, "events", s.From, "to", s.Next-1, err)
	}
	// Output: 0000000001.journal events 0 to 2 <nil>
}

// A checkpoint that somebody else has looked at.
func ExampleReadUnsigned() {
	c, err := audit.ReadUnsigned([]byte("gateway.example.com/7k3d\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n\u2014 gateway.example.com AAAA\n"))
	fmt.Println(c.Journal(), c.Size, err)
	// Output: 7k3d 0 <nil>
}

// What witnesses have seen: package witness has checkpoints cosigned.
func ExampleParseWitnessed() {
	private, public, err := audit.NewKey("gateway.example.com")
	if err != nil {
		log.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	j, err := audit.Open(dir, audit.Options{Key: private})
	if err != nil {
		log.Fatal(err)
	}
	defer j.Close()
	signed, err := audit.ReadCheckpoint(dir)
	if err != nil {
		log.Fatal(err)
	}
	key, err := audit.ParseKey(public)
	if err != nil {
		log.Fatal(err)
	}
	_, err = audit.ParseWitnessed(signed, []note.Verifier{key}, nil, 1)
	fmt.Println(err)
	// Output: checkpoint: of size 2 has 0 witnesses, want 1
}
