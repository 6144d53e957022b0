// Gateway is the reference binary: everything that the library has, from one
// configuration file. README.md explains its use; 'gateway help' lists the
// commands.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/sallyport-dev/gateway/approval"
)

// A program is one run of the binary, with what a test may replace.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	told           func(uint64) // nil, or what is told of progress in place of a terminal
}

// A command is a subcommand.
type command struct {
	name  string
	args  string // for the usage line
	short string
	long  string
	// run adds its flags to fs, parses args with [parse] and does the work.
	run func(p *program, ctx context.Context, fs *flag.FlagSet, args []string) error
}

func commands() []command {
	return []command{
		{"run", "", "serve what the configuration describes", runHelp, (*program).run},
		{"check", "", "report everything that is wrong with a configuration", checkHelp, (*program).check},
		{"approvals", "", "list what waits for a decision", approvalsHelp, (*program).approvals},
		{"approve", "ID", "show one request and decide about it", approveHelp, (*program).approve},
		{"tail", "[DIR]", "print the journal", tailHelp, (*program).tail},
		{"play", "FILE|SESSION", "play a recording", playHelp, (*program).play},
		{"verify", "[DIR]", "check that the journal is what was written", verifyHelp, (*program).verify},
		{"sessions terminate", "ID", "end an open session", terminateHelp, (*program).terminate},
		{"sessions", "", "list the open sessions", sessionsHelp, (*program).sessions},
		{"audit query", "[DIR]", "find who ran what, and what came of it", queryHelp, (*program).auditQuery},
		{"audit export", "TO [DIR]", "send the journal to files, a bucket, syslog, a collector or a webhook", exportHelp, (*program).auditExport},
		{"audit archive", "TO [DIR]", "copy the journal to a store, and make room here", archiveHelp, (*program).auditArchive},
		{"audit cosign", "[DIR]", "have the journal's checkpoints cosigned by witnesses", cosignHelp, (*program).auditCosign},
		{"audit witness", "DIR", "be a witness of other gateways' journals", witnessHelp, (*program).auditWitness},
		{"audit unseal", "RECORDING [DIR]", "print a sealed recording in the clear", unsealHelp, (*program).auditUnseal},
		{"audit key", "FILE", "make a key that signs the journal", keyHelp, (*program).auditKey},
		{"audit review", "[DIR]", "who used which rights, and which nobody used", reviewHelp, (*program).review},
		{"audit erase", "[SESSION]", "make what is sealed of a session unreadable for good", eraseHelp, (*program).erase},
		{"audit hold", "SESSION", "keep it from being erased", holdHelp, (*program).hold},
		{"audit release", "SESSION", "end that", releaseHelp, (*program).release},
		{"audit prove", "SEQ [DIR]", "prove that an event is in the journal", proveHelp, (*program).auditProve},
		{"audit check", "FILE", "check such a proof, without the journal", auditCheckHelp, (*program).auditCheck},
		{"mask explain", "column|statement|label|field|stream NAME...", "say which rule masks what, for whom and why", explainHelp, (*program).maskExplain},
		{"unused", "[DIR]", "name the targets and rules that nobody used", unusedHelp, (*program).unused},
		{"mask role", "TARGET", "print the SQL of a target's restricted login", maskRoleHelp, (*program).maskRole},
		{"token", "", "make a token for a static identity", tokenHelp, (*program).token},
		{"password", "", "make a password for a SCRAM account", passwordHelp, (*program).password},
		{"version", "", "print the version", "", (*program).version},
	}
}

// The exit statuses.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// A usageError is a mistake in how a command was called.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func main() { os.Exit(realMain()) }

func realMain() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second one ends what hangs, such as a write to a pipe that nobody reads
	p := &program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	return p.main(ctx, os.Args[1:])
}

