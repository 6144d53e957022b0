package postgres

import (
	"encoding/binary"
	"unsafe"

	"github.com/sallyport-dev/gateway/protocol"
)

// rowRewriter shows rows to a tap and puts back what the tap changed. It is
// for one goroutine and reuses its memory.
type rowRewriter struct {
	row, before [][]byte
}

// rewrite shows the row in frame, a whole DataRow message, to f. If the values
// keep their lengths the frame is changed in place and rewrite returns dst as it
// was and true; otherwise it appends the new message to dst and returns false.
func (w *rowRewriter) rewrite(dst, frame []byte, f protocol.RowFunc) (_ []byte, inPlace bool, err error) {
	if w.row, err = decodeRow(frame[5:], w.row); err != nil {
		return dst, false, err
	}
	w.before = append(w.before[:0], w.row...)
	if err := f(w.row); err != nil {
		return dst, false, err
	}
	inPlace = true
	for i, v := range w.row {
		b := w.before[i]
		if len(v) != len(b) || (v == nil) != (b == nil) || len(v) > 0 && unsafe.SliceData(v) != unsafe.SliceData(b) && within(v, frame) {
			inPlace = false // also if a value is another's, which would be overwritten first
			break
		}
	}
	if inPlace {
		for i, v := range w.row {
			if b := w.before[i]; len(v) > 0 && unsafe.SliceData(v) != unsafe.SliceData(b) {
				copy(b, v)
			}
		}
		return dst, true, nil
	}
	// What lies between changed values is copied in one piece.
	at, from, to := len(dst), 0, 7 // type, length and number of columns
	for i, v := range w.row {
		b := w.before[i]
		end := to + 4 + len(b)
		if len(v) != len(b) || (v == nil) != (b == nil) || len(v) > 0 && unsafe.SliceData(v) != unsafe.SliceData(b) {
			dst = append(dst, frame[from:to]...)
			from = end
			if v == nil {
				dst = append(dst, 0xff, 0xff, 0xff, 0xff)
			} else {
				dst = append(binary.BigEndian.AppendUint32(dst, uint32(len(v))), v...)
			}
		}
		to = end
	}
	dst = append(dst, frame[from:]...)
	binary.BigEndian.PutUint32(dst[at+1:], uint32(len(dst)-at-1))
	return dst, false, nil
}

// within reports whether v is part of b's memory.
func within(v, b []byte) bool {
	p, start := uintptr(unsafe.Pointer(unsafe.SliceData(v))), uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	return p >= start && p < start+uintptr(len(b))
}
