package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/sallyport-dev/gateway/approval"
	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/postgres"
	"github.com/sallyport-dev/gateway/audit/sqlite"
	"github.com/sallyport-dev/gateway/middleware/config"
	"github.com/sallyport-dev/gateway/protocol"
)

// readerSettings describe who may ask about the evidence at the admin address,
// and who may decide about what is sealed.
type readerSettings struct {
	Index    string        `yaml:"index"`    // the index's file; by default in the journal's directory
	Database config.Secret `yaml:"database"` // in its place: the connection string of a PostgreSQL, which the gateways of a fleet share
	Groups   []string      `yaml:"groups"`   // whose members may read

	Erase   []string `yaml:"erase"` // the groups that may erase, put on legal hold, and end that
	Hold    []string `yaml:"hold"`
	Release []string `yaml:"release"`
	// EraseAfter is how old what is sealed becomes; 0 keeps it until somebody erases it.
	EraseAfter time.Duration `yaml:"erase_after"`
}

// sessionSettings describe who may do what with open sessions at the admin address.
type sessionSettings struct {
	See       []string `yaml:"see"`
	Terminate []string `yaml:"terminate"`
}

func (s *readerSettings) check(admin *adminSettings) error {
	indexed := s.Index != "" || s.Database != (config.Secret{})
	switch {
	case len(s.Groups) == 0 && indexed:
		return errors.New("audit: groups is missing: say who may read the journal")
	case s.Index != "" && s.Database != (config.Secret{}):
		return errors.New("audit: give one of index and database")
	case len(s.Groups)+len(s.Erase)+len(s.Hold)+len(s.Release) > 0 && admin.Address == "":
		return errors.New("audit: without an admin listener nobody can ask: add 'admin: {address: 127.0.0.1:7443}'")
	case s.EraseAfter < 0:
		return errors.New("audit: erase_after must not be negative")
	}
	return nil
}

func (s *sessionSettings) check(admin *adminSettings) error {
	if len(s.See)+len(s.Terminate) > 0 && admin.Address == "" {
		return errors.New("sessions: without an admin listener nobody can ask: add 'admin: {address: 127.0.0.1:7443}'")
	}
	return nil
}

// may says what the members of groups may do.
func (s *settings) may(id *protocol.Identity, act audit.Act) bool {
	groups := map[audit.Act][]string{audit.SeeSessions: s.Sessions.See, audit.Terminate: s.Sessions.Terminate,
		audit.Erase: s.Reader.Erase, audit.Hold: s.Reader.Hold, audit.Release: s.Reader.Release}[act]
	return member(id, groups)
}

func member(id *protocol.Identity, groups []string) bool {
	return slices.ContainsFunc(groups, func(g string) bool { return slices.Contains(id.Groups, g) })
}

// evidence is what the admin address has of the journal.
type evidence struct {
	journal *audit.Journal
	release func() error
	index   *sqlite.Index // nil if nobody may read
	cancel  context.CancelFunc
	tasks   sync.WaitGroup
}

// keepEvidence opens the journal's index and adds to pages what people may ask
// and do, by the configuration. It returns nil if nobody may do anything.
func (r *running) keepEvidence(ctx context.Context, pages map[string]http.Handler) (_ *evidence, err error) {
	s := r.now.settings
	acts := len(s.Sessions.See)+len(s.Sessions.Terminate)+len(s.Reader.Erase)+len(s.Reader.Hold)+len(s.Reader.Release) > 0
	if len(s.Reader.Groups) == 0 && !acts && s.Reader.EraseAfter == 0 {
		return nil, nil
	}
	dir, err := journalDir(nil, r.path)
	if err != nil {
		return nil, err
	}
	e := &evidence{}
	open := false
	if e.journal, e.release, open = r.journals.Find(dir); !open {
		return nil, fmt.Errorf("the journal in %s is not open", dir)
	}
	ctx, e.cancel = context.WithCancel(ctx)
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close())
		}
	}()
	auth := approval.Bearer(r.gw.Authenticate)
	if len(s.Reader.Groups) > 0 {
		if e.index, err = s.Reader.open(ctx, dir); err != nil {
			return nil, err
		}
		e.index.Logger = r.log
		e.tasks.Go(func() { _ = e.index.Follow(ctx) }) // it says what it cannot do, and ends with ctx
		pages["/audit"] = &audit.Reader{Index: e.index, Journal: e.journal, Auth: auth,
			May: func(id *protocol.Identity) bool { return member(id, s.Reader.Groups) }}
	}
	if acts {
		c := &audit.Custody{Journal: e.journal, Sessions: r.gw.Sessions, Auth: auth, May: s.may}
		for _, path := range []string{"/sessions", "/sessions/", "/sealed", "/sealed/"} {
			pages[path] = c
		}
	}
	if s.Reader.EraseAfter > 0 {
		after := s.Reader.EraseAfter
		tick := time.NewTicker(time.Hour)
		e.tasks.Go(func() {
			defer tick.Stop()
			retire(ctx, tick.C, r.log, func() (erased, held int, err error) {
				return e.journal.EraseBefore(ctx, time.Now().Add(-after), nil, "older than erase_after, "+after.String())
			})
		})
	}
	return e, nil
}

// open opens the index of the journal in dir.
func (s *readerSettings) open(ctx context.Context, dir string) (*sqlite.Index, error) {
	if s.Database != (config.Secret{}) {
		dsn, err := s.Database.Get(ctx)
		if err != nil {
			return nil, err
		}
		return postgres.Open(ctx, dsn.Reveal(), dir)
	}
	if s.Index == "" {
		return sqlite.Open(ctx, filepath.Join(dir, "index.sqlite"), dir)
	}
	return sqlite.Open(ctx, s.Index, dir)
}

// retire erases what is sealed of sessions that are old enough, at once and with
// each tick, until ctx ends.
func retire(ctx context.Context, tick <-chan time.Time, log *slog.Logger, erase func() (erased, held int, err error)) {
	for {
		erased, held, err := erase()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			log.Error("what is sealed could not be erased", "error", err, "erased", erased)
		case erased > 0:
			log.Info("what was sealed is erased: it was old enough", "sessions", erased, "held", held)
		}
		select {
		case <-tick:
		case <-ctx.Done():
			return
		}
	}
}

func (e *evidence) close() error {
	e.cancel()
	e.tasks.Wait()
	var err error
	if e.index != nil {
		err = e.index.Close()
	}
	return errors.Join(err, e.release())
}
