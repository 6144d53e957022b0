//go:build cgo

package pgsql

import (
	"strings"
	"testing"

	pg "github.com/pganalyze/pg_query_go/v6"
	"github.com/stretchr/testify/require"
)

// FuzzLexer compares the lexer with PostgreSQL's scanner: wherever it does not
// leave a text to the parser, literals and names must begin and end at the same
// places and be of the same kind.
func FuzzLexer(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 || refuse([]byte(text), &State{StandardStrings: true}, 4096) != "" {
			t.Skip()
		}
		compareScan(t, text)
	})
}

func compareScan(t *testing.T, text string) {
	type token struct {
		kind     kind
		from, to int
	}
	var got []token
	l := lexer{text: []byte(text)}
	for {
		from := l.pos
		k := l.next()
		if k == kindUnclear {
			return
		}
		if k == kindEnd {
			break
		}
		if k != kindSpace && k != kindSymbol && k != kindWord {
			got = append(got, token{k, from, l.pos})
		}
	}
	scan, err := pg.Scan(text)
	if err != nil {
		return // wrong for the server as well; the shape of it is never kept
	}
	var want []token
	for _, s := range scan.Tokens {
		k := kindWord
		switch s.Token {
		case pg.Token_ICONST, pg.Token_FCONST:
			k = kindNumber
		case pg.Token_SCONST, pg.Token_USCONST:
			k = kindString
		case pg.Token_BCONST, pg.Token_XCONST:
			k = kindBits
		case pg.Token_PARAM:
			k = kindParam
		case pg.Token_IDENT, pg.Token_UIDENT:
			if text[s.Start] == '"' {
				k = kindQuoted
			}
		}
		if k != kindWord {
			want = append(want, token{k, int(s.Start), int(s.End)})
		}
	}
	for i := range got {
		require.Less(t, i, len(want), "%q: the scanner sees no %q", text, text[got[i].from:got[i].to])
		if (got[i].kind == kindString || got[i].kind == kindBits) && strings.Contains(text[got[i].from:min(len(text), got[i].to+1)], "'") && want[i].to != got[i].to {
			// A string that goes on in the next line is one token there and
			// two here; such a text has no shape.
			_, ok := appendShape(nil, []byte(text))
			require.False(t, ok, "%q", text)
			return
		}
		require.Equal(t, want[i], got[i], "%q", text)
	}
	require.Len(t, got, len(want), "%q", text)
}

func TestLexer(t *testing.T) {
	for _, s := range seeds {
		compareScan(t, s)
	}
}
