package ssh

import "strings"

// runners are words of shells, of bash, zsh and fish, behind which other commands
// or text that runs may stand.
var runners = []string{"eval", "source", ".", "trap", "alias", "enable", "hash", "bind", "complete", "repeat", "noglob", "nocorrect", "and", "or", "not", "begin"}

// evaluators are builtins that take names of variables, or commands, as arguments, or
// change how such are taken.
var evaluators = []string{"test", "[", "read", "unset", "wait", "printf", "getopts", "let", "compgen", "mapfile", "readarray", "fc", "jobs",
	"declare", "typeset", "local", "export", "readonly", "set", "shopt"}

// evaluates reports whether an evaluator may run what its arguments say.
func evaluates(name string, words []string, known []bool) bool {
	if name == "printf" && len(words) > 0 && known[0] && !strings.HasPrefix(words[0], "-") {
		return false // a format and values
	}
	if name == "set" || name == "shopt" {
		return setsKeyword(words, known)
	}
	for i, s := range words {
		if !known[i] || strings.Contains(s, "[") || namesRunsOthers(s) {
			return true
		}
	}
	switch name {
	case "declare", "typeset", "local", "export", "readonly": // here they are not what the parser knows as such
		return true
	case "getopts", "let", "compgen", "mapfile", "readarray", "fc":
		return true
	case "jobs":
		return len(words) > 0
	}
	return false
}

// namesRunsOthers reports whether an argument of an evaluator is, or ends with, the
// name of a variable by which others run, as in read -aPATH.
func namesRunsOthers(s string) bool {
	if strings.HasPrefix(s, "-") {
		for i := range s {
			if runsOthers(s[i:]) {
				return true
			}
		}
	}
	return runsOthers(s)
}

// setsKeyword reports whether set or shopt may let assignments stand behind a command's
// name, or set an array (set -A of ksh and zsh).
func setsKeyword(words []string, known []bool) bool {
	for i, s := range words {
		switch {
		case !known[i]:
			return true
		case s == "--":
			return false
		case s == "keyword", s != "" && (s[0] == '-' || s[0] == '+') && strings.ContainsAny(s, "kA"):
			return true
		}
	}
	return false
}

// replaced marks the words of a command that xargs -I puts its input into as not known.
func replaced(options, words []string, known []bool) {
	for i, o := range options {
		if !strings.HasPrefix(o, "-") {
			continue
		}
		text, ok := strings.CutPrefix(strings.TrimLeft(o[1:], wrappers["xargs"].flags), "I")
		if !ok {
			continue
		}
		if text == "" && i+1 < len(options) {
			text = options[i+1]
		}
		for j, w := range words {
			known[j] = known[j] && !strings.Contains(w, text)
		}
	}
}

// A wrapper is a command that runs the command in its arguments.
type wrapper struct {
	admin  bool
	flags  string // options without an argument, one letter each
	valued string // options with one
	assign bool   // NAME=value may stand before the command
	skipN  int    // arguments before the command
}

var wrappers = map[string]wrapper{
	"sudo":    {admin: true, flags: "AbEHknPS", valued: "ugpChRrtT", assign: true},
	"doas":    {admin: true, flags: "nLs", valued: "uC"},
	"pkexec":  {admin: true},
	"runuser": {admin: true, valued: "!"},
	"su":      {admin: true, valued: "!"}, // has options that are not worth telling apart
	"env":     {flags: "i0v", valued: "u", assign: true},
	"nohup":   {},
	"setsid":  {flags: "cfw"},
	"nice":    {valued: "n"},
	"ionice":  {flags: "t", valued: "cn"},
	"time":    {flags: "p"},
	"timeout": {flags: "v", valued: "ks", skipN: 1},
	"stdbuf":  {valued: "ioe"},
	"exec":    {flags: "cl", valued: "a"},
	"command": {flags: "p"},
	"builtin": {},
	"xargs":   {flags: "0rtxp", valued: "nIPLsdEa"},
	"watch":   {valued: "!"},
	"chrt":    {valued: "!"},
	"taskset": {valued: "!"},
	"flock":   {valued: "!"},
	"prlimit": {valued: "!"},
	"sg":      {admin: true, valued: "!"},
	"gosu":    {admin: true, skipN: 1},
	"su-exec": {admin: true, skipN: 1},
	"nsenter": {admin: true, valued: "!"},
	"unshare": {admin: true, valued: "!"},
	"setpriv": {admin: true, valued: "!"},
	"chroot":  {admin: true, skipN: 1},
}

// skip returns the words from the command on. It reports false if an option is
// one that it does not know.
func (w wrapper) skip(words []string, known []bool) ([]string, bool) {
	skipN := w.skipN
	for i := 0; i < len(words); i++ {
		s := words[i]
		switch {
		case !known[i]:
			return nil, false
		case s == "--":
			if i++; i+skipN > len(words) {
				return nil, false
			}
			return words[i+skipN:], true
		case s == "-": // env: the same as -i
			return nil, false
		case strings.HasPrefix(s, "-"):
			letters := s[1:]
			for len(letters) > 0 && strings.IndexByte(w.flags, letters[0]) >= 0 {
				letters = letters[1:]
			}
			switch {
			case letters == "":
			case strings.IndexByte(w.valued, letters[0]) >= 0:
				if letters[1:] == "" { // the value is the next word
					i++
				}
			default:
				return nil, false
			}
		case w.assign && strings.Contains(s, "="):
			if name, _, _ := strings.Cut(s, "="); runsOthers(name) {
				return nil, false
			}
		case skipN > 0:
			skipN--
		case w.valued == "!":
			return nil, false
		default:
			return words[i:], true
		}
	}
	return nil, true
}
