package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/sallyport-dev/gateway/audit/witness"
	"github.com/sallyport-dev/gateway/protocol"
)

const cosignHelp = `
Has the newest checkpoint of the journal in DIR, by default the journal of the
configuration, cosigned by witnesses (c2sp.org/tlog-witness), and keeps it in the
journal's folder when enough have done so. They learn how many events there are
and a hash, and no event. 'verify -witness' then finds also what somebody has
rewritten who has the gateway's key. Run it beside the gateway with -follow.
`

const witnessHelp = `
Is a witness: cosigns the checkpoints of journals that are signed with one of the
keys, as long as each continues the one before. What it has seen is kept in DIR.
Put a proxy with TLS before it. Its own public key is printed.
`

// peers collects the flags -witness of who asks: URL=KEY.
type peers []witness.Peer

func (w *peers) String() string { return "" }

// Set reads one witness.
func (w *peers) Set(s string) error {
	at, key, ok := strings.Cut(s, "=")
	u, err := url.Parse(at)
	if !ok || err != nil || u.Host == "" {
		return errors.New("want URL=KEY")
	}
	if err := sendsSafely(u); err != nil {
		return err
	}
	var k witnessKeys
	if err := k.Set(key); err != nil {
		return err
	}
	*w = append(*w, witness.Peer{URL: at, Key: k[0]})
	return nil
}

// witnessKeys collects the flags -witness of who verifies.
type witnessKeys []note.Verifier

func (k *witnessKeys) String() string { return "" }

// Set reads a public key.
func (k *witnessKeys) Set(s string) error {
	if b, err := readSmall(s, 4<<10); err == nil {
		s = string(b)
	}
	v, err := witness.ParseKey(s)
	if err == nil {
		*k = append(*k, v)
	}
	return err
}

func (p *program) auditCosign(ctx context.Context, fs *flag.FlagSet, args []string) error {
	path := fs.String("config", defaultConfig, "the configuration `file` that names the journal")
	var public keys
	var witnesses peers
	fs.Var(&public, "key", "the gateway's public `key`, or a file that holds it; several if the key was changed")
	fs.Var(&witnesses, "witness", "a witness as `URL=KEY`, KEY its public key or a file that holds it; may be given several times")
	quorum := fs.Int("quorum", 0, "how many of them have to cosign; 0 is all")
	follow := fs.Bool("follow", false, "go on, every ten seconds")
	rest, err := parse(fs, args, 0, 1)
	if err != nil {
		return err
	}
	if len(public) == 0 || len(witnesses) == 0 {
		return usagef("-key and -witness are needed")
	}
	dir, err := journalDir(rest, *path)
	if err != nil {
		return err
	}
	c := &witness.Collector{Dir: dir, Keys: public, Peers: witnesses, Quorum: *quorum, Logger: slog.New(slog.NewTextHandler(p.stderr, nil))}
	if *follow {
		if err := c.Run(ctx); !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	}
	n, err := c.Round(ctx)
	_, perr := fmt.Fprintf(p.stdout, "cosigned by %s\n", count(n, "witness"))
	return errors.Join(err, perr)
}

func (p *program) auditWitness(ctx context.Context, fs *flag.FlagSet, args []string) error {
	var public keys
	fs.Var(&public, "key", "the public `key` of a gateway, or a file that holds it; may be given several times")
	own := fs.String("key-file", "", "the `file` of the witness's own private key, of 'audit key'")
	listen := fs.String("listen", "127.0.0.1:7777", "the `address` to listen at")
	rest, err := parse(fs, args, 1, 1)
	if err != nil {
		return err
	}
	if len(public) == 0 || *own == "" {
		return usagef("-key and -key-file are needed")
	}
	private, err := readSmall(*own, 4<<10)
	if err != nil {
		return err
	}
	signer, err := witness.ParseSigner(protocol.NewSecret(string(private)))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(rest[0], 0o700); err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *listen)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: &witness.Server{Signer: signer, Keys: public, Dir: rest[0]}, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if _, err := fmt.Fprintf(p.stdout, "witness %s at http://%s\n", signer.Name(), l.Addr()); err != nil {
		return err
	}
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
