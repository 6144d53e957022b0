package policy

import "github.com/sallyport-dev/gateway/protocol"

// An expr is the translation of an expression whose value is a T. It either
// gives CEL's answer or gives up (ok is false): at a label that is not there,
// at a part without a translation. Then CEL evaluates the whole condition from
// the start, so that errors are made and absorbed by CEL alone. Like CEL, an
// expr looks no further than it has to.
//
// nil is what has no translation. The functions below return nil without an
// operand that they need.
type expr[T any] func(*protocol.Operation) (v T, ok bool)

type (
	labels = map[string]string

	// A label is the optional value labels[?name].
	label struct {
		value string
		found bool
	}
)

// as returns x as an expr of T, or nil if it is none.
func as[T any](x any) expr[T] { e, _ := x.(expr[T]); return e }

func hasLabel(ls labels, name string) bool { _, ok := ls[name]; return ok }

func findLabel(ls labels, name string) label { v, ok := ls[name]; return label{v, ok} }

// value returns the label's value, and gives up if there is none.
func value(x expr[label]) expr[string] {
	return when(x, func(l label) (string, bool) { return l.value, l.found })
}

func orValue(x expr[label], y expr[string]) expr[string] {
	if x == nil || y == nil {
		return nil
	}
	return func(op *protocol.Operation) (string, bool) {
		l, ok := x(op)
		if !ok || l.found {
			return l.value, ok
		}
		return y(op)
	}
}

func always[T any](v T) expr[T] {
	return func(*protocol.Operation) (T, bool) { return v, true }
}

func never[T any](*protocol.Operation) (v T, ok bool) { return v, false }

// through returns the function that makes of the expr of an object the expr of
// what get reads from it.
func through[T, V any](get func(T) V) func(object any) any {
	return func(object any) any {
		x := as[T](object)
		if x == nil {
			return nil
		}
		return expr[V](func(op *protocol.Operation) (v V, ok bool) {
			o, ok := x(op)
			if !ok {
				return v, false
			}
			return get(o), true
		})
	}
}

// when applies f to x.
func when[T, V any](x expr[T], f func(T) (V, bool)) expr[V] {
	if x == nil {
		return nil
	}
	return func(op *protocol.Operation) (v V, ok bool) {
		a, ok := x(op)
		if !ok {
			return v, false
		}
		return f(a)
	}
}

// both applies f to x and y.
func both[T, U, V any](x expr[T], y expr[U], f func(T, U) V) expr[V] {
	if x == nil || y == nil || f == nil {
		return nil
	}
	return func(op *protocol.Operation) (v V, ok bool) {
		a, ok := x(op)
		if !ok {
			return v, false
		}
		b, ok := y(op)
		if !ok {
			return v, false
		}
		return f(a, b), true
	}
}

// choice is x or y, as c says. One of the two may have no translation.
func choice[T any](c expr[bool], x, y expr[T]) expr[T] {
	if c == nil || x == nil && y == nil {
		return nil
	}
	if x == nil {
		x = never
	}
	if y == nil {
		y = never
	}
	return func(op *protocol.Operation) (v T, ok bool) {
		first, ok := c(op)
		switch {
		case !ok:
			return v, false
		case first:
			return x(op)
		}
		return y(op)
	}
}
