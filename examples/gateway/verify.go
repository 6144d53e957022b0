package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/archive"
	"github.com/sallyport-dev/gateway/audit/store"
)

const verifyHelp = `
Checks every event of the journal in DIR, by default the journal of the
configuration: that nothing was changed, removed, repeated or moved. It takes no
lock and changes nothing, so it works on a copy and on a journal in use.

What lies in one place cannot prove that it was not rewritten or cut off by
somebody who can write to it. If the gateway has a key, give its public half with
-key: verify then finds every change by somebody who does not have the private
one. Against somebody who does, keep the file 'checkpoint' elsewhere from time to
time, and give the copies back with -checkpoint: what they cover is then known to
be there, unchanged, with nothing missing between any two of them. Without a key,
the line 'head' does the same for what is before it.

With -witness, a checkpoint has to be cosigned by witnesses ('audit cosign'): what
it covers was not even rewritten by somebody with the gateway's key. With -store,
segments that were moved away ('audit archive') are read from the store; in place
of DIR, a store itself can be checked. With -apart, what was moved away may be
missing, as long as a checkpoint proves its place. ` + storeHelp + `

With -resume, a file of your own outside of DIR keeps how far it has got, so that
the same command goes on where it was interrupted; it begins anew if anything has
changed; recordings that have changed are read again. Of what was read before, it
then says how it was: the line 'resumed' says when. The file is believed, so keep
it as you keep the public key.

With -recordings, each recording is compared with what the journal says of it. One
that is not in the folder is read from the store, if there is one; one that is in
neither was moved away, or removed: it is counted as missing. -archived-recordings
checks those in the store without a folder.
`

// keys collects the flags -key: public keys, or files that hold one.
type keys []note.Verifier

func (k *keys) String() string { return "" }

// Set reads a public key.
func (k *keys) Set(s string) error {
	if b, err := readSmall(s, 4<<10); err == nil {
		s = string(b)
	}
	v, err := audit.ParseKey(s)
	if err == nil {
		*k = append(*k, v)
	}
	return err
}

// notes collects the flags -checkpoint.
type notes [][]byte

func (n *notes) String() string { return "" }

// Set reads a file.
func (n *notes) Set(s string) error {
	b, err := readSmall(s, 64<<10)
	*n = append(*n, b)
	return err
}

// heads collects the flags -head.
type heads []audit.Head

func (h *heads) String() string { return "" }

// Set reads a head as verify prints it.
func (h *heads) Set(s string) error {
	head, err := parseHead(s)
	if err == nil {
		*h = append(*h, head)
	}
	return err
}

func formatHead(h audit.Head) string { return fmt.Sprintf("%s:%d:%s", h.Origin, h.Size, h.Hash) }

func parseHead(s string) (audit.Head, error) {
	parts := strings.Split(s, ":")
	if len(parts) != 3 || parts[0] == "" || len(parts[2]) != 64 || strings.Trim(parts[2], "0123456789abcdef") != "" {
		return audit.Head{}, errors.New("want origin:size:hash, as verify prints it")
	}
	size, err := strconv.ParseUint(parts[1], 10, 64)
	if err != nil || strconv.FormatUint(size, 10) != parts[1] {
		return audit.Head{}, errors.New("want origin:size:hash, and the size is not a number")
	}
	return audit.Head{Origin: parts[0], Size: size, Hash: parts[2]}, nil
}

