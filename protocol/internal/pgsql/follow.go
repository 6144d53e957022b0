package pgsql

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// A table is one of the server's catalog tables.
type table struct {
	name    string
	key     string // what identifies a row
	about   string // the object whose steps read it; "0" for all objects
	counted bool   // rows may be removed that were read, while what they are about is kept
}

// tables are those that users reads. Definitions of views are written with the
// names of everything there is, so those are there too which no other step
// reads. Rows of pg_attribute go with their relation only; what has a name in a
// definition goes with the view only.
var tables = [...]table{
	relationTable:  {"pg_catalog.pg_class t", "t.oid", "t.oid", true},
	typeTable:      {"pg_catalog.pg_type t", "t.oid", "t.oid", true},
	functionTable:  {"pg_catalog.pg_proc t", "t.oid", "t.oid", true},
	attributeTable: {"pg_catalog.pg_attribute t", "t.attrelid", "t.attrelid", false},
	{"pg_catalog.pg_attrdef t", "t.oid", "t.adrelid", true},
	{"pg_catalog.pg_index t", "t.indexrelid", "t.indrelid", true},
	{"pg_catalog.pg_constraint t", "t.oid", "t.conrelid", true}, // those of domains are about no relation
	{"pg_catalog.pg_trigger t", "t.oid", "t.tgrelid", true},
	{"pg_catalog.pg_rewrite t", "t.oid", "t.ev_class", true},
	{"pg_catalog.pg_policy t", "t.oid", "t.polrelid", true},
	{"pg_catalog.pg_inherits t", "(t.inhrelid::int8 << 31) + t.inhseqno", "t.inhrelid", true},
	{"pg_catalog.pg_namespace t", "t.oid", "0", true},
	{"pg_catalog.pg_auth_members t", "(t.roleid::int8 << 31) + t.member::int8", "0", true},
	{"pg_catalog.pg_language t", "t.oid", "0", true},
	{"pg_catalog.pg_operator t", "t.oid", "0", true},
	{"pg_catalog.pg_cast t", "t.oid", "0", true},
	{"pg_catalog.pg_enum t", "t.oid", "0", false},
	{"pg_catalog.pg_collation t", "t.oid", "0", false},
	{"pg_catalog.pg_ts_config t", "t.oid", "0", false},
	{"pg_catalog.pg_ts_dict t", "t.oid", "0", false},
	// What belongs to an extension.
	{"(SELECT d.xmin, d.objid FROM pg_catalog.pg_depend d WHERE d.refclassid = 'pg_catalog.pg_extension'::regclass) t", "t.objid", "0", true},
}

// The places in tables of those that are not like the others.
const (
	relationTable = iota
	typeTable
	functionTable
	attributeTable
)

// A tally is which rows each of tables has.
type tally [len(tables)]struct {
	own  int              // how many came with the server or are about all objects
	keys map[int64]uint32 // the others, and what they are about
}

// maxChanged is how many objects may have changed before everything is read.
const maxChanged = 2000

// changesQuery returns for each of tables how many rows it has and which of them
// are by the transaction $1 or a later one, all if that is NULL. Every change of
// a row gives it another number. Numbers that have come round count as old.
func changesQuery(since string) string {
	var b strings.Builder
	for i, t := range tables {
		if i > 0 {
			b.WriteString("\nUNION ALL ")
		}
		count, distinct := "0", ""
		switch {
		case i == relationTable, i == typeTable, i == functionTable:
			// What has a lower number the server lets nobody drop.
			count = "(SELECT count(*) FROM " + t.name + " WHERE t.oid >= 10000)"
		case t.counted:
			count = "(SELECT count(*) FROM " + t.name + ")"
		}
		if i == attributeTable {
			distinct = "DISTINCT "
		}
		fmt.Fprintf(&b, "SELECT %d, %s, string_agg(%sconcat(%s, ':', %s), ' ') FROM %s WHERE %s", i, count, distinct, t.key, t.about, t.name, since)
	}
	return b.String()
}

const (
	everSince = "true"
	lateSince = "age(t.xmin) <= (SELECT age($1)) AND age(t.xmin) >= 0"
)

