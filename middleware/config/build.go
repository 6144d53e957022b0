package config

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// Build returns the steps that the file lists, made by kinds. It reports every
// step that cannot be made, or that does not go with the others, with its place, and
// returns those that were made, which the caller uses or gives to [Close].
func (f *File) Build(kinds []middleware.Kind) ([]middleware.Step, error) {
	var steps []middleware.Step
	var errs []error
	for _, fs := range f.Steps {
		kind, err := Named(fs.Name, kinds, func(k middleware.Kind) string { return k.Name })
		if err != nil {
			errs = append(errs, fs.Settings.Fail("step", err))
			continue
		}
		s, err := kind.New(fs.Settings.Decode)
		if err == nil {
			steps = append(steps, s)
			err = check(s)
		}
		if err != nil {
			errs = append(errs, fs.Settings.Fail("step "+fs.Name, err))
		}
	}
	var misfit *middleware.StepError
	if len(errs) == 0 {
		if _, err := middleware.NewChain(steps...); errors.As(err, &misfit) {
			errs = append(errs, f.Steps[misfit.Index].Settings.Fail("step "+misfit.Name, err))
		}
	}
	return steps, errors.Join(errs...)
}

// Close closes steps that are not going to be used.
func Close(steps []middleware.Step) error {
	var errs []error
	for _, s := range steps {
		if s.Close != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}

// check reports what [middleware.NewChain] has to say about s alone: it would
// say so later, but without the place in the file.
func check(s middleware.Step) error {
	_, err := middleware.NewChain(s, middleware.Step{Name: "record", Role: middleware.RoleRecords,
		Event:  func(context.Context, *protocol.Event) error { return nil },
		Commit: func(context.Context, protocol.Point, []*protocol.Operation) error { return nil }})
	return err
}

// Named returns the one of kinds that has this name, or an error that lists
// the names there are.
func Named[K any](name string, kinds []K, nameOf func(K) string) (K, error) {
	known := make([]string, len(kinds))
	for i, k := range kinds {
		if known[i] = nameOf(k); known[i] == name {
			return k, nil
		}
	}
	var none K
	return none, fmt.Errorf("%q is unknown; known are %s", name, strings.Join(known, ", "))
}
