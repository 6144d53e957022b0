package mysql

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol/internal/wire"
)

// A client's answer to the greeting, as the mariadb command line sends it.
const capturedResponse = "\x8d\xa6\xbf\x20\x00\x00\x00\x01\x2d\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00" +
	"alice\x00\x14aaaaaaaaaaaaaaaaaaaamy/shop\x00mysql_native_password\x00\x1a\x03_os\x05Linux\x0c_client_name\x02x!"

func FuzzResponse(f *testing.F) {
	f.Add([]byte(capturedResponse))
	f.Add([]byte("\x00\x82\x08\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeResponse(b)
		if err == nil && len(r.user)+len(r.auth)+len(r.db)+len(r.plugin) > len(b) {
			t.Fatal("more than was sent")
		}
	})
}

func FuzzGreeting(f *testing.F) {
	s := &Server{}
	f.Add(s.greeting(&startup{id: 7}))
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := decodeGreeting(b)
		if err == nil {
			require.Len(t, g.salt, saltLen)
		}
	})
}

// FuzzMessages decodes what either side sends after the login.
func FuzzMessages(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x02\x00\x00\x00"), 3)
	f.Add([]byte("\xff\x7a\x04#42S02Table 'x' doesn't exist"), 1)
	f.Add([]byte("\x03def\x04shop\x01c\x09customers\x05email\x05email\x0c\x2d\x00\xff\xff\x00\x00\xfd\x00\x00\x00\x00\x00"), 2)
	f.Add([]byte("\x05email\xfb\x01x"), 3)
	f.Add([]byte("\x00\x04\x05\x00\x00\x00\x01a"), 2)
	f.Add([]byte("\x01\x01\x00\x01\xfd\x00\x01n\x01vSELECT 1"), 1)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		n = min(max(n, 0), 200)
		_, _ = decodeOK(b)
		_, _ = decodeEOF(b)
		if r, err := decodeReport(b); err == nil && r.state != "" {
			require.Equal(t, b, r.append(nil, false))
		}
		_, _ = decodeColumn(b, false)
		_, _ = decodeColumn(b, true)
		_, _ = withMetadata(b)
		if row, err := decodeTextRow(b, nil, n); err == nil {
			again, err := decodeTextRow(appendTextRow(nil, row), nil, n)
			require.NoError(t, err)
			require.Equal(t, row, again)
		}
		widths := make([]width, n)
		for i := range widths {
			widths[i] = widthOf(byte(i + len(b)))
		}
		if row, err := decodeBinaryRow(b, nil, widths); err == nil {
			line, err := appendBinaryRow(nil, row, widths)
			if err == nil { // a moment may be longer than one can be
				again, err := decodeBinaryRow(line, nil, widths)
				require.NoError(t, err)
				require.Equal(t, row, again)
			}
		}
		for _, named := range []bool{false, true} {
			c := cursor{b: b}
			if d, err := decodeBinding(&c, n, nil, func(int) ([]byte, bool) { return nil, false }, named); err == nil {
				require.Len(t, d.args(), n)
			}
		}
		_, _ = decodeQueryAttributes(b)
		_, _ = decodeAttrs(b)
	})
}

// FuzzReadWhole reads packets that are cut anywhere.
func FuzzReadWhole(f *testing.F) {
	f.Add([]byte("\x03\x00\x00\x00abc\x01\x00\x00\x01x"), 2)
	f.Add([]byte("\xff\xff\xff\x00abc"), 1)
	f.Fuzz(func(t *testing.T, b []byte, piece int) {
		const limit = 1 << 20
		r := wire.NewReader(&pieces{b: b, n: max(piece, 1)})
		defer r.Release()
		total := 0
		for {
			var seq byte
			p, raw, err := readWhole(r, &seq, limit, r.Fill)
			if err != nil {
				return
			}
			total += len(raw)
			require.LessOrEqual(t, len(p), limit)
			require.LessOrEqual(t, total, len(b))
		}
	})
}

type pieces struct {
	b []byte
	n int
}

func (p *pieces) Read(b []byte) (int, error) {
	n := min(p.n, len(p.b), len(b))
	if n == 0 {
		return 0, io.EOF
	}
	copy(b, p.b[:n])
	p.b = p.b[n:]
	return n, nil
}
