package pgsql

import (
	"strings"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

// traits are what matters of a built-in function.
type traits struct {
	pure   bool            // changes nothing
	leaks  bool            // its result may hold data that its arguments do not show
	edge   protocol.Edge   // how its result depends on its arguments
	access protocol.Access // what calling it amounts to beyond reading
	flags  Flags
}

// builtinTraits judges the built-in functions that share a name. Immutable and
// stable ones change nothing, by PostgreSQL's own declaration, unless they are
// listed here; a volatile one is harmless only if it is listed here.
func builtinTraits(b sql.Builtin) traits {
	t := traits{pure: b.Volatility == 'i' || b.Volatility == 's', edge: protocol.EdgeTransform}
	if b.Aggregate && summarises(b.Name) {
		t.edge = protocol.EdgeAggregate
	}
	if b.Volatility == 'v' && harmlessVolatile(b.Name) {
		t.pure = true
	}
	if leaks(b.Name) {
		t.leaks = true
	}
	if runsTypeCode(b.Name) {
		t.pure = false
	}
	switch a, f := effectOf(b.Name); {
	case a != 0:
		t.access, t.flags, t.pure = a, f, false
	case !t.pure:
		t.access, t.flags, t.leaks = protocol.Execute, RunsCode, true
	}
	return t
}

// summarises reports whether an aggregate shows something about many values
// rather than one of them: min, max, string_agg and the like do not.
func summarises(name string) bool {
	switch name {
	case "count", "sum", "avg", "stddev", "stddev_pop", "stddev_samp", "variance", "var_pop", "var_samp",
		"corr", "covar_pop", "covar_samp", "regr_avgx", "regr_avgy", "regr_count", "regr_intercept",
		"regr_r2", "regr_slope", "regr_sxx", "regr_sxy", "regr_syy", "bool_and", "bool_or", "every",
		"rank", "dense_rank", "percent_rank", "cume_dist":
		return true
	}
	return false
}

// harmlessVolatile lists functions that are volatile because their result
// changes, not because they change anything.
func harmlessVolatile(name string) bool {
	switch name {
	case "clock_timestamp", "random", "random_normal", "gen_random_uuid", "uuidv4", "uuidv7", "timeofday",
		"current_query", "currval", "lastval", "pg_sleep", "pg_sleep_for", "pg_sleep_until",
		"pg_blocking_pids", "pg_safe_snapshot_blocking_pids", "pg_isolation_test_session_is_blocked",
		"pg_database_size", "pg_indexes_size", "pg_relation_size", "pg_table_size", "pg_tablespace_size",
		"pg_total_relation_size", "pg_is_in_recovery", "pg_is_wal_replay_paused", "pg_get_wal_replay_pause_state",
		"pg_jit_available", "pg_last_committed_xact", "pg_last_wal_receive_lsn", "pg_last_wal_replay_lsn",
		"pg_last_xact_replay_timestamp", "pg_current_wal_flush_lsn", "pg_current_wal_insert_lsn", "pg_current_wal_lsn",
		"pg_lock_status", "pg_partition_ancestors", "pg_partition_tree", "pg_notification_queue_usage",
		"pg_sequence_last_value", "pg_get_sequence_data", "pg_collation_actual_version", "pg_database_collation_actual_version",
		"pg_control_checkpoint", "pg_control_init", "pg_control_recovery", "pg_control_system",
		"pg_xact_commit_timestamp", "pg_xact_commit_timestamp_origin", "pg_xact_status", "txid_status",
		"pg_replication_origin_session_is_setup", "pg_show_replication_origin_status", "pg_stat_have_stats":
		return true
	}
	return strings.HasPrefix(name, "pg_stat_get_")
}

// leaks lists functions whose result may hold data or secrets that no rule on
// a column finds: values of settings, statistics, statements of other
// sessions, files, large objects, and whatever a query in a string reads.
func leaks(name string) bool {
	switch name {
	case "current_setting", "pg_show_all_settings", "pg_show_all_file_settings", "pg_prepared_statement", "pg_prepared_xact",
		"pg_cursor", "pg_mcv_list_items", "pg_stat_get_activity", "pg_stat_get_backend_activity", "pg_listening_channels",
		"pg_stat_get_wal_receiver", "pg_stat_get_subscription", "pg_hba_file_rules", "pg_ident_file_mappings",
		"pg_current_logfile", "pg_stat_file", "pg_tablespace_databases", "pg_get_publication_tables",
		"loread", "ts_stat", "ts_rewrite", "currtid2", "currtid", "pg_options_to_table":
		return true
	}
	return strings.Contains(name, "_to_xml") || strings.HasPrefix(name, "lo_") || strings.HasPrefix(name, "pg_read_") ||
		strings.HasPrefix(name, "pg_ls_") || strings.HasPrefix(name, "pg_logical_")
}

// runsTypeCode lists functions that are declared stable or immutable and yet
// call the code of whatever type or function they are told by OID or name:
// input functions run the constraints of domains.
func runsTypeCode(name string) bool {
	switch name {
	case "pg_input_is_valid", "pg_input_error_info", "record_in", "array_in", "domain_in", "range_in", "multirange_in",
		"anyarray_in", "anyenum_in", "anyrange_in", "anymultirange_in", "jsonb_populate_record_valid":
		return true
	}
	return strings.HasSuffix(name, "_recv") || strings.HasSuffix(name, "recv") ||
		strings.HasSuffix(name, "_validator") || strings.Contains(name, "_to_xml")
}

// runsText lists functions that run a query in a string, or a view by its name: whatever
// they return, it may set what is kept. Those of the server's own, and of extensions that
// came with it.
func runsText(name string) bool {
	switch name {
	case "ts_stat", "ts_rewrite", "connectby", "xpath_table":
		return true
	}
	return strings.Contains(name, "_to_xml") || strings.HasPrefix(name, "dblink") || strings.HasPrefix(name, "crosstab")
}

// populates lists functions that read parts of a document as values of the types
// of a row that they are given.
func populates(name string) bool {
	switch name {
	case "json_populate_record", "json_populate_recordset", "jsonb_populate_record", "jsonb_populate_recordset", "hstore_populate_record":
		return true
	}
	return false
}

// effectOf says what a built-in function that does something amounts to, or 0.
func effectOf(name string) (protocol.Access, Flags) {
	if runsText(name) {
		return protocol.Execute | protocol.Write | protocol.Control, RunsCode
	}
	switch name {
	case "nextval":
		return protocol.Write, 0
	case "setval": // keeps a value as well
		return protocol.Write | protocol.Control, 0
	case "set_config":
		return protocol.Control, SetsState
	case "setseed", "pg_advisory_lock", "pg_advisory_lock_shared", "pg_advisory_unlock", "pg_advisory_unlock_all",
		"pg_advisory_unlock_shared", "pg_advisory_xact_lock", "pg_advisory_xact_lock_shared", "pg_try_advisory_lock",
		"pg_try_advisory_lock_shared", "pg_try_advisory_xact_lock", "pg_try_advisory_xact_lock_shared",
		"txid_current", "pg_current_xact_id", "pg_export_snapshot", "pg_stat_clear_snapshot":
		return protocol.Control, 0
	case "pg_notify":
		return protocol.Control, Notify
	case "lo_get", "lo_open", "loread", "lo_lseek", "lo_lseek64", "lo_tell", "lo_tell64", "lo_close":
		return protocol.Execute, 0
	case "lo_creat", "lo_create", "lo_from_bytea", "lo_put", "lo_truncate", "lo_truncate64", "lo_unlink", "lowrite":
		return protocol.Write | protocol.Control, 0
	case "pg_terminate_backend", "pg_cancel_backend", "pg_reload_conf", "pg_rotate_logfile", "pg_rotate_logfile_old",
		"pg_switch_wal", "pg_promote", "pg_create_restore_point", "pg_backup_start", "pg_backup_stop",
		"pg_start_backup", "pg_stop_backup", "pg_wal_replay_pause", "pg_wal_replay_resume", "pg_log_backend_memory_contexts",
		"lo_import", "lo_export", "pg_stat_file", "pg_import_system_collations", "pg_file_write", "pg_file_unlink", "pg_file_rename", "pg_file_sync":
		return protocol.Admin, 0
	}
	switch {
	case strings.HasPrefix(name, "pg_logical_"), strings.Contains(name, "replication_slot"):
		if strings.HasPrefix(name, "pg_stat_") || name == "pg_get_replication_slots" {
			return 0, 0
		}
		return protocol.Admin, ReplicationLike
	case strings.HasPrefix(name, "pg_replication_origin_") && name != "pg_replication_origin_oid" && name != "pg_replication_origin_session_is_setup":
		return protocol.Admin, ReplicationLike
	case strings.HasPrefix(name, "pg_read_"), strings.HasPrefix(name, "pg_ls_"), strings.HasPrefix(name, "pg_stat_reset"),
		strings.HasPrefix(name, "binary_upgrade_"):
		return protocol.Admin, 0
	case strings.HasPrefix(name, "brin_") && !strings.HasSuffix(name, "handler") && strings.Contains(name, "ummarize"):
		return protocol.Write, 0
	}
	return 0, 0
}