// change is one row of an answer to changesQuery.
type change struct {
	table, count int
	rows         []changedRow
}

type changedRow struct {
	key   int64
	about uint32
}

func (l *loader) changes(query string) (list []change, err error) {
	err = l.q.Query(l.ctx, query, func(values [][]byte) error {
		r := record{values: values}
		c := change{table: r.int(), count: r.int()}
		for f := range strings.FieldsSeq(r.text()) {
			key, about, _ := strings.Cut(f, ":")
			k, err := strconv.ParseInt(key, 10, 64)
			if err != nil {
				return err
			}
			a, err := strconv.ParseUint(about, 10, 32)
			if err != nil {
				return err
			}
			c.rows = append(c.rows, changedRow{k, uint32(a)})
		}
		if r.err == nil && (c.table != len(list) || c.table >= len(tables)) {
			return fmt.Errorf("tables come in another order than asked for")
		}
		list = append(list, c)
		return r.err
	})
	if err == nil && len(list) != len(tables) {
		err = fmt.Errorf("no answer")
	}
	if err != nil {
		return nil, fmt.Errorf("catalog: changes: %w", err)
	}
	return list, nil
}

// count returns which rows there are.
func (l *loader) count() (*tally, error) {
	list, err := l.changes(changesQuery(everSince))
	if err != nil {
		return nil, err
	}
	t := &tally{}
	for i, c := range list {
		t[i].keys = map[int64]uint32{}
		if !tables[i].counted {
			continue
		}
		t[i].own = c.count
		for _, r := range c.rows {
			if r.about >= sql.FirstUserOID {
				t[i].keys[r.key] = r.about
				t[i].own--
			}
		}
	}
	return t, nil
}

// follow reads what has changed since a load that saw the transactions before,
// and reports whether anything has. ok is false where everything has to be read
// anew, which is also the answer to everything rare.
//
// It goes in three steps, of which the last two come only if there is something
// for them:
//
//  1. changesQuery: how many rows each of the catalog's tables has, and which were
//     added or changed. Those have the number of a transaction which the load
//     before did not see ended. This is asked before anything is read, so that
//     what changes meanwhile is found by the next load.
//  2. missing: where a table has fewer rows than the tally and the new ones make
//     together, all its keys are read, to find what is gone.
//  3. read: the steps of users run again for the relations, types and functions
//     that rows are about. Definitions of views are written with the names of
//     what they use, so those of them are read as well that depend on what has
//     another name or other columns.
//
// Rows of a tally, and what steps have read, are kept by object: see tally and
// objectRows. Afterwards Load replays all rows into a new snapshot.
func (k *Loader) follow(l *loader, before string) (changed, ok bool) {
	since, _, _ := strings.Cut(before, ":")
	n, err := strconv.ParseUint(since, 10, 64)
	if k.tally == nil || k.partial || err != nil || k.prepare(l) != nil {
		return false, false
	}
	list, err := l.changes(fmt.Sprintf("EXECUTE %s_changes('%d')", k.prepared, uint32(n)))
	if err != nil {
		return false, false
	}
	f := follower{k: k, l: l, steps: l.users(), types: map[uint32]bool{}, functions: map[uint32]bool{}, relations: map[uint32]bool{}}
	for i, c := range list {
		if !f.changed(i, c) {
			return false, false
		}
	}
	if !f.missing(list) {
		return false, false
	}
	if len(f.types) == 0 && len(f.functions) == 0 && len(f.relations) == 0 {
		return false, true
	}
	return true, f.read()
}

// prepare has the server plan the queries of follow once.
func (k *Loader) prepare(l *loader) error {
	switch {
	case k.prepared != "":
		return nil
	case k.refused:
		return errRefused
	}
	k.refused = true
	// Nobody can have prepared anything under that name before, where a pooler
	// hands the connection round.
	name := "gateway_" + rand.Text()
	texts := []string{"PREPARE " + name + "_changes(xid) AS " + changesQuery(lateSince),
		"PREPARE " + name + "_dependents(oid[]) AS " + dependentsQuery}
	for i, s := range l.users() {
		if !s.whole {
			texts = append(texts, fmt.Sprintf("PREPARE %s_step_%d(oid[]) AS %s", name, i, which(s.query, "= ANY ($1)")))
		}
	}
	for _, t := range texts {
		if err := l.q.Query(l.ctx, t, func([][]byte) error { return nil }); err != nil {
			return err
		}
	}
	k.prepared, k.refused = name, false
	return nil
}

