package pgcopy

import (
	"bytes"
	"errors"
	"unsafe"
)

// ErrTooLong says that a row is longer than the limit.
var ErrTooLong = errors.New("a row of COPY is longer than can be looked at")

// A Rewriter shows the rows of one COPY, as its data comes in chunks of any size,
// and writes what is left of them in the same format. What is not changed is
// written as it came. It holds one row at most and is for one goroutine.
type Rewriter struct {
	f       Format
	columns int
	limit   int
	show    func([][]byte) error
	sure    bool // what stands for NULL is no value's

	held  []byte // the begin of a row, whose rest has not come yet
	begun bool   // the header has been seen
	ended bool   // the trailer has

	// Of the row that begins what has come: how much of it has been looked at,
	// and what was found.
	seen   int
	quoted bool
	left   int

	fields []field
	row    [][]byte
	before [][]byte
	values []byte // of the row, where they are not written as they are
}

// A field is a value as it is written.
type field struct {
	raw    []byte
	quoted bool
}

// NewRewriter returns a Rewriter for a COPY of so many columns. show sees each
// row and may replace values; nil is NULL, and values are valid during the call
// only. A row of more than limit bytes is an error.
func NewRewriter(f Format, columns, limit int, show func([][]byte) error) *Rewriter {
	return &Rewriter{f: f, columns: columns, limit: limit, show: show, sure: f.tells(), begun: f.Kind != Binary && !f.Header}
}

// Next takes the next chunk of data. It appends to dst what is to be sent for the
// rows that end in it, and returns how many they are. After an error nothing more
// of the COPY may be shown.
func (w *Rewriter) Next(dst, chunk []byte) (out []byte, rows int, err error) {
	b := chunk
	if len(w.held) > 0 {
		w.held = append(w.held, chunk...)
		b = w.held
	}
	for {
		n, what, err := w.end(b)
		switch {
		case err != nil:
			return dst, rows, err
		case n == 0 && len(b) > w.limit, n > w.limit:
			return dst, rows, ErrTooLong
		case n == 0:
			w.held = append(w.held[:0], b...)
			return dst, rows, nil
		}
		if what == aRow {
			rows++
			if dst, err = w.rewrite(dst, b[:n]); err != nil {
				return dst, rows, err
			}
		} else {
			dst = append(dst, b[:n]...)
		}
		b = b[n:]
		w.seen, w.quoted = 0, false
	}
}

// End says that all has come. An error says that it stops in the middle.
func (w *Rewriter) End() error {
	if len(w.held) > 0 || w.f.Kind == Binary && !w.ended {
		return errors.New("COPY stops in the middle of a row")
	}
	return nil
}

type part uint8

const (
	aRow  part = iota
	aside      // header or trailer
)

// end returns the length of what begins b, or 0 if it has not come whole.
func (w *Rewriter) end(b []byte) (n int, what part, err error) {
	switch {
	case len(b) == 0:
		return 0, aRow, nil
	case w.f.Kind == Binary && w.ended:
		return 0, aRow, errTail
	case w.f.Kind == Binary && !w.begun:
		n, err = header(b)
		w.begun = n > 0
		return n, aside, err
	case w.f.Kind == Binary:
		n, last, err := w.endBinary(b)
		if last {
			w.ended, what = true, aside
		}
		return n, what, err
	case w.f.Kind == CSV:
		n = w.endCSV(b)
	default:
		if n = bytes.IndexByte(b[w.seen:], '\n') + 1; n > 0 {
			n += w.seen
		} else {
			w.seen = len(b)
		}
	}
	if n == 0 || w.begun {
		return n, aRow, nil
	}
	w.begun = true
	return n, aside, w.split(b[:n]) // a header has as many names as there are columns
}

// split finds the fields of a whole row.
func (w *Rewriter) split(row []byte) (err error) {
	w.fields = w.fields[:0]
	switch {
	case w.f.Kind == Binary:
		w.splitBinary(row)
	case w.columns == 0 && len(row) == 1: // an empty line
	case w.f.Kind == CSV:
		err = w.splitCSV(row[:len(row)-1])
	default:
		err = w.splitText(row[:len(row)-1])
	}
	if err == nil && len(w.fields) != w.columns {
		err = errCount
	}
	return err
}

func (w *Rewriter) field(raw []byte, quoted bool) {
	w.fields = append(w.fields, field{raw, quoted})
}

// rewrite shows a whole row and appends what is left of it.
func (w *Rewriter) rewrite(dst, row []byte) ([]byte, error) {
	if err := w.split(row); err != nil {
		return dst, err
	}
	if err := w.read(len(row)); err != nil {
		return dst, err
	}
	w.before = append(w.before[:0], w.row...)
	if err := w.show(w.row); err != nil {
		return dst, err
	}
	if len(w.row) != w.columns {
		return dst, errCount
	}
	from := 0 // of row, what has not been written yet
	at := 0
	if w.f.Kind == Binary {
		at = 2
	}
	for i := range w.fields {
		f := &w.fields[i]
		end := at + len(f.raw)
		if v := w.row[i]; !same(v, w.before[i]) {
			dst = append(dst, row[from:at]...)
			dst = w.write(dst, v, f.quoted)
			from = end
		}
		at = end
		if w.f.Kind != Binary {
			at++ // the delimiter
		}
	}
	return append(dst, row[from:]...), nil
}

// read makes values of the fields. They are copies: whoever writes to one changes
// nothing.
func (w *Rewriter) read(size int) (err error) {
	w.row = w.row[:0]
	if cap(w.values) < size { // values are never longer than they are written, and must not move
		w.values = make([]byte, 0, size+size/2)
	}
	w.values = w.values[:0]
	for i := range w.fields {
		f := &w.fields[i]
		start := len(w.values)
		switch {
		case w.f.Kind == Binary:
			if f.raw[0] == 0xff {
				w.row = append(w.row, nil)
				continue
			}
			w.values = append(w.values, f.raw[4:]...)
		case !f.quoted && w.sure && string(f.raw) == w.f.Null:
			w.row = append(w.row, nil)
			continue
		case f.quoted:
			w.values = w.f.csvValue(w.values, f.raw)
		case w.f.Kind == CSV:
			w.values = append(w.values, f.raw...)
		default:
			if w.values, err = textValue(w.values, f.raw); err != nil {
				return err
			}
		}
		w.row = append(w.row, w.values[start:len(w.values):len(w.values)])
	}
	return nil
}

// write appends v as it is written in the format.
func (w *Rewriter) write(dst, v []byte, quoted bool) []byte {
	switch {
	case w.f.Kind == Binary:
		return appendBinary(dst, v)
	case v == nil:
		return append(dst, w.f.Null...)
	case w.f.Kind == CSV:
		return w.f.appendCSV(dst, v, quoted, w.columns == 1)
	}
	return w.f.appendText(dst, v)
}

// same reports whether a is b itself, not only equal to it.
func same(a, b []byte) bool {
	return len(a) == len(b) && (a == nil) == (b == nil) && (len(a) == 0 || unsafe.SliceData(a) == unsafe.SliceData(b))
}
