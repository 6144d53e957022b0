package mysqlsql

import (
	"strings"

	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// leaks reports whether a column of a relation of the server's own holds or
// shows data of other relations, what other sessions sent, or secrets: rules on
// the columns that the data came from cannot find it there.
func leaks(r *sql.Relation, column string) bool {
	switch r.Schema {
	case "mysql":
		return !within(plainMysql, r.Name) && !(within(accounts, r.Name) && within(plainAccounts, column))
	case "performance_schema":
		return true
	case "sys": // its views show what they are made of
		return r.Kind != sql.View
	case "information_schema":
		if strings.EqualFold(r.Name, "PROCESSLIST") {
			return !within(plainProcess, column)
		}
		return !within(definitions, r.Name)
	}
	return false
}

// holdsSettings reports whether a relation shows the session's settings.
func holdsSettings(r *sql.Relation) bool {
	return r.Schema == "information_schema" && (strings.EqualFold(r.Name, "SESSION_VARIABLES") || strings.EqualFold(r.Name, "SYSTEM_VARIABLES"))
}

// numbers reports whether MariaDB makes up a table of that name, unless there is one:
// seq_1_to_10, or seq_1_to_10_step_3, of these numbers.
func numbers(name string) bool {
	rest, ok := strings.CutPrefix(name, "seq_")
	first, rest, _ := strings.Cut(rest, "_to_")
	last, step, stepped := strings.Cut(rest, "_step_")
	return ok && number(first) && number(last) && (!stepped || number(step))
}

func number(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func within(m map[string]struct{}, name string) bool {
	_, ok := m[strings.ToLower(name)]
	return ok
}

// definitions are the tables of information_schema that show definitions,
// settings and counters only.
var definitions = set(`schemata tables columns statistics key_column_usage table_constraints referential_constraints check_constraints
routines parameters views triggers events engines character_sets collations collation_character_set_applicability partitions plugins
all_plugins keywords sql_functions user_privileges schema_privileges table_privileges column_privileges applicable_roles
enabled_roles administrable_role_authorizations files sequences global_variables session_variables system_variables global_status session_status
geometry_columns spatial_ref_sys key_caches tablespaces view_table_usage view_routine_usage tables_extensions columns_extensions
schemata_extensions table_constraints_extensions st_geometry_columns st_spatial_reference_systems st_units_of_measure resource_groups
role_table_grants role_column_grants role_routine_grants innodb_metrics innodb_tables innodb_columns innodb_indexes innodb_fields
innodb_sys_tables innodb_sys_columns innodb_sys_indexes innodb_sys_fields innodb_sys_foreign innodb_sys_foreign_cols innodb_sys_tablespaces
innodb_sys_tablestats innodb_sys_virtual innodb_tablespaces innodb_foreign innodb_foreign_cols innodb_cmp innodb_cmp_reset
innodb_cmpmem innodb_cmpmem_reset innodb_cmp_per_index innodb_buffer_pool_stats innodb_ft_default_stopword table_statistics index_statistics
periods optimizer_costs`)

// plainProcess are the columns of the list of sessions that show no texts.
var plainProcess = set(`id user host db command time state time_ms stage max_stage progress memory_used max_memory_used query_id tid`)

// accounts are the tables of the schema mysql that hold accounts with their secrets,
// and plainAccounts the columns of them that hold none.
var (
	accounts      = set(`user global_priv`)
	plainAccounts = set(`host user`)
)

// plainMysql are the tables of the schema mysql that hold no data of others and
// no secrets.
var plainMysql = set(`time_zone time_zone_leap_second time_zone_name time_zone_transition time_zone_transition_type help_topic help_category
help_keyword help_relation innodb_table_stats innodb_index_stats table_stats index_stats db tables_priv columns_priv procs_priv roles_mapping plugin`)
