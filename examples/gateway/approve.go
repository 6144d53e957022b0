package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sallyport-dev/gateway/approval"
	"github.com/sallyport-dev/gateway/protocol"
)

const approvalsHelp = `
Lists the requests that you may see, oldest first. You log in at the gateway's
admin address with the token that you would give to psql: from the file of
-token-file, else from the environment variable SALLYPORT_TOKEN.
`

const approveHelp = `
Shows who asks for what, with all facts, and asks whether to let it run. Only
what was shown is approved: if the request changes in between, your vote does
not count. Without a terminal say -yes or -deny.

You log in as for 'gateway approvals'. Nobody decides about their own request.
`

// defaultServer is the admin address of the example configuration.
const defaultServer = "http://127.0.0.1:7443"

// clientFlags say where approvers log in, and as whom.
type clientFlags struct{ server, tokenFile, ca *string }

func newClientFlags(fs *flag.FlagSet) clientFlags {
	server := os.Getenv("SALLYPORT_SERVER")
	if server == "" {
		server = defaultServer
	}
	return clientFlags{
		server:    fs.String("server", server, "the gateway's admin `URL`; also SALLYPORT_SERVER"),
		tokenFile: fs.String("token-file", "", "the `file` with your token; otherwise SALLYPORT_TOKEN"),
		ca:        fs.String("ca", "", "a `file` with the certificates of the authority to trust, in place of the system's"),
	}
}

// maxTokenFile is more than the header has room for.
const maxTokenFile = 64 << 10

func (f clientFlags) client() (*approval.Client, error) {
	c := &approval.Client{URL: *f.server, Token: protocol.NewSecret(os.Getenv("SALLYPORT_TOKEN"))}
	if *f.tokenFile != "" {
		b, err := readSmall(*f.tokenFile, maxTokenFile)
		if err != nil {
			return nil, err
		}
		c.Token = protocol.NewSecret(strings.TrimSpace(string(b)))
	}
	if c.Token.Empty() {
		return nil, errors.New("no token: set SALLYPORT_TOKEN, or give -token-file")
	}
	if *f.ca != "" {
		pool, err := clientCAs(*f.ca)
		if err != nil {
			return nil, err
		}
		c.HTTP = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment,
			TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}}
	}
	return c, nil
}

// whereFrom adds to an error of the connection where the address comes from.
func whereFrom(err error) error {
	if e := (*url.Error)(nil); errors.As(err, &e) {
		return fmt.Errorf("%w (-server or SALLYPORT_SERVER says where the gateway is)", err)
	}
	return err
}

func (p *program) approvals(ctx context.Context, fs *flag.FlagSet, args []string) error {
	conn := newClientFlags(fs)
	all := fs.Bool("all", false, "also those that have been decided")
	asJSON := fs.Bool("json", false, "print one JSON object for each request")
	if _, err := parse(fs, args, 0, 0); err != nil {
		return err
	}
	c, err := conn.client()
	if err != nil {
		return err
	}
	rs, err := c.List(ctx, *all)
	if err != nil {
		return whereFrom(err)
	}
	if *asJSON {
		enc := jsonTo(p.stdout)
		for _, r := range rs {
			if err := enc.Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	if len(rs) == 0 {
		_, err := fmt.Fprintln(p.stdout, "nothing waits for you")
		return err
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "ID\tSTATE\tWHO\tTARGET\tRISK\tWHAT") // Flush returns the error
	for _, r := range rs {
		state := string(r.State)
		if r.State == approval.StatePending {
			state = "waits, " + time.Until(r.Until).Round(time.Second).String() + " left"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", oneLine(r.ID, 20), state, oneLine(approval.Person(r.Requester), 30), oneLine(r.Target, 30), r.Risk, oneLine(r.Text, 60))
	}
	return w.Flush()
}

func (p *program) approve(ctx context.Context, fs *flag.FlagSet, args []string) error {
	conn := newClientFlags(fs)
	yes := fs.Bool("yes", false, "do not ask, approve")
	deny := fs.Bool("deny", false, "do not ask, deny")
	comment := fs.String("comment", "", "a `text` for the requester and for the record")
	rest, err := parse(fs, args, 1, 1)
	switch {
	case err != nil:
		return err
	case *yes && *deny:
		return usagef("-yes and -deny: decide for one")
	}
	c, err := conn.client()
	if err != nil {
		return err
	}
	r, err := c.Get(ctx, rest[0])
	if err != nil {
		return whereFrom(err)
	}
	if _, err := fmt.Fprint(p.stdout, r.Card()); err != nil {
		return err // what was not shown is not approved
	}
	if r.State.Ended() {
		return fmt.Errorf("nothing to decide: the request is %s", r.State)
	}
	if !*yes && !*deny {
		if *yes, err = p.ask(ctx, "\nLet it run? [y/N] "); err != nil {
			return err
		}
		if !*yes {
			_, err := fmt.Fprintln(p.stdout, "Nothing was decided; 'gateway approve -deny "+r.ID+"' refuses it.")
			return errors.Join(errors.New("nothing was decided"), err)
		}
	}
	after, err := c.Decide(ctx, r, *yes, *comment)
	if err != nil {
		return err
	}
	note := ""
	if after.State == approval.StatePending {
		note = fmt.Sprintf(": your vote counts, %d of %d", len(after.Decisions), max(1, after.Approvers.Need))
	}
	_, err = fmt.Fprintf(p.stdout, "\nrequest %s is %s%s\n", after.ID, after.State, note)
	return err
}

// ask asks a question to which only y and yes are a yes. No answer is none.
func (p *program) ask(ctx context.Context, question string) (bool, error) {
	if _, err := fmt.Fprint(p.stdout, question); err != nil {
		return false, err
	}
	answer := make(chan string, 1)
	go func() { // ends with the process: reading from a terminal cannot be interrupted
		line, _ := bufio.NewReader(p.stdin).ReadString('\n') // what an error cuts short is no yes
		answer <- line
	}()
	select {
	case a := <-answer:
		if !strings.HasSuffix(a, "\n") {
			return false, errors.New("nothing was decided: there was no answer")
		}
		a = strings.ToLower(strings.TrimSpace(a))
		return a == "y" || a == "yes", nil
	case <-ctx.Done():
		return false, errors.New("nothing was decided")
	}
}
