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
	fields map[string]*fieldType
}

// A fieldType describes a field to CEL. For a translation (native.go), get and
// set turn the expr of an object into the expr of the field's value and into
// that of has(...); nil if the object's expr is of another type.
type fieldType struct {
	types.FieldType
	get, set func(object any) any
}

func newObjectType(name string, fields map[string]*fieldType) *objectType {
	return &objectType{name: name, fields: fields,
		cel: types.NewObjectType(name, traits.FieldTesterType, traits.IndexerType)}
}

// field describes a field of the Go type T that get reads and that CEL sees
// through val.
func field[T, V any](t *types.Type, get func(T) V, val func(V) any) *fieldType {
	return optional(t, func(T) bool { return true }, get, val)
}

// optional describes a field that has(...) may find unset.
func optional[T, V any](t *types.Type, set func(T) bool, get func(T) V, val func(V) any) *fieldType {
	return &fieldType{get: through(get), set: through(set), FieldType: types.FieldType{
		Type:  t,
		IsSet: func(v any) bool { o, ok := v.(T); return ok && set(o) },
		GetFrom: func(v any) (any, error) {
			o, ok := v.(T)
			if !ok {
				return nil, fmt.Errorf("no such field on a %T", v)
			}
			return val(get(o)), nil
		},
	}}
}

func stringField[T any](get func(T) string) *fieldType {
	return field(types.StringType, get, func(s string) any { return types.String(s) })
}

func boolField[T any](get func(T) bool) *fieldType {
	return field(types.BoolType, get, func(b bool) any { return types.Bool(b) })
}

// asIs leaves a value for [wrap] and CEL's registry.
func asIs[V any](v V) any { return v }

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
		if !ok {
			return nil, false
		}
		return &f.FieldType, true
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
