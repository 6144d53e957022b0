package ssh

import (
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/sallyport-dev/gateway/protocol"
)

// The verbs of this connector, beside [protocol.Connect] and those of files.
const (
	Shell     protocol.Verb = "shell"     // an interactive shell
	Exec      protocol.Verb = "exec"      // a command
	Subsystem protocol.Verb = "subsystem" // sftp, netconf ...
	Forward   protocol.Verb = "forward"   // a connection from the target to an address (ssh -L, -D, -J)
	Listen    protocol.Verb = "listen"    // listening on an address at the target (ssh -R)
	Accept    protocol.Verb = "accept"    // a connection to such an address
)

const (
	// maxAnalyzed bounds the text that is taken apart: what is longer than any
	// command that people type is opaque.
	maxAnalyzed = 16 << 10
	// maxNested bounds shells in shells: sh -c "sh -c ...".
	maxNested = 4
	// maxObjects bounds the objects of one command.
	maxObjects = 256
)

// analyze returns the operation that runs text in the target's login shell.
//
// The text is read as a POSIX shell or bash would read it. Each command in it is
// an object of kind "command", by its name or, if it is in none of the system's
// folders, by its path; files of redirects are objects of kind "file". What runs is always Execute, since a name does not
// tell what a program does. It is Opaque too where the text does not say what
// runs: a name from a variable, code from standard input, eval, and what cannot
// be parsed.
func analyze(text string) *protocol.Operation {
	op := &protocol.Operation{Verb: Exec, Text: text, Access: protocol.Execute}
	a := analysis{op: op}
	a.text(text, 0)
	if a.moves && a.relative {
		a.opaque("it names a file from a folder that it changes to")
	}
	if a.only != nil {
		transfer(op, a.only)
	}
	return op
}

type analysis struct {
	op   *protocol.Operation
	only []string // the words, if the whole text is one command of literal words

	moves    bool // it changes to another folder
	relative bool // it names a file from the present one
}

func (a *analysis) opaque(why string) {
	if a.op.Access&protocol.Opaque == 0 {
		a.op.Access |= protocol.Opaque
		a.op.Why = why
	}
}

func (a *analysis) add(kind, name string, access protocol.Access) {
	o := protocol.Object{Kind: kind, Name: name, Access: access}
	a.op.Access |= access
	if slices.Contains(a.op.Objects, o) {
		return
	}
	if len(a.op.Objects) >= maxObjects {
		a.opaque("it runs more commands than are looked at")
		return
	}
	a.op.Objects = append(a.op.Objects, o)
}

// text takes a shell's text apart; depth counts the shells around it.
func (a *analysis) text(text string, depth int) {
	switch {
	case len(text) > maxAnalyzed:
		a.opaque("it is too long to be analysed")
		return
	case depth > maxNested:
		a.opaque("shells are nested too deeply to be analysed")
		return
	case strings.ContainsAny(text, "\x00\r"): // the parser drops a CR before a line's end, and a shell does not
		a.opaque("there is a NUL or a CR in it")
		return
	case strings.HasSuffix(text, "\\"): // part of the last word, or nothing
		a.opaque(whyOtherwise)
	}
	f, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text), "")
	if err != nil {
		a.opaque("it cannot be parsed as shell text")
		return
	}
	if depth == 0 && len(f.Stmts) == 1 {
		a.only = simple(f.Stmts[0])
	}
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Stmt:
			a.statement(n)
		case *syntax.CallExpr:
			a.call(n, depth)
		case *syntax.Redirect:
			a.redirect(n)
		case *syntax.SglQuoted:
			if n.Dollar && strings.Contains(n.Value, "\\") || strings.HasSuffix(n.Value, "\\") { // where it ends is another question, to fish too
				a.opaque(whyOtherwise)
			}
		case *syntax.Word:
			if globs(n) {
				a.opaque(whyOtherwise)
			}
		case *syntax.ExtGlob: // to zsh, (e:...:) behind a * is code
			a.opaque(whyOtherwise)
		case *syntax.ArithmExp:
			a.arithmetic(n.X)
		case *syntax.ArithmCmd, *syntax.CoprocClause: // the parser may take coproc's command for a name
			a.opaque(whyOtherwise)
		case *syntax.LetClause:
			a.arithmetic(n.Exprs...)
		case *syntax.CStyleLoop:
			a.arithmetic(n.Init, n.Cond, n.Post)
		case *syntax.ArrayElem:
			a.arithmetic(n.Index)
		case *syntax.ParamExp:
			a.expansion(n)
		case *syntax.WordIter: // for and select
			a.sets(n.Name.Value)
		case *syntax.UnaryTest:
			if n.Op == syntax.TsVarSet || n.Op == syntax.TsRefVar {
				a.opaque(whyEvaluated)
			}
		case *syntax.BinaryTest:
			switch n.Op {
			case syntax.TsEql, syntax.TsNeq, syntax.TsLeq, syntax.TsGeq, syntax.TsLss, syntax.TsGtr:
				a.opaque(whyEvaluated)
			case syntax.AndTest, syntax.OrTest, syntax.TsBefore, syntax.TsAfter:
				a.opaque(whyOtherwise)
			}
		case *syntax.ParenTest:
			a.opaque(whyOtherwise)
		case *syntax.DeclClause:
			a.assigns(n.Args)
		case *syntax.FuncDecl:
			a.opaque("it defines a function, which may stand for any name")
		}
		return true
	})
}

