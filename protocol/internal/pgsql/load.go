package pgsql

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// A Querier runs one query over a connection of the gateway's own and calls row
// for each row with the values as text; nil is NULL. The values are valid
// during the call only. An error of row ends the query and is returned.
type Querier interface {
	Query(ctx context.Context, sql string, row func(values [][]byte) error) error
}

// maxRows bounds what is taken of any one catalog table: a target that never
// stops sending must not fill the gateway's memory.
const maxRows = 5_000_000

// Load reads the catalog of the database that q is connected to. It works on
// PostgreSQL 10 and later and needs no privilege. It sets the search_path of
// the connection to pg_catalog, so that the server writes every name in a
// view's definition with its schema; the connection must not be a client's.
//
// Objects in the temporary schemas of sessions are left out.
func Load(ctx context.Context, q Querier) (*sql.Catalog, error) {
	return new(Loader).Load(ctx, q)
}

// step is one query of a load. The first value of its rows is the object that
// the row is about, unless it is whole.
type step struct {
	what  string
	query string // with $WHICH for the objects that it is about
	row   func(r *record) error
	whole bool
}

// own are the steps that read what came with the server: most of what there is,
// and what hardly ever changes.
func (l *loader) own() []step {
	return []step{
		{"relations", relationsQuery, l.relation, false},
		{"columns", columnsQuery, l.column, false},
		{"types", typesQuery, l.typ, false},
		{"built-in functions", l.byVersion(builtinsQuery), l.builtin, true},
	}
}

// users are the steps that read everything else.
func (l *loader) users() []step {
	steps := []step{
		relationsStep: {"relations", relationsQuery, l.relation, false},
		columnsStep:   {"columns", columnsQuery, l.column, false},
		inheritsStep:  {"inheritance", inheritsQuery, l.inherits, false},
		viewsStep:     {"views", viewsQuery, l.view, false},
		behindStep:    {"code behind relations", behindQuery, l.behind, false},
		typesStep:     {"types", typesQuery, l.typ, false},
		functionsStep: {"functions", l.byVersion(functionsQuery), l.function, false},
		operatorsStep: {"operators", operatorsQuery, l.operator, true},
		castsStep:     {"casts", castsQuery, l.cast, true},
		schemasStep:   {"schemas", schemasQuery, l.schema, true},
	}
	if l.version >= 120000 {
		steps = append(steps, step{"generated columns", generatedQuery, l.generated, false})
	}
	return steps
}

// The places of the steps in users.
const (
	relationsStep = iota
	columnsStep
	inheritsStep
	viewsStep
	behindStep
	typesStep
	functionsStep
	operatorsStep
	castsStep
	schemasStep
	generatedStep
)

// which makes a query read some objects: those that came with the server
// ("< 16384"), the others, or those in a list.
func which(query, objects string) string {
	return strings.ReplaceAll(query, "$WHICH", objects)
}

// firstNormalOID is the first that objects of users get (FirstNormalObjectId in
// access/transam.h), but for those made in single-user mode.
const firstNormalOID = 16384

const (
	ownObjects  = "< 16384"
	userObjects = ">= 16384"
)

// read runs a step for some objects and hands on each of its rows.
func (l *loader) read(s *step, query string, row func(oid uint32, row []byte) error) error {
	var n int
	err := l.q.Query(l.ctx, query, func(values [][]byte) error {
		if n++; n > maxRows {
			return fmt.Errorf("more than %d rows", maxRows)
		}
		var oid uint32
		if !s.whole {
			r := record{values: values}
			if oid = r.oid(); r.err != nil {
				return r.err
			}
		}
		return row(oid, packRow(values))
	})
	if err != nil {
		return fmt.Errorf("catalog: %s: %w", s.what, err)
	}
	return nil
}

// take adds a row that a step has read to the snapshot and to its key.
func (l *loader) take(s *step, row []byte) error {
	l.sum.Write(row)
	r := record{values: unpackRow(row, l.values[:0])}
	l.values = r.values
	err := first(s.row(&r), r.err)
	if err != nil {
		return fmt.Errorf("catalog: %s: %w", s.what, err)
	}
	return nil
}