func (p *program) verify(ctx context.Context, fs *flag.FlagSet, args []string) error {
	path := fs.String("config", defaultConfig, "the configuration `file` that names the journal")
	var known heads
	var public keys
	var checkpoints notes
	fs.Var(&known, "head", "a `head` that the journal had earlier; may be given several times")
	fs.Var(&public, "key", "the gateway's public `key`, or a file that holds it; several if the key was changed")
	recordings := fs.String("recordings", "", "also check the recordings in this `folder`")
	archived := fs.Bool("archived-recordings", false, "also check the recordings that are in the store")
	var witnesses witnessKeys
	fs.Var(&witnesses, "witness", "the public `key` of a witness, or a file that holds it; may be given several times")
	quorum := fs.Int("quorum", 0, "how many of the witnesses have to have cosigned; 0 is all")
	from := fs.String("store", "", "where the segments and recordings are that are not here: dir:PATH or s3://BUCKET/PREFIX")
	apart := fs.Bool("apart", false, "segments may have been moved away, if a checkpoint proves their place")
	resume := fs.String("resume", "", "the `file` that keeps how far it has got, until it is done")
	fs.Var(&checkpoints, "checkpoint", "a `file` with a checkpoint from earlier; may be given several times")
	rest, err := parse(fs, args, 0, 1)
	if err != nil {
		return err
	}
	trust := audit.Trust{Heads: known, Keys: public, Checkpoints: checkpoints, Witnesses: witnesses, Quorum: *quorum, Apart: *apart, Recordings: *recordings, ArchivedRecordings: *archived, Resume: *resume, Progress: p.progress("verified %d events")}
	dir, rep, err := verifyAt(ctx, trust, rest, *path, *from, p.progress("fetched %d proofs"))
	var damage *audit.DamageError
	if err != nil && !errors.As(err, &damage) {
		if ctx.Err() != nil && *resume == "" {
			err = fmt.Errorf("%w (with -resume it would go on there)", err)
		}
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "journal   %s\nevents    %d in %s, %d bytes\n", dir, rep.Head.Size, count(rep.Segments, "segment"), rep.Bytes)
	for _, k := range slices.Sorted(maps.Keys(rep.Kinds)) {
		fmt.Fprintf(&b, "          %6d %s\n", rep.Kinds[k], oneLine(string(k), 60))
	}
	state := "ended in good order"
	if !rep.Closed {
		state = "in use, or its writer crashed, or its end was cut off"
		if rep.Torn > 0 {
			state += fmt.Sprintf("; %d bytes of an unfinished write at the end", rep.Torn)
		}
	}
	fmt.Fprintf(&b, "end       %s\n", state)
	if rep.Pending > 0 {
		fmt.Fprintf(&b, "pending   %s recorded and not yet chained: verify again in a second, or when the gateway has been started again\n", count(rep.Pending, "event"))
	}
	for _, g := range rep.Gaps {
		fmt.Fprintf(&b, "gap       %s at offset %d, %d bytes, accepted by the operator: %s\n", g.File, g.Offset, g.Skipped, oneLine(g.What, 120))
	}
	fmt.Fprintf(&b, "head      %s\n", oneLine(formatHead(rep.Head), 300))
	if r := rep.Resumed; r != nil {
		what := fmt.Sprintf("the first %d events, in %s", r.Events, count(r.Segments, "segment"))
		if r.Chunks > 0 {
			what += ", and " + count(r.Chunks, "chunk") + " of recordings"
		}
		fmt.Fprintf(&b, "resumed   %s, were read from %s on, and have not changed since\n", what, r.Since.UTC().Format("2006-01-02 15:04:05"))
	}
	if rep.First > 0 {
		fmt.Fprintf(&b, "apart     the first %s: what is here is in its place behind them\n", count(int(rep.First), "event"))
	}
	if rep.Beyond > 0 {
		fmt.Fprintf(&b, "apart     the last %s that were signed: look for them in segments that are not here\n", count(int(rep.Beyond), "event"))
	}
	if w := rep.Witnessed; w != nil {
		fmt.Fprintf(&b, "witnessed the first %d events, by %s, at %s\n", w.Size, oneLine(strings.Join(w.By, ", "), 200), w.At.UTC().Format("2006-01-02 15:04:05"))
	}
	if r := rep.Recordings; r != nil {
		fmt.Fprintf(&b, "recorded  %d whole, %d without an end, %d missing\n", r.Whole, r.Open, len(r.Missing))
		if r.Archived > 0 {
			fmt.Fprintf(&b, "          %d of these were read in the store\n", r.Archived)
		}
		if len(r.Missing) > 0 {
			fmt.Fprintf(&b, "          missing is such as %s: removed, or moved to a store that -store does not name\n", oneLine(r.Missing[0], 200))
		}
		if r.Rests > 0 {
			fmt.Fprintf(&b, "          %d whose begin is in segments that are not here: what is behind that was checked\n", r.Rests)
		}
		if n := len(r.Unknown); n > 0 {
			fmt.Fprintf(&b, "          %s that no event speaks of, such as %s: just begun, or in segments that are not here, or put there by somebody\n", count(n, "file"), oneLine(r.Unknown[0], 200))
		}
	}
	if c := rep.Checkpoint; c != nil {
		fmt.Fprintf(&b, "signed    the first %d events, as %s\n", c.Size, oneLine(c.Origin, 200))
		if n := rep.Unsigned(); n > 0 {
			fmt.Fprintf(&b, "unsigned  the last %s: while the gateway runs, those of the last second\n", count(n, "event"))
		}
	} else if _, err := audit.ReadCheckpoint(dir); err == nil && len(public) == 0 {
		fmt.Fprint(&b, "signed    not checked: give the gateway's public key with -key\n")
	}
	if damage != nil {
		for _, d := range damage.Damages {
			where := "journal"
			if d.File != "" {
				where = fmt.Sprintf("%s at offset %d", oneLine(d.File, 200), d.Offset)
			}
			fmt.Fprintf(&b, "DAMAGED   %s: %s\n", where, oneLine(d.What, 200))
		}
	} else {
		against := ""
		if n := len(known) + len(checkpoints); n > 0 {
			against = ", and it holds what was known: " + count(len(known), "head") + ", " + count(len(checkpoints), "checkpoint")
		}
		fmt.Fprintf(&b, "verified  every event is as it was written%s\n", against)
	}
	_, werr := fmt.Fprint(p.stdout, b.String())
	return errors.Join(err, werr)
}

