package protocol_test

import (
	"context"
	"fmt"

	"github.com/sallyport-dev/gateway/protocol"
)

func ExampleAllow() {
	d := protocol.Allow("analysts-read")
	fmt.Println(d.Effect, d.Rule)
	// Output: allow analysts-read
}

func ExampleDeny() {
	d := protocol.Deny("definitions change by migration only")
	d.Hint = "open a merge request in the migrations repository"
	fmt.Println(d.Effect, d.Reason)
	// Output: deny definitions change by migration only
}

func ExampleHold() {
	answers := make(chan protocol.Decision, 1)
	d := protocol.Hold("t-1", "needs a second person", func(ctx context.Context) (protocol.Decision, error) {
		select {
		case d := <-answers:
			return d, nil
		case <-ctx.Done():
			return protocol.Pass, ctx.Err()
		}
	})
	fmt.Println(d.Effect, d.Ticket, d.Reason)

	answers <- protocol.Allow("four-eyes")
	d, err := d.Wait(context.Background())
	fmt.Println(d.Effect, err)
	// Output:
	// hold t-1 needs a second person
	// allow <nil>
}
