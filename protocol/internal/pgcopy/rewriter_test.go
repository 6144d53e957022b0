package pgcopy_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol/internal/pgcopy"
)

// through sends data through a rewriter in chunks of size bytes.
func through(f pgcopy.Format, columns, size, limit int, data string, show func([][]byte) error) (string, error) {
	w := pgcopy.NewRewriter(f, columns, limit, show)
	var out []byte
	for rest := []byte(data); len(rest) > 0; {
		n := min(size, len(rest))
		chunk := append([]byte(nil), rest[:n]...)
		rest = rest[n:]
		var err error
		if out, _, err = w.Next(out, chunk); err != nil {
			return string(out), err
		}
		clear(chunk) // is not kept
	}
	return string(out), w.End()
}

func format(k pgcopy.Kind, change func(*pgcopy.Format)) pgcopy.Format {
	f := pgcopy.Default(k)
	if change != nil {
		change(&f)
	}
	return f
}

const head = "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// What a server writes comes to the taps as values, and what they put in their
// place comes out as a server would have written it. NULL is shown as <nil>.
func TestRows(t *testing.T) {
	for name, c := range map[string]struct {
		f           pgcopy.Format
		data, shown string
		put         []string // in the place of the second column's values
		out         string
	}{
		"text": {pgcopy.Default(pgcopy.Text), "1\ta\\tb\\\\c\\nd\n2\t\\N\n3\t\n", "1 a\tb\\c\nd|2 <nil>|3 ", []string{"x", "y\tz\\", "<nil>"}, "1\tx\n2\ty\\tz\\\\\n3\t\\N\n"},
		"text, the delimiter in a value": {format(pgcopy.Text, func(f *pgcopy.Format) { f.Delimiter = '|' }),
			"1|a\\|b\\\\\n", "1 a|b\\", []string{"|\x01\x1f"}, "1|\\|\x01\x1f\n"},
		"text, a control character": {format(pgcopy.Text, func(f *pgcopy.Format) { f.Delimiter = '\x01' }),
			"1\x01a\\\x01b\\t\n", "1 a\x01b\t", []string{"x\x01y"}, "1\x01x\\\x01y\n"},
		"text, header":        {format(pgcopy.Text, func(f *pgcopy.Format) { f.Header = true }), "a\\tb\tc\n1\tx\n", "1 x", []string{"y"}, "a\\tb\tc\n1\ty\n"},
		"text, NULL is empty": {format(pgcopy.Text, func(f *pgcopy.Format) { f.Null = "" }), "1\t\n2\tx\n", "1 <nil>|2 x", []string{"<nil>", "<nil>"}, "1\t\n2\t\n"},
		"text, NULL could be a value": {format(pgcopy.Text, func(f *pgcopy.Format) { f.Null = "ada@example.com" }),
			"1\tada@example.com\n", "1 ada@example.com", []string{"***"}, "1\t***\n"},
		"text, NULL could be a value that is escaped": {format(pgcopy.Text, func(f *pgcopy.Format) { f.Null = `a\\b` }), "1\ta\\\\b\n", "1 a\\b", []string{"***"}, "1\t***\n"},
		"text, a value like NULL":                     {format(pgcopy.Text, func(f *pgcopy.Format) { f.Null = "***" }), "1\tx\n2\tx\n", "1 x|2 x", []string{"***", "<nil>"}, "1\t\\052**\n2\t***\n"},

		"csv": {pgcopy.Default(pgcopy.CSV), "1,\"a,\"\"b\nc\"\n2,\n3,\"\"\n4,\\x\n", "1 a,\"b\nc|2 <nil>|3 |4 \\x",
			[]string{"x", "y,z\"", "<nil>", ""}, "1,\"x\"\n2,\"y,z\"\"\"\n3,\n4,\"\"\n"},
		"csv, header": {format(pgcopy.CSV, func(f *pgcopy.Format) { f.Header = true }), "a,\"b\nc\"\n1,x\n", "1 x", []string{"y"}, "a,\"b\nc\"\n1,y\n"},
		"csv, another escape": {format(pgcopy.CSV, func(f *pgcopy.Format) { f.Delimiter, f.Quote, f.Escape, f.Null = ';', '\'', '^', "NULL" }),
			"1;'a^'b^^;'\n2;NULL\n3;'NULL'\n4;^\n", "1 a'b^;|2 <nil>|3 NULL|4 ^", []string{"'^", "NULL", "x", "^"}, "1;'^'^^'\n2;'NULL'\n3;'x'\n4;^\n"},

		"binary": {pgcopy.Default(pgcopy.Binary), head + "\x00\x02\x00\x00\x00\x01a\x00\x00\x00\x02bc\x00\x02\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff",
			"a bc| <nil>", []string{"<nil>", "xyz"}, head + "\x00\x02\x00\x00\x00\x01a\xff\xff\xff\xff\x00\x02\x00\x00\x00\x00\x00\x00\x00\x03xyz\xff\xff"},
	} {
		for _, size := range []int{1, 2, 3, 7, 1 << 10} {
			var shown []string
			look := func(row [][]byte) error {
				var b strings.Builder
				for i, v := range row {
					if i > 0 {
						b.WriteByte(' ')
					}
					if v == nil {
						b.WriteString("<nil>")
					}
					b.Write(v)
				}
				shown = append(shown, b.String())
				return nil
			}
			out, err := through(c.f, 2, size, 1<<10, c.data, look)
			require.NoError(t, err, name)
			require.Equal(t, c.data, out, "%s: what is left alone stays as it is", name)
			require.Equal(t, c.shown, strings.Join(shown, "|"), name)

			n := 0
			out, err = through(c.f, 2, size, 1<<10, c.data, func(row [][]byte) error {
				for _, v := range row {
					for i := range v {
						v[i] = '\n' // what is written to a value is not sent
					}
				}
				if row[1] = []byte(c.put[n]); c.put[n] == "<nil>" {
					row[1] = nil
				}
				n++
				return nil
			})
			require.NoError(t, err, name)
			require.Equal(t, c.out, out, "%s, in chunks of %d", name, size)
		}
	}
}

