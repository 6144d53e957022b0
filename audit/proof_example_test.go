package audit_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"net/url"
	"os"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/protocol"
)

// Whoever has the public key reads what a checkpoint, kept outside of the
// gateway, says about the journal.
func ExampleParseCheckpoint() {
	dir := tempDir()
	defer os.RemoveAll(dir)
	private, public, err := audit.NewKey("gateway.example.com")
	if err != nil {
		log.Fatal(err)
	}
	j, err := audit.Open(dir, audit.Options{Key: private})
	if err != nil {
		log.Fatal(err)
	}
	defer j.Close()
	signed, err := j.Checkpoint(context.Background()) // send it to a place that this machine cannot write to
	if err != nil {
		log.Fatal(err)
	}
	key, err := audit.ParseKey(public)
	if err != nil {
		log.Fatal(err)
	}
	c, err := audit.ParseCheckpoint(signed, key)
	fmt.Println(c.Size, strings.HasPrefix(c.Origin, "gateway.example.com/"), err)
	_, err = audit.ParseCheckpoint(bytes.Replace(signed, []byte("\n2\n"), []byte("\n9\n"), 1), key)
	fmt.Println(err != nil)
	// Output:
	// 2 true <nil>
	// true
}

// A query comes as the parameters of a URL, or from a command line.
func ExampleParseQuery() {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	q, err := audit.ParseQuery(url.Values{"who": {"alice"}, "outcome": {"deny"}}, now)
	fmt.Println(q.Who, q.Outcome, err)
	_, err = audit.ParseQuery(url.Values{"whom": {"alice"}}, now)
	fmt.Println(err != nil)
	// Output:
	// alice deny <nil>
	// true
}

// Recordings are checked against the journal that they were hashed into.
func ExampleTrust_Verify_recordings() {
	dir, recordings := tempDir(), tempDir()
	defer os.RemoveAll(dir)
	defer os.RemoveAll(recordings)
	j, err := audit.Open(dir, audit.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if err := j.Close(); err != nil {
		log.Fatal(err)
	}
	rep, err := audit.Trust{Recordings: recordings}.Verify(context.Background(), dir)
	fmt.Println(rep.Recordings.Whole, len(rep.Recordings.Missing), err)
	// Output: 0 0 <nil>
}

// Who has a private key that a journal seals to reads the statements in it;
// for everybody else the event is there, and proven, without them.
func ExampleNewUnsealer() {
	dir := tempDir()
	defer os.RemoveAll(dir)
	id, err := age.GenerateX25519Identity()
	if err != nil {
		log.Fatal(err)
	}
	private, _, err := audit.NewKey("gateway.example.com")
	if err != nil {
		log.Fatal(err)
	}
	j, err := audit.Open(dir, audit.Options{Key: private, SealTo: id.Recipient().String()})
	if err != nil {
		log.Fatal(err)
	}
	session := &protocol.SessionInfo{ID: protocol.NewID(), Protocol: "postgres", Identity: &protocol.Identity{Issuer: "i", Subject: "alice"}}
	for _, op := range []*protocol.Operation{ // middleware.Record does this
		{Session: session, ID: 1, Verb: protocol.Connect, Access: protocol.Control},
		{Session: session, ID: 2, Verb: "update", Text: "update t set a = 'private'", Access: protocol.Write},
	} {
		op.Decide(protocol.Allow("rule"), nil)
		_, err := j.Record(&protocol.Event{Kind: protocol.Decided, Time: time.Now(), Session: session, Op: op, Decision: protocol.Allow("rule")}, audit.Detail{Seal: true})
		if err != nil {
			log.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		log.Fatal(err)
	}
	u := audit.NewUnsealer(dir, id)
	for e, err := range audit.Events(dir) {
		if err != nil {
			log.Fatal(err)
		}
		if e.Kind != audit.CommandDecided {
			continue
		}
		fmt.Printf("%q\n", e.Action.Text.Text)
		if err := u.Open(&e); err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%q\n", e.Action.Text.Text)
	}
	// Output:
	// ""
	// "update t set a = 'private'"
}
