package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strconv"

	"github.com/sallyport-dev/gateway/audit"
)

const keyHelp = `
Writes a new private key to FILE, for 'key_file' of the step record, and prints
the public one, which goes to everybody who is to verify. With such a key the
gateway signs each second what the journal holds. Whoever reads the file can
sign as the gateway does.
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
