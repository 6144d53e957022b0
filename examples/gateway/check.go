package main

import (
	"context"
	"flag"
	"fmt"
	"io"

	"github.com/sallyport-dev/gateway"
)

const checkHelp = `
Everything is built as 'run' would build it, but nothing is opened or changed:
no journal, no listener, no connection (except to an OpenID issuer that is set
to eager). Each mistake is printed with file, line and column.
`

func (p *program) check(ctx context.Context, fs *flag.FlagSet, args []string) error {
	path := fs.String("config", defaultConfig, "the configuration `file`")
	if _, err := parse(fs, args, 0, 0); err != nil {
		return err
	}
	a := &assembly{dry: true, out: io.Discard}
	c, err := a.load(*path)
	if err != nil {
		return lines(err)
	}
	gw, err := gateway.New(c.Config)
	if err != nil {
		return fmt.Errorf("%s: %w", *path, err)
	}
	if err := gw.Shutdown(ctx); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%s: ok: %s\n", *path, c.summary())
	return err
}
