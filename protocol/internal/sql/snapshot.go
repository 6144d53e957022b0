package sql

// FirstUserOID is the first OID that PostgreSQL gives to objects which did not
// come with the server.
const FirstUserOID = 16384

// A Snapshot is what a [Catalog] is made of.
type Snapshot struct {
	// Key identifies the contents; zero lets New choose a key of its own.
	Key [16]byte

	// Schemas differs where other schemas may be found by the same search_path.
	Schemas [32]byte

	Relations []*Relation
	Functions []*Function        // user-defined
	Builtins  map[string]Builtin // by name; nobody changes it, so that catalogs may share it
	Operators []*Operator        // user-defined
	Types     []*Type
	Casts     []Cast // user-defined
}

// A Function is a user-defined function, procedure or aggregate.
type Function struct {
	OID          uint32
	Schema, Name string
	Args         []uint32 // input types
	Variadic     bool
	Volatility   byte // 'i', 's', 'v'
	Kind         byte // 'f', 'p', 'a', 'w'
	Returns      uint32

	// Trusted says that the result depends on the arguments alone: the
	// function is immutable and the compiled code of an extension, so that
	// only whoever installs software on the server could make it otherwise.
	Trusted bool

	// Code is how a dialect knows the function's body; nil: it does not.
	Code any
}

// A Builtin is what is known of all the built-in functions that share a name.
// The worst of them counts: telling overloads apart is the server's work.
type Builtin struct {
	Name       string
	Volatility byte     // the worst: 'i', 's' or 'v'
	Aggregate  bool     // one of them is an aggregate
	Window     bool     // one of them is a window function
	Set        bool     // one of them returns a set
	Out        []string // the columns, if they return several and agree on them
	Record     bool     // one of them returns a record
	Any        bool     // one of them takes arguments of whatever type they have
	Returns    uint32   // the type that all of them return, 0 if it depends
}

// An Operator is a user-defined operator. A missing operand is 0.
type Operator struct {
	Schema, Name string
	Left, Right  uint32
	Trusted      bool // as of the function behind it
}

// A Type is a data type.
type Type struct {
	OID          uint32
	Schema, Name string
	Kind         byte   // pg_type.typtype: 'b' base, 'c' composite, 'd' domain, 'e' enum, 'p' pseudo, 'r' range, 'm' multirange
	Element      uint32 // of an array type
	Base         uint32 // of a domain what it stands on, of a range what it is of
	Relation     uint32 // of a composite type: the relation that has its columns

	// Trusted says of a base type that the functions which read and show its
	// values are, in the sense of Function; of a domain that its constraints, of
	// a range that its functions, are built-in ones only.
	Trusted bool
}

// A Cast is a user-defined cast.
type Cast struct {
	From, To uint32
	Implicit bool
	Trusted  bool // it runs nothing but what is built in or trusted
}
