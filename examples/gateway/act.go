package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/sallyport-dev/gateway/audit"
)

const sessionsHelp = `
Lists who is at which target right now, oldest first. You log in as for 'gateway
approvals', and have to be in a group that 'sessions: {see: [...]}' in the
configuration names. That you asked is an event of the journal.
`

const terminateHelp = `
Ends the open session ID, or whose id ends so, at once: its client is told who
ended it and why, in the words of its protocol. That is an event of the journal.
You have to be in a group that 'sessions: {terminate: [...]}' in the configuration
names.
`

const eraseHelp = `
Makes what is sealed of a session unreadable for good: statements, arguments,
recordings. Events and proofs stay as they are, and an event says who erased what
and why. With -older all sessions that began so long ago are erased, such as
2160h; those on legal hold are left. You have to be in a group that
'audit: {erase: [...]}' in the configuration names.
`

const holdHelp = `
Keeps what is sealed of a session from being erased, by anybody and by age, until
'gateway audit release'. You have to be in a group that 'audit: {hold: [...]}' in
the configuration names.
`

const releaseHelp = `
Ends the legal hold of a session. You have to be in a group that
'audit: {release: [...]}' in the configuration names.
`

func (p *program) sessions(ctx context.Context, fs *flag.FlagSet, args []string) error {
	conn := newClientFlags(fs)
	asJSON := fs.Bool("json", false, "print one JSON object for each session")
	if _, err := parse(fs, args, 0, 0); err != nil {
		return err
	}
	c, err := conn.client()
	if err != nil {
		return err
	}
	var list struct {
		Sessions []audit.OpenSession `json:"sessions"`
	}
	if err := c.Do(ctx, http.MethodGet, "/sessions", nil, &list); err != nil {
		return whereFrom(err)
	}
	if *asJSON {
		enc := jsonTo(p.stdout)
		for i := range list.Sessions {
			if err := enc.Encode(&list.Sessions[i]); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "ID\tSINCE\tWHO\tTARGET\tTOOL\tFROM") // Flush returns the error
	for _, s := range list.Sessions {
		name := oneLine(string(s.Subject), 40)
		if s.For != "" {
			name += " for " + oneLine(string(s.For), 40)
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", oneLine(s.ID, 40), time.Since(s.Started).Round(time.Second), name,
			oneLine(string(s.Target), 30), oneLine(string(s.Tool), 20), oneLine(string(s.Remote), 50))
	}
	return w.Flush()
}

// act asks the gateway to do something, as whoever the token is of.
func (p *program) act(ctx context.Context, fs *flag.FlagSet, args []string, part string, d audit.Deed) error {
	conn := newClientFlags(fs)
	fs.StringVar(&d.Reason, "reason", "", "why; a `text` for the record, needed")
	low, older := 1, time.Duration(0)
	if d.Act == audit.Erase {
		low = 0
		fs.DurationVar(&older, "older", 0, "all sessions that began so long ago, such as 2160h")
	}
	rest, err := parse(fs, args, low, 1)
	switch {
	case err != nil:
		return err
	case d.Reason == "":
		return usagef("-reason is missing: say why")
	case d.Act == audit.Erase && (len(rest) == 0) == (older <= 0):
		return usagef("name one session, or say -older")
	}
	where := "/" + part
	if len(rest) > 0 {
		where += "/" + url.PathEscape(rest[0])
	} else {
		d.Before = time.Now().Add(-older)
	}
	c, err := conn.client()
	if err != nil {
		return err
	}
	var done audit.Done
	if err := c.Do(ctx, http.MethodPost, where, d, &done); err != nil {
		return whereFrom(err)
	}
	switch {
	case d.Act == audit.Terminate && done.Ended:
		_, err = fmt.Fprintf(p.stdout, "session %s has ended\n", oneLine(done.Session, 100))
	case d.Act == audit.Terminate:
		_, err = fmt.Fprintf(p.stdout, "session %s was told to end, and has not yet\n", oneLine(done.Session, 100))
	case d.Act == audit.Erase:
		_, err = fmt.Fprintf(p.stdout, "erased %s, %d on legal hold were left\n", count(done.Erased, "session"), done.Held)
	default:
		_, err = fmt.Fprintf(p.stdout, "session %s: %s\n", oneLine(done.Session, 100), map[audit.Act]string{audit.Hold: "on legal hold", audit.Release: "released"}[d.Act])
	}
	return err
}

func (p *program) terminate(ctx context.Context, fs *flag.FlagSet, args []string) error {
	return p.act(ctx, fs, args, "sessions", audit.Deed{Act: audit.Terminate})
}

func (p *program) erase(ctx context.Context, fs *flag.FlagSet, args []string) error {
	return p.act(ctx, fs, args, "sealed", audit.Deed{Act: audit.Erase})
}

func (p *program) hold(ctx context.Context, fs *flag.FlagSet, args []string) error {
	return p.act(ctx, fs, args, "sealed", audit.Deed{Act: audit.Hold})
}

func (p *program) release(ctx context.Context, fs *flag.FlagSet, args []string) error {
	return p.act(ctx, fs, args, "sealed", audit.Deed{Act: audit.Release})
}
