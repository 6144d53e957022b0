// Package witness has checkpoints of a journal cosigned by others, and cosigns
// those of others, by c2sp.org/tlog-witness and c2sp.org/tlog-cosignature.
//
// A witness keeps of each journal the newest checkpoint it has seen, and signs
// another only with a proof that it continues that one. So whoever has the
// gateway's key and its disk cannot rewrite what a witness has seen, or show two
// people two journals, unless the witnesses help. They learn sizes and hashes,
// and no event.
//
// A [Collector] asks witnesses, beside the gateway and never in its way; a
// [Server] is one, and so can a second gateway be. Keys are those of
// audit.NewKey; [ParseKey] reads the public half.
package witness

import (
	"fmt"
	"strings"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"

	"github.com/sallyport-dev/gateway/protocol"
)

// ParseKey returns a witness's public key, for audit.Trust and [Peer]: one of
// Ed25519, as audit.NewKey returns it or as the witness publishes it, or of
// ML-DSA-44.
func ParseKey(public string) (note.Verifier, error) {
	v, err := fnote.NewVerifierForCosignatureV1(strings.TrimSpace(public))
	if err != nil {
		return nil, fmt.Errorf("witness: key %q: %w", public, err)
	}
	return v, nil
}

// ParseSigner returns what a witness signs with, from a private key as
// audit.NewKey makes it. Use a key for nothing else.
func ParseSigner(private protocol.Secret) (note.Signer, error) {
	s, err := fnote.NewSignerForCosignatureV1(strings.TrimSpace(private.Reveal()))
	if err != nil {
		return nil, fmt.Errorf("witness: not a private key as audit.NewKey makes it") // without the key
	}
	return s, nil
}
