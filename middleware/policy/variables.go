package policy

import (
	"net/netip"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/sallyport-dev/gateway/protocol"
)

// The object types. They are filled once, below, and never change.
var (
	accessType = newObjectType("Access", accessFields())
	objectDesc = newObjectType("Object", map[string]*fieldType{
		"kind":   stringField(func(o *protocol.Object) string { return o.Kind }),
		"name":   stringField(func(o *protocol.Object) string { return o.Name }),
		"access": field(accessType.cel, func(o *protocol.Object) protocol.Access { return o.Access }, asIs),
	})
	identityType  = newIdentityType()
	toolType      = newToolType()
	targetType    = newTargetType()
	sessionType   = newSessionType()
	inferenceDesc = newObjectType("Inference", map[string]*fieldType{
		"column": stringField(func(i *protocol.Inference) string { return i.ColumnRef.String() }),
		"how":    stringField(func(i *protocol.Inference) string { return i.How.String() }),
	})
	operationType = newOperationType()

	objectTypes = []*objectType{accessType, objectDesc, inferenceDesc, identityType, toolType, targetType, sessionType, operationType}
)

var stringList = types.NewListType(types.StringType)

// A variable is what a condition can name. get never returns nil; expr is the
// same for a translation.
type variable struct {
	name string
	typ  *types.Type
	get  func(*protocol.Operation) any
	expr any
}

func newVariable[T any](name string, typ *types.Type, get func(*protocol.Operation) T) variable {
	return variable{name, typ, func(op *protocol.Operation) any { return get(op) },
		expr[T](func(op *protocol.Operation) (T, bool) { return get(op), true })}
}

var variables = []variable{
	newVariable("identity", identityType.cel, func(op *protocol.Operation) *protocol.Identity { return identityOf(sessionOf(op).Identity) }),
	newVariable("tool", toolType.cel, func(op *protocol.Operation) *protocol.Tool { return &sessionOf(op).Tool }),
	newVariable("target", targetType.cel, func(op *protocol.Operation) *protocol.Resource { return &sessionOf(op).Resource }),
	newVariable("session", sessionType.cel, sessionOf),
	newVariable("operation", operationType.cel, func(op *protocol.Operation) *protocol.Operation { return op }),
	newVariable("now", types.TimestampType, func(op *protocol.Operation) types.Timestamp { return types.Timestamp{Time: nowOf(op)} }),
}

// activation gives CEL the variables of one operation.
type activation struct{ op *protocol.Operation }

// Nobody and nowhere: what the variables show where the session, its identity
// or the one it acts for is missing.
var (
	noSession  = &protocol.SessionInfo{}
	noIdentity = &protocol.Identity{}
)

func sessionOf(op *protocol.Operation) *protocol.SessionInfo {
	if op.Session == nil {
		return noSession
	}
	return op.Session
}

func identityOf(id *protocol.Identity) *protocol.Identity {
	if id == nil {
		return noIdentity
	}
	return id
}

func nowOf(op *protocol.Operation) time.Time {
	if t := op.Started(); !t.IsZero() {
		return t
	}
	return time.Now()
}

// wrap returns the CEL value of a value that a variable or a field holds.
func wrap(v any) (ref.Val, bool) {
	switch v.(type) {
	case *protocol.Operation:
		return object{operationType, v}, true
	case *protocol.Identity:
		return object{identityType, v}, true
	case *protocol.SessionInfo:
		return object{sessionType, v}, true
	case *protocol.Resource:
		return object{targetType, v}, true
	case *protocol.Tool:
		return object{toolType, v}, true
	case *protocol.Object:
		return object{objectDesc, v}, true
	case *protocol.Inference:
		return object{inferenceDesc, v}, true
	case protocol.Access:
		return object{accessType, v}, true
	}
	return nil, false
}

func accessFields() map[string]*fieldType {
	m := map[string]*fieldType{}
	for _, class := range []protocol.Access{protocol.Read, protocol.Write, protocol.Schema, protocol.Admin,
		protocol.Execute, protocol.Control, protocol.Opaque} {
		m[class.String()] = boolField(func(a protocol.Access) bool { return a.Has(class) })
	}
	return m
}

func newIdentityType() *objectType {
	type id = *protocol.Identity
	t := newObjectType("Identity", map[string]*fieldType{
		"issuer":  stringField(func(i id) string { return i.Issuer }),
		"subject": stringField(func(i id) string { return i.Subject }),
		"name":    stringField(func(i id) string { return i.Name }),
		"email":   stringField(func(i id) string { return i.Email }),
		"kind":    stringField(func(i id) string { return string(i.Kind) }),
		"method":  stringField(func(i id) string { return i.Method }),
		"groups":  stringsField(func(i id) []string { return i.Groups }),
		"claims":  field(types.NewMapType(types.StringType, types.DynType), func(i id) map[string]any { return i.Claims }, asIs),
	})
	t.fields["on_behalf_of"] = optional(t.cel, func(i id) bool { return i.OnBehalfOf != nil },
		func(i id) id { return identityOf(i.OnBehalfOf) }, asIs)
	return t
}

