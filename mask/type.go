package mask

import "strings"

// A Kind says what sort of value a column holds, in no protocol's terms. The
// zero Kind is unknown: every transform turns its values into NULL.
type Kind uint8

// The kinds.
const (
	Unknown     Kind = iota
	Text             // text of any length
	Padded           // text padded with spaces to a fixed length
	Char             // exactly one byte of text
	JSON             // a JSON document
	JSONB            // PostgreSQL's jsonb, whose binary form has a version byte
	XML              // an XML document or fragment
	Int2             // signed 16-bit integer
	Int4             // signed 32-bit integer
	Int8             // signed 64-bit integer
	OID              // unsigned 32-bit integer
	Float4           // 32-bit IEEE 754 number
	Float8           // 64-bit IEEE 754 number
	Numeric          // decimal number of any precision
	Bool             // truth value
	Date             // calendar day
	Time             // time of day
	TimeTZ           // time of day with an offset
	Timestamp        // day and time
	TimestampTZ      // moment in time
	Interval         // span of time
	UUID             // 128-bit identifier
	Bytes            // bytes of any length
	Inet             // IP address
	CIDR             // IP network
	MAC              // 48-bit hardware address
	MAC8             // 64-bit hardware address
	Array            // array of any element type
	Range            // range of any bound type
	TSVector         // text search document
	kinds            // their number
)

// An Encoding says how values travel.
type Encoding uint8

// The encodings. A connector whose protocol has another one adds it here.
const (
	TextEncoding   Encoding = iota // as text, the way PostgreSQL prints it
	PostgresBinary                 // PostgreSQL's binary format (typreceive, typsend)
	encodings                      // their number
)

// A Type is a kind of value and how it travels. The zero Type is unknown.
type Type struct {
	Kind     Kind
	Encoding Encoding
	Elem     uint32 // the element's OID, for arrays in PostgresBinary
}

// Postgres returns the type with PostgreSQL's type number oid. name is the
// type's name where it is known; it serves extension types, whose numbers
// differ between databases. Types that are not built in, enums among them, are
// unknown, except citext.
func Postgres(oid uint32, name string, binary bool) Type {
	t := Type{Kind: postgresKind(oid)}
	if binary {
		t.Encoding = PostgresBinary
	}
	switch {
	case t.Kind == Array:
		t.Elem = postgresElem(oid)
	case t.Kind == Unknown && oid >= firstUserOID && name == "citext":
		t.Kind = Text
	}
	return t
}

// MySQL returns the type that MySQL calls name, with "unsigned" behind it where
// it says so. Values are text; a connector translates those of the binary
// protocol. What is not known has the unknown type, among it text in a character
// set of which ASCII is no part.
func MySQL(name string) Type {
	name, _, _ = strings.Cut(name, " unsigned")
	switch name {
	case "varchar", "char", "text", "enum", "set", "varbinary", "binary", "blob":
		return Type{Kind: Text}
	case "tinyint", "smallint", "year":
		return Type{Kind: Int2}
	case "mediumint", "int":
		return Type{Kind: Int4}
	case "bigint":
		return Type{Kind: Int8}
	case "float", "double":
		return Type{Kind: Float8}
	case "decimal":
		return Type{Kind: Numeric}
	case "date":
		return Type{Kind: Date}
	case "time":
		return Type{Kind: Time}
	case "datetime", "timestamp":
		return Type{Kind: Timestamp}
	case "json":
		return Type{Kind: JSON}
	case "uuid": // of MariaDB
		return Type{Kind: UUID}
	}
	return Type{}
}

// firstUserOID is PostgreSQL's FirstNormalObjectId: lower numbers are built in.
const firstUserOID = 16384

// postgresKind covers the types of src/include/catalog/pg_type.dat whose safe
// value is the same on every server; the others stay unknown: money depends on
// the locale, bit(n) on its length, reg* on the catalog.
func postgresKind(oid uint32) Kind {
	switch oid {
	case 25, 1043, 19, 705: // text, varchar, name, unknown
		return Text
	case 1042: // bpchar
		return Padded
	case 18: // "char"
		return Char
	case 114:
		return JSON
	case 3802:
		return JSONB
	case 142:
		return XML
	case 21:
		return Int2
	case 23:
		return Int4
	case 20:
		return Int8
	case 26:
		return OID
	case 700:
		return Float4
	case 701:
		return Float8
	case 1700:
		return Numeric
	case 16:
		return Bool
	case 1082:
		return Date
	case 1083:
		return Time
	case 1266:
		return TimeTZ
	case 1114:
		return Timestamp
	case 1184:
		return TimestampTZ
	case 1186:
		return Interval
	case 2950:
		return UUID
	case 17:
		return Bytes
	case 869:
		return Inet
	case 650:
		return CIDR
	case 829:
		return MAC
	case 774:
		return MAC8
	case 3904, 3906, 3908, 3910, 3912, 3926: // int4, num, ts, tstz, date, int8
		return Range
	case 3614:
		return TSVector
	}
	if postgresElem(oid) != 0 {
		return Array
	}
	return Unknown
}

// postgresElem returns the element type of a built-in array type, or 0.
func postgresElem(oid uint32) uint32 {
	switch oid {
	case 1000:
		return 16
	case 1001:
		return 17
	case 1002:
		return 18
	case 1003:
		return 19
	case 1005:
		return 21
	case 1007:
		return 23
	case 1009:
		return 25
	case 1014:
		return 1042
	case 1015:
		return 1043
	case 1016:
		return 20
	case 1021:
		return 700
	case 1022:
		return 701
	case 1028:
		return 26
	case 1040:
		return 829
	case 775:
		return 774
	case 1041:
		return 869
	case 651:
		return 650
	case 1115:
		return 1114
	case 1182:
		return 1082
	case 1183:
		return 1083
	case 1185:
		return 1184
	case 1187:
		return 1186
	case 1231:
		return 1700
	case 1270:
		return 1266
	case 2951:
		return 2950
	case 143:
		return 142
	case 199:
		return 114
	case 3807:
		return 3802
	case 3905, 3907, 3909, 3911, 3913, 3927: // ranges: the array follows its range
		return oid - 1
	case 3643:
		return 3614
	}
	return 0
}
