-- Rights to built-in functions may be taken away: what the gateway asks in this
-- session must need none of them.
create role differential_plain;
begin;
select '{1}'::int4[]::int8[];
revoke all on function int8(integer) from public;
set session authorization differential_plain;
select '{1}'::int4[]::int8[];
rollback;
begin;
revoke all on function int4(bigint) from public;
revoke all on function text(name) from public;
set local role differential_plain;
savepoint a;
select 1;
set search_path = public;
select current_user;
rollback to a;
select 2;
rollback;
-- Without the right to what it asks by, the gateway knows less, and the
-- session goes on.
begin;
revoke all on function current_schemas(boolean) from public;
revoke all on function pg_my_temp_schema() from public;
commit;
set role differential_plain;
select 3;
begin;
set search_path = public;
select 4;
set search_path = pg_catalog;
select 5;
commit;
reset role;
grant execute on function current_schemas(boolean) to public;
grant execute on function pg_my_temp_schema() to public;
set statement_timeout = 0;
select 6;
drop role differential_plain;