// whyEvaluated is said of what a shell computes: where it meets the name of an
// array's element, in the text or in a variable's value, it runs the commands in
// the index.
const whyEvaluated = "what it computes may run commands"

// whyOtherwise is said of what one shell finds commands in and another does not.
const whyOtherwise = "another shell may find other commands in it"

// statement looks at one command with its redirects. To dash, &> ends a command,
// and what follows the file is the next.
func (a *analysis) statement(s *syntax.Stmt) {
	for _, r := range s.Redirs {
		if (r.Op == syntax.RdrAll || r.Op == syntax.AppAll) && s.Cmd != nil && s.Cmd.End().After(r.Pos()) {
			a.opaque(whyOtherwise)
		}
	}
}

// arithmetic looks at expressions, which may be nil. Only plain numbers run nothing.
func (a *analysis) arithmetic(list ...syntax.ArithmExpr) {
	for _, x := range list {
		if x == nil {
			continue
		}
		syntax.Walk(x, func(n syntax.Node) bool {
			if w, ok := n.(*syntax.Word); ok {
				if s, ok := literal(w); !ok || strings.Trim(s, "0123456789") != "" {
					a.opaque(whyEvaluated)
				}
				return false
			}
			return true
		})
	}
}

// expansion looks at ${...}. Its words are looked at by themselves.
func (a *analysis) expansion(p *syntax.ParamExp) {
	if p.Excl || p.NestedParam != nil || p.Exp != nil && p.Exp.Op == syntax.OtherParamOps { // the value is a name, or is expanded again
		a.opaque(whyEvaluated)
	}
	if e := p.Exp; e != nil && (e.Op == syntax.AssignUnset || e.Op == syntax.AssignUnsetOrNull) && p.Param != nil {
		a.sets(p.Param.Value)
	}
	if w, ok := p.Index.(*syntax.Word); !ok || w.Lit() != "@" && w.Lit() != "*" {
		a.arithmetic(p.Index)
	}
	if p.Slice != nil {
		a.arithmetic(p.Slice.Offset, p.Slice.Length)
	}
}

// globs reports whether zsh looks for files with a variable's value, $~x, and so runs
// what is in its (e:...:).
func globs(w *syntax.Word) bool {
	before := ""
	for _, p := range w.Parts {
		l, ok := p.(*syntax.Lit)
		if ok && strings.Contains(before+l.Value, "$~") {
			return true
		}
		if before = ""; ok {
			before = l.Value
		}
	}
	return false
}

// simple returns the words of a statement that is one command and nothing else.
func simple(s *syntax.Stmt) []string {
	c, ok := s.Cmd.(*syntax.CallExpr)
	if !ok || s.Negated || s.Background || s.Coprocess || s.Disown || len(s.Redirs) > 0 || len(c.Assigns) > 0 {
		return nil
	}
	words := make([]string, len(c.Args))
	for i, w := range c.Args {
		if words[i], ok = literal(w); !ok {
			return nil
		}
	}
	return words
}

