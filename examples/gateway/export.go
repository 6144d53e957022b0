package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/url"
	"os"
	"strings"

	"github.com/sallyport-dev/gateway/audit/export"
	"github.com/sallyport-dev/gateway/protocol"
)

const exportHelp = `
Sends the events of the journal in DIR, by default the journal of the
configuration, to TO: '-' is the standard output, file:PATH a file of lines,
syslog+tls://HOST:PORT or syslog+tcp://HOST:PORT a server of RFC 5424, and
https://... a webhook that takes batches of CloudEvents. It keeps in the file of
-cursor how far it has got, so that it can be ended and started again: events go
at least once. A sink that fails is tried again until the command is ended; the
gateway never waits for it. Run one for each sink, under systemd with -follow.

Statements and arguments stay here unless -texts is given. The secret that signs
what goes to a webhook is in SALLYPORT_WEBHOOK_SECRET.
`

func (p *program) auditExport(ctx context.Context, fs *flag.FlagSet, args []string) error {
	path := fs.String("config", defaultConfig, "the configuration `file` that names the journal")
	cursor := fs.String("cursor", "", "the `file` that keeps how far it has got")
	format := fs.String("format", "", "json, ocsf or cef; by default cef for syslog, json for all others")
	follow := fs.Bool("follow", false, "wait for more")
	texts := fs.Bool("texts", false, "send statements and arguments as well")
	ca := fs.String("ca", "", "a `file` with the certificates of the authority to trust, in place of the system's")
	rest, err := parse(fs, args, 1, 2)
	if err != nil {
		return err
	}
	if *cursor == "" {
		return usagef("-cursor is missing: name a file, one for each sink")
	}
	f, ok := map[string]export.Format{"": nil, "json": export.JSON, "ocsf": export.OCSF, "cef": export.CEF}[*format]
	if !ok {
		return usagef("-format %q is not json, ocsf or cef", *format)
	}
	dir, err := journalDir(rest[1:], *path)
	if err != nil {
		return err
	}
	sink, err := p.sink(rest[0], f, *ca)
	if err != nil {
		return err
	}
	if c, ok := sink.(io.Closer); ok {
		defer c.Close()
	}
	x := &export.Exporter{Dir: dir, Sink: sink, Cursor: *cursor, Texts: *texts, Logger: slog.New(slog.NewTextHandler(p.stderr, nil))}
	err = x.Run(ctx, *follow)
	if *follow && errors.Is(err, context.Canceled) {
		err = nil // it goes on where it was
	}
	return err
}

func (p *program) sink(to string, f export.Format, ca string) (export.Sink, error) {
	lines := f
	if lines == nil {
		lines = export.JSON
	}
	u, err := url.Parse(to)
	switch {
	case to == "-":
		return export.Lines(p.stdout, lines), nil
	case err != nil:
		return nil, usagef("%q is not understood", to)
	case u.Scheme == "file":
		file, err := os.OpenFile(strings.TrimPrefix(to, "file:"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return nil, err
		}
		return fileSink{export.Lines(file, lines), file}, nil
	case u.Scheme == "syslog+tcp" && u.Host != "":
		return &export.Syslog{Addr: u.Host, Format: f}, nil
	case u.Scheme == "syslog+tls" && u.Host != "":
		conf := &tls.Config{MinVersion: tls.VersionTLS12}
		if ca != "" {
			if conf.RootCAs, err = clientCAs(ca); err != nil {
				return nil, err
			}
		}
		return &export.Syslog{Addr: u.Host, TLS: conf, Format: f}, nil
	case u.Scheme == "https" || u.Scheme == "http":
		if err := sendsSafely(u); err != nil {
			return nil, err
		}
		secret := os.Getenv("SALLYPORT_WEBHOOK_SECRET")
		if secret == "" {
			return nil, errors.New("SALLYPORT_WEBHOOK_SECRET is not set: the receiver could not tell who sends")
		}
		return &export.Webhook{URL: to, Secret: protocol.NewSecret(secret), Format: f}, nil
	}
	return nil, usagef("%q is not -, file:, syslog+tls://, syslog+tcp:// or https://", to)
}

// sendsSafely refuses to send evidence over a network in the clear.
func sendsSafely(u *url.URL) error {
	if u.Scheme == "http" && u.Hostname() != "localhost" && u.Hostname() != "127.0.0.1" && u.Hostname() != "::1" {
		return usagef("events are sent over https, or to this machine")
	}
	return nil
}

// A fileSink closes its file.
type fileSink struct {
	export.Sink
	io.Closer
}
