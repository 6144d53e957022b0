package postgres

import (
	"cmp"
	"context"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/pgsql"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
)

var _ protocol.Analyzer = (*Server)(nil)

// Analyze implements [protocol.Analyzer].
func (s *Server) Analyze(ctx context.Context, ps *protocol.Session, text string) ([]*protocol.Operation, error) {
	s.init()
	st, err := s.stateOf(ctx, ps)
	script := s.analyzer.Analyze([]byte(text), &st)
	texts := []string{text}
	if len(script.Statements) > 1 {
		texts = script.Texts([]byte(text))
	}
	var ops []*protocol.Operation
	for i := range script.Statements {
		stmt := &script.Statements[i]
		op := &protocol.Operation{Text: texts[i]}
		setFacts(op, stmt)
		ops = append(ops, op)
	}
	return ops, err
}

// stateOf asks the target of ps for what a new session's statements mean.
func (s *Server) stateOf(ctx context.Context, ps *protocol.Session) (pgsql.State, error) {
	unknown := pgsql.State{StandardStrings: true}
	creds, err := ps.Credentials(ctx)
	if err != nil {
		return unknown, err
	}
	res := ps.Info().Resource
	database := cmp.Or(ps.Info().Database, res.Options[optDatabase], creds.User)
	t, err := s.connectTarget(ctx, res, ps.Dial, creds, database, []param{{"application_name", "sallyport explain"}})
	if err != nil {
		return unknown, err
	}
	defer t.r.Release()
	defer t.conn.Close()
	var tr tracker
	var cat *sql.Catalog
	err = protocol.Guard(func() (err error) {
		tr.init(t.settings, database)
		err = t.Query(ctx, probeText, func(row [][]byte) error {
			tr.probed(row)
			return nil
		})
		if err == nil {
			cat, err = pgsql.Load(ctx, t)
		}
		return err
	})
	if err != nil {
		return unknown, err
	}
	tr.state.Catalog = cat
	return tr.state, nil
}
