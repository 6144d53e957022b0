package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/pgsql"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// WriteRestrictedRole writes the SQL that makes the restricted login of r, see the
// package's documentation, or brings it up to date: an account that may read all
// that hides is not true of and that the account of creds may read. It logs in with
// creds to read the catalog and changes nothing. The SQL is for whoever owns what it
// names, such as a superuser, and holds no password.
func (s *Server) WriteRestrictedRole(ctx context.Context, w io.Writer, r protocol.Resource, creds protocol.Credentials, hides func(protocol.ColumnRef) bool) error {
	role := r.Options[optRestricted]
	if role == "" {
		return fmt.Errorf("target %s has no option %s: say what the role is to be called", r.Name, optRestricted)
	}
	database := r.Options[optDatabase]
	if database == "" {
		database = creds.User
	}
	dial := func(ctx context.Context) (net.Conn, error) {
		network := "tcp"
		if strings.HasPrefix(r.Addr, "/") {
			network = "unix"
		}
		var d net.Dialer
		return d.DialContext(ctx, network, r.Addr)
	}
	t, err := s.connectTarget(ctx, r, dial, creds, database, []param{{"application_name", "sallyport mask role"}})
	if err != nil {
		return err
	}
	defer t.r.Release()
	defer t.conn.Close()
	var loader pgsql.Loader
	cat, err := loader.Load(ctx, t)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := writeRole(ctx, &b, t, cat, role, database, r.Name, hides); err != nil {
		return err
	}
	_, err = w.Write(b.Bytes())
	return err
}

func writeRole(ctx context.Context, b *bytes.Buffer, t *target, cat *sql.Catalog, role, database, name string, hides func(protocol.ColumnRef) bool) error {
	hidden := map[uint32][]string{}
	var oids, nums []string
	for _, h := range hiddenColumns(cat, hides) {
		hidden[h.rel.OID] = append(hidden[h.rel.OID], h.col.Name)
		oids, nums = append(oids, strconv.FormatUint(uint64(h.rel.OID), 10)), append(nums, strconv.Itoa(int(h.col.Num)))
	}
	rels := slices.SortedFunc(cat.Relations(), func(a, b *sql.Relation) int { return sql.CompareRef(a.Ref(""), b.Ref("")) })
	rels = slices.DeleteFunc(rels, func(r *sql.Relation) bool {
		return !readable(r) || r.Kind == sql.ForeignTable || strings.HasPrefix(r.Schema, "pg_temp") || strings.HasPrefix(r.Schema, "pg_toast")
	})
	closed, err := closedColumns(ctx, t)
	if err != nil {
		return err
	}
	who := ident(role)
	fmt.Fprintf(b, `-- The restricted login %[1]s of target %[2]s in database %[3]s. It may read all that
-- no mask is about and the gateway's account may read, and change nothing; grant it
-- more if it is to. Renew it when the masks or definitions change: until then the
-- gateway refuses to use it.
--
-- A view, and a function that is SECURITY DEFINER, reads with its owner's rights:
-- of views, columns that come from masked ones are left out like the tables' own,
-- and such functions must not be open to this role. Foreign tables are left out.
-- Give the role its password yourself, such as with \password %[1]s.
BEGIN;
DO $role$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = %[4]s) THEN
    CREATE ROLE %[1]s LOGIN;
  END IF;
END $role$;
ALTER ROLE %[1]s LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;
GRANT CONNECT ON DATABASE %[3]s TO %[1]s;
`, who, strings.ReplaceAll(name, "\n", " "), ident(database), literal(role))
	schema := ""
	for _, r := range rels {
		left := hidden[r.OID]
		var columns []string
		for i := range r.Columns {
			c := &r.Columns[i]
			switch {
			case slices.Contains(left, c.Name):
			case closed[[2]int64{int64(r.OID), int64(c.Num)}]:
				left = append(left, c.Name)
			default:
				columns = append(columns, ident(c.Name))
			}
		}
		if r.Schema != schema && len(columns) > 0 {
			schema = r.Schema
			fmt.Fprintf(b, "\nGRANT USAGE ON SCHEMA %s TO %s;\n", ident(schema), who)
		}
		rel := ident(r.Schema) + "." + ident(r.Name)
		fmt.Fprintf(b, "REVOKE ALL ON TABLE %s FROM %s;\n", rel, who)
		if len(left) == 0 && len(columns) > 0 {
			fmt.Fprintf(b, "GRANT SELECT ON TABLE %s TO %s;\n", rel, who)
			continue
		}
		for i := range left {
			left[i] = ident(left[i])
		}
		if len(columns) > 0 {
			fmt.Fprintf(b, "GRANT SELECT (%s) ON TABLE %s TO %s;", strings.Join(columns, ", "), rel, who)
		}
		fmt.Fprintf(b, " -- not %s\n", strings.Join(left, ", "))
	}
	b.WriteString("COMMIT;\n")
	return writePublic(ctx, b, t, oids, nums)
}

