package main

import (
	"context"
	"encoding/csv"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/sqlite"
)

const reviewHelp = `
Prints for a review of rights what everybody used: each identity at each target
with each kind of access, on how many days, how often, how often it was refused or
somebody approved, and when last. Then the rules of the configuration, with how
often each decided and when last; what was never used is one to take away. It reads
what the index has counted, not the journal, so it takes as long for a year as for
a day. 'gateway unused' names targets, identities and masks that nobody used.
`

// indexFlags say which index a command asks.
type indexFlags struct{ config, file, database *string }

func newIndexFlags(fs *flag.FlagSet) indexFlags {
	return indexFlags{
		config:   fs.String("config", defaultConfig, "the configuration `file` that names the journal"),
		file:     fs.String("index", "", "the `file` of the index; by default index.sqlite in the journal's directory"),
		database: fs.String("database", "", "a `file` with the connection string of a PostgreSQL that the gateways of a fleet index their journals in: all of them are asked"),
	}
}

// index opens the index, up to date unless it is a fleet's, which gateways keep.
// dir is the journal's directory, "" of a fleet's.
func (p *program) index(ctx context.Context, f indexFlags, rest []string) (x *sqlite.Index, dir string, err error) {
	if *f.database != "" {
		if *f.file != "" || len(rest) > 0 {
			return nil, "", usagef("-database asks all journals: name neither a directory nor -index")
		}
		s := readerSettings{}
		s.Database.File = *f.database
		x, err := s.open(ctx, "")
		return x, "", err
	}
	if dir, err = journalDir(rest, *f.config); err != nil {
		return nil, "", err
	}
	s := readerSettings{Index: *f.file}
	if x, err = s.open(ctx, dir); err != nil {
		return nil, "", err
	}
	show := p.progress("indexed %d events")
	x.Progress = show
	if err := x.Update(ctx); err != nil {
		_ = x.Close()
		return nil, "", err
	}
	return x, dir, nil
}

func (p *program) review(ctx context.Context, fs *flag.FlagSet, args []string) error {
	from := newIndexFlags(fs)
	since := fs.Duration("since", 0, "look back only so far, by whole days, such as 2160h; 0 is everything")
	format := fs.String("format", "table", "table, json (one object for each) or csv")
	rest, err := parse(fs, args, 0, 1)
	if err != nil {
		return err
	}
	print, ok := map[string]func(io.Writer, []audit.Use, []right) error{"table": reviewTable, "json": reviewJSON, "csv": reviewCSV}[*format]
	if !ok {
		return usagef("-format %q is not table, json or csv", *format)
	}
	rules, err := namedRules(*from.config, *from.database == "" && len(rest) == 0)
	if err != nil {
		return err
	}
	x, _, err := p.index(ctx, from, rest)
	if err != nil {
		return err
	}
	defer x.Close()
	var after time.Time
	if *since > 0 {
		after = time.Now().Add(-*since)
	}
	uses, err := x.Uses(ctx, after)
	if err != nil {
		return err
	}
	used, err := x.Rules(ctx)
	if err != nil {
		return err
	}
	return print(p.stdout, uses, rights(rules, used, after))
}

// A right is a rule of the configuration, with its use.
type right struct {
	Step string     `json:"step"`
	Rule string     `json:"rule"`
	Used int64      `json:"used"` // ever
	Last *time.Time `json:"last,omitempty"`
	Idle bool       `json:"idle,omitempty"` // not used in the time that is looked at
}

// namedRules returns the rules that the configuration names. If it need not be
// there, it may be missing.
func namedRules(path string, needed bool) ([]right, error) {
	f, err := readConfig(path)
	if err != nil {
		if needed || path != defaultConfig {
			return nil, err
		}
		return nil, nil
	}
	var list []right
	for _, s := range f.Steps {
		var n rules
		if err := s.Settings.Peek(&n); err != nil {
			return nil, s.Settings.Fail("step "+s.Name, err)
		}
		for _, r := range n.Rules {
			if s.Name != "mask" { // what is masked decides nothing
				list = append(list, right{Step: s.Name, Rule: r.Name})
			}
		}
	}
	return list, nil
}

func rights(list []right, used []audit.RuleUse, after time.Time) []right {
	for i := range list {
		r := &list[i]
		for _, u := range used {
			if string(u.Step) == r.Step && string(u.Rule) == r.Rule {
				r.Used, r.Last = u.Count, &u.Last
			}
		}
		r.Idle = r.Last == nil || r.Last.Before(after)
	}
	return list
}

func reviewTable(w io.Writer, uses []audit.Use, rights []right) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(tw, "WHO\tKIND\tTARGET\tACCESS\tDAYS\tCOUNT\tREFUSED\tAPPROVED\tLAST") // Flush returns the error
	for _, u := range uses {
		_, _ = fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%s\n", oneLine(string(u.Subject), 40), oneLine(string(u.Kind), 10), oneLine(string(u.Target), 30),
			oneLine(u.Permission, 30), u.Days, u.Count, u.Denied, u.Approved, u.Last.Format(time.DateTime))
	}
	if len(rights) > 0 {
		_, _ = fmt.Fprintln(tw, "\nRULE\tUSED\tLAST")
	}
	for _, r := range rights {
		last := "never used"
		if r.Last != nil {
			last = r.Last.Format(time.DateTime)
			if r.Idle {
				last += ", not since"
			}
		}
		_, _ = fmt.Fprintf(tw, "%s %s\t%d\t%s\n", r.Step, oneLine(r.Rule, 60), r.Used, last)
	}
	return tw.Flush()
}

func reviewJSON(w io.Writer, uses []audit.Use, rights []right) error {
	enc := jsonTo(w)
	for i := range uses {
		if err := enc.Encode(&uses[i]); err != nil {
			return err
		}
	}
	for i := range rights {
		if err := enc.Encode(&rights[i]); err != nil {
			return err
		}
	}
	return nil
}

func reviewCSV(w io.Writer, uses []audit.Use, rights []right) error {
	out := csv.NewWriter(w)
	row := func(cells ...string) {
		for i := range cells {
			if cells[i] != "" && strings.ContainsRune("=+-@\t\r", rune(cells[i][0])) {
				cells[i] = "'" + cells[i] // no formula
			}
		}
		_ = out.Write(cells) // out.Error returns the error
	}
	n := func(n int64) string { return strconv.FormatInt(n, 10) }
	row("issuer", "subject", "kind", "target", "access", "rule", "days", "count", "refused", "approved", "rows", "masked", "max_risk", "first", "last", "last_seq")
	for _, u := range uses {
		row(string(u.Issuer), string(u.Subject), string(u.Kind), string(u.Target), u.Permission, "", n(int64(u.Days)), n(u.Count), n(u.Denied), n(u.Approved),
			n(u.Rows), n(u.Masked), n(int64(u.MaxRisk)), u.First.Format(time.RFC3339), u.Last.Format(time.RFC3339), n(int64(u.LastSeq)))
	}
	for _, r := range rights {
		last := ""
		if r.Last != nil {
			last = r.Last.Format(time.RFC3339)
		}
		row("", "", "", "", "", r.Step+" "+r.Rule, "", n(r.Used), "", "", "", "", "", "", last, "")
	}
	out.Flush()
	return out.Error()
}
