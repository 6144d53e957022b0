//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// setUpAtOnce is how many sessions are set up at a time.
const setUpAtOnce = 4

// setUp opens and closes sessions. PgBouncer gives its clients connections
// that are logged in already, which is what it is for; everybody else starts a
// backend for each.
func setUp(ctx context.Context, b *bed, name string) (s sample, err error) {
	p := b.parties[name]
	m, err := b.meter(p)
	if err != nil {
		return s, err
	}
	own := ownCPU()
	err = together(setUpAtOnce, b.logins, func(int) error {
		conn, err := p.connect(ctx)
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	})
	if err != nil {
		return s, err
	}
	took := time.Since(m.start)
	time.Sleep(100 * time.Millisecond) // the proxy may still be closing
	s.client = ownCPU() - own
	if err := m.stop(&s); err != nil {
		return s, err
	}
	s.ops, s.took = float64(b.logins), took
	return s, nil
}

// together calls f for 0 to n-1, up to width at a time.
func together(width, n int, f func(i int) error) error {
	var next atomic.Int64
	errs := make([]error, width)
	var wg sync.WaitGroup
	for w := range width {
		wg.Go(func() {
			for errs[w] == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				errs[w] = f(i)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// idle measures what a session costs that does nothing, in front of a server
// that costs nothing. The proxy is a fresh one: memory that an earlier load has
// left with it would hide what sessions take.
func idle(ctx context.Context, b *bed, name string) (s sample, err error) {
	p, err := b.start(ctx, name, b.fake.addr)
	if err != nil {
		return s, err
	}
	defer p.stop()
	conns := make([]*pgconn.PgConn, b.sessions)
	open := func(n int) error {
		return together(16, n, func(i int) (err error) {
			conns[i], err = p.connect(ctx)
			return err
		})
	}
	closeAll := func() {
		for i, c := range conns {
			if c != nil {
				_ = c.Close(ctx) // its end is not measured
				conns[i] = nil
			}
		}
	}
	defer closeAll()
	if err := open(min(100, b.sessions)); err != nil { // what only the first sessions cost
		return s, err
	}
	closeAll()
	before, err := p.settled()
	if err != nil {
		return s, err
	}
	if err := open(b.sessions); err != nil {
		return s, fmt.Errorf("opening %d sessions: %w", b.sessions, err)
	}
	after, err := p.settled()
	if err != nil {
		return s, err
	}
	s.kib = float64(after-before) / 1024 / float64(b.sessions)
	m, err := b.meter(p)
	if err != nil {
		return s, err
	}
	select {
	case <-time.After(b.idle):
	case <-ctx.Done():
		return s, context.Cause(ctx)
	}
	s.ops = float64(b.sessions)
	return s, m.stop(&s)
}

// settled returns p's resident memory once garbage has been collected.
func (p *party) settled() (int64, error) {
	time.Sleep(500 * time.Millisecond) // what was just opened or closed comes to rest
	if p.child != nil {
		if err := p.child.ask("gc"); err != nil {
			return 0, err
		}
	}
	return residentOf(p.pid)
}