// packRow makes one piece of the values of a row.
func packRow(values [][]byte) []byte {
	n := 0
	for _, v := range values {
		n += 4 + len(v)
	}
	b := make([]byte, 0, n)
	for _, v := range values {
		size := uint32(len(v))
		if v == nil {
			size = isNull
		}
		b = append(binary.BigEndian.AppendUint32(b, size), v...)
	}
	return b
}

const isNull = 1<<32 - 1

// unpackRow appends to values those of a row that packRow has made.
func unpackRow(b []byte, values [][]byte) [][]byte {
	for len(b) > 0 {
		size := binary.BigEndian.Uint32(b)
		b = b[4:]
		if size == isNull {
			values = append(values, nil)
			continue
		}
		values = append(values, b[:size:size])
		b = b[size:]
	}
	return values
}

// Probe returns a query whose one text value changes whenever a definition
// that Load reads has changed and been committed, temporary objects apart. It
// sums the transaction numbers of the rows of the catalog's tables: any row
// that was added, changed or removed changes a count or a sum.
func Probe() string {
	const lasting = "(SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relpersistence OPERATOR(pg_catalog.<>) 't')"
	const named = "(SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname OPERATOR(pg_catalog.!~) '^pg_(toast_)?temp')"
	tables := []struct{ name, where string }{
		{"pg_namespace", "t.nspname OPERATOR(pg_catalog.!~) '^pg_(toast_)?temp'"},
		{"pg_class", "t.relpersistence OPERATOR(pg_catalog.<>) 't'"},
		{"pg_attribute", "t.attrelid IN " + lasting},
		{"pg_attrdef", "t.adrelid IN " + lasting},
		{"pg_index", "t.indrelid IN " + lasting},
		{"pg_inherits", "t.inhrelid IN " + lasting},
		{"pg_rewrite", "t.ev_class IN " + lasting},
		{"pg_trigger", "t.tgrelid IN " + lasting},
		{"pg_constraint", "t.connamespace IN " + named},
		{"pg_type", "t.typnamespace IN " + named},
		{"pg_proc", "t.pronamespace IN " + named},
		{"pg_operator", "t.oprnamespace IN " + named},
		{"pg_cast", "true"},
		{"pg_auth_members", "true"},
	}
	var b strings.Builder
	b.WriteString("SELECT pg_catalog.concat_ws(' '")
	for _, t := range tables {
		fmt.Fprintf(&b, ", (SELECT pg_catalog.concat(pg_catalog.count(*), ':', pg_catalog.sum(t.xmin::pg_catalog.text::pg_catalog.int8)) FROM pg_catalog.%s t WHERE %s)", t.name, t.where)
	}
	b.WriteString(")")
	return b.String()
}

const relationsQuery = `SELECT c.oid, n.nspname, c.relname, c.relkind, c.relrowsecurity
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid $WHICH AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND c.relpersistence <> 't' AND n.nspname <> 'pg_toast'
ORDER BY c.oid`

const columnsQuery = `SELECT a.attrelid, a.attnum, a.attname, a.atttypid
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
WHERE a.attrelid $WHICH AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND c.relpersistence <> 't'
ORDER BY a.attrelid, a.attnum`

const inheritsQuery = `SELECT i.inhrelid, i.inhparent FROM pg_catalog.pg_inherits i WHERE i.inhrelid $WHICH ORDER BY 1, i.inhseqno`

// The definitions of the server's own views are not read: their columns count
// as they are. To write a definition down the server locks the view and what it
// reads, so it is not asked about those that somebody has locked: it would wait
// for that transaction's end, and every session with it.
const viewsQuery = `WITH locked AS (
 SELECT l.relation FROM pg_catalog.pg_locks l
 WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid <> pg_catalog.pg_backend_pid()
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()))
SELECT c.oid, CASE WHEN c.oid IN (SELECT relation FROM locked) OR c.oid IN (
  SELECT r.ev_class FROM locked JOIN pg_catalog.pg_depend d
    ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = locked.relation
   JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid)
 THEN NULL ELSE pg_catalog.pg_get_viewdef(c.oid) END
FROM pg_catalog.pg_class c
WHERE c.relkind IN ('v', 'm') AND c.oid $WHICH AND c.relpersistence <> 't'
ORDER BY c.oid`

