package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/sallyport-dev/gateway/audit"
)

// A telling runs the commands of the story and remembers the first thing that
// was not as told; after it nothing more is done.
type telling struct {
	*stage
	w   *world
	ctx context.Context // of the story, which is one call
	err error
}

// An expectation looks at what a command printed.
type expectation func(out string, err error) error

// shows expects success, and each of the texts.
func shows(texts ...string) expectation {
	return func(out string, err error) error {
		if err != nil {
			return err
		}
		return contains(out, texts)
	}
}

// fails expects a refusal, and each of the texts.
func fails(texts ...string) expectation {
	return func(out string, err error) error {
		if err == nil {
			return errors.New("it was not refused")
		}
		return contains(out, texts)
	}
}

func contains(out string, texts []string) error {
	for _, t := range texts {
		if !strings.Contains(out, t) {
			return fmt.Errorf("%q is missing", t)
		}
	}
	return nil
}

// hides expects what e expects, and none of the texts.
func hides(e expectation, texts ...string) expectation {
	return func(out string, err error) error {
		for _, t := range texts {
			if strings.Contains(out, t) {
				return fmt.Errorf("%q was shown", t)
			}
		}
		return e(out, err)
	}
}

// do shows a command, runs it, shows what it prints and checks it.
func (t *telling) do(line string, want expectation) string {
	if t.err != nil {
		return ""
	}
	t.command(line)
	out, err := t.w.shell(t.ctx, line)
	t.block("%s", out)
	t.check(line, want(out, err))
	return out
}

func (t *telling) check(what string, err error) {
	if err != nil && t.err == nil {
		t.err = fmt.Errorf("the story went wrong at %s: %w", what, err)
	}
}

// truth asks the database itself, past the gateway.
func (t *telling) truth(sql, want string) {
	if t.err != nil {
		return
	}
	got, err := t.w.pg.Exec(t.ctx, sql)
	if err == nil && strings.TrimSpace(got) != want {
		err = fmt.Errorf("the database says %q, not %q", strings.TrimSpace(got), want)
	}
	t.check(sql, err)
}

func psql(who, sql string) string {
	return fmt.Sprintf(`PGPASSWORD=$(cat %s.token) psql -U %s -d shop -c "%s"`, who, who, sql)
}

// tell tells the story.
func tell(ctx context.Context, s *stage, w *world) error {
	t := &telling{stage: s, w: w, ctx: ctx}
	for _, scene := range []func(*telling){
		(*telling).login, (*telling).masks, (*telling).blocked, (*telling).approval,
		(*telling).workload, (*telling).server, (*telling).evidence, (*telling).unused,
	} {
		if scene(t); t.err != nil {
			return t.err
		}
	}
	return nil
}

// say is stage.say, unless the story has gone wrong already.
func (t *telling) say(format string, args ...any) {
	if t.err == nil {
		t.stage.say(format, args...)
	}
}

func (t *telling) login() {
	t.scene("Alice logs in with a token of her identity provider, in the password's place")
	t.do(psql("alice", "select session_user, count(*) from orders"), shows("gateway_svc", "500"))
	t.say("\nThe database knows the gateway's own account only: no person has its password.\nA token that nobody vouches for gets no further than this:")
	t.do(`PGPASSWORD=stolen psql -U alice -d shop -c "select 1"`, fails("FATAL", "the login was not accepted"))
}

func (t *telling) masks() {
	t.scene("What she may not see does not leave the gateway")
	secrets := []string{"900-12-3456", "ada.marlowe@", "555-0142"}
	t.do(psql("alice", "select id, name, email, phone, ssn from customers order by id limit 3"), hides(shows("Ada Marlowe"), secrets...))
	t.say("\nNor by another way: computed, renamed, through a view or as a file.")
	t.do(psql("alice", "select upper(ssn) as x, (select max(contact) from customer_orders) as y from customers limit 1"), hides(shows("(1 row)"), "900-", "@example"))
	t.do(psql("alice", "copy customers to stdout (format csv, header)"), hides(shows("Ada Marlowe", "***@example.com"), secrets...))
}

func (t *telling) blocked() {
	t.scene("What nobody should do is refused, with a reason and a way on")
	t.do(psql("alice", "drop table customers"), fails("definitions in production change by migration only", "HINT"))
	t.truth("select count(*) from customers", "5")
}

var requestID = regexp.MustCompile(`(?m)^([0-9a-z]{12})  `)

