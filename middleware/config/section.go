package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// An Error is a mistake in a configuration file, with its place.
type Error struct {
	File         string
	Line, Column int // from 1; 0 if the mistake has no place
	Err          error
}

// Error returns the mistake behind its place, as compilers write it.
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Err.Error()
	}
	return fmt.Sprintf("%s:%d:%d: %v", e.File, e.Line, e.Column, e.Err)
}

// Unwrap returns the mistake without its place.
func (e *Error) Unwrap() error { return e.Err }

// A Section is a part of a file whose content somebody else understands. The
// zero Section has no content.
type Section struct {
	file string
	node ast.Node     // nil or a null: there is nothing
	key  *token.Token // the key it stands behind, or nil
	in   *token.Token // where the entry around it begins, or nil
}

// Decode fills the pointed-to value from the section, strictly, and leaves it
// as it is if the section is empty. It has the form that middleware.Kind asks
// for.
func (s Section) Decode(into any) error { return s.decode(into, yaml.Strict()) }

// Peek is Decode for readers that understand a part of the section only: keys
// that the pointed-to value does not have are passed over.
func (s Section) Peek(into any) error { return s.decode(into) }

func (s Section) decode(into any, opts ...yaml.DecodeOption) error {
	if s.node == nil || s.node.Type() == ast.NullType {
		return nil
	}
	if err := yaml.NodeToValue(s.node, into, opts...); err != nil {
		return s.at("", err)
	}
	return nil
}

// Fail returns err as an [Error] about what the section holds: at the place
// that err names, if it comes from Decode, else at the section's own. what,
// which may be empty, says what failed.
func (s Section) Fail(what string, err error) error { return s.at(what, err) }

func (s Section) at(what string, err error) error {
	e := &Error{File: s.file}
	for _, t := range []*token.Token{s.key, s.in} {
		if t != nil && e.Line == 0 {
			e.Line, e.Column = t.Position.Line, t.Position.Column
		}
	}
	if e.Line == 0 && s.node != nil {
		e.Line, e.Column = start(s.node)
	}
	msg := err.Error()
	var placed *Error
	var y yaml.Error
	switch {
	case errors.As(err, &placed):
		e.Line, e.Column = placed.Line, placed.Column
		err, msg = placed.Err, strings.ReplaceAll(msg, placed.Error(), placed.Err.Error())
	case errors.As(err, &y):
		err, msg = nil, messageOf(y)
		if t := y.GetToken(); t != nil && t.Position != nil {
			e.Line, e.Column = t.Position.Line, t.Position.Column
		}
	case msg == "does not implemented Unmarshaler": // of the YAML package, without a place
		msg = "a list or keys in the place of a text"
	}
	if what = strings.TrimSpace(what); what != "" && !strings.HasPrefix(msg, what+": ") {
		msg = what + ": " + msg
	}
	e.Err = &explained{msg, err}
	return e
}

// messageOf returns what err says without the source text that its Error
// quotes around the place, which may be a secret's.
func messageOf(err yaml.Error) string {
	if o, ok := err.(*yaml.OverflowError); ok {
		return fmt.Sprintf("the number is out of the range of %s", o.DstType)
	}
	return err.GetMessage()
}

// explained is an error with another text, and none below it if that would
// quote the file.
type explained struct {
	msg string
	err error
}

func (e *explained) Error() string { return e.msg }
func (e *explained) Unwrap() error { return e.err }

// start returns where a node begins. A mapping's own token is its first colon.
func start(n ast.Node) (line, column int) {
	if m, ok := n.(ast.MapNode); ok {
		if it := m.MapRange(); it.Next() {
			n = it.Key()
		}
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line, t.Position.Column
	}
	return 0, 0
}

// empty returns a section without content at the place of s.
func (s Section) empty() Section {
	e := Section{file: s.file, in: s.in, key: s.key}
	if e.in == nil && s.node != nil {
		e.in = s.node.GetToken()
	}
	return e
}

// each calls f for every key of a mapping and joins its errors.
func (s Section) each(f func(key string, value Section) error) error {
	if s.node == nil || s.node.Type() == ast.NullType {
		return nil
	}
	m, ok := s.node.(ast.MapNode)
	if !ok {
		return s.Fail("", fmt.Errorf("want keys with values here, not %s", strings.ToLower(s.node.Type().YAMLName())))
	}
	var errs []error
	for it := m.MapRange(); it.Next(); {
		key := it.Key().GetToken()
		if it.Key().IsMergeKey() {
			errs = append(errs, Section{file: s.file, key: key}.Fail("", errors.New("merge keys are not supported")))
			continue
		}
		errs = append(errs, f(key.Value, Section{file: s.file, node: it.Value(), key: key}))
	}
	return errors.Join(errs...)
}

// items calls f for every entry of a list and joins its errors.
func (s Section) items(f func(Section) error) error {
	if s.node == nil || s.node.Type() == ast.NullType {
		return nil
	}
	l, ok := s.node.(*ast.SequenceNode)
	if !ok {
		return s.Fail("", fmt.Errorf("%s: want a list here, each entry behind a dash", s.key.Value))
	}
	var errs []error
	for _, n := range l.Values {
		errs = append(errs, f(Section{file: s.file, node: n}))
	}
	return errors.Join(errs...)
}

func names[V any](m map[string]V) string {
	return strings.Join(slices.Sorted(maps.Keys(m)), ", ")
}