func (p *program) main(ctx context.Context, args []string) int {
	if len(args) == 0 {
		p.usage(p.stderr)
		return exitUsage
	}
	name, rest := args[0], args[1:]
	switch name {
	case "help", "-h", "-help", "--help":
		if len(rest) == 0 || rest[0] == "help" {
			p.usage(p.stdout)
			return exitOK
		}
		name, rest = rest[0], append(slices.Clone(rest[1:]), "-h")
	case "-version", "--version":
		name = "version"
	}
	for _, c := range commands() {
		words := strings.Fields(c.name)
		if words[0] != name || len(words) > 1 && (len(rest) == 0 || rest[0] != words[1]) {
			continue
		}
		return p.command(ctx, c, rest[len(words)-1:])
	}
	_, _ = fmt.Fprintf(p.stderr, "gateway: there is no command %q; 'gateway help' lists them\n", name)
	return exitUsage
}

func (p *program) command(ctx context.Context, c command, args []string) int {
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // its complaints are printed below
	help := func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "usage: gateway %s", c.name)
		fs.VisitAll(func(f *flag.Flag) {
			value, _ := flag.UnquoteUsage(f)
			_, _ = fmt.Fprintf(w, " [-%s]", strings.TrimSpace(f.Name+" "+value))
		})
		_, _ = fmt.Fprintf(w, "%s\n\n%s.\n%s", before(" ", c.args), upperFirst(c.short), c.long)
		flags := false
		if fs.VisitAll(func(*flag.Flag) { flags = true }); flags {
			_, _ = fmt.Fprintln(w, "\nFlags:")
			fs.SetOutput(w)
			fs.PrintDefaults()
			fs.SetOutput(io.Discard)
		}
	}
	err := c.run(p, ctx, fs, args)
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, flag.ErrHelp):
		help(p.stdout)
		return exitOK
	case errors.As(err, &usage):
		_, _ = fmt.Fprintf(p.stderr, "gateway %s: %s\nusage: gateway %s [flags]%s ('gateway help %s' explains them)\n", c.name, approval.Visible(err.Error()), c.name, before(" ", c.args), c.name)
		return exitUsage
	}
	// It may quote what others have written, for a terminal to obey.
	_, _ = fmt.Fprintf(p.stderr, "gateway %s: %s\n", c.name, approval.Visible(err.Error()))
	return exitError
}

// parse parses flags that may stand before and behind other arguments, of
// which there have to be at least low and at most high.
func parse(fs *flag.FlagSet, args []string, low, high int) ([]string, error) {
	var rest []string
	for {
		if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
			return nil, err
		} else if err != nil {
			return nil, usageError{err}
		}
		if fs.NArg() == 0 {
			break
		}
		rest, args = append(rest, fs.Arg(0)), fs.Args()[1:]
	}
	switch {
	case len(rest) < low:
		return nil, usagef("an argument is missing")
	case len(rest) > high:
		return nil, usagef("unexpected argument %q", rest[high])
	}
	return rest, nil
}

func (p *program) usage(w io.Writer) {
	_, _ = fmt.Fprint(w, "Gateway stands between people and production and lets through what is allowed.\n\nusage: gateway <command> [flags] [arguments]\n\n")
	for _, c := range commands() {
		_, _ = fmt.Fprintf(w, "  %-12s %s\n", c.name, c.short)
	}
	_, _ = fmt.Fprint(w, "\n'gateway help <command>' explains one of them.\nExit status: 0 done, 1 it failed or the answer is no, 2 the command was not understood.\n")
}

func (p *program) version(_ context.Context, fs *flag.FlagSet, args []string) error {
	if _, err := parse(fs, args, 0, 0); err != nil {
		return err
	}
	version, revision := "(unknown)", ""
	if b, ok := debug.ReadBuildInfo(); ok {
		version = b.Main.Version
		for _, s := range b.Settings {
			if s.Key == "vcs.revision" {
				revision = " " + s.Value
			}
		}
		version += revision + " " + b.GoVersion
	}
	_, err := fmt.Fprintln(p.stdout, "gateway", version)
	return err
}

// before returns s with sep before it, if there is an s.
func before(sep, s string) string {
	if s == "" {
		return ""
	}
	return sep + s
}

func upperFirst(s string) string { return string(s[0]-'a'+'A') + s[1:] }
