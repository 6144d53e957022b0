package policy

import (
	"fmt"
	"reflect"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// A list shows a slice to CEL and makes an element's value only when it is
// looked at.
type list[T any] struct {
	elems []T
	val   func(*T) ref.Val
}

var _ traits.Lister = (*list[string])(nil)

func newList[T any](elems []T, val func(*T) ref.Val) *list[T] { return &list[T]{elems, val} }

func stringsOf(s []string) *list[string] {
	return newList(s, func(e *string) ref.Val { return types.String(*e) })
}

func (l *list[T]) Type() ref.Type { return types.ListType }
func (l *list[T]) Value() any     { return l.elems }
func (l *list[T]) Size() ref.Val  { return types.Int(len(l.elems)) }

func (l *list[T]) Get(index ref.Val) ref.Val {
	i, err := types.GetOrError(index)
	if err != nil {
		return types.WrapErr(err)
	}
	if i < 0 || i >= len(l.elems) {
		return types.NewErr("index %d is out of range in a list of %d", i, len(l.elems))
	}
	return l.val(&l.elems[i])
}

func (l *list[T]) Contains(value ref.Val) ref.Val {
	// Strings are compared without making CEL values of the elements.
	if s, ok := any(l.elems).([]string); ok {
		v, ok := value.(types.String)
		for i := range s {
			if ok && s[i] == string(v) {
				return types.True
			}
		}
		return types.False
	}
	for i := range l.elems {
		if types.Equal(l.val(&l.elems[i]), value) == types.True {
			return types.True
		}
	}
	return types.False
}

func (l *list[T]) Iterator() traits.Iterator { return &iterator[T]{list: l} }

// plain returns the same elements as one of CEL's own lists.
func (l *list[T]) plain() traits.Lister {
	vals := make([]ref.Val, len(l.elems))
	for i := range l.elems {
		vals[i] = l.val(&l.elems[i])
	}
	return types.NewRefValList(world, vals)
}

func (l *list[T]) Add(other ref.Val) ref.Val                   { return l.plain().Add(other) }
func (l *list[T]) Equal(other ref.Val) ref.Val                 { return l.plain().Equal(other) }
func (l *list[T]) ConvertToNative(t reflect.Type) (any, error) { return l.plain().ConvertToNative(t) }

func (l *list[T]) ConvertToType(t ref.Type) ref.Val {
	switch t {
	case types.ListType:
		return l
	case types.TypeType:
		return types.ListType
	}
	return types.NewErr("a list is no %s", t.TypeName())
}

type iterator[T any] struct {
	list *list[T]
	next int
}

func (it *iterator[T]) HasNext() ref.Val { return types.Bool(it.next < len(it.list.elems)) }

func (it *iterator[T]) Next() ref.Val {
	if it.next >= len(it.list.elems) {
		return nil
	}
	it.next++
	return it.list.val(&it.list.elems[it.next-1])
}

func (it *iterator[T]) Type() ref.Type        { return types.IteratorType }
func (it *iterator[T]) Value() any            { return nil }
func (it *iterator[T]) Equal(ref.Val) ref.Val { return types.False }

func (it *iterator[T]) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("an iterator is no %v", t)
}

func (it *iterator[T]) ConvertToType(t ref.Type) ref.Val {
	return types.NewErr("an iterator is no %s", t.TypeName())
}
