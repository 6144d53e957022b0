package mask

import "encoding/binary"

// stars is what takes the place of text that is hidden whole.
const stars = "***"

// zero returns the type's safe value, which says nothing about the value it
// replaces, or nil where there is none. Days are 1970-01-01, since drivers
// agree about it; numbers are 0; what can be empty is empty.
func (t Type) zero() []byte {
	if t.Encoding == PostgresBinary {
		return t.zeroPostgresBinary()
	}
	switch t.Kind {
	case Text, Padded, XML, TSVector:
		return []byte{}
	case Char:
		return []byte("*")
	case JSON, JSONB:
		return []byte("null")
	case Int2, Int4, Int8, OID, Float4, Float8, Numeric:
		return []byte("0")
	case Bool:
		return []byte("f")
	case Date:
		return []byte("1970-01-01")
	case Time, Interval:
		return []byte("00:00:00")
	case TimeTZ:
		return []byte("00:00:00+00")
	case Timestamp:
		return []byte("1970-01-01 00:00:00")
	case TimestampTZ:
		return []byte("1970-01-01 00:00:00+00")
	case UUID:
		return []byte("00000000-0000-0000-0000-000000000000")
	case Bytes:
		return []byte(`\x`)
	case Inet:
		return []byte("0.0.0.0")
	case CIDR:
		return []byte("0.0.0.0/32")
	case MAC:
		return []byte("00:00:00:00:00:00")
	case MAC8:
		return []byte("00:00:00:00:00:00:00:00")
	case Array:
		return []byte("{}")
	case Range:
		return []byte("empty")
	}
	return nil
}

// Moments in PostgreSQL's binary format count from 2000-01-01.
const (
	daysTo2000   = 10957
	microsTo2000 = daysTo2000 * 24 * 60 * 60 * 1_000_000
)

func (t Type) zeroPostgresBinary() []byte {
	be := binary.BigEndian
	switch t.Kind {
	case Text, Padded, XML, Bytes:
		return []byte{}
	case Char:
		return []byte("*")
	case JSON:
		return []byte("null")
	case JSONB:
		return []byte("\x01null")
	case Bool:
		return make([]byte, 1)
	case Int2:
		return make([]byte, 2)
	case Int4, OID, Float4, TSVector:
		return make([]byte, 4)
	case Int8, Float8, Numeric, Time: // numeric: no digits, weight 0, positive, scale 0
		return make([]byte, 8)
	case TimeTZ:
		return make([]byte, 12)
	case Interval, UUID:
		return make([]byte, 16)
	case Date:
		return be.AppendUint32(nil, ^uint32(daysTo2000-1))
	case Timestamp, TimestampTZ:
		return be.AppendUint64(nil, ^uint64(microsTo2000-1))
	case Inet:
		return []byte{2, 32, 0, 4, 0, 0, 0, 0} // family, bits, is a network, length
	case CIDR:
		return []byte{2, 32, 1, 4, 0, 0, 0, 0}
	case MAC:
		return make([]byte, 6)
	case MAC8:
		return make([]byte, 8)
	case Array: // no dimensions, no NULLs, element type
		return be.AppendUint32(make([]byte, 8, 12), t.Elem)
	case Range:
		return []byte{1} // flag: empty
	}
	return nil
}

// redacted returns what stands for a value that is hidden whole: stars where
// the type can hold them, so that nobody takes it for data, else its zero.
func (t Type) redacted() []byte {
	switch t.Kind {
	case Text, Padded, XML:
		return []byte(stars)
	case JSON, JSONB:
		return t.json([]byte(`"` + stars + `"`))
	}
	return t.zero()
}

// json returns doc as a value of t, whose kind is JSON or JSONB.
func (t Type) json(doc []byte) []byte {
	if t.Kind == JSONB && t.Encoding == PostgresBinary {
		return append([]byte{1}, doc...)
	}
	return doc
}
