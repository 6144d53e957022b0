package httpproxy

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// descriptors are the Protocol Buffers definitions of what a target's gRPC
// services take and return. They do not change.
type descriptors struct {
	files *protoregistry.Files
	types *dynamicpb.Types
}

// parseDescriptors reads a FileDescriptorSet, as protoc writes with
// --include_imports and --descriptor_set_out.
func parseDescriptors(b []byte) (*descriptors, error) {
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(b, &set); err != nil {
		return nil, errors.New("not a FileDescriptorSet, which protoc writes with --descriptor_set_out")
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		return nil, fmt.Errorf("%w (protoc adds what is imported with --include_imports)", err)
	}
	services := 0
	files.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		services += f.Services().Len()
		return true
	})
	if services == 0 {
		return nil, errors.New("there is no service in it")
	}
	return &descriptors{files, dynamicpb.NewTypes(files)}, nil
}

// output returns what the method at a path, /package.Service/Method, returns;
// nil: it is not known.
func (d *descriptors) output(path string) protoreflect.MessageDescriptor {
	service, method, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	found, err := d.files.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return nil
	}
	if s, ok := found.(protoreflect.ServiceDescriptor); ok {
		if m := s.Methods().ByName(protoreflect.Name(method)); m != nil {
			return m.Output()
		}
	}
	return nil
}

// any returns what is in a google.protobuf.Any of that type; nil: it is not
// known.
func (d *descriptors) any(url string) protoreflect.MessageDescriptor {
	found, err := d.files.FindDescriptorByName(protoreflect.FullName(url[strings.LastIndexByte(url, '/')+1:]))
	if err != nil {
		return nil
	}
	m, _ := found.(protoreflect.MessageDescriptor)
	return m
}

// Bounds of a message that is looked into. Two bytes of it can be a value that takes
// some hundred in memory.
const (
	maxValues       = 1 << 18
	maxMessageDepth = 60 // a mask goes no deeper than 64
)

var (
	errUndescribed = refuse(http.StatusForbidden, "a message holds what the descriptors of the target do not describe, and a step has to look into it")
	errValues      = errors.New("a message of too many values to be looked at")
	errMessage     = errors.New("a message that is not what its descriptor says")
)

// message returns the message of a type that b holds, if it is described as a
// whole and within the bounds.
func (d *descriptors) message(t protoreflect.MessageDescriptor, b []byte) (*dynamicpb.Message, error) {
	left := maxValues
	if err := d.check(t, b, &left, maxMessageDepth); err != nil {
		return nil, err
	}
	m := dynamicpb.NewMessage(t)
	o := proto.UnmarshalOptions{AllowPartial: true, Resolver: d.types, RecursionLimit: maxMessageDepth + 1}
	if err := o.Unmarshal(b, m); err != nil {
		return nil, errMessage // whose text may quote the message
	}
	return m, nil
}

// field returns the field of that number, an extension too, or nil.
func (d *descriptors) field(t protoreflect.MessageDescriptor, n protowire.Number) protoreflect.FieldDescriptor {
	if f := t.Fields().ByNumber(n); f != nil {
		return f
	}
	if x, err := d.types.FindExtensionByNumber(t.FullName(), n); err == nil {
		return x.TypeDescriptor()
	}
	return nil
}

// check counts what is in a message before memory is taken for it. What nobody
// has described is an error.
func (d *descriptors) check(t protoreflect.MessageDescriptor, b []byte, left *int, depth int) error {
	if depth == 0 {
		return errValues
	}
	isAny := t.FullName() == "google.protobuf.Any"
	var url string
	var inner []byte
	for len(b) > 0 {
		n, wire, tag := protowire.ConsumeTag(b)
		if tag < 0 {
			return errMessage
		}
		size := protowire.ConsumeFieldValue(n, wire, b[tag:])
		if size < 0 {
			return errMessage
		}
		value := b[tag : tag+size]
		b = b[tag+size:]
		if *left--; *left < 0 {
			return errValues
		}
		f := d.field(t, n)
		if f == nil {
			return errUndescribed
		}
		switch wire {
		case protowire.BytesType:
			value, _ = protowire.ConsumeBytes(value)
			switch {
			case isAny && f.Name() == "type_url":
				url = string(value)
			case isAny:
				inner = value
			}
			if f.Message() != nil {
				if err := d.check(f.Message(), value, left, depth-1); err != nil {
					return err
				}
			} else if f.IsList() && f.Kind() != protoreflect.StringKind && f.Kind() != protoreflect.BytesKind { // packed
				if *left -= packed(f.Kind(), value); *left < 0 {
					return errValues
				}
			}
		case protowire.StartGroupType:
			value, _ = protowire.ConsumeGroup(n, value)
			if f.Message() == nil {
				return errUndescribed
			}
			if err := d.check(f.Message(), value, left, depth-1); err != nil {
				return err
			}
		}
	}
	if len(inner) == 0 {
		return nil
	}
	if t = d.any(url); t == nil {
		return errUndescribed
	}
	return d.check(t, inner, left, depth-1)
}

// packed returns how many numbers are in a packed field.
func packed(k protoreflect.Kind, b []byte) int {
	switch k {
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return len(b) / 4
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return len(b) / 8
	}
	n := 0
	for _, c := range b {
		if c < 0x80 {
			n++
		}
	}
	return n
}