// errRefused says that the server has refused to prepare something on this
// connection.
var errRefused = errors.New("the server does not prepare statements")

// A follower brings the rows of a Loader up to date.
type follower struct {
	k     *Loader
	l     *loader
	steps []step

	types, functions, relations map[uint32]bool // what has changed, and whether it was there before
	short                       []int           // tables from which something is gone
}

// note says that a row of table i is new or gone.
func (f *follower) note(i int, about uint32) {
	_, there := f.k.tally[i].keys[int64(about)]
	switch i {
	case typeTable:
		f.types[about] = there
	case functionTable:
		f.functions[about] = there
	case relationTable:
		f.relations[about] = there
	default: // relations come first
		if _, noted := f.relations[about]; !noted {
			f.relations[about] = true
		}
	}
}

// changed takes note of the changes of table i.
func (f *follower) changed(i int, c change) bool {
	t := &f.k.tally[i]
	if len(c.rows) > maxChanged {
		return false
	}
	for _, r := range c.rows {
		if r.about < sql.FirstUserOID {
			return false
		}
		f.note(i, r.about)
	}
	if !tables[i].counted {
		return true
	}
	for _, r := range c.rows {
		t.keys[r.key] = r.about
	}
	if t.own+len(t.keys) != c.count { // something is gone
		f.short = append(f.short, i)
	}
	return tables[i].about != "0" || t.own == c.count
}

// missing takes note of what is gone from the tables that are short of rows.
func (f *follower) missing(list []change) bool {
	if len(f.short) == 0 {
		return true
	}
	var texts []string
	have := make([]map[int64]bool, len(f.short))
	for n, i := range f.short {
		texts = append(texts, fmt.Sprintf("SELECT %s FROM %s", tables[i].key, tables[i].name))
		have[n] = map[int64]bool{}
	}
	err := f.l.batch(texts, func(n int, values [][]byte) error {
		r := record{values: values}
		key, err := strconv.ParseInt(r.text(), 10, 64)
		have[n][key] = true
		return first(r.err, err)
	})
	if err != nil {
		return false
	}
	for n, i := range f.short {
		t := &f.k.tally[i]
		for key, about := range t.keys {
			if !have[n][key] {
				f.note(i, about)
				delete(t.keys, key)
			}
		}
		if t.own+len(t.keys) != list[i].count {
			return false
		}
	}
	return true
}

// batch asks several questions at once. row gets the rows that answer the n-th.
func (l *loader) batch(texts []string, row func(n int, values [][]byte) error) error {
	// A row without values says that what follows answers the next.
	text := strings.Join(texts, "; SELECT; ")
	n, count := 0, 0
	err := l.q.Query(l.ctx, text, func(values [][]byte) error {
		if len(values) == 0 {
			n++
			return nil
		}
		if count++; n >= len(texts) || count > maxRows {
			return fmt.Errorf("more rows than asked for")
		}
		return row(n, values)
	})
	if err == nil && n != len(texts)-1 {
		err = fmt.Errorf("no answer")
	}
	return err
}

