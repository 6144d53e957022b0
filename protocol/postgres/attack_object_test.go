package postgres_test

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

// A rule about a table is also about what reads and writes its rows by another name:
// through views, through tables above and below it, and by a name without a schema while
// it is not known what that means.
func TestAttackObjectByAnotherName(t *testing.T) {
	const views = "create view shown as select id, note from kept; create view again as select * from shown; create view loud as select upper(note) as n from shown"
	inherited := []string{"create table above (id int, note text)", "create table kept () inherits (above); create table part () inherits (kept)", views}
	split := []string{"create table kept (id int, note text) partition by list (id); create table part partition of kept default", views,
		"create table wider (id int, note text) partition by list (note)", "create table above (note text)"}
	type attack struct {
		access protocol.Access
		texts  []string
		passes string
	}
	for _, c := range []struct {
		setup   []string
		attacks []attack
	}{
		{inherited, []attack{
			{protocol.Read, []string{"select note from above", "select note from part", "select note from shown", "table again", "copy above to stdout", "with a as (select * from part) select from a"}, "select 1 from other"},
			{protocol.Write, []string{"delete from above", "update above set note = 'x'", "delete from part", "truncate above", "truncate part", "copy part from stdin", "delete from shown"}, "delete from other using kept where kept.id = other.id"},
		}},
		{split, []attack{
			{protocol.Read, []string{"select note from part", "table loud"}, "select 1 from other"},
			{protocol.Write, []string{"delete from shown", "update shown set note = 'x'", "insert into shown (id) values (7)", "delete from again", "delete from loud", "update part set note = 'x'",
				"copy shown from stdin", "merge into shown using (select 1) o on true when matched then delete"}, "insert into other select * from shown"},
			{protocol.Schema, []string{"alter table wider attach partition kept default", "alter table wider detach partition kept", "drop table kept", "alter table kept rename to gone", "alter table kept owner to postgres",
				"create index on kept (id)", "comment on table kept is 'x'", "analyze kept", "drop table if exists other, kept", "create table public.kept (a int)", "create table kept (a int)"}, "alter table other inherit above"},
			{protocol.Admin, []string{"grant select on kept to public", "create policy p on kept"}, "grant select on other to public"},
			{protocol.Control, []string{"lock kept"}, "lock other"},
		}},
	} {
		var access atomic.Uint32
		kept := middleware.Block(middleware.BlockRule{Name: "kept", Reason: "kept as it is", When: middleware.If(func(op *protocol.Operation) (bool, error) {
			return slices.ContainsFunc(op.Objects, func(o protocol.Object) bool {
				return o.Name == "public.kept" && o.Access.Has(protocol.Access(access.Load()))
			}), nil
		})})
		r := newRig(t, rigConfig{steps: []middleware.Step{kept}})
		pgtest.Exec(t, r.pg, append(c.setup, "create table other (id int, note text)")...)
		for _, a := range c.attacks {
			access.Store(uint32(a.access))
			for _, q := range a.texts {
				hj := rawSession(t, r, "")
				require.Contains(t, seen(t, hj, 1, query(q)), "error 42501", q)
				if !strings.HasPrefix(q, "create table kept") { // where it would be made is not guessed
					require.Contains(t, seen(t, hj, 1, query("create temp table mine (a int); "+q)), "error 42501", q)
					seen(t, hj, 2, query("begin"), query("create temp table mine (a int)"))
					require.Contains(t, seen(t, hj, 1, query(q)), "error 42501", q)
				}
				require.NoError(t, hj.Conn.Close())
			}
			out := seen(t, rawSession(t, r, ""), 3, query("begin"), query(a.passes), query("rollback"))
			require.NotContains(t, out, "error", a.passes)
		}
	}
}
