package audit

import (
	"bytes"
	"errors"
	"strconv"
)

// leafStart is how every leaf begins. It cannot occur inside one: within a
// JSON string a quotation mark follows a backslash. The search for the next
// frame behind damage relies on that.
const leafStart = `{"v":1,"seq":`

// A leafHead is what scanning needs of a leaf, without decoding JSON.
type leafHead struct {
	seq     uint64
	kind    Kind
	command uint64
	session []byte // as it stands in the JSON string; nil if absent
}

var errLeaf = errors.New("not an event of version 1")

// parseHead reads the fields at the leaf's start, whose order and form are
// part of the format: v, seq, time, kind, command, session.
func parseHead(b []byte) (h leafHead, err error) {
	rest, ok := bytes.CutPrefix(b, []byte(leafStart))
	if !ok {
		return h, errLeaf
	}
	if h.seq, rest, ok = cutUint(rest); !ok {
		return h, errLeaf
	}
	if rest, ok = bytes.CutPrefix(rest, []byte(`,"time":"`)); !ok {
		return h, errLeaf
	}
	_, rest, ok = bytes.Cut(rest, []byte(`","kind":"`))
	if !ok {
		return h, errLeaf
	}
	kind, rest, ok := bytes.Cut(rest, []byte{'"'})
	if !ok {
		return h, errLeaf
	}
	h.kind = internKind(kind)
	if r, ok := bytes.CutPrefix(rest, []byte(`,"command":`)); ok {
		if h.command, rest, ok = cutUint(r); !ok {
			return h, errLeaf
		}
	}
	if r, ok := bytes.CutPrefix(rest, []byte(`,"session":"`)); ok {
		i := 0
		for ; i < len(r) && r[i] != '"'; i++ {
			if r[i] == '\\' {
				i++
			}
		}
		if i >= len(r) {
			return h, errLeaf
		}
		h.session = r[:i]
	}
	return h, nil
}

// internKind returns a known kind without allocating.
func internKind(b []byte) Kind {
	switch k := Kind(b); k {
	case CommandDecided:
		return CommandDecided
	case CommandCompleted:
		return CommandCompleted
	default:
		return k
	}
}

func cutUint(b []byte) (n uint64, rest []byte, ok bool) {
	i := 0
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	if i == 0 || i > 20 {
		return 0, b, false
	}
	n, err := strconv.ParseUint(string(b[:i]), 10, 64)
	return n, b[i:], err == nil
}