func TestOneColumnAndNone(t *testing.T) {
	put := func(s string) func([][]byte) error {
		return func(row [][]byte) error { row[0] = []byte(s); return nil }
	}
	out, err := through(pgcopy.Default(pgcopy.CSV), 1, 3, 99, "\nx\n\"\\.\"\n", put(`\.`))
	require.NoError(t, err)
	require.Equal(t, "\"\\.\"\n\"\\.\"\n\"\\.\"\n", out)
	for _, f := range []pgcopy.Format{pgcopy.Default(pgcopy.Text), pgcopy.Default(pgcopy.CSV)} {
		n := 0
		out, err = through(f, 0, 1, 99, "\n\n", func(row [][]byte) error { n++; require.Empty(t, row); return nil })
		require.NoError(t, err)
		require.Equal(t, "\n\n2", out+string(rune('0'+n)))
	}
}

// What no server writes is an error before anything of its row is shown.
func TestStrange(t *testing.T) {
	for name, c := range map[string]struct {
		kind pgcopy.Kind
		data string
	}{
		"text, too few":                {pgcopy.Text, "a\n"},
		"text, too many":               {pgcopy.Text, "a\tb\tc\n"},
		"text, nothing":                {pgcopy.Text, "\n"},
		"text, no end":                 {pgcopy.Text, "a\tb"},
		"text, an escape at the end":   {pgcopy.Text, "a\tb\\\n"},
		"text, a raw carriage return":  {pgcopy.Text, "a\tb\r\n"},
		"text, an octal escape":        {pgcopy.Text, "a\t\\101\n"},
		"text, a hexadecimal escape":   {pgcopy.Text, "a\t\\x41\n"},
		"text, the end mark":           {pgcopy.Text, "\\.\n"},
		"text, NULL within a value":    {pgcopy.Text, "a\t\\N\\N\n"},
		"csv, too many":                {pgcopy.CSV, "a,b,c\n"},
		"csv, behind the quote":        {pgcopy.CSV, "a,\"b\"c\n"},
		"csv, a quote in the middle":   {pgcopy.CSV, "a,b\"c\"\n"},
		"csv, a raw carriage return":   {pgcopy.CSV, "a,b\r\n"},
		"csv, no end":                  {pgcopy.CSV, "a,\"b\n"},
		"binary, no header":            {pgcopy.Binary, "\x00\x02\x00\x00\x00\x01a\x00\x00\x00\x01b\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00"},
		"binary, flags":                {pgcopy.Binary, "PGCOPY\n\xff\r\n\x00\x00\x01\x00\x00\x00\x00\x00\x00\xff\xff"},
		"binary, extension":            {pgcopy.Binary, "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x01a\xff\xff"},
		"binary, too few":              {pgcopy.Binary, head + "\x00\x01\x00\x00\x00\x01a\xff\xff"},
		"binary, a negative length":    {pgcopy.Binary, head + "\x00\x02\xff\xff\xff\xfea"},
		"binary, a long value":         {pgcopy.Binary, head + "\x00\x02\x7f\xff\xff\xffa"},
		"binary, no trailer":           {pgcopy.Binary, head + "\x00\x02\x00\x00\x00\x01a\x00\x00\x00\x01b"},
		"binary, only a header":        {pgcopy.Binary, head},
		"binary, part of a header":     {pgcopy.Binary, head[:12]},
		"binary, nothing":              {pgcopy.Binary, ""},
		"binary, behind the trailer":   {pgcopy.Binary, head + "\xff\xffclear"},
		"binary, other negative count": {pgcopy.Binary, head + "\xff\xfe"},
	} {
		for _, size := range []int{1, 5, 1 << 10} {
			out, err := through(pgcopy.Default(c.kind), 2, size, 1<<10, c.data, func([][]byte) error { return nil })
			require.Error(t, err, name)
			if name != "binary, no trailer" { // its row is one
				require.NotContains(t, strings.TrimPrefix(out, head), "a", name)
			}
		}
	}
}