// literal returns what a word stands for, if that does not depend on anything.
func literal(w *syntax.Word) (string, bool) {
	var b strings.Builder
	for i, p := range w.Parts {
		switch p := p.(type) {
		case *syntax.Lit:
			s, ok := unescape(p.Value, false)
			if !ok || i == 0 && strings.HasPrefix(p.Value, "~") {
				return "", false
			}
			b.WriteString(s)
		case *syntax.SglQuoted:
			if p.Dollar {
				return "", false
			}
			b.WriteString(p.Value)
		case *syntax.DblQuoted:
			if p.Dollar {
				return "", false
			}
			for _, q := range p.Parts {
				l, ok := q.(*syntax.Lit)
				if !ok {
					return "", false
				}
				s, _ := unescape(l.Value, true)
				b.WriteString(s)
			}
		default:
			return "", false
		}
	}
	return b.String(), true
}

// unescape removes the backslashes of a literal. It reports false for what a
// shell expands to file names or to several words.
func unescape(s string, quoted bool) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s) && (!quoted || strings.IndexByte("$`\"\\\n", s[i+1]) >= 0):
			i++
			if s[i] != '\n' {
				b.WriteByte(s[i])
			}
		case !quoted && strings.IndexByte("*?[{", c) >= 0:
			return "", false
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), true
}

func (a *analysis) redirect(r *syntax.Redirect) {
	if r.N != nil { // {x}> sets x to the number
		a.sets(strings.Trim(r.N.Value, "{}"))
	}
	access := protocol.Write
	switch r.Op {
	case syntax.RdrIn:
		access = protocol.Read
	case syntax.Hdoc, syntax.DashHdoc, syntax.WordHdoc:
		return // text that is there
	case syntax.DplIn, syntax.DplOut:
		if n, ok := literal(r.Word); ok && strings.Trim(strings.TrimSuffix(n, "-"), "0123456789") == "" {
			return // another number for the same file
		}
		a.opaque(whyEvaluated) // bash takes the word for a file's name, and expands what it has expanded once more
	case syntax.RdrInOut:
		access = protocol.Read | protocol.Write
	}
	name, ok := literal(r.Word)
	if !ok {
		name = "*"
	} else {
		if name, ok = clean(name); !ok {
			a.opaque(whyPath)
		}
		if name == "/dev/null" {
			return
		}
		a.relative = a.relative || !path.IsAbs(name)
	}
	a.add("file", name, access)
}

// call looks at one command. What runs another command is looked through.
func (a *analysis) call(c *syntax.CallExpr, depth int) {
	a.assigns(c.Assigns)
	words := make([]string, 0, len(c.Args))
	known := make([]bool, 0, len(c.Args))
	for _, w := range c.Args {
		s, ok := literal(w)
		words, known = append(words, s), append(known, ok)
	}
	a.words(words, known, depth)
}

func (a *analysis) assigns(list []*syntax.Assign) {
	for _, as := range list {
		a.arithmetic(as.Index)
		switch name := as.Name; {
		case name == nil: // an option, or a name known only when it runs: declare $x
			if as.Value == nil {
				continue
			}
			switch s, ok := literal(as.Value); {
			case !ok:
				a.opaque("the name of a variable is known only when it runs")
			case strings.Contains(s, "[") || strings.HasPrefix(s, "-") && strings.ContainsAny(s, "in"): // integers, other names
				a.opaque(whyEvaluated)
			}
		case as.Naked: // export PATH: has the value that it had
		default:
			a.sets(name.Value)
		}
	}
}

// sets notes that a variable gets another value.
func (a *analysis) sets(name string) {
	if runsOthers(name) {
		a.opaque("it sets " + name + ", by which other programs may run")
	}
}

// runsOthers reports whether a variable decides which programs or libraries run.
func runsOthers(name string) bool {
	switch name {
	case "GIT_PROTOCOL": // which git's clients send
		return false
	case "PATH", "IFS", "ENV", "SHELLOPTS", "BASHOPTS", "PS4", "PROMPT_COMMAND", "CDPATH", "PAGER", "MANPAGER", "EDITOR", "VISUAL", "ZDOTDIR", "FPATH", "HOME",
		"LESSOPEN", "LESSCLOSE", "RUBYOPT", "RUBYLIB", "NODE_OPTIONS", "JAVA_TOOL_OPTIONS", "GCONV_PATH", "LOCPATH", "RSYNC_RSH", "SSH_ASKPASS", "SUDO_ASKPASS":
		return true
	}
	return strings.HasPrefix(name, "LD_") || strings.HasPrefix(name, "BASH_") || strings.HasPrefix(name, "GIT_") || strings.HasPrefix(name, "PYTHON") || strings.HasPrefix(name, "PERL")
}

