package pgsql

import (
	"fmt"
	"strconv"

	pg "github.com/pganalyze/pg_query_go/v6"

	"github.com/sallyport-dev/gateway/protocol"
)

func (p *pass) transaction(x *pg.TransactionStmt) protocol.Verb {
	p.control()
	if len(x.Options) > 0 {
		p.effect.Flags |= SetsState | Local
		p.effect.Setting = "transaction"
	}
	switch x.Kind {
	case pg.TransactionStmtKind_TRANS_STMT_BEGIN:
		p.effect.Flags |= TxBegin
		return "begin"
	case pg.TransactionStmtKind_TRANS_STMT_START:
		p.effect.Flags |= TxBegin
		return "start transaction"
	case pg.TransactionStmtKind_TRANS_STMT_COMMIT:
		p.effect.Flags |= TxEnd
		if x.Chain {
			p.effect.Flags |= TxBegin
		}
		return "commit"
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK:
		p.effect.Flags |= TxEnd
		if x.Chain {
			p.effect.Flags |= TxBegin
		}
		return "rollback"
	case pg.TransactionStmtKind_TRANS_STMT_SAVEPOINT:
		p.follow(Savepoint, x.SavepointName)
		return "savepoint"
	case pg.TransactionStmtKind_TRANS_STMT_RELEASE:
		p.follow(Savepoint, x.SavepointName)
		return "release savepoint"
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK_TO:
		p.follow(Savepoint, x.SavepointName)
		return "rollback to savepoint"
	case pg.TransactionStmtKind_TRANS_STMT_PREPARE:
		p.follow(TxEnd, x.Gid)
		return "prepare transaction"
	case pg.TransactionStmtKind_TRANS_STMT_COMMIT_PREPARED:
		p.access |= protocol.Write
		p.effect.Flags |= DDL // whatever that transaction did
		p.effect.Name = x.Gid
		return "commit prepared"
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK_PREPARED:
		p.access |= protocol.Write
		p.effect.Name = x.Gid
		return "rollback prepared"
	default:
		p.opaque("a transaction command is not understood")
		return protocol.Unknown
	}
}

// set is SET and RESET.
func (p *pass) set(x *pg.VariableSetStmt) protocol.Verb {
	p.control()
	p.effect.Flags |= SetsState
	if x.IsLocal {
		p.effect.Flags |= Local
	}
	p.effect.Setting = settingName(x.Name)
	switch x.Kind {
	case pg.VariableSetKind_VAR_SET_VALUE, pg.VariableSetKind_VAR_SET_MULTI:
		if x.Kind == pg.VariableSetKind_VAR_SET_MULTI {
			switch x.Name {
			case "TRANSACTION", "TRANSACTION SNAPSHOT":
				p.effect.Flags |= Local
				p.effect.Setting = "transaction"
			default:
				p.effect.Setting = "session characteristics"
			}
			return "set"
		}
		p.effect.Values = settingValues(x.Args)
		return "set"
	case pg.VariableSetKind_VAR_RESET_ALL:
		p.effect.Setting = ""
		return "reset"
	case pg.VariableSetKind_VAR_RESET:
		return "reset"
	default:
		return "set"
	}
}

// settingValues returns the constants in the arguments of SET, nil if one of
// them is anything else.
func settingValues(args []*pg.Node) []string {
	var out []string
	for _, a := range args {
		c := a.GetAConst()
		switch v := c.GetVal().(type) {
		case *pg.A_Const_Sval:
			out = append(out, v.Sval.GetSval())
		case *pg.A_Const_Ival:
			out = append(out, strconv.Itoa(int(v.Ival.GetIval())))
		case *pg.A_Const_Fval:
			out = append(out, v.Fval.GetFval())
		case *pg.A_Const_Boolval:
			out = append(out, fmt.Sprint(v.Boolval.GetBoolval()))
		default:
			return nil
		}
	}
	return out
}

func (p *pass) show(x *pg.VariableShowStmt) protocol.Verb {
	p.access |= protocol.Read
	p.shape |= protocol.Rows
	p.impure = p.mistrust
	p.effect.Setting = settingName(x.Name)
	if x.Name == "all" {
		p.columns = []protocol.Column{{Name: "name", Known: true}, {Name: "setting"}, {Name: "description", Known: true}}
		p.notKnown("settings may hold anything")
		return "show"
	}
	p.columns = []protocol.Column{{Name: x.Name, Known: harmlessSetting(p.effect.Setting)}}
	if !p.columns[0].Known {
		p.notKnown("a setting may hold anything")
	}
	return "show"
}

// harmlessSetting lists settings whose value cannot carry data: the server
// accepts few values, or nobody but its operator can set them.
func harmlessSetting(name string) bool {
	switch name {
	case "transaction_isolation", "transaction_read_only", "transaction_deferrable", "default_transaction_isolation",
		"default_transaction_read_only", "default_transaction_deferrable", "server_version", "server_version_num",
		"server_encoding", "client_encoding", "standard_conforming_strings", "timezone", "datestyle", "intervalstyle",
		"integer_datetimes", "is_superuser", "session_authorization", "role", "in_hot_standby", "max_identifier_length",
		"max_connections", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "work_mem",
		"lc_collate", "lc_ctype", "block_size", "wal_level", "synchronous_commit", "extra_float_digits", "bytea_output":
		return true
	}
	return false
}

func (p *pass) discard(x *pg.DiscardStmt) protocol.Verb {
	p.control()
	p.effect.Flags |= Discard
	switch x.Target {
	case pg.DiscardMode_DISCARD_ALL:
		p.effect.Flags |= SetsState | Deallocate | CloseCursor | Listen
		p.effect.Setting = "all"
	case pg.DiscardMode_DISCARD_PLANS:
		p.effect.Setting = "plans"
	case pg.DiscardMode_DISCARD_SEQUENCES:
		p.effect.Setting = "sequences"
	default:
		p.effect.Setting = "temp"
	}
	return "discard"
}
