package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"

	"github.com/sallyport-dev/gateway/approval"
	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/sqlite"
	"github.com/sallyport-dev/gateway/protocol"
)

// readerSettings describe who may ask about the evidence at the admin address.
type readerSettings struct {
	Index  string   `yaml:"index"`  // the index's file; by default in the journal's directory
	Groups []string `yaml:"groups"` // whose members may read
}

func (s *readerSettings) check(admin *adminSettings) error {
	switch {
	case len(s.Groups) == 0 && s.Index != "":
		return errors.New("audit: groups is missing: say who may read the journal")
	case len(s.Groups) > 0 && admin.Address == "":
		return errors.New("audit: without an admin listener nobody can ask: add 'admin: {address: 127.0.0.1:7443}'")
	}
	return nil
}

// readJournal returns what answers readers, and keeps its index up to date until
// ctx ends, which the returned function waits for.
func (r *running) readJournal(ctx context.Context) (http.Handler, func() error, error) {
	s := r.now.settings.Reader
	dir, err := journalDir(nil, r.path)
	if err != nil {
		return nil, nil, err
	}
	j, release, open := r.journals.Find(dir)
	if !open {
		return nil, nil, fmt.Errorf("the journal in %s is not open", dir)
	}
	if s.Index == "" {
		s.Index = filepath.Join(dir, "index.sqlite")
	}
	x, err := sqlite.Open(ctx, s.Index, dir)
	if err != nil {
		return nil, nil, errors.Join(err, release())
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := x.Follow(ctx); ctx.Err() == nil {
			r.log.Error("the index stopped: answers are as old as this", "error", err)
		}
	}()
	h := &audit.Reader{Index: x, Journal: j, Auth: approval.Bearer(r.gw.Authenticate), May: func(id *protocol.Identity) bool {
		return slices.ContainsFunc(s.Groups, func(g string) bool { return slices.Contains(id.Groups, g) })
	}}
	return h, func() error {
		cancel()
		<-done
		return errors.Join(x.Close(), release())
	}, nil
}
