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
	"time"

	"github.com/sallyport-dev/gateway/audit/export"
	"github.com/sallyport-dev/gateway/audit/export/otlp"
	"github.com/sallyport-dev/gateway/audit/export/parquet"
	"github.com/sallyport-dev/gateway/protocol"
)

const exportHelp = `
Sends the events of the journal in DIR, by default the journal of the
configuration, to TO: '-' is the standard output, file:PATH a file of lines,
syslog+tls://HOST:PORT or syslog+tcp://HOST:PORT a server of RFC 5424,
otlp+https://HOST:PORT/v1/logs an OpenTelemetry collector, and https://... a
webhook that takes batches of CloudEvents. A syslog server says that it has read
a batch by closing its connection, of which each batch has one. A store gets a file of each batch,
below folders for day and hour: gzipped lines, or Parquet with -format parquet.
` + storeHelp + `

It keeps in the file of -cursor how far it has got, so that it can be ended and
started again: events go at least once, and a store has each once in the end. A
sink that fails is tried again until the command is ended; the gateway never waits
for it. Run one for each sink, under systemd with -follow.

Of a pipe, '-' or a FIFO, nobody says what was read: an event counts as sent when it
is in the pipe, and what is in there (64 KiB on Linux) is lost if its reader dies.
What must not be lost goes to a file, or to a sink that answers. While nobody reads a
pipe that is full, it takes two signals to end the command.

Statements and arguments stay here unless -texts is given. The secret that signs
what goes to a webhook is in SALLYPORT_WEBHOOK_SECRET, and what a collector wants
as header Authorization in SALLYPORT_OTLP_AUTHORIZATION.
`

func (p *program) auditExport(ctx context.Context, fs *flag.FlagSet, args []string) error {
	path := fs.String("config", defaultConfig, "the configuration `file` that names the journal")
	cursor := fs.String("cursor", "", "the `file` that keeps how far it has got")
	format := fs.String("format", "", "json, ocsf, cef or, for a store, parquet; by default cef for syslog, json for all others")
	every := fs.Duration("every", 0, "how long a batch waits to become full; by default a store's five minutes, and not for others")
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
	f, ok := map[string]export.Format{"": nil, "json": export.JSON, "ocsf": export.OCSF, "cef": export.CEF, "parquet": nil}[*format]
	if !ok {
		return usagef("-format %q is not json, ocsf, cef or parquet", *format)
	}
	dir, err := journalDir(rest[1:], *path)
	if err != nil {
		return err
	}
	x := &export.Exporter{Dir: dir, Cursor: *cursor, Texts: *texts, Every: *every, Logger: slog.New(slog.NewTextHandler(p.stderr, nil)),
		Progress: p.progress("sent all before event %d")}
	s, isStore, err := openStore(rest[0])
	switch {
	case err != nil:
		return err
	case isStore:
		files := export.NDJSON(f)
		if *format == "parquet" {
			files = parquet.Encoding()
		}
		x.Sink, x.Batch, x.Bytes = export.Objects(s, files), 50_000, 32<<20
		if x.Every == 0 {
			x.Every = 5 * time.Minute
		}
	case *format == "parquet":
		return usagef("Parquet is for a store: dir:PATH or s3://BUCKET/PREFIX")
	default:
		if x.Sink, err = p.sink(rest[0], f, *ca); err != nil {
			return err
		}
		if _, ok := x.Sink.(*export.Syslog); ok {
			x.Batch = 1000 // for a connection each
		}
	}
	if c, ok := x.Sink.(io.Closer); ok {
		defer c.Close()
	}
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
		file, err := export.OpenLines(strings.TrimPrefix(to, "file:"))
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
	case (u.Scheme == "otlp+https" || u.Scheme == "otlp+http") && u.Host != "":
		u.Scheme = strings.TrimPrefix(u.Scheme, "otlp+")
		if err := sendsSafely(u); err != nil {
			return nil, err
		}
		s := &otlp.Sink{URL: u.String(), Format: f}
		if auth := os.Getenv("SALLYPORT_OTLP_AUTHORIZATION"); auth != "" {
			s.Header = map[string]protocol.Secret{"Authorization": protocol.NewSecret(auth)}
		}
		return s, nil
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
	return nil, usagef("%q is not -, file:, dir:, s3://, syslog+tls://, syslog+tcp://, otlp+https:// or https://", to)
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
