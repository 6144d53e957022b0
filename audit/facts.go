package audit

import (
	"slices"
	"unsafe"

	"github.com/sallyport-dev/gateway/protocol"
)

// A factCache keeps what was written of operations last: most do what one
// before them did.
type factCache [256]writtenFacts

// writtenFacts are the facts of an operation and what was written of them.
type writtenFacts struct {
	verb        protocol.Verb
	access      protocol.Access
	readsKnown  bool
	fingerprint string
	objects     []protocol.Object
	reads       []protocol.ColumnRef
	writes      []protocol.ColumnRef
	text        []byte
}

// of reports whether w was written of an operation that does what op does.
// Where both share their texts that is a matter of addresses.
func (w *writtenFacts) of(op *protocol.Operation) bool {
	return w.text != nil && w.verb == op.Verb && w.access == op.Access && w.readsKnown == op.ReadsKnown && w.fingerprint == op.Fingerprint &&
		slices.Equal(w.objects, op.Objects) && slices.Equal(w.reads, op.Reads) && slices.Equal(w.writes, op.Writes)
}

// append appends what op does, up to its text. A nil cache keeps nothing.
func (c *factCache) append(dst []byte, op *protocol.Operation) []byte {
	if c == nil || op.Fingerprint == "" {
		return appendFacts(dst, op)
	}
	// Connectors analyse a statement once and share what they find.
	w := &c[uintptr(unsafe.Pointer(unsafe.StringData(op.Fingerprint)))>>4%uintptr(len(c))]
	if w.of(op) {
		return append(dst, w.text...)
	}
	n := len(dst)
	dst = appendFacts(dst, op)
	if len(dst)-n <= maxFacts {
		*w = writtenFacts{op.Verb, op.Access, op.ReadsKnown, op.Fingerprint, slices.Clone(op.Objects), slices.Clone(op.Reads), slices.Clone(op.Writes), slices.Clone(dst[n:])}
	}
	return dst
}

// maxFacts bounds what is kept of one operation.
const maxFacts = 4 << 10

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
