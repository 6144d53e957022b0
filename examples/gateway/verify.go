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

	"github.com/sallyport-dev/gateway/audit"
)

const verifyHelp = `
Checks every event of the journal in DIR, by default the journal of the
configuration: that nothing was changed, removed, repeated or moved. It takes no
lock and changes nothing, so it works on a copy and on a journal in use.

What lies in one place cannot prove that it was not rewritten or cut off by
somebody who can write to it. Keep the line 'head' elsewhere, and give it back
with -head, as often as you like: verify then finds every change before it.
`

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

func (p *program) verify(_ context.Context, fs *flag.FlagSet, args []string) error {
	path := fs.String("config", defaultConfig, "the configuration `file` that names the journal")
	var known heads
	fs.Var(&known, "head", "a `head` that the journal had earlier; may be given several times")
	rest, err := parse(fs, args, 0, 1)
	if err != nil {
		return err
	}
	dir, err := journalDir(rest, *path)
	if err != nil {
		return err
	}
	rep, err := audit.Verify(dir, known...)
	var damage *audit.DamageError
	if err != nil && !errors.As(err, &damage) {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "journal   %s\nevents    %d in %s, %d bytes\n", dir, rep.Head.Size, count(rep.Segments, "segment"), rep.Bytes)
	for _, k := range slices.Sorted(maps.Keys(rep.Kinds)) {
		fmt.Fprintf(&b, "          %6d %s\n", rep.Kinds[k], k)
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
	fmt.Fprintf(&b, "head      %s\n", formatHead(rep.Head))
	if damage != nil {
		for _, d := range damage.Damages {
			where := "journal"
			if d.File != "" {
				where = fmt.Sprintf("%s at offset %d", d.File, d.Offset)
			}
			fmt.Fprintf(&b, "DAMAGED   %s: %s\n", where, oneLine(d.What, 200))
		}
	} else {
		against := ""
		if len(known) > 0 {
			against = ", and it holds " + count(len(known), "known head")
		}
		fmt.Fprintf(&b, "verified  every event is as it was written%s\n", against)
	}
	_, werr := fmt.Fprint(p.stdout, b.String())
	return errors.Join(err, werr)
}
