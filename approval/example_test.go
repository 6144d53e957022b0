package approval_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http/httptest"
	"time"

	"github.com/sallyport-dev/gateway/approval"
	"github.com/sallyport-dev/gateway/protocol"
)

func ExampleNewBroker() {
	broker := approval.NewBroker(approval.Options{Command: "gateway approve", URL: "https://gateway.example.com"})

	alice := &protocol.Identity{Issuer: "https://id.example.com", Subject: "alice", Kind: protocol.Human, Groups: []string{"dba"}}
	bob := &protocol.Identity{Issuer: "https://id.example.com", Subject: "bob", Kind: protocol.Human, Groups: []string{"dba"}}

	ctx := context.Background()
	pending, err := broker.Submit(ctx, approval.Request{
		Requester: alice, Target: "orders", Verb: "drop table", Text: "drop table old_orders",
		Digest:    sha256.Sum256([]byte("what will run")),
		Approvers: approval.Approvers{Groups: []string{"dba"}},
		Until:     time.Now().Add(time.Minute),
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	go func() { // somebody looks at what is pending, and says yes
		for r := range broker.Watch(ctx) {
			v := approval.Verdict{Request: r.ID, Digest: r.Digest, Approve: true, Comment: "backed up"}
			v.By = alice
			if _, err := broker.Decide(ctx, v); err != nil {
				fmt.Println(err)
			}
			v.By = bob
			_, _ = broker.Decide(ctx, v)
			return
		}
	}()

	r, err := pending.Wait(ctx)
	fmt.Println(r.State, r.Decisions[0].By.Subject, r.Decisions[0].Comment, err)
	// Output:
	// approval: nobody decides about their own request, nor about one of an agent that acts for them
	// approved bob backed up <nil>
}

func ExampleHandler() {
	broker := approval.NewBroker(approval.Options{})
	// A gateway passes the Authenticate method of its chain.
	auth := approval.Bearer(func(_ context.Context, l *protocol.Login) (*protocol.Identity, error) {
		if t, ok := l.Proof.(protocol.Token); ok && t.Secret.Reveal() == "bobs-token" {
			return &protocol.Identity{Issuer: "static", Subject: "bob", Kind: protocol.Human, Groups: []string{"dba"}}, nil
		}
		return nil, errors.New("unknown token")
	})
	server := httptest.NewServer(approval.Handler(broker, auth))
	defer server.Close()

	ctx := context.Background()
	pending, err := broker.Submit(ctx, approval.Request{
		Requester: &protocol.Identity{Issuer: "static", Subject: "alice", Kind: protocol.Human},
		Target:    "orders", Verb: "delete", Text: "delete from orders", Digest: sha256.Sum256([]byte("what will run")),
		Approvers: approval.Approvers{Groups: []string{"dba"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	client := approval.Client{URL: server.URL, Token: protocol.NewSecret("bobs-token")}
	rs, err := client.List(ctx, false)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = client.Decide(ctx, rs[0], false, "without a condition?")
	fmt.Println(err)

	r, _ := pending.Wait(ctx)
	fmt.Println(r.State, r.Decisions[0].Comment)
	// Output:
	// <nil>
	// denied without a condition?
}
