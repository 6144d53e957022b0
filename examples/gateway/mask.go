package main

import (
	"context"
	"flag"
	"fmt"
	"slices"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/middleware/config"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/postgres"
)

const maskRoleHelp = `
A statement that cannot be analysed is refused where masks apply, unless the
target has a restricted login: an account that may read no masked column, which
the target's options name as restricted_user and restricted_password_file. The
statement runs under it, and the target itself says what it may see.

This prints the SQL that makes the role or brings it up to date, by the rules of
the steps mask and the target's catalog. Nothing is changed. Look at it, run it as
a superuser or as the owner of what it names, and give the role its password.
`

func (p *program) maskRole(ctx context.Context, fs *flag.FlagSet, args []string) error {
	path := fs.String("config", defaultConfig, "the configuration `file`")
	rest, err := parse(fs, args, 1, 1)
	if err != nil {
		return err
	}
	f, err := readConfig(*path)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(f.Targets, func(t config.Target) bool { return t.Name == rest[0] })
	switch {
	case i < 0:
		return fmt.Errorf("there is no target %q in %s", rest[0], *path)
	case f.Targets[i].Protocol != "postgres":
		return fmt.Errorf("target %s is served by %s: only postgres has restricted logins", rest[0], f.Targets[i].Protocol)
	}
	t := &f.Targets[i]
	var masked []func(protocol.ColumnRef) bool
	for _, s := range f.Steps {
		if s.Name != "mask" {
			continue
		}
		hides, err := middleware.MaskedColumns(s.Settings.Decode, t.Name)
		if err != nil {
			return lines(err)
		}
		masked = append(masked, hides)
	}
	if len(masked) == 0 {
		return fmt.Errorf("there is no step mask in %s", *path)
	}
	secret, err := t.Secret.Get(ctx)
	if err != nil {
		return fmt.Errorf("secret of target %s: %w", t.Name, err)
	}
	srv := &postgres.Server{}
	return srv.WriteRestrictedRole(ctx, p.stdout,
		protocol.Resource{Name: t.Name, Protocol: t.Protocol, Addr: t.Address, Labels: t.Labels, Options: t.Options},
		protocol.Credentials{User: t.User, Secret: secret},
		func(c protocol.ColumnRef) bool {
			return slices.ContainsFunc(masked, func(hides func(protocol.ColumnRef) bool) bool { return hides(c) })
		})
}
