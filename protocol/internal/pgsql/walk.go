package pgsql

import (
	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// walk calls f for each message in the tree below n, n's own first, until f
// returns false for a message: what is below that one is left out. It is for
// statements whose parts need not be told apart.
func walk(n *pg.Node, f func(m any) bool) {
	if n != nil {
		walkMessage(n.ProtoReflect(), f)
	}
}

func walkMessage(m protoreflect.Message, f func(m any) bool) {
	var pm proto.Message = m.Interface()
	if _, isNode := pm.(*pg.Node); !isNode && !f(pm) {
		return
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.Kind() != protoreflect.MessageKind:
		case fd.IsList():
			for i := range v.List().Len() {
				walkMessage(v.List().Get(i).Message(), f)
			}
		default:
			walkMessage(v.Message(), f)
		}
		return true
	})
}
