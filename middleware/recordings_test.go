package middleware_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

func ExampleRecordings() {
	step := middleware.Recordings(middleware.RecordingConfig{Dir: "/var/lib/sallyport/recordings"})
	// A shell without streams that can be seen cannot be recorded.
	d, _ := step.Operation(context.Background(), &protocol.Operation{Verb: "shell"})
	fmt.Println(d.Effect, d.Reason)
	d, _ = step.Operation(context.Background(), &protocol.Operation{Verb: "select"})
	fmt.Println(d.Effect)
	// Output:
	// deny this cannot be recorded, and has to be
	// none
}

func TestMistakesInRecordings(t *testing.T) {
	for want, c := range map[string]middleware.RecordingConfig{"dir is missing": {}, "max is negative": {Dir: "d", Max: -1}} {
		_, err := middleware.NewChain(middleware.Recordings(c))
		require.ErrorContains(t, err, want)
	}
}

func ExampleRecordingKind() {
	steps, err := load("steps: [{recordings: {dir: /var/lib/sallyport/recordings, input: true}}]", middleware.RecordingKind(nil))
	fmt.Println(steps[0].Name, err)
	// Output: recordings <nil>
}
