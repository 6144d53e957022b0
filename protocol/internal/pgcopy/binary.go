package pgcopy

import (
	"encoding/binary"
	"errors"
)

// signature begins the binary format; 32 bits of flags and the length of an
// extension of the header follow.
const signature = "PGCOPY\n\xff\r\n\x00"

var (
	errHeader = errors.New("the header of a binary COPY is not one that is known")
	errTail   = errors.New("something follows the end of a binary COPY")
)

const headerLen = len(signature) + 4 + 4

// header returns the length of the header that begins b, or 0 if it has not come
// whole.
func header(b []byte) (int, error) {
	if n := min(len(b), len(signature)); string(b[:n]) != signature[:n] {
		return 0, errHeader
	}
	if len(b) < headerLen {
		return 0, nil
	}
	// Flags, of which none is known by now, and no extension either.
	if binary.BigEndian.Uint64(b[len(signature):]) != 0 {
		return 0, errHeader
	}
	return headerLen, nil
}

// endBinary returns the length of the row that begins b, or 0 if it has not come
// whole. It goes on where it stopped. last says that it is the trailer.
func (w *Rewriter) endBinary(b []byte) (n int, last bool, err error) {
	if w.seen == 0 {
		if len(b) < 2 {
			return 0, false, nil
		}
		switch n := int(int16(binary.BigEndian.Uint16(b))); {
		case n == -1:
			return 2, true, nil
		case n != w.columns:
			return 0, false, errCount
		}
		w.seen, w.left = 2, w.columns
	}
	for w.left > 0 {
		if len(b)-w.seen < 4 {
			return 0, false, nil
		}
		size := int(int32(binary.BigEndian.Uint32(b[w.seen:])))
		switch {
		case size == -1:
			size = 0
		case size < 0:
			return 0, false, errRow
		case size > w.limit:
			return 0, false, ErrTooLong
		}
		if len(b)-w.seen-4 < size {
			return 0, false, nil
		}
		w.seen += 4 + size
		w.left--
	}
	return w.seen, false, nil
}

// splitBinary finds the fields of a row that endBinary has seen the end of.
func (w *Rewriter) splitBinary(row []byte) {
	for b := row[2:]; len(b) > 0; {
		n := 4
		if size := int(int32(binary.BigEndian.Uint32(b))); size > 0 {
			n += size
		}
		w.field(b[:n], false)
		b = b[n:]
	}
}

func appendBinary(dst, v []byte) []byte {
	if v == nil {
		return append(dst, 0xff, 0xff, 0xff, 0xff)
	}
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(v))), v...)
}