// closedColumns returns the columns that the account at t itself may not read, by the
// relation's OID and the column's number: with them the restricted login could do more
// than the gateway does otherwise.
func closedColumns(ctx context.Context, t *target) (map[[2]int64]bool, error) {
	closed := map[[2]int64]bool{}
	err := t.Query(ctx, "SELECT c.oid, a.attnum FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) c.oid"+
		" WHERE a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped AND c.relkind::pg_catalog.text OPERATOR(pg_catalog.=) ANY ('{r,p,v,m}'::pg_catalog.text[])"+
		" AND NOT (pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE') AND pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT'))",
		func(row [][]byte) error {
			if len(row) != 2 {
				return errors.New("the target answers strangely")
			}
			rel, rerr := strconv.ParseInt(string(row[0]), 10, 64)
			num, nerr := strconv.ParseInt(string(row[1]), 10, 16)
			closed[[2]int64{rel, num}] = true
			return errors.Join(rerr, nerr)
		})
	return closed, err
}

// writePublic writes what has to be taken from everybody before the role can be
// used, as comments: it may be others who need it.
func writePublic(ctx context.Context, b *bytes.Buffer, t *target, oids, nums []string) error {
	var open []string
	add := func(row [][]byte) error {
		if len(row) != 1 || bytes.ContainsAny(row[0], "\n\r") {
			return errors.New("the target answers strangely")
		}
		open = append(open, string(row[0]))
		return nil
	}
	err := t.Query(ctx, "SELECT 'EXECUTE ON FUNCTION ' OPERATOR(pg_catalog.||) p.oid::pg_catalog.regprocedure::pg_catalog.text FROM pg_catalog.pg_proc p"+
		" WHERE p.prosecdef AND p.oid OPERATOR(pg_catalog.>=) 16384 AND pg_catalog.has_function_privilege('public', p.oid, 'EXECUTE') ORDER BY 1", add)
	if err != nil {
		return err
	}
	if len(oids) > 0 {
		err = t.Query(ctx, "SELECT DISTINCT 'SELECT ON TABLE ' OPERATOR(pg_catalog.||) h.rel::pg_catalog.regclass::pg_catalog.text FROM ROWS FROM (pg_catalog.unnest('{"+strings.Join(oids, ",")+
			"}'::pg_catalog.oid[]), pg_catalog.unnest('{"+strings.Join(nums, ",")+"}'::pg_catalog.int2[])) h (rel, num) WHERE pg_catalog.has_column_privilege('public', h.rel, h.num, 'SELECT') ORDER BY 1", add)
		if err != nil {
			return err
		}
	}
	if len(open) == 0 {
		return nil
	}
	b.WriteString("\n-- Open to everybody, and so to this role, which cannot be used until they are not:\n")
	for _, what := range open {
		fmt.Fprintf(b, "-- REVOKE %s FROM PUBLIC;\n", what)
	}
	return nil
}

// ident returns a name as SQL reads it.
func ident(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
