package audit

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
)

// What is kept of an operation's facts is written again only for one with the
// same facts, also when a connector uses its memory again.
func TestFactCache(t *testing.T) {
	c := newFactCache()
	rnd := rand.New(rand.NewPCG(1, 2))
	names := []string{"a", "b", "orders", "public"}
	name := func() string { return names[rnd.IntN(len(names))] }
	print := "02a281c251c3a43d" // one place in the cache for all
	objects, reads, writes := make([]protocol.Object, 2), make([]protocol.ColumnRef, 2), make([]protocol.ColumnRef, 2)
	for range 20_000 {
		for i := range 2 {
			objects[i] = protocol.Object{Kind: name(), Name: name(), Access: protocol.Access(1 + rnd.IntN(2))}
			reads[i] = protocol.ColumnRef{Schema: name(), Table: name(), Column: name()}
			writes[i] = reads[i]
		}
		op := &protocol.Operation{Verb: protocol.Verb(name()), Access: protocol.Access(rnd.IntN(3)), ReadsKnown: rnd.IntN(2) == 0, Fingerprint: print,
			Objects: objects[:rnd.IntN(3)], Reads: reads[:rnd.IntN(3)], Writes: writes[:rnd.IntN(2)]}
		want := string(appendFacts(nil, op))
		for range 2 {
			require.Equal(t, want, string(c.append(nil, op)))
		}
	}
}