// words looks at the words of one command; known says which of them are what
// they look like.
func (a *analysis) words(words []string, known []bool, depth int) {
	fed := false // arguments come from standard input too
	for hops := 0; len(words) > 0; hops++ {
		if !known[0] || words[0] == "" || words[0][0] == '-' || words[0][0] == '=' { // - and = have a meaning in zsh, and -f behind time in dash
			a.opaque("the name of a command is known only when it runs")
			return
		}
		if hops > 8 {
			a.opaque("it runs commands through too many others")
			return
		}
		name := path.Base(words[0])
		a.add("command", commandName(words[0]), protocol.Execute)
		a.relative = a.relative || strings.Contains(words[0], "/") && !path.IsAbs(words[0])
		w, isWrapper := wrappers[name]
		switch {
		case slices.Contains(runners, name):
			a.opaque(name + " runs text that is not looked into")
			return
		case slices.Contains(shells, name):
			if fed {
				a.opaque("a shell runs text that is not in the command")
			}
			a.shell(words[1:], known[1:], depth)
			return
		case slices.Contains(evaluators, name) && evaluates(name, words[1:], known[1:]):
			a.opaque(whyEvaluated)
			return
		case slices.Contains(interpreters, strings.TrimRight(name, "0123456789.-")) || strings.HasPrefix(name, "ld-linux") || strings.HasPrefix(name, "ld.so"):
			a.opaque(name + " runs code that is not looked into")
			return
		case name == "find" && (fed || slices.Contains(known, false) || slices.ContainsFunc(words, func(s string) bool {
			return s == "-exec" || s == "-execdir" || s == "-ok" || s == "-okdir"
		})):
			a.opaque("find runs commands that are not looked into")
			return
		case name == "find" && slices.ContainsFunc(words, func(s string) bool { return s == "-delete" || strings.HasPrefix(s, "-fprint") || s == "-fls" }):
			a.op.Access |= protocol.Write
			return
		case name == "cd" || name == "pushd" || name == "popd":
			a.moves = true
			return
		case slices.Contains(changers, name):
			a.op.Access |= protocol.Write
			return
		case !isWrapper:
			return
		}
		if w.admin {
			a.op.Access |= protocol.Admin
			a.op.Objects[len(a.op.Objects)-1].Access |= protocol.Admin
		}
		rest, ok := w.skip(words[1:], known[1:])
		if fed = fed || name == "xargs"; !ok || fed && len(rest) == 0 && name != "xargs" {
			a.opaque("what " + name + " runs could not be made out")
			return
		}
		if name == "xargs" {
			replaced(words[1:len(words)-len(rest)], rest, known[len(known)-len(rest):])
		}
		if len(rest) == 0 && w.admin {
			a.opaque(name + " opens a shell")
		}
		words, known = words[len(words)-len(rest):], known[len(known)-len(rest):]
	}
}

// commandName returns the name of a command: without its folder if that is one of
// the system's, so that ./ls is not taken for ls.
func commandName(word string) string {
	if !strings.Contains(word, "/") {
		return word
	}
	switch word = path.Clean(word); path.Dir(word) {
	case "/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin":
		return path.Base(word)
	}
	if !strings.Contains(word, "/") { // cleaned of its ./
		return "./" + word
	}
	return word
}

// shell looks at the arguments of a shell: what follows -c is its text.
func (a *analysis) shell(words []string, known []bool, depth int) {
	for i, s := range words {
		switch {
		case !known[i]:
		case s == "-c" || len(s) == 3 && strings.HasPrefix(s, "-") && strings.HasSuffix(s, "c") && strings.Contains("ilexu", s[1:2]):
			if i+1 < len(words) && known[i+1] {
				a.text(words[i+1], depth+1)
				return
			}
		case len(s) == 2 && s[0] == '-' && strings.Contains("ilexu", s[1:]):
			continue
		}
		break
	}
	a.opaque("a shell runs text that is not in the command")
}