// What may run when a relation is read (r) or written (w), or instead of or
// beside what is written (x), or for each row that is looked at (p): functions and
// operators that are not built in, in expressions of indexes, constraints and
// partition keys, which the planner may evaluate; triggers, rules, defaults.
//
// A built-in function counts if it is volatile and does more than to say
// something new: set_config in a default or a domain is a SET that no text
// shows. Nobody depends on built-in functions, so their numbers are looked for
// in the stored expressions.
const behindQuery = `SELECT * FROM (
SELECT i.indrelid, 'r', 'an index' FROM pg_catalog.pg_index i JOIN pg_catalog.pg_depend d
 ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = i.indexrelid
 WHERE d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass) AND d.refobjid >= 16384
UNION SELECT c.conrelid, 'r', 'a constraint' FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_depend d
 ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid = c.oid
 WHERE c.conrelid <> 0 AND d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass) AND d.refobjid >= 16384
UNION SELECT d.objid, 'r', 'a partition key' FROM pg_catalog.pg_depend d
 WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objsubid = 0 AND d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass) AND d.refobjid >= 16384
UNION SELECT t.tgrelid, 'w', 'a trigger' FROM pg_catalog.pg_trigger t WHERE NOT t.tgisinternal
UNION SELECT r.ev_class, 'x', 'a rule' FROM pg_catalog.pg_rewrite r WHERE r.ev_type <> '1'
UNION SELECT a.adrelid, 'w', 'a default' FROM pg_catalog.pg_attrdef a JOIN pg_catalog.pg_depend d
 ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = a.oid
 WHERE d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass) AND d.refobjid >= 16384
UNION SELECT a.adrelid, 'w', 'a default' FROM pg_catalog.pg_attrdef a, LATERAL pg_catalog.regexp_matches(a.adbin::pg_catalog.text, ':funcid ([0-9]+)', 'g') m
 WHERE m[1]::pg_catalog.oid IN (` + volatileQuery + `)
UNION SELECT c.conrelid, 'w', 'a constraint' FROM pg_catalog.pg_constraint c, LATERAL pg_catalog.regexp_matches(c.conbin::pg_catalog.text, ':funcid ([0-9]+)', 'g') m
 WHERE c.conrelid <> 0 AND m[1]::pg_catalog.oid IN (` + volatileQuery + `)
UNION SELECT q.polrelid, 'p', 'a policy' FROM pg_catalog.pg_policy q,
  LATERAL pg_catalog.regexp_matches(pg_catalog.concat(q.polqual::pg_catalog.text, ' ', q.polwithcheck::pg_catalog.text), ':(?:op)?funcid ([0-9]+)', 'g') m
 WHERE m[1]::pg_catalog.oid >= 16384 OR m[1]::pg_catalog.oid IN (` + volatileQuery + `)
UNION SELECT a.attrelid, 'w', 'a type' FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem
 WHERE a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= 16384 AND (t.typtype = 'c' OR e.typtype IN ('c', 'd') OR t.typtype = 'd' AND (t.typbasetype >= 16384 OR EXISTS (
  SELECT 1 FROM (SELECT t.typdefaultbin::pg_catalog.text UNION ALL SELECT k.conbin::pg_catalog.text FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid) x (expr),
   LATERAL pg_catalog.regexp_matches(x.expr, ':funcid ([0-9]+)', 'g') m
  WHERE m[1]::pg_catalog.oid >= 16384 OR m[1]::pg_catalog.oid IN (` + volatileQuery + `))))
) b (relation, place, what) WHERE b.relation $WHICH ORDER BY 1, 2, 3`

// volatileQuery finds the built-in functions that may change something or show
// what they were not given.
const volatileQuery = `SELECT p.oid FROM pg_catalog.pg_proc p WHERE p.oid < 16384 AND p.provolatile = 'v'
 AND p.proname NOT IN ('nextval', 'random', 'random_normal', 'clock_timestamp', 'timeofday', 'gen_random_uuid', 'uuidv4', 'uuidv7')`