// verifyAt verifies the journal that the arguments name: a folder, with what is
// missing from it in the store from, or a store, whose proofs are fetched first.
func verifyAt(ctx context.Context, trust audit.Trust, args []string, config, from string, fetched func(uint64)) (dir string, rep audit.Report, err error) {
	if len(args) > 0 {
		s, ok, err := openStore(args[0])
		if err != nil {
			return "", rep, err
		}
		if ok {
			c, err := oneJournal(ctx, s)
			if err != nil {
				return "", rep, err
			}
			c.Progress = fetched
			rep, err = c.Verify(ctx, trust)
			return args[0] + " (journal " + oneLine(c.Origin, 100) + ")", rep, err
		}
	}
	if dir, err = journalDir(args, config); err != nil {
		return dir, rep, err
	}
	if from != "" {
		s, ok, err := openStore(from)
		if err == nil && !ok {
			err = usagef("-store %q is not dir:PATH or s3://BUCKET/PREFIX", from)
		}
		if err != nil {
			return dir, rep, err
		}
		origin, err := audit.Origin(dir)
		if err != nil {
			return dir, rep, err
		}
		trust.Archive = archive.Copy{Store: s, Origin: origin}
	}
	rep, err = trust.Verify(ctx, dir)
	return dir, rep, err
}

// oneJournal returns the only journal in a store.
func oneJournal(ctx context.Context, s store.Store) (c archive.Copy, err error) {
	ids, err := archive.Journals(ctx, s)
	switch {
	case err != nil:
		return c, err
	case len(ids) == 0:
		return c, errors.New("the store has no journal")
	case len(ids) > 1:
		return c, fmt.Errorf("the store has %d journals: name the one of the folder with -store", len(ids))
	}
	return archive.Copy{Store: s, Origin: ids[0]}, nil
}
