package pgcopy

import "bytes"

// endCSV returns where the line that begins b ends, its end included, or 0 if
// that has not come yet. It goes on where it stopped.
func (w *Rewriter) endCSV(b []byte) int {
	q, e := w.f.Quote, w.f.Escape
	for i := w.seen; i < len(b); i++ {
		c := b[i]
		switch {
		case !w.quoted && c == '\n':
			return i + 1
		case !w.quoted && c == q:
			w.quoted = true
		case w.quoted && c == e && e != q:
			if i+1 == len(b) {
				w.seen = i
				return 0
			}
			i++
		case w.quoted && c == q:
			w.quoted = false // a doubled one opens again at once
		}
	}
	w.seen = len(b)
	return 0
}

// splitCSV cuts a line of CSV, without its end, at the delimiters.
func (w *Rewriter) splitCSV(line []byte) error {
	d, q, e := w.f.Delimiter, w.f.Quote, w.f.Escape
	for i := 0; ; i++ {
		start := i
		if i < len(line) && line[i] == q {
			for i++; ; i++ {
				if i >= len(line) {
					return errRow
				}
				if c := line[i]; c == e && i+1 < len(line) && (line[i+1] == q || line[i+1] == e) {
					i++
				} else if c == q {
					break
				} else if c == e {
					return errRow // the server escapes it
				}
			}
			i++
			w.field(line[start:i], true)
		} else {
			for i < len(line) && line[i] != d {
				if c := line[i]; c == q || lineEnd(c) {
					return errRow // the server quotes a field with one of them
				}
				i++
			}
			w.field(line[start:i], false)
		}
		if i >= len(line) {
			return nil
		}
		if line[i] != d {
			return errRow
		}
	}
}

// csvValue appends the value that a quoted field stands for.
func (f *Format) csvValue(dst, field []byte) []byte {
	field = field[1 : len(field)-1]
	for {
		i := bytes.IndexByte(field, f.Escape)
		if i < 0 {
			return append(dst, field...)
		}
		dst = append(append(dst, field[:i]...), field[i+1])
		field = field[i+2:]
	}
}

// appendCSV appends v as the server writes it (CopyAttributeOutCSV), in quotes if
// it needs them or quoted asks for them.
func (f *Format) appendCSV(dst, v []byte, quoted, alone bool) []byte {
	quoted = quoted || string(v) == f.Null || alone && string(v) == `\.` ||
		bytes.ContainsAny(v, "\r\n") || bytes.IndexByte(v, f.Delimiter) >= 0 || bytes.IndexByte(v, f.Quote) >= 0
	if !quoted {
		return append(dst, v...)
	}
	dst = append(dst, f.Quote)
	for _, c := range v {
		if c == f.Quote || c == f.Escape {
			dst = append(dst, f.Escape)
		}
		dst = append(dst, c)
	}
	return append(dst, f.Quote)
}
