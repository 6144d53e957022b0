package audit_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/protocol"
)

func tempDir() string {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		log.Fatal(err)
	}
	return dir
}

// A program opens its journal, gives it to middleware.Record, and closes it
// when the last session has ended. Reading needs nothing but the directory.
func ExampleOpen() {
	dir := tempDir()
	defer os.RemoveAll(dir)
	j, err := audit.Open(dir, audit.Options{})
	if err != nil {
		log.Fatal(err)
	}
	// middleware.Record does this for every event:
	p, err := j.Record(&protocol.Event{Kind: protocol.LoginRefused, Time: time.Now(),
		Login: &protocol.Login{Protocol: "ssh", User: "root", Resource: "web-1"}}, audit.Detail{})
	if err != nil {
		log.Fatal(err)
	}
	if err := j.Sync(context.Background(), p); err != nil {
		log.Fatal(err)
	}
	if err := j.Close(); err != nil {
		log.Fatal(err)
	}
	for e, err := range audit.Events(dir) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Seq, e.Kind)
	}
	// Output:
	// 0 audit.segment
	// 1 audit.opened
	// 2 login.refused
	// 3 audit.closed
}

// A head that is kept elsewhere proves that nothing before it was changed or
// cut off.
func ExampleVerify() {
	dir := tempDir()
	defer os.RemoveAll(dir)
	j, err := audit.Open(dir, audit.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if err := j.Close(); err != nil {
		log.Fatal(err)
	}
	noted := j.Head() // send it to a place that this machine cannot write to

	rep, err := audit.Verify(dir, noted)
	fmt.Println(rep.Head.Size, rep.Closed, err)

	// Somebody puts an empty journal in its place.
	os.RemoveAll(dir)
	j, _ = audit.Open(dir, audit.Options{})
	j.Close()
	_, err = audit.Verify(dir, noted)
	fmt.Println(err != nil)
	// Output:
	// 3 true <nil>
	// true
}

// Tail feeds an exporter: it continues behind the last event that was sent.
func ExampleTail() {
	dir := tempDir()
	defer os.RemoveAll(dir)
	j, err := audit.Open(dir, audit.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer j.Close()
	err = audit.Tail(context.Background(), dir, 1, false, func(e audit.Event) error {
		fmt.Println(e.Seq, e.Kind)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: 1 audit.opened
}

func ExampleSet() {
	dir := tempDir()
	defer os.RemoveAll(dir)
	var set audit.Set
	a, closeA, err := set.Open(dir, audit.Options{})
	if err != nil {
		log.Fatal(err)
	}
	b, closeB, err := set.Open(dir, audit.Options{}) // the configuration is read again
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(a == b, closeA(), closeB())
	// Output: true <nil> <nil>
}

// The text of a leaf, such as an exporter has kept, is an event again.
func ExampleParseEvent() {
	leaf, err := os.ReadFile("testdata/login-failed.json")
	if err != nil {
		log.Fatal(err)
	}
	e, err := audit.ParseEvent(leaf)
	fmt.Println(e.Kind, err)
	_, err = audit.ParseEvent([]byte(`{"v":99}`))
	fmt.Println(err != nil)
	// Output:
	// login.refused <nil>
	// true
}
