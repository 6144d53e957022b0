// Quickstart shows the gateway at work, with nothing prepared: it starts a
// PostgreSQL with invented data, an SSH server, an identity provider that lives
// in this process, and the reference binary between them, and then does with
// psql and ssh what an analyst, an approver, a CI job and an auditor do.
//
//	go run ./examples/quickstart          # and stays up, for a look around
//	go run ./examples/quickstart -once    # and ends; status 0 if all went as told
//
// It needs Go and a C compiler. Where there is no PostgreSQL or OpenSSH it
// installs them, on Debian and Ubuntu as root, and says so.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// patience bounds the whole story, installing and compiling included.
const patience = 15 * time.Minute

func main() {
	once := flag.Bool("once", false, "end after the story, with status 0 if everything went as told")
	keep := flag.Bool("keep", false, "do not remove the folder with configuration, tokens and journal")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := quickstart(ctx, *once, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func quickstart(ctx context.Context, once, keep bool) (err error) {
	s := newStage(os.Stdout)
	within, cancel := context.WithTimeoutCause(ctx, patience, errors.New("it took longer than "+patience.String()))
	defer cancel()
	w, err := newWorld(within, s)
	if w != nil {
		defer func() { err = errors.Join(err, w.close(keep)) }()
	}
	if err == nil {
		err = tell(within, s, w)
	}
	if err != nil {
		if w != nil {
			s.say("\nThe end of the gateway's log:\n%s", w.logTail())
		}
		return err
	}
	if once {
		s.say("\nEverything went as told.")
		return nil
	}
	s.heading("Now you")
	s.say("All of it stays up until you press Ctrl-C. In another terminal:")
	s.block("cd %s\nexport PATH=$PWD:$PATH PGHOST=localhost PGPORT=%d PGSSLMODE=verify-full PGSSLROOTCERT=ca.pem SALLYPORT_SERVER=%s\n"+
		"PGPASSWORD=$(cat alice.token) psql -U alice -d shop\n"+
		"ssh -F ssh_config web uptime\n"+
		"SALLYPORT_TOKEN=$(cat bob.token) gateway approvals\n"+
		"gateway tail -follow journal\n", w.dir, w.port, w.admin)
	s.say("The gateway's configuration is gateway.yaml in that folder; after a change: kill -HUP %d", w.gateway.Process.Pid)
	select {
	case <-ctx.Done():
		return nil
	case <-w.ended:
		return errors.New("the gateway has ended: " + w.logTail())
	}
}
