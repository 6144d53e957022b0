package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/middleware/config"
)

const runHelp = `
SIGHUP reads the configuration again. Steps and targets change at once, for
open sessions too; a file with a mistake changes nothing. Listeners change with
a restart only.

SIGTERM and SIGINT stop accepting and let every session end between two
transactions, for as long as 'drain' in the configuration says. A second signal
ends them at once.

Under systemd use Type=notify-reload; see gateway.service.
`

func closeSteps(steps []middleware.Step) error { return config.Close(steps) }

func (p *program) run(ctx context.Context, fs *flag.FlagSet, args []string) error {
	path := fs.String("config", defaultConfig, "the configuration `file`")
	if _, err := parse(fs, args, 0, 0); err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		// What lives is small, so that collecting garbage less often costs a
		// few megabytes and saves CPU for each statement.
		debug.SetGCPercent(400)
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP) // before anything else: until then it would end the process
	defer signal.Stop(hup)
	a := &assembly{out: p.stderr}
	c, err := a.load(*path)
	if err != nil {
		return lines(err)
	}
	r := &running{assembly: a, path: *path, now: c}
	if err := r.start(); err != nil {
		return err
	}
	notifyReady(r.now.summary())
	for {
		select {
		case <-hup:
			notifyReloading()
			r.reload()
			notifyReady(r.now.summary())
		case err := <-r.failed:
			return errors.Join(err, r.stop(ctx))
		case <-ctx.Done():
			return r.stop(context.WithoutCancel(ctx))
		}
	}
}

// running is a gateway that serves.
type running struct {
	*assembly
	path   string
	now    *configuration
	gw     *gateway.Gateway
	admin  *http.Server
	failed chan error
	wg     sync.WaitGroup
	kept   *evidence // nil if nobody may ask about the journal or act on it
}

// start opens all listeners before it serves the first: a gateway runs as a
// whole or not at all.
func (r *running) start() (err error) {
	if r.gw, err = gateway.New(r.now.Config); err != nil {
		return errors.Join(err, closeSteps(r.now.Steps))
	}
	var ls []net.Listener
	var adminListener net.Listener
	defer func() {
		if err != nil {
			for _, l := range ls {
				_ = l.Close()
			}
			if r.kept != nil {
				_ = r.kept.close()
			}
			_ = r.gw.Shutdown(context.Background())
		}
	}()
	for _, l := range r.now.Listeners {
		nl, err := gateway.Listen(context.Background(), l.Addr)
		if err != nil {
			return fmt.Errorf("listen %s: %w", l.Server.Name(), err)
		}
		ls = append(ls, nl)
	}
	pages := map[string]http.Handler{}
	if r.kept, err = r.keepEvidence(context.Background(), pages); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if login := r.now.sshLogin; login != nil {
		pages["/ssh/"] = login
	}
	if s := r.now.settings.Admin; s.Address != "" {
		if adminListener, r.admin, err = listenAdmin(s, r.gw, r.broker, pages, r.log); err != nil {
			return fmt.Errorf("admin: %w", err)
		}
	}
	r.failed = make(chan error, len(ls)+1)
	for i, l := range r.now.Listeners {
		r.wg.Go(func() {
			if err := r.gw.Serve(context.Background(), ls[i], l.Server); err != nil {
				r.failed <- err
			}
		})
	}
	if r.admin != nil {
		r.log.Info("listening", "protocol", "http", "address", adminListener.Addr().String())
		r.wg.Go(func() {
			if err := r.admin.Serve(adminListener); !errors.Is(err, http.ErrServerClosed) {
				r.failed <- err
			}
		})
	}
	return nil
}

// summary says how much there is of what.
func (c *configuration) summary() string {
	return count(len(c.Listeners), "listener") + ", " + count(len(c.Targets), "target") + ", " + count(len(c.Steps), "step")
}

// reload replaces steps and targets by what the file says now. If it cannot be
// used, everything stays as it is.
func (r *running) reload() {
	next, err := r.load(r.path)
	if err == nil {
		if err = r.gw.Reload(context.Background(), next.Config); err != nil {
			err = errors.Join(err, closeSteps(next.Steps))
		}
	}
	if err != nil {
		r.level.Set(r.now.settings.Log.Level)
		for line := range strings.SplitSeq(lines(err).Error(), "\n") {
			r.log.Error("reload: " + line)
		}
		r.log.Error("reload failed: the configuration before stays in use", "file", r.path)
		return
	}
	if r.now.needsRestart(next) {
		r.log.Warn("reload: changes of listen, admin, audit, sessions and log.format need a restart", "file", r.path)
		next.fixed = r.now.fixed // and go on needing it
	}
	r.now = next
	r.log.Info("reloaded", "file", r.path, "targets", len(next.Targets), "steps", len(next.Steps))
}

// stop drains. Requests of sessions that drain can still be decided.
func (r *running) stop(ctx context.Context) error {
	notifyStopping()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, r.now.settings.Drain)
	defer cancel()
	r.log.Info("stopping", "sessions", len(r.gw.Sessions()), "drain", r.now.settings.Drain)
	err := r.gw.Shutdown(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		r.log.Warn("sessions were ended before they had drained")
		err = nil
	}
	if r.admin != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if r.admin.Shutdown(ctx) != nil {
			err = errors.Join(err, r.admin.Close())
		}
	}
	r.wg.Wait()
	if r.kept != nil {
		err = errors.Join(err, r.kept.close())
	}
	r.log.Info("stopped", slog.Bool("clean", err == nil))
	return err
}