// No more is held than one row of the limit.
func TestLimit(t *testing.T) {
	for _, c := range []struct {
		kind pgcopy.Kind
		data string
	}{
		{pgcopy.Text, "a\t" + strings.Repeat("b", 100) + "\n"},
		{pgcopy.CSV, "a,\"" + strings.Repeat("b\n", 50) + "\"\n"},
		{pgcopy.Binary, head + "\x00\x02\x00\x00\x00\x01a\x00\x00\x00\x64" + strings.Repeat("b", 100) + "\xff\xff"},
	} {
		for _, size := range []int{1, 30, 1 << 10} {
			show := func([][]byte) error { return nil }
			_, err := through(pgcopy.Default(c.kind), 2, size, 90, c.data, show)
			require.ErrorIs(t, err, pgcopy.ErrTooLong)
			_, err = through(pgcopy.Default(c.kind), 2, size, 120, c.data, show)
			require.NoError(t, err)
		}
	}
}

func TestFormats(t *testing.T) {
	for _, f := range []pgcopy.Format{
		format(pgcopy.Text, func(f *pgcopy.Format) { f.Delimiter = 'a' }), format(pgcopy.Text, func(f *pgcopy.Format) { f.Delimiter = '\n' }),
		format(pgcopy.Text, func(f *pgcopy.Format) { f.Delimiter = 0xa7 }), format(pgcopy.Text, func(f *pgcopy.Format) { f.Null = "a\tb" }),
		format(pgcopy.Text, func(f *pgcopy.Format) { f.Null = "a\rb" }), format(pgcopy.Text, func(f *pgcopy.Format) { f.Null = "ä" }),
		format(pgcopy.CSV, func(f *pgcopy.Format) { f.Quote = ',' }), format(pgcopy.CSV, func(f *pgcopy.Format) { f.Null = `"` }), {},
	} {
		require.False(t, f.Valid(), "%+v", f)
	}
	for name, ok := range map[string]bool{"UTF8": true, "utf-8": true, "Latin1": true, "ISO_8859_5": true, "WIN1252": true, "windows-1252": true, "SQL_ASCII": true, "EUC_JP": true,
		"SJIS": false, "Shift_JIS": false, "BIG5": false, "GBK": false, "UHC": false, "GB18030": false, "JOHAB": false, "SHIFT_JIS_2004": false, "latin": false, "latinx": false, "": false, "MULE_INTERNAL": false} {
		require.Equal(t, ok, pgcopy.Legible(name), name)
	}
}
