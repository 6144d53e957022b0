package audit

import (
	"hash/maphash"
	"slices"

	"github.com/sallyport-dev/gateway/protocol"
)

// A factCache keeps what was written of operations last: most do what one
// before them did. The zero factCache keeps nothing.
type factCache struct {
	seed    maphash.Seed
	written []writtenFacts
}

// writtenFacts are the facts of an operation and what was written of them.
type writtenFacts struct {
	protocol.Facts
	text []byte
}

// maxFacts bounds what is kept of one operation.
const maxFacts = 4 << 10

func newFactCache() factCache {
	return factCache{maphash.MakeSeed(), make([]writtenFacts, 256)}
}

// append appends what op does, up to its text.
func (c *factCache) append(dst []byte, op *protocol.Operation) []byte {
	if len(c.written) == 0 || op.Fingerprint == "" {
		return appendFacts(dst, op)
	}
	w := &c.written[maphash.String(c.seed, op.Fingerprint)%uint64(len(c.written))]
	if w.text != nil && w.Of(op) {
		return append(dst, w.text...)
	}
	n := len(dst)
	dst = appendFacts(dst, op)
	if len(dst)-n <= maxFacts {
		*w = writtenFacts{op.Facts(), slices.Clone(dst[n:])}
	}
	return dst
}

func appendVerb(dst []byte, op *protocol.Operation) []byte {
	dst = append(dst, `,"action":{"verb":`...)
	dst = appendText(dst, string(op.Verb))
	dst = append(dst, `,"access":`...)
	return appendAccess(dst, op.Access)
}

func appendFacts(dst []byte, op *protocol.Operation) []byte {
	dst = appendVerb(dst, op)
	if len(op.Objects) > 0 {
		dst = append(dst, `,"objects":`...)
		for i := range op.Objects {
			o := &op.Objects[i]
			dst = append(dst, separator(i))
			dst = append(dst, `{"kind":`...)
			dst = appendText(dst, o.Kind)
			dst = append(dst, `,"name":`...)
			dst = appendText(dst, o.Name)
			dst = append(dst, `,"access":`...)
			dst = appendAccess(dst, o.Access)
			dst = append(dst, '}')
		}
		dst = append(dst, ']')
	}
	dst = appendColumns(dst, `,"reads":`, op.Reads)
	dst = appendBool(dst, `,"reads_known":`, op.ReadsKnown)
	dst = appendColumns(dst, `,"writes":`, op.Writes)
	dst = appendField(dst, `,"fingerprint":`, op.Fingerprint)
	return dst
}
