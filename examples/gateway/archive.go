package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"time"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/archive"
	"github.com/sallyport-dev/gateway/audit/export"
)

const archiveHelp = `
Copies what is sealed of the journal in DIR, by default the journal of the
configuration, to the store TO: segments, tiles, checkpoints and, with
-recordings, recordings of sessions that have ended. ` + storeHelp + `

With -keep, local segments and recordings are removed when they are older than
that, are in the store, and are covered by a checkpoint there; with -cursor also
only when the exporter of that cursor has sent them. The newest segment and what
the next start needs stay. The index keeps what it has taken from them, but cannot
be rebuilt from them any more.

When it is interrupted, the same command goes on there: what the store has is not
uploaded again.

'verify -store TO' then checks the journal with what is in the store, and
'verify TO' the store alone. Keys of sealed sessions are not copied: a copy would
outlive what was erased.
`

func (p *program) auditArchive(ctx context.Context, fs *flag.FlagSet, args []string) error {
	path := fs.String("config", defaultConfig, "the configuration `file` that names the journal")
	var public keys
	fs.Var(&public, "key", "the gateway's public `key`, or a file that holds it; several if the key was changed")
	recordings := fs.String("recordings", "", "also the recordings in this `folder`")
	keep := fs.Duration("keep", 0, "remove what is older than this `age` here; 0 removes nothing")
	follow := fs.Bool("follow", false, "go on with what comes")
	var cursors texts
	fs.Var(&cursors, "cursor", "the cursor's `file` of an exporter that has to have had what is removed; may be given several times")
	rest, err := parse(fs, args, 1, 2)
	if err != nil {
		return err
	}
	s, ok, err := openStore(rest[0])
	switch {
	case err != nil:
		return err
	case !ok:
		return usagef("%q is not dir:PATH or s3://BUCKET/PREFIX", rest[0])
	case len(public) == 0:
		return usagef("-key is missing: what no checkpoint covers is not taken away")
	}
	dir, err := journalDir(rest[1:], *path)
	if err != nil {
		return err
	}
	a := &archive.Archive{Dir: dir, Recordings: *recordings, Store: s, Keys: public, Keep: *keep, Logger: slog.New(slog.NewTextHandler(p.stderr, nil))}
	a.Needed = func() (uint64, error) {
		needed := ^uint64(0)
		if len(cursors) == 0 {
			return needed, nil
		}
		origin, err := audit.Origin(dir)
		if err != nil {
			return 0, err
		}
		for _, c := range cursors {
			n, err := export.Next(c, origin)
			if err != nil {
				return 0, err
			}
			needed = min(needed, n)
		}
		return needed, nil
	}
	if show := p.progress("uploaded %d MiB"); show != nil {
		a.Progress = func(n uint64) { show(n >> 20) }
	}
	if *follow {
		if err := a.Run(ctx); !errors.Is(err, context.Canceled) {
			return err
		}
		return nil // it goes on where it was
	}
	start := time.Now()
	res, err := a.Round(ctx)
	_, perr := fmt.Fprintf(p.stdout, "uploaded  %s, %s, in %s\nremoved   %s\nbehind    %s\n", count(res.Segments, "segment"), count(res.Recordings, "recording"),
		time.Since(start).Round(time.Millisecond), count(res.Removed, "file"), count(int(res.Behind), "event"))
	if ctx.Err() != nil {
		err = fmt.Errorf("%w (the same command goes on there)", err)
	}
	return errors.Join(err, perr)
}

// texts collects a flag that may be given several times.
type texts []string

func (t *texts) String() string { return "" }

// Set adds one.
func (t *texts) Set(s string) error {
	*t = append(*t, s)
	return nil
}