// Array types and the row types of relations follow from others, but arrays of
// built-in types are needed to resolve casts.
const typesQuery = `SELECT t.oid, n.nspname, t.typname, t.typtype, CASE WHEN e.oid IS NULL THEN 0 ELSE e.oid END,
 CASE WHEN t.typtype = 'b' AND t.oid >= 16384
  AND EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = t.oid AND d.deptype = 'e')
  AND NOT EXISTS (
  SELECT 1 FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
  WHERE p.oid IN (t.typinput, t.typoutput, t.typsend, t.typreceive, t.typmodin, t.typmodout) AND NOT (p.oid < 16384 OR l.lanname IN ('c', 'internal')))
 THEN 't'
 WHEN t.typtype = 'd' AND NOT EXISTS (
  SELECT 1 FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid = k.oid
  WHERE k.contypid = t.oid AND d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass, 'pg_catalog.pg_type'::pg_catalog.regclass)
   AND d.refobjid >= 16384 AND d.refobjid <> t.oid)
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_constraint k, LATERAL pg_catalog.regexp_matches(k.conbin::pg_catalog.text, ':funcid ([0-9]+)', 'g') m
  WHERE k.contypid = t.oid AND m[1]::pg_catalog.oid IN (` + volatileQuery + `))
 THEN 't'
 WHEN t.typtype = 'r' AND g.rngcanonical::pg_catalog.oid = 0 AND g.rngsubopc < 16384 AND g.rngsubdiff::pg_catalog.oid < 16384 THEN 't'
 ELSE 'f' END,
 CASE t.typtype WHEN 'd' THEN t.typbasetype WHEN 'r' THEN g.rngsubtype ELSE 0 END, t.typrelid
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND e.typarray = t.oid
LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
LEFT JOIN pg_catalog.pg_range g ON g.rngtypid = t.oid
WHERE t.oid $WHICH AND n.nspname !~ '^pg_(temp|toast)' AND (t.typrelid = 0 OR c.relkind = 'c' OR t.oid >= 16384)
 AND NOT (t.oid < 16384 AND t.typname ~ '^_' AND n.nspname <> 'pg_catalog')
ORDER BY t.oid`

const functionsQuery = `SELECT p.oid, n.nspname, p.proname, p.proargtypes::text, p.provolatile, $KIND, p.prorettype,
 CASE WHEN p.provolatile = 'i' AND NOT p.prosecdef AND l.lanname IN ('c', 'internal') AND EXISTS (
  SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e')
 THEN 't' ELSE 'f' END, p.prolang
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE p.oid $WHICH AND n.nspname !~ '^pg_temp'
ORDER BY p.oid`

// One row for each name: the worst volatility, whether there are aggregates,
// window functions, sets, records and arguments of any type among them, and the
// names of the columns and the type returned if all agree.
const builtinsQuery = `SELECT p.proname, pg_catalog.max(p.provolatile::text), pg_catalog.bool_or($KIND = 'a'), pg_catalog.bool_or($KIND = 'w'),
 pg_catalog.bool_or(p.proretset), pg_catalog.bool_or(p.prorettype IN (2249, 2283, 2776, 3500, 5077, 5078) AND p.proretset OR p.prorettype = 2249),
 CASE WHEN pg_catalog.count(*) = pg_catalog.count(p.proallargtypes) AND pg_catalog.count(DISTINCT p.proargnames::text || p.proargmodes::text) = 1
  THEN pg_catalog.min((SELECT pg_catalog.string_agg(p.proargnames[i], ',' ORDER BY i) FROM pg_catalog.generate_series(1, pg_catalog.array_length(p.proargmodes, 1)) AS i WHERE p.proargmodes[i] IN ('o', 't', 'b'))) END,
 pg_catalog.bool_or(p.proargtypes::pg_catalog.oid[] && '{2277,2283,2776,3500,3831,4537,4538,5077,5078,5079,5080}'),
 CASE WHEN pg_catalog.count(DISTINCT p.prorettype) = 1 AND pg_catalog.bool_and(t.typtype <> 'p') THEN pg_catalog.min(p.prorettype::pg_catalog.int8) ELSE 0 END
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_type t ON t.oid = p.prorettype WHERE p.oid < 16384 AND p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
GROUP BY p.proname ORDER BY 1`