var (
	shells = []string{"sh", "bash", "dash", "zsh", "ksh", "ash", "rbash"}
	// interpreters are programs whose arguments or input are code. The list is
	// an aid: any program may run another.
	interpreters = []string{"python", "perl", "ruby", "node", "nodejs", "php", "lua", "awk", "gawk", "mawk", "nawk", "tclsh", "wish", "guile", "java", "jshell", "Rscript", "R",
		"fish", "csh", "tcsh", "pwsh", "busybox", "toybox", "vi", "vim", "nvim", "view", "ex", "ed", "nano", "emacs", "less", "more", "most", "man", "screen", "tmux",
		"ssh", "make", "cmake", "ninja", "go", "cargo", "npm", "npx", "pip", "parallel", "expect", "script", "gdb", "strace", "ltrace", "at", "batch", "crontab",
		"systemd-run", "start-stop-daemon", "run-parts", "docker", "podman", "kubectl", "crictl", "ctr", "nerdctl", "lxc", "machinectl", "virsh", "unbuffer",
		"fakeroot", "bwrap", "firejail", "proot", "ansible", "ansible-playbook", "rpm", "psql", "mysql", "mariadb", "sqlite", "ftp", "telnet", "socat", "nc", "ncat",
		"sftp-server", "internal-sftp"} // whose files would not be asked about
	// changers are programs that are there to change files.
	changers = []string{"rm", "rmdir", "mv", "cp", "ln", "mkdir", "touch", "tee", "dd", "truncate", "chmod", "chown", "chgrp", "install", "shred",
		"mkfs", "unlink", "rsync", "scp"}
)

// The verbs of commands that are known as transfers.
const (
	SCP   protocol.Verb = "scp"
	Rsync protocol.Verb = "rsync"
	Git   protocol.Verb = "git"
)

// transfer recognises the far ends of scp, rsync and git, by exactly the
// arguments that they use. Anything else stays a command.
func transfer(op *protocol.Operation, words []string) {
	set := func(verb protocol.Verb, access protocol.Access, paths ...string) {
		op.Verb, op.Access, op.Why = verb, access, ""
		op.Objects = []protocol.Object{{Kind: "command", Name: words[0], Access: access}}
		if verb == Git { // which looks for a repository by rules of its own
			if climbs(paths[0]) {
				op.Access |= protocol.Opaque
				op.Why = whyPath
			}
			op.Objects = append(op.Objects, protocol.Object{Kind: "repository", Name: path.Clean(paths[0]), Access: access})
			return
		}
		addFiles(op, access, paths...)
	}
	if len(words) == 0 {
		return
	}
	args := words[1:]
	switch words[0] {
	case "scp":
		var from, to bool
		for len(args) > 0 && strings.HasPrefix(args[0], "-") && args[0] != "--" {
			for _, c := range args[0][1:] {
				switch c {
				case 'f':
					from = true
				case 't':
					to = true
				case 'v', 'r', 'p', 'd', 'q':
				default:
					return
				}
			}
			args = args[1:]
		}
		if len(args) > 0 && args[0] == "--" {
			args = args[1:]
		}
		switch {
		case len(args) == 0 || from == to:
		case from:
			set(SCP, protocol.Read, args...)
		default:
			set(SCP, protocol.Write, args...)
		}
	case "rsync":
		if len(args) == 0 || args[0] != "--server" {
			return
		}
		access := protocol.Write
		args = args[1:]
		for len(args) > 0 && strings.HasPrefix(args[0], "-") {
			o := args[0]
			switch {
			case o == "-": // the folder that it begins in
				return
			case o == "--sender":
				access = protocol.Read
			case o == "--delete" || o == "--delete-before" || o == "--delete-during" || o == "--delete-after" || o == "--delete-excluded" ||
				o == "--partial" || o == "--inplace" || o == "--size-only" || o == "--numeric-ids" || o == "--ignore-existing" || o == "--existing" ||
				strings.HasPrefix(o, "--timeout=") || strings.HasPrefix(o, "--bwlimit=") || strings.HasPrefix(o, "--max-size=") || strings.HasPrefix(o, "--min-size="):
			case !strings.HasPrefix(o, "--") && plainRsync(o):
			default:
				return
			}
			args = args[1:]
		}
		if len(args) < 2 || args[0] != "." || slices.ContainsFunc(args, func(s string) bool { return strings.HasPrefix(s, "-") }) {
			return // it takes options behind its paths too
		}
		set(Rsync, access, args[1:]...)
	case "git-upload-pack", "git-upload-archive", "git-receive-pack":
		if len(args) != 1 || strings.HasPrefix(args[0], "-") {
			return
		}
		access := protocol.Read
		if words[0] == "git-receive-pack" {
			access = protocol.Write | protocol.Execute // hooks run
		}
		set(Git, access, args[0])
	}
}
