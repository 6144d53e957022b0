package postgres_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/approval"
	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
)

// asks are statements that tell of a column C of the table secrets without showing it,
// by class. What one constant tells is allowed where equality is.
var asks = []struct {
	text     string
	equality bool
}{
	{"select id from secrets where C = 'b'", true},
	{"select id from secrets where C <> 'b'", true},
	{"select count(*) from secrets where C in ('b')", true},
	{"select id, C from secrets where C is not distinct from 'b'", true},
	{"select C = 'b' from secrets", true},
	{"update secrets set plain = 'x' where C = 'b'", true},
	{"delete from secrets where C = 'no'", true},
	{"select s.id from secrets s join others o on o.C = s.C", true}, // both are masked
	{"select s.id from secrets s join others o using (C)", true},
	{"insert into secrets (id, C) values (9, 'b') on conflict (C) do nothing", true},
	{"explain select id from secrets where C = 'b'", true},
	{"copy (select id from secrets where C = 'b') to stdout", true},

	{"select s.id from secrets s join others o on o.plain = s.C", false},
	{"select v.x, s.id from secrets s join (values ('a'), ('b')) v(x) on v.x = s.C", false},
	{"select id from secrets where C in ('a', 'b')", false},
	{"select id from secrets where C = any (array['a', 'b'])", false},
	{"select id from secrets where C = 'a' or C = 'b'", false},
	{"select id from secrets where C in (select plain from others)", false},
	{"select C from secrets intersect select 'b'", false},
	{"select id from secrets where C > 'a'", false},
	{"select id from secrets where C between 'a' and 'b'", false},
	{"select id from secrets where C like 'b%'", false},
	{"select id from secrets where C ~ '^b'", false},
	{"select id from secrets where length(C) = 1", false},
	{"select id from secrets where left(C, 1) = 'b'", false},
	{"select id from secrets where C = (select max(C) from secrets)", false},
	{"select id from secrets order by C", false},
	{"select id, C from secrets order by 2 limit 1", false},
	{"select row_number() over (order by C), id from secrets", false},
	{"select array_agg(id order by C) from secrets", false},
	{"select count(*) from secrets group by C", false},
	{"select id from secrets group by id, C having max(C) > 'a'", false},
	{"select distinct C from secrets", false},
	{"select count(distinct C) from secrets", false},
	{"select 1 / (ascii(C) - 98) from secrets where id = 1", false},
	{"select case when C like 'b%' then 1 / (id - id) end from secrets where id = 1", false},
	{"select case when C > 'b' then pg_sleep(0.01) end from secrets", false},
	{"select C::int from secrets where id = 0", false},
	{"select substring(C from '^b') from secrets", false},
	{"select id from asked", false}, // a view, with LIKE
	{"with a as (select id, left(C, 1) as l from secrets) select id from a where l = 'b'", false},
	{"select id from (select id, C like 'b%' as t from secrets) x where t", false},
	{"select id from secrets s where exists (select from secrets o where o.C like 'b%' and o.id = s.id)", false},
	{"update secrets set plain = 'x' where C like 'b%'", false},
	{"delete from secrets where C > 'z'", false},
	{"update others set plain = 'x' from secrets s where s.id = others.id and s.C like 'b%'", false},
	{"merge into others o using secrets s on s.id = o.id and s.C like 'b%' when matched then update set plain = 'y'", false},
	{"explain select id from secrets where C like 'b%'", false},
	{"declare c cursor with hold for select id from secrets where C like 'b%'", false},
	{"copy (select id from secrets order by C) to stdout", false},
}

// free are statements that tell nothing of a masked column but what is shown masked.
var free = []string{
	"select * from secrets", "select id, upper(C), C || '-' || plain from secrets", "select max(C), count(*), count(C) from secrets",
	"select id from secrets where plain = 'x' order by id", "select id from secrets where C is null", "select coalesce(C, 'none') from secrets",
	"insert into secrets (id, C) values (9, 'z')", "update secrets set C = 'q' where id = 9", "delete from secrets where id = 9",
	"with a as (select * from secrets) select id from a", "copy secrets to stdout", "select current_setting('search_path')",
	"select relname from pg_class where relname = 'secrets'", "select C from secrets union all select plain from others", "begin; commit", "set work_mem = '4MB'", "show work_mem",
}

