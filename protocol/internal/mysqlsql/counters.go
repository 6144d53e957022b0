package mysqlsql

import (
	"context"
	"errors"
	"strconv"
)

// Counters are what a server has counted of the statements that change
// definitions, since it was started. The zero Counters are not known.
type Counters struct {
	known  bool
	uptime int64 // in seconds
	sum    int64
}

// Same reports whether no statement has been counted between c and the earlier
// d, and the server is the one of then.
func (c Counters) Same(d Counters) bool {
	return c.known && d.known && c.sum == d.sum && c.uptime >= d.uptime
}

// The counters of statements are Com_create_table and the like. MySQL has them in
// another schema than MariaDB.
const (
	countQuery = "SELECT SUM(CASE VARIABLE_NAME WHEN 'UPTIME' THEN 0 ELSE VARIABLE_VALUE END), SUM(CASE VARIABLE_NAME WHEN 'UPTIME' THEN VARIABLE_VALUE ELSE 0 END) FROM "
	countNames = ` WHERE VARIABLE_NAME = 'UPTIME' OR VARIABLE_NAME LIKE 'Com_create_%' OR VARIABLE_NAME LIKE 'Com_alter_%' OR VARIABLE_NAME LIKE 'Com_drop_%'` +
		` OR VARIABLE_NAME LIKE 'Com_rename_%' OR VARIABLE_NAME LIKE 'Com_grant%' OR VARIABLE_NAME LIKE 'Com_revoke%' OR VARIABLE_NAME LIKE 'Com_%stall_%' OR VARIABLE_NAME LIKE 'Com_flush'`
)

// Count asks the target of q for its counters, which costs much less than Load.
// An account that may not see them has Counters that are never the same; of a
// connection that is broken Load tells.
func (a *Analyzer) Count(ctx context.Context, q Querier, st State) Counters {
	table := "performance_schema.global_status"
	if st.MariaDB {
		table = "information_schema.GLOBAL_STATUS"
	}
	var c Counters
	rows := 0
	err := q.Query(ctx, countQuery+table+countNames, func(v [][]byte) error {
		if rows++; rows > 1 || len(v) != 2 {
			return errors.New("the target's counters are not as expected")
		}
		sum, err1 := strconv.ParseFloat(string(v[0]), 64)
		up, err2 := strconv.ParseFloat(string(v[1]), 64)
		c = Counters{known: err1 == nil && err2 == nil && up > 0, sum: int64(sum), uptime: int64(up)}
		return nil
	})
	if err != nil {
		return Counters{}
	}
	return c
}
