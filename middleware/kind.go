package middleware

// A Kind is a kind of step that a configuration file can name. Programs pass
// the kinds they know to gateway.Load; nothing registers itself.
type Kind struct {
	Name string
	// New builds a step from its part of the file. decode fills the pointer it
	// is given, and returns an error that names the line for a key that the
	// pointed-to struct does not have.
	New func(decode func(into any) error) (Step, error)
}

// KindOf returns the kind of step that build makes from its settings of type
// T, a struct with yaml tags.
func KindOf[T any](name string, build func(T) (Step, error)) Kind {
	return Kind{Name: name, New: func(decode func(any) error) (Step, error) {
		var t T
		if err := decode(&t); err != nil {
			return Step{}, err
		}
		return build(t)
	}}
}
