package main

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/sallyport-dev/gateway/middleware/config"
)

// lines gives each of several mistakes in a configuration a line of its own, in
// the order of the file.
func lines(err error) error {
	all := leaves(err)
	if len(all) < 2 {
		return err
	}
	slices.SortStableFunc(all, func(x, y error) int { return cmp.Compare(lineOf(x), lineOf(y)) })
	var b strings.Builder
	b.WriteString("the configuration has mistakes:")
	for _, e := range all {
		b.WriteString("\n" + e.Error())
	}
	return errors.New(b.String())
}

// leaves returns what was joined.
func leaves(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range j.Unwrap() {
			all = append(all, leaves(e)...)
		}
		return all
	}
	return []error{err}
}

func lineOf(err error) int {
	var e *config.Error
	if errors.As(err, &e) {
		return e.Line
	}
	return 0
}