const operatorsQuery = `SELECT n.nspname, o.oprname, o.oprleft, o.oprright,
 CASE WHEN p.oid < 16384 OR p.provolatile = 'i' AND NOT p.prosecdef AND l.lanname IN ('c', 'internal') AND EXISTS (
  SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e')
 THEN 't' ELSE 'f' END
FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
LEFT JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode LEFT JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE o.oid >= 16384 AND n.nspname !~ '^pg_temp'
ORDER BY o.oid`

const castsQuery = `SELECT c.castsource, c.casttarget, c.castcontext = 'i',
 CASE WHEN c.castmethod <> 'f' OR p.oid < 16384 OR l.lanname = 'internal' AND p.prosrc = 'multirange_constructor1' OR p.provolatile = 'i' AND NOT p.prosecdef AND l.lanname IN ('c', 'internal') AND EXISTS (
  SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e')
 THEN 't' ELSE 'f' END
FROM pg_catalog.pg_cast c LEFT JOIN pg_catalog.pg_proc p ON p.oid = c.castfunc LEFT JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE c.oid >= 16384 ORDER BY c.oid`

// What decides, beside a session's own state, which of the schemas in its search_path
// are searched: those that there are and that its role may use.
const schemasQuery = `SELECT n.oid, n.nspname, n.nspowner, n.nspacl::text FROM pg_catalog.pg_namespace n WHERE n.nspname !~ '^pg_(toast_)?temp'
UNION ALL SELECT m.roleid, '', m.member, pg_catalog.to_jsonb(m)::text FROM pg_catalog.pg_auth_members m
ORDER BY 1, 2, 3, 4`

// The two places where a server keeps this are asked one by one: joined by OR, three
// hundred columns with defaults take it ten seconds.
const generatedQuery = `SELECT a.attrelid, a.attnum, d.refobjsubid
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = f.oid
 AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = a.attrelid AND d.refobjsubid > 0 AND d.refobjsubid <> a.attnum
WHERE a.attrelid $WHICH AND a.attgenerated <> ''
UNION SELECT a.attrelid, a.attnum, d.refobjsubid
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = a.attrelid AND d.objsubid = a.attnum
 AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = a.attrelid AND d.refobjsubid > 0 AND d.refobjsubid <> a.attnum
WHERE a.attrelid $WHICH AND a.attgenerated <> ''
ORDER BY 1, 2, 3`

type loader struct {
	ctx     context.Context
	q       Querier
	version int
	sum     hash.Hash
	snap    sql.Snapshot
	rels    map[uint32]*sql.Relation
	names   map[string]string
	values  [][]byte
	partial bool // a definition is locked
}

// byVersion fills in what differs between versions: pg_proc says what kind of
// function it is since 11.
func (l *loader) byVersion(query string) string {
	kind := "p.prokind"
	if l.version < 110000 {
		kind = "(CASE WHEN p.proisagg THEN 'a' WHEN p.proiswindow THEN 'w' ELSE 'f' END)"
	}
	return strings.ReplaceAll(query, "$KIND", kind)
}

// intern keeps one copy of each name: thousands of columns share a few.
func (l *loader) intern(b string) string {
	if s, ok := l.names[b]; ok {
		return s
	}
	l.names[b] = b
	return b
}

// A record reads the values of a row one after the other.
type record struct {
	values [][]byte
	next   int
	err    error
}

func (r *record) text() string {
	if r.next >= len(r.values) {
		if r.err == nil {
			r.err = fmt.Errorf("a row has %d values", len(r.values))
		}
		return ""
	}
	r.next++
	return string(r.values[r.next-1])
}

func (r *record) oid() uint32 {
	n, err := strconv.ParseUint(r.text(), 10, 32)
	if err != nil && r.err == nil {
		r.err = err
	}
	return uint32(n)
}

func (r *record) int() int {
	n, err := strconv.Atoi(r.text())
	if err != nil && r.err == nil {
		r.err = err
	}
	return n
}

func (r *record) num() int16 {
	n, err := strconv.ParseInt(r.text(), 10, 16)
	if err != nil && r.err == nil {
		r.err = err
	}
	return int16(n)
}

func (r *record) bool() bool { return r.text() == "t" }

func (r *record) char() byte {
	s := r.text()
	if s == "" {
		return 0
	}
	return s[0]
}

