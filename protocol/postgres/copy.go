package postgres

import (
	"errors"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/internal/pgcopy"
	"github.com/sallyport-dev/gateway/protocol/internal/sql"
	"github.com/sallyport-dev/gateway/protocol/internal/wire"
)

// copyLegible reports whether the client's character set is sure to be one in
// which the marks of a COPY can be told, when it begins.
func (f *front) copyLegible(before *earlier) bool {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	return f.c.tracker.ascii && f.c.tracker.settled() && (before == nil || !before.touched)
}

// copyOut begins a COPY to the client: its rows are shown to the taps that look
// at rows, and what is left of them to those that look at bytes.
func (bk *back) copyOut(r *run, body []byte) error {
	r.copied, r.copyOut = nil, true
	if r.stmt != nil && r.stmt.Copy != nil && r.looksAtRows() {
		cols, err := copyColumns(r.stmt.Copy, body, r.stmt.Columns, r.basis.state.Catalog)
		if err != nil {
			return bk.broken(msgCopyOutResponse, err.Error())
		}
		if err := bk.announce(r, cols); err != nil {
			return err
		}
		if r.rows != nil {
			r.copied = pgcopy.NewRewriter(*r.stmt.Copy, len(cols), bk.c.limit, r.rows)
			bk.peek = newCopySample(*r.stmt.Copy, len(cols), r.sampling)
		}
	}
	f, err := r.x().Bytes(protocol.Stream{Name: "copy"})
	if err != nil {
		return &protocol.Fault{Side: protocol.SidePolicy, Code: codePrivilege, Msg: "the result cannot be shown", Err: err}
	}
	if f == nil && (r.stmt == nil || r.stmt.Copy == nil) && r.looksAtRows() {
		return hidden(errors.New("it comes where a step was to see rows"))
	}
	r.bytes = f
	return nil
}

// copyColumns returns the columns of a COPY of which the target says how many there
// are: those that the analysis predicts, if they are as many.
func copyColumns(f *pgcopy.Format, body []byte, predicted []protocol.Column, cat *sql.Catalog) ([]protocol.Column, error) {
	c := cursor{b: body}
	binary := c.u8() == 1
	n := c.u16()
	for range n {
		if (c.u16() == 1) != binary {
			c.bad = true
		}
	}
	if err := c.done(); err != nil {
		return nil, err
	}
	if binary != (f.Kind == pgcopy.Binary) {
		return nil, errors.New("another format than was asked for")
	}
	cols := make([]protocol.Column, n)
	if len(predicted) == n {
		copy(cols, predicted)
	}
	for i := range cols {
		cols[i].Binary = binary
		cols[i].TypeName = typeNameIn(cat, cols[i].Type)
	}
	return cols, nil
}

func (bk *back) copyData(b, frame []byte) error {
	if bk.mode == dataOwn {
		return bk.broken(frame[0], "COPY was not asked for")
	}
	r := bk.run
	if !r.copyOut && r.looksAtRows() {
		return bk.broken(frame[0], "COPY data in the place of rows")
	}
	data := frame[wire.HeaderLen:]
	if r.copied != nil {
		out, rows, err := r.copied.Next(bk.copy[:0], data)
		if err != nil {
			return hidden(err)
		}
		bk.copy = out
		r.count += int64(rows)
		data = out
	}
	if r.bytes != nil {
		var err error
		if data, err = r.bytes(data, false); err != nil {
			return hidden(err)
		}
	}
	bk.copyMessage(b, r, data)
	bk.i += len(frame)
	bk.start = bk.i
	return nil
}

// copyMessage sends data to the client.
func (bk *back) copyMessage(b []byte, r *run, data []byte) {
	bk.cut(b)
	if len(data) == 0 {
		return
	}
	bk.out.B = appendMessage(bk.take(), msgCopyData, func(d []byte) []byte { return append(d, data...) })
	r.out += int64(len(data)) + wire.HeaderLen
}

// copyDone ends a COPY to the client.
func (bk *back) copyDone(r *run, b []byte) error {
	if r.copied != nil {
		if err := r.copied.End(); err != nil {
			return hidden(err)
		}
		r.copied = nil
	}
	bk.peek = nil // of one without data
	if r.bytes == nil {
		return nil
	}
	rest, err := r.bytes(nil, true)
	if err != nil {
		return hidden(err)
	}
	bk.copyMessage(b, r, rest)
	return nil
}

// hidden is the fault that ends a COPY which cannot be shown.
func hidden(err error) error {
	return &protocol.Fault{Side: protocol.SidePolicy, Code: codePrivilege, Msg: "COPY data cannot be shown", Err: err}
}
