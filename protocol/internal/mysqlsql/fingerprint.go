package mysqlsql

import (
	"encoding/hex"
	"strings"

	"github.com/pingcap/tidb/pkg/parser"
)

// fingerprint is equal for statements that differ in literals only, "" if there is
// none.
func (u *unit) fingerprint() string {
	text := u.text
	if !escaping(u.mode) || quoting(u.mode) {
		var ok bool
		if text, ok = usual(text, escaping(u.mode), quoting(u.mode)); !ok {
			return ""
		}
	}
	_, digest := parser.NormalizeDigest(text)
	b := digest.Bytes()
	if len(b) < 8 {
		return ""
	}
	return hex.EncodeToString(b[:8])
}

// usual returns a text with other values in its literals as it reads without
// NO_BACKSLASH_ESCAPES and ANSI_QUOTES, which is how digests are made: what is a name
// there is one here.
func usual(text string, escapes, ansi bool) (string, bool) {
	list, ok := tokens(text, escapes, ansi)
	if !ok {
		return "", false
	}
	var b strings.Builder
	for i := range list {
		t := &list[i]
		if i > 0 && list[i-1].to != t.from {
			b.WriteByte(' ')
		}
		switch {
		case t.kind == kindString:
			b.WriteString("''")
		case t.kind == kindQuoted:
			name, _ := t.name()
			b.WriteString("`" + strings.ReplaceAll(name, "`", "``") + "`")
		case t.kind == kindVariable && strings.ContainsAny(t.text, "'\"`"):
			return "", false
		default:
			b.WriteString(t.text)
		}
	}
	return b.String(), true
}