func inferenceRig(t *testing.T, b *approval.Broker) *rig {
	column := func(c string) []string { return []string{"public.*." + c} }
	rules := []mask.Rule{
		{Name: "open", Columns: column("open"), Transform: mask.Redact()},
		{Name: "equal", Columns: column("equal"), Transform: mask.Redact(), Inference: mask.EqualityInference},
		{Name: "asked", Columns: column("asked"), Transform: mask.Redact(), Inference: mask.ApproveInference},
		{Name: "closed", Columns: column("closed"), Transform: mask.Redact(), Inference: mask.BlockInference},
		{Name: "nulls", Columns: column("nulls"), Transform: mask.Redact(), Nulls: true, Inference: mask.BlockInference},
	}
	r := newRig(t, rigConfig{steps: []middleware.Step{middleware.MaskWith(middleware.MaskConfig{
		Rules: rules, Broker: b, Inference: middleware.ApproveRule{Groups: []string{"approvers"}, For: time.Minute}})}})
	columns := "plain text, open text unique, equal text unique, asked text unique, closed text unique, nulls text unique"
	rows := "values (1, 'x', 'a', 'a', 'a', 'a', 'a'), (2, 'y', 'b', 'b', 'b', 'b', 'b'), (3, 'z', null, null, null, null, null)"
	pgtest.Exec(t, r.pg, "create table secrets (id int, "+columns+"); create table others (id int, "+columns+")",
		"insert into secrets "+rows+"; insert into others "+rows,
		"create function own(text) returns boolean language sql as 'select $1 like ''b%'''")
	return r
}

// Each class of inference by each policy, on a real server.
func TestInferencePolicies(t *testing.T) {
	b := approval.NewBroker(approval.Options{})
	r := inferenceRig(t, b)
	said := func(err error) string {
		if err == nil {
			return "ran"
		}
		var pe *pgconn.PgError
		require.True(t, errors.As(err, &pe), "%v", err)
		if pe.Code == "42501" && strings.Contains(pe.Message, "tell") {
			return "refused"
		}
		return "ran" // and the target found fault with it
	}
	ask := func(conn *pgx.Conn, text string) string {
		return said(conn.PgConn().Exec(t.Context(), text).Close())
	}
	for _, policy := range []string{"open", "equal", "asked", "closed", "nulls"} {
		t.Run(policy, func(t *testing.T) {
			pgtest.Exec(t, r.pg, "create or replace view asked as select id from secrets where "+policy+" like 'b%'")
			conn := r.connect(t, "")
			in := func(text string) string { return strings.ReplaceAll(text, "C", policy) }
			for _, a := range asks {
				text, want := in(a.text), "refused"
				if policy == "open" || policy == "equal" && a.equality {
					want = "ran"
				}
				if policy == "asked" {
					before := len(b.List(approval.StateApproved))
					wait := decideSoon(t, b, true)
					require.Equal(t, "ran", ask(conn, text), text)
					wait()
					require.Len(t, b.List(approval.StateApproved), before+1, text)
					continue
				}
				require.Equal(t, want, ask(conn, text), text)
			}
			// What a function does that somebody has defined may be about any column.
			require.Equal(t, "refused", ask(conn, in("select id from secrets where own(C)")))
			for _, text := range free {
				if policy == "nulls" && (strings.Contains(text, "null") || strings.Contains(text, "count(C)") || strings.Contains(text, "coalesce")) {
					require.Equal(t, "refused", ask(conn, in(text)), text)
					continue
				}
				require.Equal(t, "ran", ask(conn, in(text)), text)
			}
		})
	}
}

