package mask

// A Transform says what takes the place of a value. The ones of this package
// are immutable and safe for use by many goroutines; so must others be.
type Transform interface {
	// Bind returns the function for values of type t. An error means that the
	// transform itself makes no sense; a type that it was not made for is no
	// error, its values are hidden whole.
	Bind(t Type) (Func, error)
}

// A Func masks one value: it appends to dst, a buffer of length 0 that does
// not overlap in, and returns the result; nil is NULL, an empty slice is not.
// in is never nil and is neither changed nor kept. A Func may own state: it is
// for one goroutine at a time.
type Func func(dst, in []byte) []byte

// A transform is a Transform that is made of a Bind function.
type transform struct {
	name string
	bind func(Type) (Func, error)
}

func transformOf(name string, bind func(Type) (Func, error)) Transform { return transform{name, bind} }

func (t transform) Bind(to Type) (Func, error) { return t.bind(to) }

func (t transform) String() string { return t.name }

// constant returns the Func whose result is always v.
func constant(v []byte) Func {
	if v == nil {
		return func(_, _ []byte) []byte { return nil }
	}
	return func(dst, _ []byte) []byte {
		if dst == nil {
			dst = []byte{} // an empty value is not NULL
		}
		return append(dst, v...)
	}
}

// Null replaces values with NULL.
func Null() Transform {
	return transformOf("null", func(Type) (Func, error) { return constant(nil), nil })
}

// Default replaces values with the plainest one of their type: empty text, 0,
// false, 1970-01-01, JSON null, the empty array; NULL for types without one.
func Default() Transform {
	return transformOf("default", func(t Type) (Func, error) { return constant(t.zero()), nil })
}

// Redact replaces text with "***", so that nobody takes it for data, and
// values of other types like [Default].
func Redact() Transform {
	return transformOf("redact", func(t Type) (Func, error) { return constant(t.redacted()), nil })
}

// Show shows values as they are: the transform of a rule that takes something out
// of the rules behind it. What may be anything, such as a whole row, it takes out
// of nothing.
func Show() Transform { return show{} }

type show struct{}

// Bind implements [Transform].
func (show) Bind(Type) (Func, error) {
	return func(dst, in []byte) []byte { return append(notNil(dst), in...) }, nil
}

func (show) String() string { return "show" }

// shows reports whether the rule masks nothing.
func (r *Rule) shows() bool {
	_, ok := r.Transform.(show)
	return ok
}

// Zero returns what a transform that was bound to type t makes of NULL where that
// is not to show either, see [Rule.Nulls]: its result for the plainest value of the
// type.
func (t Type) Zero(f Func) []byte {
	zero := t.zero()
	if zero == nil {
		return nil
	}
	return f(nil, zero)
}
