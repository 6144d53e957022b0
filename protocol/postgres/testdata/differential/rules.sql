-- Rules answer changes with rows, also those of tables that only this session or
-- this transaction can see.
create temp table mine (i int);
insert into mine values (1), (2);
create rule r as on insert to mine do instead select i, 'by rule' as said from mine;
insert into mine values (3);
with gone as (delete from mine where i = 2 returning *) insert into mine select * from gone;
prepare p as insert into mine values ($1);
execute p(4);
begin;
create table both (i int);
create rule r as on update to both do also select i * 2 as twice from both;
insert into both values (1);
update both set i = i + 1;
delete from both returning i;
rollback;
begin;
create rule r as on delete to logins do instead select count(*) from logins;
delete from logins where customer_id = 1;
rollback;
create table kept (i int);
create rule r as on delete to kept do instead select 5 as five;
delete from kept;
create view seen as select i from kept;
create rule r as on insert to seen do instead insert into kept values (new.i) returning i;
insert into seen values (6) returning i;
drop table kept cascade;
