package pgcopy_test

import (
	"bytes"
	"testing"

	"github.com/sallyport-dev/gateway/protocol/internal/pgcopy"
)

// FuzzRewriter holds, of any data whatever: what no tap changes comes out as it
// came in, the size of the chunks makes no difference, and of a result whose values
// are all replaced none is left.
func FuzzRewriter(f *testing.F) {
	f.Add("1\ta\\tb\\\\c\\nd\n2\t\\N\n", uint8(0), byte('\t'), byte('"'), byte('"'), `\N`, false, uint8(2), uint8(3))
	f.Add("1|a\\|b\n", uint8(0), byte('|'), byte('"'), byte('"'), "x", false, uint8(2), uint8(1))
	f.Add("a,\"b\nc\"\n1,\"x\"\"\"\n", uint8(1), byte(','), byte('"'), byte('"'), "", true, uint8(2), uint8(2))
	f.Add("1;'a^'b^^;'\n2;NULL\n", uint8(1), byte(';'), byte('\''), byte('^'), "NULL", false, uint8(2), uint8(5))
	f.Add(head+"\x00\x02\x00\x00\x00\x01a\x00\x00\x00\x02bc\xff\xff", uint8(2), byte(0), byte(0), byte(0), "", false, uint8(2), uint8(4))
	f.Fuzz(func(t *testing.T, data string, kind uint8, delimiter, quote, escape byte, null string, header bool, columns, size uint8) {
		form := pgcopy.Format{Kind: pgcopy.Kind(kind % 3), Delimiter: delimiter, Quote: quote, Escape: escape, Null: null, Header: header}
		if !form.Valid() {
			return
		}
		rows := 0
		count := func(row [][]byte) error {
			if rows++; len(row) != int(columns) {
				t.Fatalf("a row of %d values", len(row))
			}
			return nil
		}
		whole, err := through(form, int(columns), 1<<20, 1<<10, data, count)
		if err == nil && whole != data {
			t.Fatalf("%q became %q", data, whole)
		}
		if !bytes.HasPrefix([]byte(data), []byte(whole)) {
			t.Fatalf("%q is no part of %q", whole, data)
		}
		all := rows
		rows = 0
		parts, perr := through(form, int(columns), 1+int(size), 1<<10, data, count)
		if parts != whole || (perr == nil) != (err == nil) || rows != all {
			t.Fatalf("in chunks %q, %v, whole %q, %v", parts, perr, whole, err)
		}
		masked := bytes.Repeat([]byte{'M'}, 40)
		out, err := through(form, int(columns), 1+int(size), 1<<10, data, func(row [][]byte) error {
			for i := range row {
				row[i] = masked
			}
			return nil
		})
		if err != nil {
			return
		}
		n := 0
		_, err = through(form, int(columns), 1+int(size), 1<<12, out, func(row [][]byte) error {
			for _, v := range row {
				if n++; !bytes.Equal(v, masked) {
					t.Fatalf("a value %q is left in %q", v, out)
				}
			}
			return nil
		})
		if err != nil || n != all*int(columns) {
			t.Fatalf("what is written is not read again: %d of %d values, %v", n, all*int(columns), err)
		}
	})
}
