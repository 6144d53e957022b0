package mysql

import (
	"context"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/mysqlsql"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

var _ protocol.Analyzer = (*Server)(nil)

// Analyze implements [protocol.Analyzer].
func (s *Server) Analyze(ctx context.Context, ps *protocol.Session, text string) ([]*protocol.Operation, error) {
	s.init()
	c := &session{srv: s, ps: ps}
	st, err := c.stateOf(ctx)
	script := s.analyzer.Analyze([]byte(text), &st)
	var ops []*protocol.Operation
	for r := c.newRuns(script, text); r != nil; r = r.next {
		ops = append(ops, &r.op)
	}
	return ops, err
}

// stateOf asks the target for what a new session's statements mean.
func (c *session) stateOf(ctx context.Context) (mysqlsql.State, error) {
	unknown := mysqlsql.State{Charset: "utf8mb4"}
	creds, err := c.ps.Credentials(ctx)
	if err != nil {
		return unknown, err
	}
	info := c.ps.Info()
	database := info.Database
	if database == "" {
		database = info.Resource.Options[optDatabase]
	}
	t, err := c.srv.connectTarget(ctx, info.Resource, c.ps.Dial, request{creds: creds, database: database, attrs: []attr{{"program_name", "sallyport explain"}}})
	if err != nil {
		return unknown, err
	}
	defer t.r.Release()
	defer t.close()
	c.t = t
	var cat *sql.Catalog
	err = protocol.Guard(func() (err error) {
		if err = c.askState(ctx); err == nil {
			cat, err = c.srv.analyzer.Load(ctx, t, mysqlsql.State{Version: versionOf(t.version), MariaDB: t.isMariaDB(), Folded: c.tracker.folded})
		}
		return err
	})
	if err != nil {
		return unknown, err
	}
	return mysqlsql.State{Database: c.tracker.database, Mode: c.tracker.mode, Charset: c.tracker.charset, Folded: c.tracker.folded,
		MariaDB: t.isMariaDB(), Version: versionOf(t.version), Memory: &mysqlsql.Memory{},
		Catalog: func() *sql.Catalog { return cat }}, nil
}
