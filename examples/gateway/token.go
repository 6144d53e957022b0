package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

const tokenHelp = `
Prints the token, for its owner and never again, and the entry that goes below
'tokens' in the configuration. The configuration holds a hash only.
`

const passwordHelp = `
Prints a new random password, for its owner and never again, and the entry that
goes below 'accounts' of the step scram. With -stdin the password is the first
line of the standard input. The configuration holds a verifier only, from which
the password cannot be computed.
`

// identityFlags describe the static identity that an entry is for.
type identityFlags struct{ subject, kind, groups *string }

func newIdentityFlags(fs *flag.FlagSet) identityFlags {
	return identityFlags{
		subject: fs.String("subject", "", "who it is for, a `name` that is unique in the configuration"),
		kind:    fs.String("kind", string(protocol.Human), "human, workload or agent"),
		groups:  fs.String("groups", "", "groups, separated by commas"),
	}
}

// entry returns the fields as YAML, in flow style.
func (f identityFlags) entry() (string, error) {
	switch protocol.IdentityKind(*f.kind) {
	case protocol.Human, protocol.Workload, protocol.Agent:
	default:
		return "", usagef("-kind %q is not human, workload or agent", *f.kind)
	}
	if *f.subject == "" {
		return "", usagef("-subject is missing: say who it is for")
	}
	s := fmt.Sprintf("subject: %s, kind: %s", strconv.Quote(*f.subject), *f.kind)
	if *f.groups != "" {
		var gs []string
		for g := range strings.SplitSeq(*f.groups, ",") {
			gs = append(gs, strconv.Quote(strings.TrimSpace(g)))
		}
		s += ", groups: [" + strings.Join(gs, ", ") + "]"
	}
	return s, nil
}

func (p *program) token(_ context.Context, fs *flag.FlagSet, args []string) error {
	who := newIdentityFlags(fs)
	if _, err := parse(fs, args, 0, 0); err != nil {
		return err
	}
	entry, err := who.entry()
	if err != nil {
		return err
	}
	token, hash := middleware.NewToken()
	_, err = fmt.Fprintf(p.stdout, "token: %s\n- {hash: %s, %s}\n", token.Reveal(), hash, entry)
	return err
}

func (p *program) password(_ context.Context, fs *flag.FlagSet, args []string) error {
	who := newIdentityFlags(fs)
	user := fs.String("user", "", "the account `name` that the client sends; by default the subject")
	stdin := fs.Bool("stdin", false, "read the password from the standard input")
	if _, err := parse(fs, args, 0, 0); err != nil {
		return err
	}
	entry, err := who.entry()
	if err != nil {
		return err
	}
	if *user == "" {
		*user = *who.subject
	}
	password := rand.Text()
	if *stdin {
		line, err := bufio.NewReader(io.LimitReader(p.stdin, 4<<10)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		password = strings.TrimRight(line, "\r\n")
	}
	v, err := middleware.NewScramVerifier(protocol.NewSecret(password))
	if err != nil {
		return err
	}
	if !*stdin {
		if _, err := fmt.Fprintln(p.stdout, "password:", password); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(p.stdout, "- {user: %s, verifier: %s, %s}\n", strconv.Quote(*user), strconv.Quote(v.Reveal()), entry)
	return err
}
