package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport-dev/gateway/approval"
	"github.com/sallyport-dev/gateway/audit"
)

// playJournal plays what the journal has of a session: each event when it was, with
// the whole of what was asked for. lost, if not empty, says where recordings that it
// speaks of are not.
func (p *program) playJournal(ctx context.Context, pl *player, dir, session, identity, lost string) error {
	open, err := unsealer(identity, dir)
	if err != nil {
		return err
	}
	of, last, first := "", time.Time{}, ^uint64(0)
	looked := p.progress("looked for the session in %d events")
	err = audit.Tail(ctx, dir, 0, pl.follow, func(e audit.Event) error {
		if first = min(first, e.Seq); of == "" && looked != nil {
			looked(e.Seq)
		}
		if e.Session == "" || !ofSession(&e, session) {
			return nil
		}
		if of != "" && of != e.Session {
			return fmt.Errorf("%q is the end of several sessions: %s, %s", session, of, e.Session)
		}
		pause := e.Time.Sub(last)
		if of == "" {
			pause = 0
		}
		of, last = e.Session, e.Time
		if err := pl.pass(ctx, pause.Seconds()); err != nil {
			return err
		}
		if err := open(&e); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(pl.out, "%s\n%s", eventLine(&e), asked(e.Action)); err != nil {
			return err
		}
		if c := e.Recording; c != nil && c.From == 0 && lost != "" {
			if _, err := fmt.Fprintf(pl.errs, "[recording %s is %s]\n", oneLine(c.File, 200), lost); err != nil {
				return err
			}
		}
		if e.Kind == audit.SessionClosed {
			return errOver
		}
		return nil
	})
	switch {
	case errors.Is(err, errOver), pl.follow && errors.Is(err, context.Canceled):
		return nil
	case err != nil:
		if ctx.Err() != nil {
			_, _ = fmt.Fprintf(p.stderr, "\n[interrupted: -from %s goes on here]\n", pl.at.Truncate(time.Millisecond))
		}
		return err
	case of == "" && first > 0 && first != ^uint64(0):
		return fmt.Errorf("session %q is not in the journal %s, of which the first %s are elsewhere", session, dir, count(int(first), "event"))
	case of == "":
		return fmt.Errorf("session %q is not in the journal %s", session, dir)
	}
	return nil
}

// asked is the statement and its arguments, if an event's line has not all of them.
func asked(a *audit.Action) string {
	if a == nil || a.Text == nil {
		return ""
	}
	var b strings.Builder
	if text := string(a.Text.Text); oneLine(text, 120) != text {
		for line := range strings.Lines(text) {
			fmt.Fprintf(&b, "        %s\n", approval.Visible(strings.ReplaceAll(strings.TrimRight(line, "\r\n"), "\t", "    ")))
		}
	}
	for i := range a.Args {
		if v := a.Args[i].Value; v != nil && !v.Hidden && v.Sealed == nil {
			fmt.Fprintf(&b, "        argument %d: %s\n", i+1, oneLine(string(v.Text), 200))
		}
	}
	return b.String()
}
