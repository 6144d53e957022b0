package pgsql

import (
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// What of somebody's own runs for values of a type, as a set of bits.
type typeCode uint8

const (
	extensionCode typeCode = 1 << iota // the compiled code of an extension, which depends on the value alone
	readingCode                        // what reads a literal, such as the constraint of a domain
	castingCode                        // a function that turns the value into another type
	unaskedCode                        // the same, also where no cast is written
)

// codeOf returns what runs for values of a type and of what it is made of. What
// is not known may be anything.
func (p *pass) codeOf(oid uint32) typeCode { return p.codeWithin(oid, 0) }

func (p *pass) codeWithin(oid uint32, depth int) typeCode {
	c := p.catalog()
	if c == nil || oid == 0 || depth > 16 || !p.step(1) {
		return readingCode | castingCode
	}
	if oid < sql.FirstUserOID {
		return 0
	}
	t := c.Type(oid)
	if t == nil {
		return readingCode | castingCode
	}
	var out typeCode
	if c.HasUserCast(oid) {
		if out |= castingCode; c.HasImplicitCast(oid) {
			out |= unaskedCode
		}
	}
	switch {
	case t.Kind == 'e':
	case t.Kind == 'd', t.Kind == 'r':
		if !t.Trusted {
			out |= readingCode
		}
		out |= p.codeWithin(t.Base, depth+1)
	case t.Kind == 'b' && t.Element != 0:
		out |= p.codeWithin(t.Element, depth+1)
	case t.Kind == 'b' && t.Trusted:
		out |= extensionCode
	case t.Kind == 'c' && c.Relation(t.Relation) != nil:
		for _, k := range c.Relation(t.Relation).Columns {
			out |= p.codeWithin(k.Type, depth+1)
		}
	default:
		out |= readingCode
	}
	return out
}

// harmlessType reports whether reading, showing and comparing values of a type
// runs built-in code only.
func (p *pass) harmlessType(oid uint32) bool {
	return p.codeOf(oid) == 0 && p.catalog() != nil && !p.catalog().HasUserCast(oid)
}

// trustedType reports whether only the code of an extension, or of the server,
// reads values of a type.
func (p *pass) trustedType(oid uint32) bool {
	return p.codeOf(oid)&^extensionCode == 0 && p.catalog() != nil && !p.catalog().HasUserCast(oid)
}

// baseOf returns what a domain stands on, and any other type as it is.
func (p *pass) baseOf(oid uint32) uint32 {
	for range 16 {
		t := (*sql.Type)(nil)
		if c := p.catalog(); c != nil {
			t = c.Type(oid)
		}
		if t == nil || t.Kind != 'd' {
			return oid
		}
		oid = t.Base
	}
	return 0
}

// beside judges values that stand together as the operands of one operator, the
// choices of one value or the arguments of one function: a literal among them is
// read as a value of the others' type. As the server does it, in operators and
// choices it is never read as a domain but as what the domain stands on; a
// function that takes any type keeps domains.
func (p *pass) beside(keepsDomains bool, list ...sql.Value) {
	literals, code, unclear := 0, typeCode(0), false
	for i := range list {
		switch typ := list[i].Type; {
		case list[i].Literal:
			literals++
		case typ == 0:
			unclear = true
		case keepsDomains:
			code |= p.codeOf(typ)
		case typ >= sql.FirstUserOID:
			code |= p.codeOf(p.baseOf(typ))
		}
	}
	if code&unaskedCode != 0 {
		p.runs(whyCast)
	}
	if code&readingCode != 0 && literals > 0 {
		p.runs("a literal is read as a value of a type that is user-defined")
	}
	if unclear {
		p.unclear = true
	} else {
		p.loose -= literals
	}
}

// alone notes that a literal is read as text, or as a value of another type that
// came with the server.
func (p *pass) alone(v sql.Value) {
	if v.Literal {
		p.loose--
	}
}

const whyCast = "a value may be cast by a function that is user-defined"

// asJSON judges values of which JSON is made: what has a cast to it is cast.
func (p *pass) asJSON(list ...sql.Value) {
	for i := range list {
		switch typ := list[i].Type; {
		case typ == 0:
			p.json = true
		case typ >= sql.FirstUserOID && p.codeOf(typ)&castingCode != 0:
			p.runs(whyCast)
		}
	}
}

// unclearTypes counts the worst where it is not known of which type a value is
// that a literal stands beside, or that may be cast, in a statement with values
// of types for which that runs code.
func (p *pass) unclearTypes() {
	if (p.loose > 0 || p.populated) && p.code&readingCode != 0 {
		p.runs("a literal may be read as a value of a type that is user-defined")
	}
	if p.unclear && p.code&unaskedCode != 0 || p.json && p.code&castingCode != 0 {
		p.runs(whyCast)
	}
}
