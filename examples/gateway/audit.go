package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sallyport-dev/gateway/audit"
)

const keyHelp = `
Writes a new private key to FILE, for 'key_file' of the step record, and prints
the public one, which goes to everybody who is to verify. With such a key the
gateway signs each second what the journal holds. Whoever reads the file can
sign as the gateway does.
`

const queryHelp = `
Finds in the journal in DIR, by default the journal of the configuration, who ran
what, with which tool, what came back and who approved: newest first. It looks in
an index, which it brings up to date first; that is a file which can be removed at
any time. -who, -target, -verb, -object, -column, -tool and -rule take patterns
such as 'public.*'.

Whoever can read the folder can ask, and nobody is told. The gateway's own
address for readers ('audit' in its configuration) records who asked for what.
`

const proveHelp = `
Prints a proof that the event of number SEQ is in the journal in DIR, by default
the journal of the configuration. It holds the event and the signed checkpoint,
in the form of c2sp.org/tlog-proof, and says nothing of other events.
`

const auditCheckHelp = `
Checks a proof that 'audit prove' printed, with the gateway's public key and
nothing else, and prints the event.
`

const unsealHelp = `
Prints the recording in the file RECORDING, whose session is sealed in the journal
in DIR, by default the journal of the configuration: an asciicast, which asciinema
plays. What a crash has left behind the last whole line is left out.
`

func (p *program) auditUnseal(_ context.Context, fs *flag.FlagSet, args []string) error {
	path := fs.String("config", defaultConfig, "the configuration `file` that names the journal")
	identity := identityFlag(fs)
	rest, err := parse(fs, args, 1, 2)
	if err != nil {
		return err
	}
	dir, err := journalDir(rest[1:], *path)
	if err != nil {
		return err
	}
	u, err := newUnsealer(*identity, dir)
	if err != nil {
		return err
	}
	session, command, err := recordingOf(rest[0])
	if err != nil {
		return err
	}
	f, err := os.Open(rest[0])
	if err != nil {
		return err
	}
	defer f.Close()
	return u.Recording(p.stdout, f, session, command)
}

// recordingOf returns what the recording in a file is of.
func recordingOf(path string) (session string, command uint64, err error) {
	command, err = strconv.ParseUint(strings.TrimSuffix(filepath.Base(path), ".cast"), 10, 64)
	if err != nil {
		return "", 0, usagef("%q is not a recording's name: want SESSION/NUMBER.cast", path)
	}
	return filepath.Base(filepath.Dir(path)), command, nil
}

func (p *program) auditKey(_ context.Context, fs *flag.FlagSet, args []string) error {
	name := fs.String("name", "", "the gateway's `name`, such as gateway.example.com; it stands in each checkpoint")
	rest, err := parse(fs, args, 1, 1)
	if err != nil {
		return err
	}
	if *name == "" {
		return usagef("-name is missing: say which gateway signs with it")
	}
	private, public, err := audit.NewKey(*name)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(rest[0], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // never over another key
	if err != nil {
		return err
	}
	if _, err = fmt.Fprintln(f, private.Reveal()); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.stdout, public)
	return err
}

