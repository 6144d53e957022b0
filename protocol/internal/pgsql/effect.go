package pgsql

// Flags say what a statement does to the session, as a set of bits.
type Flags uint32

// The effects on a session that a connector has to follow.
const (
	TxBegin         Flags = 1 << iota // BEGIN, START TRANSACTION
	TxEnd                             // COMMIT, ROLLBACK, PREPARE TRANSACTION
	Savepoint                         // SAVEPOINT, RELEASE, ROLLBACK TO: the transaction goes on
	DDL                               // definitions may have changed: the catalog is stale afterwards
	SetsState                         // may change a setting, the role or the search_path; see Setting
	CreatesTemp                       // may create a temporary object: set State.Temp from now on
	Prepare                           // PREPARE Name
	Execute                           // EXECUTE Name: the connector knows what that is
	Deallocate                        // DEALLOCATE Name, or all of them if Name is empty
	DeclareCursor                     // DECLARE Name
	Fetch                             // FETCH or MOVE from cursor Name
	CloseCursor                       // CLOSE Name, or all of them if Name is empty
	CopyIn                            // COPY FROM STDIN
	CopyOut                           // COPY TO STDOUT
	CopyProgram                       // COPY with a program on the server
	CopyFile                          // COPY with a file on the server
	Listen                            // LISTEN or UNLISTEN Name
	Notify                            // NOTIFY Name
	Discard                           // DISCARD: plans, sequences, temporary objects or all; see Setting
	Local                             // with SetsState: for the transaction only
	Binary                            // a binary cursor or a binary COPY
	Hold                              // with DeclareCursor: outlives the transaction
	ReplicationLike                   // reads from replication slots or the log
	RunsCode                          // runs code that is not visible here: settings, role, temporary objects and definitions may have changed
)

// An Effect is what a statement does to the session it runs in.
type Effect struct {
	Flags Flags

	// Name is the prepared statement, cursor, savepoint or channel.
	Name string

	// Setting is what a statement with SetsState sets, in lower case: a
	// setting's name, "role", "session_authorization", "transaction", or ""
	// where it may be any or all. With Discard it is "all", "plans",
	// "sequences" or "temp".
	Setting string

	// Values are the constants that Setting is set to, unquoted and in order;
	// nil for a reset, a default and what cannot be told from the text.
	Values []string
}

// Has reports whether e has any of the flags in f.
func (e Effect) Has(f Flags) bool { return e.Flags&f != 0 }
