package policy

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// An objectType is a struct of package protocol as CEL sees it: each field has
// a type and a function that reads it, so that nothing is looked up by
// reflection when a condition runs.
type objectType struct {
	name   string
	cel    *types.Type
	fields map[string]*types.FieldType
}

func newObjectType(name string, fields map[string]*types.FieldType) *objectType {
	return &objectType{name: name, fields: fields,
		cel: types.NewObjectType(name, traits.FieldTesterType, traits.IndexerType)}
}

// field describes a field of the Go type T.
func field[T any](t *types.Type, get func(T) any) *types.FieldType {
	return &types.FieldType{
		Type:  t,
		IsSet: func(v any) bool { _, ok := v.(T); return ok },
		GetFrom: func(v any) (any, error) {
			o, ok := v.(T)
			if !ok {
				return nil, fmt.Errorf("no such field on a %T", v)
			}
			return get(o), nil
		},
	}
}

// optional describes a field that has(...) may find unset.
func optional[T any](t *types.Type, set func(T) bool, get func(T) any) *types.FieldType {
	f := field(t, get)
	f.IsSet = func(v any) bool { o, ok := v.(T); return ok && set(o) }
	return f
}

func stringField[T any](get func(T) string) *types.FieldType {
	return field(types.StringType, func(o T) any { return types.String(get(o)) })
}

func boolField[T any](get func(T) bool) *types.FieldType {
	return field(types.BoolType, func(o T) any { return types.Bool(get(o)) })
}

// An object is a value of an objectType.
type object struct {
	typ    *objectType
	native any
}

var (
	_ ref.Val            = object{}
	_ traits.Indexer     = object{}
	_ traits.FieldTester = object{}
)

func (o object) Type() ref.Type { return o.typ.cel }
func (o object) Value() any     { return o.native }

func (o object) Equal(other ref.Val) ref.Val {
	p, ok := other.(object)
	return types.Bool(ok && o == p)
}

func (o object) Get(index ref.Val) ref.Val {
	name, ok := index.(types.String)
	f := o.typ.fields[string(name)]
	if !ok || f == nil {
		return types.NewErr("no such field '%v'", index)
	}
	v, err := f.GetFrom(o.native)
	if err != nil {
		return types.WrapErr(err)
	}
	return world.NativeToValue(v)
}

func (o object) IsSet(name ref.Val) ref.Val {
	s, ok := name.(types.String)
	f := o.typ.fields[string(s)]
	if !ok || f == nil {
		return types.NewErr("no such field '%v'", name)
	}
	return types.Bool(f.IsSet(o.native))
}

func (o object) ConvertToNative(t reflect.Type) (any, error) {
	if reflect.TypeOf(o.native).AssignableTo(t) {
		return o.native, nil
	}
	return nil, fmt.Errorf("a %s is no %v", o.typ.name, t)
}

func (o object) ConvertToType(t ref.Type) ref.Val {
	switch t {
	case o.typ.cel:
		return o
	case types.TypeType:
		return o.typ.cel
	}
	return types.NewErr("a %s is no %s", o.typ.name, t.TypeName())
}

// provider knows the object types, and leaves the rest to CEL's registry.
type provider struct {
	*types.Registry
	types map[string]*objectType
}

var (
	_ types.Provider = (*provider)(nil)
	_ types.Adapter  = (*provider)(nil)
)

// FindStructType returns the type called name.
func (p *provider) FindStructType(name string) (*types.Type, bool) {
	if t, ok := p.types[name]; ok {
		return types.NewTypeTypeWithParam(t.cel), true
	}
	return p.Registry.FindStructType(name)
}

// FindStructFieldNames returns the fields of the type called name.
func (p *provider) FindStructFieldNames(name string) ([]string, bool) {
	if t, ok := p.types[name]; ok {
		return slices.Sorted(maps.Keys(t.fields)), true
	}
	return p.Registry.FindStructFieldNames(name)
}

// FindStructFieldType returns a field of the type called name.
func (p *provider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	if t, ok := p.types[name]; ok {
		f, ok := t.fields[field]
		return f, ok
	}
	return p.Registry.FindStructFieldType(name, field)
}

// NativeToValue wraps what the variables hold.
func (p *provider) NativeToValue(v any) ref.Val {
	if o, ok := wrap(v); ok {
		return o
	}
	return p.Registry.NativeToValue(v)
}