func (t *telling) approval() {
	t.scene("What needs a second person waits for one")
	line := psql("alice", "delete from orders where id = 500")
	t.command(line + "      # in Alice's terminal")
	t.say("  ... waits")
	type result struct {
		out string
		err error
	}
	alice := make(chan result, 1)
	go func() {
		out, err := t.w.shell(t.ctx, line)
		alice <- result{out, err}
	}()
	id := t.waiting()
	if t.err != nil {
		return
	}
	t.truth("select count(*) from orders where id = 500", "1")
	t.do("SALLYPORT_TOKEN=$(cat bob.token) gateway approvals", shows(id, "delete from orders"))
	t.say("\nNobody approves their own request:")
	t.do("SALLYPORT_TOKEN=$(cat alice.token) gateway approve -yes "+id, fails("nobody decides about their own request"))
	t.say("\nBob reads the card and says yes to exactly this:")
	t.do("SALLYPORT_TOKEN=$(cat bob.token) gateway approve "+id+" -yes -comment 'ticket 4711'", shows("delete from orders where id = 500", "is approved"))
	if t.err != nil {
		return
	}
	t.say("\nMeanwhile in Alice's terminal:")
	select {
	case r := <-alice:
		t.block("%s", r.out)
		t.check(line, shows("held for approval", "DELETE 1")(r.out, r.err))
	case <-t.ctx.Done():
		t.check(line, context.Cause(t.ctx))
	}
	t.truth("select count(*) from orders where id = 500", "0")
}

// waiting returns the request that waits for Bob, as soon as there is one.
func (t *telling) waiting() string {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		out, err := t.w.shell(t.ctx, "SALLYPORT_TOKEN=$(cat bob.token) gateway approvals")
		if err != nil {
			t.check("gateway approvals", fmt.Errorf("%w: %s", err, out))
			return ""
		}
		if m := requestID.FindStringSubmatch(out); m != nil {
			return m[1]
		}
	}
	t.check("gateway approvals", errors.New("no request has come up"))
	return ""
}

func (t *telling) workload() {
	t.scene("A CI job has an identity of its own, and fewer rights")
	t.do(psql("ci", "select sum(amount) from orders"), shows("(1 row)"))
	t.do(psql("ci", "update orders set amount = 0"), fails("no rule allows this"))
	t.truth("select count(*) from orders where amount = 0", "5")
}

func (t *telling) server() {
	t.scene("The same chain in front of a server: ssh, scp and keys that end")
	t.do("ssh -F ssh_config web 'echo $((6 * 7)) lines; echo so far >&2'", shows("42 lines", "so far"))
	t.do("scp -q -F ssh_config web:/etc/hosts copied && cmp copied /etc/hosts && echo the same", shows("the same"))
	t.say("\nA command is read as a shell reads it; what is in it is refused as well.")
	t.do("ssh -F ssh_config web 'ls / | sudo tee /etc/motd'", fails("sallyport: servers are changed by their configuration management"))
	t.say("\nWhat is typed into a shell cannot be read ahead: a rule would have to name it, and none does.")
	t.do("ssh -F ssh_config -T web", fails("could not be analysed"))
	t.say("\nCarl's contract, and so his key, ended last week.")
	t.do("ssh -F ssh_config -i carl.key web id", fails("the login has expired"))
}

func (t *telling) evidence() {
	t.scene("Who did what, and who said yes")
	t.settled("sudo tee")
	t.do("gateway tail journal", hides(shows("sudo tee", "open /etc/hosts", "delete from orders where id = 500", "approved by Bob (bob)", "ticket 4711", "DENY", "masked email phone ssn"), "900-12-3456"))
	t.say("\nThe journal proves that nothing in it was changed:")
	t.do("gateway verify journal", shows("every event is as it was written"))
	t.say("\nWhoever edits a copy, so that it says Eve approved, is found out:")
	t.check("forging the journal", t.forge())
	t.do("gateway verify forged", fails("DAMAGED"))
}

// settled waits until the journal holds an event about text, and all before it
// in a segment: that is done within a tenth of a second, not at once.
func (t *telling) settled(text string) {
	for deadline := time.Now().Add(10 * time.Second); t.err == nil; time.Sleep(50 * time.Millisecond) {
		out, err := t.w.shell(t.ctx, "gateway tail journal")
		if err == nil && strings.Contains(out, text) {
			rep, verr := audit.Verify(filepath.Join(t.w.dir, "journal"))
			if err = verr; err == nil && rep.Pending == 0 {
				return
			}
		}
		if time.Now().After(deadline) {
			t.check("gateway tail journal", fmt.Errorf("%q is not in it: %w", text, errors.Join(err, errors.New(out))))
		}
	}
}

// forge copies the journal and changes a name in it.
func (t *telling) forge() error {
	if t.err != nil {
		return nil
	}
	to := filepath.Join(t.w.dir, "forged")
	if err := os.CopyFS(to, os.DirFS(filepath.Join(t.w.dir, "journal"))); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(to, "*.journal"))
	if err != nil {
		return err
	}
	changed := 0
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		changed += bytes.Count(b, []byte("Bob (bob)"))
		if err := os.WriteFile(f, bytes.ReplaceAll(b, []byte("Bob (bob)"), []byte("Eve (eve)")), 0o600); err != nil {
			return err
		}
	}
	if changed == 0 {
		return errors.New("the approver's name is not in it")
	}
	return nil
}

func (t *telling) unused() {
	t.scene("What nobody used, and could be taken away")
	t.do("gateway unused -config gateway.yaml", shows("reports", "authorize dba", "not used"))
}