// renew runs steps, each for some objects. It returns the objects whose rows are
// other than before. ok is false where something has come into the server's own
// schema, whose names others are written without.
func (f *follower) renew(steps []int, objects []map[uint32]bool) (other []map[uint32]bool, ok bool) {
	texts := make([]string, len(steps))
	fresh := make([]objectRows, len(steps))
	for n, i := range steps {
		if fresh[n] = (objectRows{}); len(objects[n]) > 0 {
			texts[n] = fmt.Sprintf("EXECUTE %s_step_%d('%s')", f.k.prepared, i, oidArray(objects[n]))
		}
	}
	err := f.l.batch(texts, func(n int, values [][]byte) error {
		r := record{values: values}
		oid := r.oid()
		fresh[n][oid] = append(fresh[n][oid], packRow(values))
		return r.err
	})
	if err != nil {
		return nil, false
	}
	for n, i := range steps {
		rows, differ := f.k.rows[i], map[uint32]bool{}
		for oid, before := range objects[n] {
			if slices.EqualFunc(rows[oid], fresh[n][oid], bytes.Equal) {
				continue
			}
			differ[oid] = before
			if delete(rows, oid); len(fresh[n][oid]) > 0 {
				rows[oid] = fresh[n][oid]
			}
		}
		other = append(other, differ)
		if i != relationsStep && i != typesStep && i != functionsStep {
			continue
		}
		for _, list := range fresh[n] {
			if v := unpackRow(list[0], nil); len(v) < 2 || string(v[1]) == "pg_catalog" {
				return nil, false
			}
		}
	}
	return other, true
}

func oidArray(objects map[uint32]bool) string {
	b := []byte{'{'}
	for oid := range objects {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(oid), 10)
	}
	return string(append(b, '}'))
}

// read reads what has changed, and the views that are written with its names.
func (f *follower) read() bool {
	steps := []int{typesStep, functionsStep, relationsStep, columnsStep, inheritsStep, behindStep}
	changed := f.relations
	objects := []map[uint32]bool{f.types, f.functions, changed, changed, changed, changed}
	if len(f.steps) > generatedStep {
		steps, objects = append(steps, generatedStep), append(objects, changed)
	}
	other, ok := f.renew(steps, objects)
	if !ok {
		return false
	}
	// If a type that was there before is another now, or is a domain, then so may
	// be what uses it; if a function is, then types, operators and casts.
	for oid, before := range f.types {
		list := f.k.rows[typesStep][oid]
		_, differs := other[0][oid]
		if before && len(list) > 0 && (differs || f.is(typesStep, oid, "d")) {
			return false
		}
	}
	for oid, before := range other[1] {
		if before && len(f.k.rows[functionsStep][oid]) > 0 {
			return false
		}
	}
	renamed, views := map[uint32]bool{}, map[uint32]bool{}
	for _, list := range other[2:4] {
		for oid, before := range list {
			if before {
				renamed[oid] = true
			}
		}
	}
	for oid, before := range changed {
		if _, was := f.k.rows[relationsStep][oid]; before && !was {
			renamed[oid] = true // such as a composite type
		}
		if len(f.k.rows[viewsStep][oid]) > 0 || f.is(relationsStep, oid, "v") || f.is(relationsStep, oid, "m") {
			views[oid] = true
		}
	}
	if len(renamed) > 0 && len(f.k.rows[viewsStep]) > 0 {
		err := f.l.q.Query(f.l.ctx, fmt.Sprintf("EXECUTE %s_dependents('%s')", f.k.prepared, oidArray(renamed)), func(values [][]byte) error {
			r := record{values: values}
			views[r.oid()] = true
			return r.err
		})
		if err != nil {
			return false
		}
	}
	if len(views) > 0 {
		_, ok = f.renew([]int{viewsStep}, []map[uint32]bool{views})
	}
	return ok
}

// is reports whether an object is of a kind, which is the fourth value in the
// rows of relations and types.
func (f *follower) is(step int, oid uint32, kind string) bool {
	list := f.k.rows[step][oid]
	if len(list) == 0 {
		return false
	}
	v := unpackRow(list[0], nil)
	return len(v) < 4 || string(v[3]) == kind
}

// dependentsQuery finds the views whose definition may be written with the names
// of some relations and their columns: those that use them, and all that use
// somebody's types or functions, which may be made of them.
const dependentsQuery = `SELECT DISTINCT r.ev_class FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d
 ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
WHERE r.ev_class >= 16384 AND (d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = ANY ($1)
 OR d.refclassid IN ('pg_catalog.pg_type'::pg_catalog.regclass, 'pg_catalog.pg_proc'::pg_catalog.regclass) AND d.refobjid >= 16384)`
