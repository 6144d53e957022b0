package protocol

// A How says in which way an operation tells of a column's values without showing
// them. The zero How is unknown, the worst.
type How uint8

// The ways.
const (
	HowUnknown  How = iota
	HowNull         // whether there is a value: IS NULL, count(c)
	HowEquality     // whether it equals one constant or argument
	HowList         // whether it is one of several: IN, = ANY, rows of constants or of another query, UNION
	HowJoin         // whether it equals the value of a column of another table
	HowGroup        // which values are alike: GROUP BY, DISTINCT, PARTITION BY
	HowOrder        // which comes before which: ORDER BY, also of a window
	HowRange        // whether it is less or greater than something
	HowPattern      // whether it is like a pattern
	HowComputed     // anything about what is computed from it, such as by a function
	HowMember       // whether a document has a member
)

var howNames = [...]string{"unknown", "null", "equality", "list", "join", "group", "order", "range", "pattern", "computed", "member"}

// String returns the way in one lower-case word.
func (h How) String() string {
	if int(h) < len(howNames) {
		return howNames[h]
	}
	return howNames[HowUnknown]
}

// An Inference is a base column of whose values an operation tells something
// without showing them: by which rows there are, how many and in which order, or by
// an error. Column "*" is any of its table.
type Inference struct {
	ColumnRef
	How How

	// Path is where in the column's value, as in [Source]; empty is all of it.
	Path string
}

// String returns schema.table.column/path (how).
func (i Inference) String() string {
	return i.ColumnRef.String() + i.Path + " (" + i.How.String() + ")"
}
