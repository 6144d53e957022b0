package mysql

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/wire"
)

// rowCols are the columns of wideRows, about 260 bytes a row: seven texts, an
// integer, a moment and a double.
const rowCols = 10

var rowTypes = func() []valueType {
	types := make([]valueType, rowCols)
	for i := range types {
		types[i].typ = mysql.MYSQL_TYPE_VAR_STRING
	}
	types[0].typ, types[4].typ, types[5].typ = mysql.MYSQL_TYPE_LONGLONG, mysql.MYSQL_TYPE_DATETIME, mysql.MYSQL_TYPE_DOUBLE
	return types
}()

// wideRows returns n rows and their end, as packets.
func wideRows(n int, binary bool) []byte {
	var b []byte
	var widths []width
	for _, typ := range rowTypes {
		widths = append(widths, widthOf(typ.typ))
	}
	seq := byte(1)
	for i := range n {
		var values [][]byte
		for col, typ := range rowTypes {
			v := fmt.Appendf(nil, "row %07d column %d ******", i, col)
			switch typ.typ {
			case mysql.MYSQL_TYPE_LONGLONG:
				v = fmt.Append(nil, i)
			case mysql.MYSQL_TYPE_DATETIME:
				v = []byte("2026-11-30 16:00:01.250000")
			case mysql.MYSQL_TYPE_DOUBLE:
				v = fmt.Append(nil, float64(i)/4)
			}
			if col == 9 && i%3 == 0 { // a NULL now and then
				v = nil
			} else if binary {
				v = typ.encode(v)
			}
			values = append(values, v)
		}
		row := appendTextRow(nil, values)
		if binary {
			row, _ = appendBinaryRow(nil, values, widths)
		}
		b = appendPacket(b, &seq, row)
	}
	return appendPacket(b, &seq, append([]byte{packetEOF}, appendOK(nil, 0)[1:]...))
}

// pieceReader gives b in pieces of 16 KiB, as much as MariaDB writes at a time
// (net_buffer_length).
type pieceReader struct {
	b  []byte
	at int
}

// Read implements io.Reader.
func (p *pieceReader) Read(b []byte) (int, error) {
	if p.at == len(p.b) {
		return 0, io.EOF
	}
	n := copy(b, p.b[p.at:min(p.at+16<<10, len(p.b))])
	p.at += n
	return n, nil
}

// sink is a client that reads everything. Only Write is ever called.
type sink struct {
	net.Conn
	n    int
	keep *bytes.Buffer // nil: the bytes are only counted
}

// Write implements io.Writer.
func (s *sink) Write(b []byte) (int, error) {
	s.n += len(b)
	if s.keep != nil {
		s.keep.Write(b)
	}
	return len(b), nil
}

func rowPaths() map[string]protocol.RowFunc {
	long, same := make([]byte, 0, 64), []byte("the same length as what it was")
	return map[string]protocol.RowFunc{
		"plain": nil,
		"same length": func(row [][]byte) error {
			row[1], row[2], row[3] = same[:len(row[1])], same[:len(row[2])], same[:len(row[3])]
			return nil
		},
		"other lengths": func(row [][]byte) error {
			long = append(append(long[:0], "***@"...), row[2]...)
			row[1], row[2], row[3] = nil, long, row[3][:4]
			return nil
		},
	}
}

// relayRows sends data through a session's target side, from its reader to its
// client, and returns how many rows were counted.
func relayRows(c *session, src *pieceReader, f protocol.RowFunc, binary bool) (int64, error) {
	src.at = 0
	c.seq, c.t.seq = 1, 1
	c.lookout.InitClient(c.client, nil)
	c.back = relay{c: c, r: wire.NewReader(src)}
	defer c.back.r.Release()
	var t *rowTap
	if f != nil {
		t = &rowTap{f: f, types: rowTypes, binary: binary}
		for _, typ := range rowTypes {
			t.widths = append(t.widths, widthOf(typ.typ))
		}
	}
	r := &run{}
	if _, _, err := c.back.rows(r, t); err != nil {
		return r.rows, err
	}
	return r.rows, c.back.flush()
}

// Rows cost no memory, whether they pass or are rewritten: what is allocated for
// a result of ten thousand is what one of a single row needs.
func TestRowsAllocateNothing(t *testing.T) {
	for name, f := range rowPaths() {
		for _, binary := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, binary %v", name, binary), func(t *testing.T) {
				const rows = 10_000
				src := &pieceReader{b: wideRows(rows, binary)}
				client := &sink{keep: &bytes.Buffer{}}
				c := &session{limit: 1 << 20, client: client, t: &target{}}
				n, err := relayRows(c, src, f, binary)
				require.NoError(t, err)
				require.EqualValues(t, rows, n)
				require.Equal(t, f == nil, bytes.Equal(client.keep.Bytes(), wideRows(rows, binary)))

				client.keep = nil
				src.b = wideRows(rows, binary)
				allocs := testing.AllocsPerRun(5, func() {
					if n, err := relayRows(c, src, f, binary); err != nil || n != rows {
						t.Error(n, err)
					}
				})
				if RaceDetector { // under which pools forget on purpose
					return
				}
				// The run, the reader, what the tap keeps for its rows, and what the
				// pools of buffers have lost to a collection.
				require.LessOrEqual(t, allocs, 40.0)
			})
		}
	}
}

// BenchmarkRows is the way of one row of 260 bytes from the target's reader to
// the client's connection, without system calls.
func BenchmarkRows(b *testing.B) {
	for _, name := range []string{"plain", "same length", "other lengths"} {
		for _, binary := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/binary=%v", name, binary), func(b *testing.B) {
				f := rowPaths()[name]
				const rows = 10_000
				src := &pieceReader{b: wideRows(rows, binary)}
				c := &session{limit: 1 << 20, client: &sink{}, t: &target{}}
				b.ReportAllocs()
				b.ResetTimer()
				for done := 0; done < b.N; done += rows {
					if _, err := relayRows(c, src, f, binary); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