func newToolType() *objectType {
	type tool = *protocol.Tool
	return newObjectType("Tool", map[string]*fieldType{
		"name":     stringField(func(t tool) string { return t.Name }),
		"version":  stringField(func(t tool) string { return t.Version }),
		"raw":      stringField(func(t tool) string { return t.Raw }),
		"attested": boolField(func(t tool) bool { return t.Attested }),
	})
}

func newTargetType() *objectType {
	type res = *protocol.Resource
	return newObjectType("Target", map[string]*fieldType{
		"name":     stringField(func(r res) string { return r.Name }),
		"protocol": stringField(func(r res) string { return r.Protocol }),
		"labels":   field(types.NewMapType(types.StringType, types.StringType), func(r res) map[string]string { return r.Labels }, asIs),
	})
}

func newSessionType() *objectType {
	type info = *protocol.SessionInfo
	return newObjectType("Session", map[string]*fieldType{
		"user":     stringField(func(s info) string { return s.User }),
		"database": stringField(func(s info) string { return s.Database }),
		"remote":   stringField(func(s info) string { return addrOf(s.Remote) }),
		"tls":      boolField(func(s info) bool { return s.TLS }),
	})
}

// addrOf returns the IP address of "ip:port" in the form that CEL's network
// functions accept, or remote itself if it is something else.
func addrOf(remote string) string {
	if ap, err := netip.ParseAddrPort(remote); err == nil {
		return ap.Addr().Unmap().WithZone("").String()
	}
	if a, err := netip.ParseAddr(remote); err == nil {
		return a.Unmap().WithZone("").String()
	}
	return remote
}

func newOperationType() *objectType {
	type oper = *protocol.Operation
	return newObjectType("Operation", map[string]*fieldType{
		"verb":        stringField(func(o oper) string { return string(o.Verb) }),
		"text":        stringField(func(o oper) string { return o.Text }),
		"fingerprint": stringField(func(o oper) string { return o.Fingerprint }),
		"why":         stringField(func(o oper) string { return o.Why }),
		"pure":        boolField(func(o oper) bool { return o.Pure }),
		"bounded":     boolField(func(o oper) bool { return o.Bounded }),
		"reads_known": boolField(func(o oper) bool { return o.ReadsKnown }),
		"prepare":     boolField(func(o oper) bool { return o.Prepare }),
		"in_tx":       boolField(func(o oper) bool { return o.InTx }),
		"no_wait":     boolField(func(o oper) bool { return o.NoWait }),
		"access":      field(accessType.cel, func(o oper) protocol.Access { return o.Access }, asIs),
		"risk":        field(types.IntType, func(o oper) int64 { return int64(o.Risk) }, func(n int64) any { return types.Int(n) }),
		"risk_why":    stringsField(func(o oper) []string { return o.RiskWhy }),
		"args": field(stringList, func(o oper) []protocol.Arg { return o.Args }, func(a []protocol.Arg) any {
			return newList(a, func(a *protocol.Arg) ref.Val { return types.String(a.Text) })
		}),
		"reads": field(stringList, func(o oper) []protocol.ColumnRef { return o.Reads }, columnNames),
		"inferred": field(types.NewListType(inferenceDesc.cel), func(o oper) []protocol.Inference { return o.Inferred }, func(is []protocol.Inference) any {
			return newList(is, func(x *protocol.Inference) ref.Val { return object{inferenceDesc, x} })
		}),
		"inferred_known": boolField(func(o oper) bool { return o.InferredKnown }),
		"writes":         field(stringList, func(o oper) []protocol.ColumnRef { return o.Writes }, columnNames),
		"objects": field(types.NewListType(objectDesc.cel), func(o oper) []protocol.Object { return o.Objects }, func(os []protocol.Object) any {
			return newList(os, func(x *protocol.Object) ref.Val { return object{objectDesc, x} })
		}),
	})
}

func stringsField[T any](get func(T) []string) *fieldType {
	return field(stringList, get, func(s []string) any { return stringsOf(s) })
}

func columnNames(cs []protocol.ColumnRef) any {
	return newList(cs, func(c *protocol.ColumnRef) ref.Val { return types.String(c.String()) })
}