// What is prepared is asked about when it runs, with every form of execution, and
// people see what the statement tells.
func TestInferencePrepared(t *testing.T) {
	b := approval.NewBroker(approval.Options{})
	r := inferenceRig(t, b)
	for _, mode := range []string{"simple_protocol", "exec", "cache_statement", "describe_exec"} {
		t.Run(mode, func(t *testing.T) {
			conn := r.connect(t, "&default_query_exec_mode="+mode)
			count := func(text string, args ...any) (n int, err error) {
				err = conn.QueryRow(t.Context(), text, args...).Scan(&n)
				return n, err
			}
			for range 2 {
				n, err := count("select count(*) from secrets where equal = $1", "b")
				require.NoError(t, err)
				require.Equal(t, 1, n)
				_, err = count("select count(*) from secrets where equal like $1", "b%")
				require.ErrorContains(t, err, "public.secrets.equal (pattern)")
				_, err = count("select count(*) from secrets where closed = $1", "b")
				require.ErrorContains(t, err, "public.secrets.closed (equality)")
				wait := decideSoon(t, b, false)
				_, err = count("select count(*) from secrets where asked like $1", "b%")
				require.ErrorContains(t, err, "not today")
				wait()
			}
		})
	}
	held := b.List(approval.StateDenied)
	require.Contains(t, held[0].Reason, "public.secrets.asked (pattern)")
	conn := r.connect(t, "")
	for _, text := range []string{
		"prepare p as select id from secrets where closed like 'b%'; execute p",
		"prepare q(text) as select id from secrets where closed = $1; execute q('b')",
		"begin; declare c cursor for select id from secrets order by closed; fetch all from c; commit",
		"create temp table mine as select id, closed from secrets; select id from mine where closed like 'b%'",
		"create view mine as select id from secrets where closed like 'b%'; select id from mine",
		"create function f() returns setof int language sql as 'select id from secrets where closed like ''b%'''; select f()",
		"do $$ begin if exists (select from secrets where closed like 'b%') then raise notice 'yes'; end if; end $$",
		"set search_path = pg_temp, public; select id from public.secrets where closed like 'b%'",
		"select id from secrets -- where\n order by closed", "select id from secrets where \"closed\" like 'b%'", "table secrets order by closed",
		"select id from secrets where secrets::text like '%b%'", "select id from secrets s where s = (1, 'x', 'a', 'a', 'a', 'a', 'a')", "select id from secrets s order by s",
		"select id from secrets s where to_jsonb(s)->>'closed' like 'b%'", "select distinct s from secrets s", "select count(*) from secrets natural join others",
		"with recursive r(c) as (select closed from secrets union select c from r) select count(*) from r",
		"select (select count(*) from secrets where closed = v.x) from (values ('a'), ('b')) v(x)",
		"select g, count(s.id) from generate_series(97, 98) g left join secrets s on s.closed = chr(g) group by g",
		"select id from secrets limit (select length(closed) from secrets where id = 1)",
		"select grouping(closed), count(*) from secrets group by rollup (closed)", "select id from secrets for update of secrets; select id from secrets order by closed for update",
		"select lag(id) over w from secrets window w as (partition by closed)", "select string_agg(id::text, ',' order by closed) from secrets",
		"select x from secrets, unnest(string_to_array(closed, null)) with ordinality u(c, x)", "select id from secrets tablesample bernoulli (50) where closed > ''",
		"select count(*) filter (where closed > 'a') from secrets", "select bool_or(closed > 'a') is true or 1 = 1 / count(*) from secrets",
		"select nullif(closed, 'b') from secrets", "select regexp_match(closed, 'b') from secrets", "select position('b' in closed) > 0 and id > 0 from secrets",
		"insert into secrets (id, closed) values (1, 'b') on conflict do nothing", "insert into others select id from secrets where closed like 'b%'",
		"select pg_advisory_lock(1) from secrets where closed like 'b%'", "select set_config('a.b', 'x', false) from secrets where closed like 'b%'",
	} {
		_, err := conn.Exec(context.Background(), text, pgx.QueryExecModeSimpleProtocol)
		var pe *pgconn.PgError
		require.ErrorAs(t, err, &pe, text)
		require.Equal(t, "42501", pe.Code, "%s: %s", text, pe.Message)
		_, _ = conn.Exec(context.Background(), "rollback; drop table if exists mine; reset search_path", pgx.QueryExecModeSimpleProtocol)
	}
}
