package sql

import (
	"slices"
	"strings"
)

// leaks reports whether a system relation holds or shows data of other
// relations, or what other sessions sent, or secrets: rules on the columns the
// data came from cannot find it there.
func leaks(r *Relation) bool {
	if !r.System() {
		// Statement texts of pg_stat_statements and the like, wherever the
		// extension was put.
		return strings.HasPrefix(r.Name, "pg_stat_statements") || r.Name == "pg_buffercache"
	}
	if r.Kind == ToastTable || r.Schema == "pg_toast" {
		return true
	}
	switch r.Name {
	case "pg_statistic", "pg_statistic_ext_data", "pg_stats", "pg_stats_ext", "pg_stats_ext_exprs",
		"pg_largeobject", "pg_stat_activity", "pg_prepared_statements", "pg_cursors",
		"pg_settings", "pg_file_settings", "pg_db_role_setting", "pg_hba_file_rules", "pg_ident_file_mappings",
		"pg_authid", "pg_shadow", "pg_subscription", "pg_user_mapping", "pg_user_mappings", "pg_foreign_server", "pg_foreign_data_wrapper",
		"user_mapping_options", "foreign_server_options", "_pg_user_mappings", "_pg_foreign_servers":
		return true
	}
	return false
}

// plain are the columns of system relations that leak in which nothing is that
// came from elsewhere: names, numbers and moments of the server's own. What
// somebody may set at will, such as application_name, is not among them.
var plain = map[string][]string{
	"pg_settings": {"name", "unit", "category", "short_desc", "extra_desc", "context", "vartype", "source", "min_val", "max_val", "enumvals", "pending_restart"},
	"pg_stat_activity": {"datid", "datname", "pid", "leader_pid", "usesysid", "usename", "backend_start", "xact_start", "query_start", "state_change",
		"wait_event_type", "wait_event", "state", "backend_xid", "backend_xmin", "query_id", "backend_type"},
	"pg_stats":                {"schemaname", "tablename", "attname", "inherited", "null_frac", "avg_width", "n_distinct", "correlation"},
	"pg_authid":               {"oid", "rolname", "rolsuper", "rolinherit", "rolcreaterole", "rolcreatedb", "rolcanlogin", "rolreplication", "rolbypassrls", "rolconnlimit", "rolvaliduntil"},
	"pg_foreign_server":       {"oid", "srvname", "srvowner", "srvfdw", "srvtype", "srvversion", "srvacl"},
	"pg_foreign_data_wrapper": {"oid", "fdwname", "fdwowner", "fdwhandler", "fdwvalidator", "fdwacl"},
}

// leaksIn is leaks for one column.
func leaksIn(r *Relation, column string) bool {
	return leaks(r) && !(r.System() && slices.Contains(plain[r.Name], column))
}

// Leaks reports whether all of r shows data or secrets that came from elsewhere, so
// that its columns' own names do not say what is in them.
func (r *Relation) Leaks() bool { return leaks(r) && !(r.System() && plain[r.Name] != nil) }