func (l *loader) relation(r *record) error {
	rel := &sql.Relation{OID: r.oid(), Schema: l.intern(r.text()), Name: r.text(), Kind: r.char()}
	if r.bool() {
		rel.Unproven = "row security"
	}
	if rel.OID < firstNormalOID && rel.Schema != "pg_catalog" && rel.Schema != "information_schema" {
		return nil // made in single-user mode: its definition is not read, so it is as if it were not known
	}
	l.rels[rel.OID] = rel
	l.snap.Relations = append(l.snap.Relations, rel)
	return nil
}

func (l *loader) column(r *record) error {
	rel := l.rels[r.oid()]
	c := sql.Column{Num: r.num(), Name: l.intern(r.text()), Type: r.oid()}
	if rel != nil {
		rel.Columns = append(rel.Columns, c)
	}
	return nil
}

func (l *loader) inherits(r *record) error {
	rel := l.rels[r.oid()]
	if parent := r.oid(); rel != nil {
		rel.Parents = append(rel.Parents, parent)
	}
	return nil
}

func (l *loader) view(r *record) error {
	if rel := l.rels[r.oid()]; rel != nil {
		l.partial = l.partial || r.next < len(r.values) && r.values[r.next] == nil
		rel.Definition = r.text()
	}
	return nil
}

func (l *loader) behind(r *record) error {
	rel, when, what := l.rels[r.oid()], r.text(), r.text()
	switch {
	case rel == nil:
	case when == "r":
		rel.Unproven, rel.Triggers = what, what
	case when == "p":
		rel.Policies, rel.Triggers = true, what
	default:
		rel.Triggers, rel.Rules = what, rel.Rules || when == "x"
	}
	return nil
}

func (l *loader) typ(r *record) error {
	t := &sql.Type{OID: r.oid(), Schema: l.intern(r.text()), Name: l.intern(r.text()), Kind: r.char(), Element: r.oid(), Trusted: r.bool(), Base: r.oid(), Relation: r.oid()}
	l.snap.Types = append(l.snap.Types, t)
	return nil
}

func (l *loader) function(r *record) error {
	f := &sql.Function{OID: r.oid(), Schema: l.intern(r.text()), Name: r.text()}
	for _, s := range strings.Fields(r.text()) {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			return err
		}
		f.Args = append(f.Args, uint32(n))
	}
	f.Volatility, f.Kind, f.Returns, f.Trusted = r.char(), r.char(), r.oid(), r.bool()
	l.snap.Functions = append(l.snap.Functions, f)
	return nil
}

func (l *loader) builtin(r *record) error {
	b := sql.Builtin{Name: r.text(), Volatility: r.char(), Aggregate: r.bool(), Window: r.bool(), Set: r.bool(), Record: r.bool()}
	if out := r.text(); out != "" {
		b.Out = strings.Split(out, ",")
	}
	b.Any, b.Returns = r.bool(), r.oid()
	if l.snap.Builtins == nil {
		l.snap.Builtins = map[string]sql.Builtin{}
	}
	l.snap.Builtins[b.Name] = b
	return nil
}

func (l *loader) operator(r *record) error {
	l.snap.Operators = append(l.snap.Operators, &sql.Operator{Schema: l.intern(r.text()), Name: r.text(), Left: r.oid(), Right: r.oid(), Trusted: r.bool()})
	return nil
}

func (l *loader) cast(r *record) error {
	l.snap.Casts = append(l.snap.Casts, sql.Cast{From: r.oid(), To: r.oid(), Implicit: r.bool(), Trusted: r.bool()})
	return nil
}

func (l *loader) schema(r *record) error {
	sum := sha256.New()
	sum.Write(l.snap.Schemas[:])
	sum.Write(packRow(r.values))
	sum.Sum(l.snap.Schemas[:0])
	return nil
}

func (l *loader) generated(r *record) error {
	rel, num, from := l.rels[r.oid()], r.num(), r.num()
	if rel == nil {
		return nil
	}
	for i := range rel.Columns {
		if rel.Columns[i].Num == num {
			rel.Columns[i].From = append(rel.Columns[i].From, from)
		}
	}
	return nil
}