func (p *program) auditQuery(ctx context.Context, fs *flag.FlagSet, args []string) error {
	from := newIndexFlags(fs)
	format := fs.String("format", "table", "table, json (one object for each) or csv")
	all := fs.Bool("all", false, "all of them, not one page")
	identity := identityFlag(fs)
	audit.QueryFields(func(name, help string) { fs.String(name, "", help) })
	rest, err := parse(fs, args, 0, 1)
	if err != nil {
		return err
	}
	v := url.Values{}
	audit.QueryFields(func(name, _ string) {
		if s := fs.Lookup(name).Value.String(); s != "" {
			v.Set(name, s)
		}
	})
	q, err := audit.ParseQuery(v, time.Now())
	if err != nil {
		return usageError{err}
	}
	print, ok := map[string]func(io.Writer, []audit.Entry, bool) error{"table": entryTable, "json": entryJSON, "csv": audit.WriteCSV}[*format]
	if !ok {
		return usagef("-format %q is not table, json or csv", *format)
	}
	x, dir, err := p.index(ctx, from, rest)
	if err != nil {
		return err
	}
	defer x.Close()
	if dir == "" && *identity != "" {
		return usagef("-identity opens what one journal has sealed: name that, not -database")
	}
	open, err := unsealer(*identity, dir)
	if err != nil {
		return err
	}
	limit, looked := cmp.Or(q.Limit, 100), p.progress("looked back to event %d")
	for first, n := true, 0; ; first = false {
		if q.Limit = limit - n; *all {
			q.Limit = limit
		}
		page, err := x.Search(ctx, q)
		if err != nil {
			return err
		}
		n += len(page.Entries)
		if at, err := strconv.ParseUint(page.Next, 10, 64); err == nil && looked != nil { // a fleet's names each journal
			looked(at)
		}
		for i := range page.Entries {
			if err := open(&page.Entries[i].Event); err != nil {
				return err
			}
		}
		if err := print(p.stdout, page.Entries, first); err != nil {
			return err
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return nil
		}
		if !*all && n >= limit {
			_, err := fmt.Fprintf(p.stderr, "there are more: -cursor %s goes on, -all prints all\n", q.Cursor)
			return err
		}
	}
}

func entryJSON(w io.Writer, entries []audit.Entry, _ bool) error {
	enc := jsonTo(w)
	for i := range entries {
		if err := enc.Encode(&entries[i]); err != nil {
			return err
		}
	}
	return nil
}

func entryTable(w io.Writer, entries []audit.Entry, header bool) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if header {
		_, _ = fmt.Fprintln(tw, "SEQ\tTIME\tWHO\tTARGET\tTOOL\tWHAT\tDECISION\tRESULT")
	}
	for i := range entries {
		e := &entries[i]
		what := string(e.Kind)
		if e.Action != nil {
			what = action(e.Action)
		}
		tool := ""
		if e.Tool != nil {
			tool = oneLine(string(e.Tool.Name), 20)
		}
		verdict := ""
		if e.Decision != nil {
			verdict = before("", e.Decision.Effect) + before(" ", decision(&e.Event))
		}
		_, _ = fmt.Fprintf(tw, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.Seq, e.Time.UTC().Format("2006-01-02 15:04:05"), who(e.Identity),
			oneLine(targetName(&e.Event), 30), tool, what, oneLine(verdict, 80), result(e.Result))
	}
	return tw.Flush()
}

func (p *program) auditProve(ctx context.Context, fs *flag.FlagSet, args []string) error {
	path := fs.String("config", defaultConfig, "the configuration `file` that names the journal")
	rest, err := parse(fs, args, 1, 2)
	if err != nil {
		return err
	}
	seq, err := strconv.ParseUint(rest[0], 10, 64)
	if err != nil {
		return usagef("%q is not the number of an event", rest[0])
	}
	dir, err := journalDir(rest[1:], *path)
	if err != nil {
		return err
	}
	proof, err := audit.Prove(ctx, dir, seq)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(p.stdout, proof)
	return err
}

func (p *program) auditCheck(_ context.Context, fs *flag.FlagSet, args []string) error {
	var public keys
	fs.Var(&public, "key", "the gateway's public `key`, or a file that holds it; several if the key was changed")
	rest, err := parse(fs, args, 1, 1)
	if err != nil {
		return err
	}
	if len(public) == 0 {
		return usagef("-key is missing: without the gateway's public key nothing is proven")
	}
	proof, err := readSmall(rest[0], 128<<20)
	if err != nil {
		return err
	}
	e, c, err := audit.CheckProof(string(proof), public...)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "proven  event %d of the %d that %s signed\n", e.Seq, c.Size, oneLine(c.Origin, 200))
	if err == nil {
		err = jsonTo(p.stdout).Encode(e)
	}
	return err
}
