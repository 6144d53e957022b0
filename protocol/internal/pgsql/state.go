package pgsql

import (
	"slices"

	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// A State is the part of a session's state that changes what a statement
// means. It is read during the call only; two States with equal fields are the
// same state. The zero State knows nothing, so nothing is resolved or proven.
type State struct {
	// Catalog is the target's catalog as of now. Without it no name can be
	// resolved: no statement with a name in it is Pure and no read is known.
	Catalog *sql.Catalog

	// Guess is, without Catalog, the last one that was known. It proves nothing: what
	// a name may mean by it, in whatever schema, is among the objects and the writes.
	Guess *sql.Catalog

	// SearchPath, which may be known without Catalog too, is the effective
	// search_path in order: "$user" is replaced and schemas that do not exist are
	// left out by the caller. pg_catalog is searched first unless it is listed, as
	// in PostgreSQL. pg_temp need not be listed: what is temporary is covered by Temp.
	SearchPath []string

	// Role is the current role. It is not looked at: whatever depends on it is
	// expanded in SearchPath. It is here so that a State says all of a session
	// that a decision may be bound to.
	Role string

	// StandardStrings is standard_conforming_strings. While it is off a text
	// with a backslash in it is Opaque: the grammar used here reads backslashes
	// as the standard does.
	StandardStrings bool

	// ForeignNames says that the server keeps names in another encoding than UTF-8. It
	// cuts long ones elsewhere, and folds other letters than ASCII's: a text with such
	// a name is Opaque.
	ForeignNames bool

	// Temp says that the session may have created temporary objects, which the
	// catalog cannot show, beside TempNames: an unqualified name may then mean one
	// of them, so it proves nothing.
	Temp bool

	// TempNames are the names of the session's temporary relations and types, in
	// order. Unqualified they mean these, of which nothing is known.
	TempNames []string

	// Outdated says that the text was prepared under other definitions. The server
	// plans it anew if something has changed that it uses, not if there is something
	// of the same name that would be found before: an unqualified name that more than
	// one schema of the search_path has may mean any, so it proves nothing.
	Outdated bool
}

// shadows reports whether an unqualified name of a relation or a type may mean
// something temporary.
func (st *State) shadows(name string) bool {
	if st.Temp {
		return true
	}
	_, found := slices.BinarySearch(st.TempNames, name)
	return found
}

// Same reports whether every text means the same in both states. It takes
// lists for the same only if they are the same slice.
func (st *State) Same(o *State) bool {
	return st.Catalog == o.Catalog && st.Guess == o.Guess && st.StandardStrings == o.StandardStrings && st.Temp == o.Temp && st.Outdated == o.Outdated &&
		identical(st.SearchPath, o.SearchPath) && identical(st.TempNames, o.TempNames)
}

func identical(a, b []string) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}
