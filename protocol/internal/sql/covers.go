package sql

import (
	"slices"

	"github.com/sallyport-dev/gateway/protocol"
)

// Covers reports whether all that now does is among the facts of op.
func Covers(op, now *protocol.Operation) bool {
	among := func(list, all []protocol.ColumnRef) bool {
		return !slices.ContainsFunc(list, func(c protocol.ColumnRef) bool { return !slices.Contains(all, c) })
	}
	return now.Verb == op.Verb && now.Access&^op.Access == 0 && now.Shape&^op.Shape == 0 &&
		(now.Pure || !op.Pure) && (now.Bounded || !op.Bounded) &&
		(now.ReadsKnown && among(now.Reads, op.Reads) || !op.ReadsKnown) && among(now.Writes, op.Writes) && among(op.Returned, now.Returned) &&
		!slices.ContainsFunc(now.Objects, func(o protocol.Object) bool {
			return !slices.ContainsFunc(op.Objects, func(have protocol.Object) bool {
				return have.Kind == o.Kind && have.Name == o.Name && o.Access&^have.Access == 0
			})
		})
}

// Named reports whether the objects of op are all that it is about.
func Named(op *protocol.Operation) bool {
	return op.ReadsKnown && !op.Access.Has(protocol.Opaque|protocol.Execute)
}

// Holds reports whether now does what op was decided about: all that it does, and all
// that it tells of columns without showing them, is among the facts of op. A step that
// rewrites a statement may add conditions of its own, so that it only has to be covered.
func Holds(op, now *protocol.Operation) bool {
	return Covers(op, now) && infers(op, now)
}

func infers(op, now *protocol.Operation) bool {
	return now.InferredKnown && !slices.ContainsFunc(now.Inferred, func(i protocol.Inference) bool { return !slices.Contains(op.Inferred, i) }) || !op.InferredKnown
}

// SameColumns reports whether what is known of columns before is true of them now.
func SameColumns(before, now []protocol.Column) bool {
	for i := range before {
		if b := &before[i]; b.Known && (i >= len(now) || !now[i].Known || !slices.Equal(b.Sources, now[i].Sources)) {
			return false
		}
	}
	return before == nil || len(before) == len(now)
}

// ErrChanged refuses a statement whose names have come to mean something else since it
// was decided about.
func ErrChanged(step string) error {
	return &protocol.DeniedError{Step: step, Reason: "definitions have just changed, and with them what this reads", Hint: "repeat the statement"}
}
