package mysqlsql

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// after runs steps in one session and returns what the last one is. A step
// with ! before it fails at the target.
func after(t *testing.T, a *Analyzer, st *State, steps string) Statement {
	t.Helper()
	var s Statement
	for step := range strings.SplitSeq(steps, " ;; ") {
		text, failed := strings.CutPrefix(step, "!")
		script := a.Analyze([]byte(text), st)
		for i := range script.Statements {
			one := &script.Statements[i]
			s = *one
			st.Memory.Sent(one)
			if !failed {
				st.Memory.Done(one)
			}
		}
	}
	return s
}

func TestMemory(t *testing.T) {
	a := NewAnalyzer(Options{})
	for _, c := range []struct{ steps, reads string }{ // of the last step; "?": not known
		{"select @a", ""},
		{"set @a = 1 ;; select @a", ""},
		{"set @a = (select email from customers) ;; select @a", "customers.email"},
		{"set @a = (select email from customers) ;; set @A = 1 ;; select @a", ""},
		{"set @a = (select email from customers) ;; !set @a = 1 ;; select @a", "customers.email"},
		{"!set @a = (select email from customers) ;; select @a", "customers.email"},
		{"set @a = (select email from customers) ;; select @a := 1 from orders where 1 = 0 ;; select @a", "customers.email"},
		{"set @a = (select email from customers) ;; set @b = (select @a := 1 from orders) ;; select @a", "customers.email"},
		{"select email into @a from customers ;; select @a", "customers.email"},
		{"select @a, @a := email from customers", "customers.email"},
		{"select @b := @a, @a := email from customers ;; select @b", "customers.email"},
		{"set @`x y` = (select email from customers) ;; select @'x y'", "customers.email"},
		{"create temporary table t (b varchar(9) as (upper(a))) select email as a from customers ;; select b from t", "customers.email t.a t.b"},
		{"create temporary table t (c varchar(9) as (concat(b)), b varchar(9) as (upper(a))) select email as a, 1 as d from customers ;; select c from t", "customers.email t.a t.b t.c"},
		{"create temporary table t (f int as (e), e int as (d), d int as (c), c int as (b), b int as (a)) select name as a from customers ;; select f from t", "?"},
		{"create temporary table t (b varchar(9) as (upper(d)), c int default 1) select email as a, 1 as d from customers ;; select b, c from t", "t.b t.c t.d"},
		{"call nobody_knows() ;; select @a", "?"},
		{"call nobody_knows() ;; set @a = 1 ;; select @a", ""},
		{"call nobody_knows() ;; select name from customers", "?"},
		{"select last_insert_id()", ""},
		{"select last_insert_id(id) from customers ;; select last_insert_id(), @@identity", "customers.id"},
		{"show variables", ""},
		{"select last_insert_id(id) from customers ;; show variables like 'identity'", "customers.id"},
		{"select last_insert_id(id) from customers ;; show status", ""},
		{"show warnings", ""},
		{"select email from customers ;; show warnings", "customers.email"},
		{"select email from customers ;; select 1 ;; get diagnostics condition 1 @m = message_text ;; select @m", "customers.email"},
		{"insert into customers (name) values ('x') ;; show warnings", "customers.email customers.id customers.name"},
		{"prepare s from 'select email from customers' ;; execute s", "customers.email"},
		{"prepare s from 'select email from customers' ;; !prepare s from 'select 1' ;; execute s", "?"},
		{"prepare s from 'select email from customers' ;; deallocate prepare s ;; execute s", "?"},
		{"set @q = 'select item from orders' ;; prepare s from @q ;; execute s", "orders.item"},
		{"set @q = 'select item from orders' ;; !set @q = 'select 1' ;; prepare s from @q ;; execute s", "?"},
		{"set @q = concat('select item', ' from orders') ;; prepare s from @q ;; execute s", "orders.item"},
		{"prepare s from 'select ?' ;; set @a = (select email from customers) ;; execute s using @a", "customers.email"},
		{"execute immediate 'select ?' using 1", ""},
		{"execute immediate 'execute immediate ''select 1'''", "?"},
		{"create temporary table t as select email as x from customers ;; select x from t", "customers.email t.x"},
		{"create temporary table t (x int) ;; insert into t select email from customers ;; select x from t", "customers.email t.x"},
		{"create temporary table t (x int) ;; select * from t", "t.x"},
		{"!create temporary table orders (x int) ;; select * from orders", "?"},
		{"create temporary table orders (x int) ;; select item from orders", "?"},
		{"create temporary table orders (x int) ;; drop table orders ;; select item from orders", "orders.item"},
		{"create temporary table t (x int) ;; alter table t rename to orders ;; select * from orders", "?"},
		{"create temporary table t like orders ;; select item from t", "t.item"},
		{"create temporary table customers (id int) ;; select contact from contacts", "contacts.contact customers.email customers.id"},
		{"handler customers open as orders ;; handler orders read first", "customers.email customers.id customers.name"},
		{"handler customers open ;; handler customers close ;; handler customers read first", "?"},
		{"begin not atomic declare e text; select email into e from customers; set @k = e; end ;; select @k", "customers.email"},
		{"begin not atomic declare e text; if 1 then set e = (select email from customers); end if; select e; end", "customers.email"},
		{"explain select * from (select @a := email from customers) x ;; select @a", "customers.email"},
		{"explain select * from orders where id = last_insert_id((select id from customers)) ;; select last_insert_id()", "customers.id"},
		{"begin not atomic prepare s from 'select email from customers'; end ;; execute s", "?"},
		{"begin not atomic execute immediate 'select email from customers'; end", "?"},
		{"prepare s from 'select email from customers' ;; begin not atomic execute s; end", "?"},
		{"begin not atomic set timestamp = 1, autocommit = on, sql_mode = default, time_zone = @@global.time_zone; select item from orders; end", "orders.item"},
		{"begin not atomic declare n int; select id into n from customers; set timestamp = n; end", "?"},
		{"begin not atomic select id into @n from customers; set timestamp = @n; end", "?"},
		{"begin not atomic set timestamp = (select id from customers); end", "?"},
		{"set @a = (select email from customers) ;; create event e on schedule every @a second do select 1", "customers.email"},
		// Names that servers take for the same.
		{"set @'a''b' = (select email from customers) ;; select @'a''b'", "customers.email"},
		{"begin not atomic select email into @'a''b' from customers; end ;; select @'a''b'", "customers.email"},
		{"select email into @`a``b` from customers ;; select @`a``b`", "customers.email"},
		{"select email into @é from customers ;; select @è", "customers.email"},
		{"select email into @é from customers ;; select @e", "customers.email"},
		{"select email into @e from customers ;; select @é", "customers.email"},
		{"select email into @'a ' from customers ;; select @a", "customers.email"},
		{"select email into @é from customers ;; set @è = 1 ;; select @é", "customers.email"},
		{"select email into @a from customers ;; set @é = 1 ;; select @é", "customers.email"},
		{"set @é = 1 ;; select @é, @e", ""},
		{"select @é := email, @è from customers", "customers.email"},
		{"select @b := @è, @é := email from customers ;; select @b", "customers.email"},
		{"call nobody_knows() ;; set @é = 1 ;; select @é", "?"},
		{"set @é = 'select item from orders' ;; set @è = 'select email from customers' ;; prepare s from @é ;; execute s", "?"},
		{"set @e = 'select item from orders' ;; set @é = 'select email from customers' ;; prepare s from @e ;; execute s", "?"},
		{"prepare é from 'select 1' ;; prepare è from 'select email from customers' ;; execute é", "?"},
		{"prepare e from 'select 1' ;; prepare é from 'select email from customers' ;; execute e", "?"},
		{"prepare é from 'select item from orders' ;; prepare e from 'select 1' ;; execute e", ""},
	} {
		st := shop(a)
		s := after(t, a, st, c.steps)
		if c.reads == "?" {
			require.False(t, s.ReadsKnown, c.steps)
			continue
		}
		require.True(t, s.ReadsKnown, "%s: %s", c.steps, s.Why)
		require.Equal(t, c.reads, names(s.Reads), c.steps)
	}
}

// TestOneTextAsMany has the same steps in one text.
func TestOneTextAsMany(t *testing.T) {
	a := NewAnalyzer(Options{})
	s := a.Analyze([]byte("set @a = (select email from customers); select @a"), shop(a))
	require.Equal(t, "customers.email", names(s.Statements[1].Reads))
	s = a.Analyze([]byte("create temporary table t as select email from customers; select * from t"), shop(a))
	require.Equal(t, "customers.email t.email", names(s.Statements[1].Reads))
	s = a.Analyze([]byte("create table t as select email from customers; select name from customers"), shop(a))
	require.False(t, s.Statements[1].ReadsKnown)
}
