package protocol

import (
	"errors"
	"fmt"
	"time"
)

// An Exchange is an allowed operation while it runs: the connector shows the
// result to the steps' taps through it and ends it. Its methods are for the
// connector and are called by one goroutine at a time, except End.
type Exchange struct {
	op     *Operation
	s      *Session
	sample *Sampling // of the current result
}

// Operation returns the operation.
func (x *Exchange) Operation() *Operation { return x.op }

// Plain reports that no step wants to see anything of the result: the
// connector may copy raw bytes. It is false where there should be no result.
func (x *Exchange) Plain() bool { return x.op.Shape != 0 && !x.op.Tapped() }

// WantsRows reports whether rows must be announced, with their columns, before
// the first is copied: any step registered a tap on them, or there should be none.
func (x *Exchange) WantsRows() bool { return len(x.op.rows) > 0 || x.op.Shape&Rows == 0 }

// WantsDocs reports whether documents must be announced, so that the connector
// has to ask the target for whole ones: any step registered a tap on them, or
// there should be none.
func (x *Exchange) WantsDocs() bool { return len(x.op.docs) > 0 || x.op.Shape&Docs == 0 }

// WantsText reports whether any step registered a tap on messages.
func (x *Exchange) WantsText() bool { return len(x.op.texts) > 0 }

// unexpected refuses a result of a shape that the operation's does not have: no step
// could ask to see it, and those that must see all have relied on that.
func unexpected(what string) error {
	return fmt.Errorf("%w: %w", &DeniedError{Step: "session", Reason: "the target answers with " + what + ", of which this gateway expected none here, so that no step could look at them",
		Hint: "tell whoever runs the gateway, with the text that was sent"}, ErrShape)
}

// Rows announces a result with its columns, which the connector may share
// between operations but must not change, and returns the function to call for
// each row; nil means that the raw rows are to be copied. An error means that
// nothing of the result may be shown: it wraps [ErrShape] if the operation's Shape
// has no rows.
func (x *Exchange) Rows(cols []Column) (RowFunc, error) {
	if x.op.Shape&Rows == 0 {
		return nil, unexpected("rows")
	}
	x.op.result.Columns = cols
	x.sample = nil
	var fs []RowFunc
	for _, tap := range x.op.rows {
		f, err := tap(cols)
		if err != nil {
			return nil, err
		}
		if f != nil {
			fs = append(fs, f)
		}
	}
	if len(fs) > 0 {
		if err := x.startSample(cols); err != nil {
			return nil, err
		}
	}
	switch len(fs) {
	case 0:
		return nil, nil
	case 1:
		return fs[0], nil
	}
	return func(row [][]byte) error {
		for _, f := range fs {
			if err := f(row); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// Bytes announces a byte stream and returns the function that rewrites it;
// nil means that it is to be copied. The connector calls the function for each
// chunk and once with last set, also if the stream has no bytes. An error means
// that nothing of the stream may be shown: it wraps [ErrShape] if the operation's
// Shape has no bytes.
func (x *Exchange) Bytes(s Stream) (BytesFunc, error) {
	if x.op.Shape&Bytes == 0 {
		return nil, unexpected("bytes")
	}
	var fs []BytesFunc
	for _, tap := range x.op.bytes {
		f, err := tap(s)
		if err != nil {
			return nil, err
		}
		if f != nil {
			fs = append(fs, f)
		}
	}
	switch len(fs) {
	case 0:
		return nil, nil
	case 1:
		return fs[0], nil
	}
	return func(b []byte, last bool) ([]byte, error) {
		var err error
		for _, f := range fs {
			if b, err = f(b, last); err != nil {
				return nil, err
			}
		}
		return b, nil
	}, nil
}

// Docs announces a document of the given kind and returns the function that
// rewrites it; nil means that it is to be copied. An error means that nothing
// of the document may be shown: it wraps [ErrShape] if the operation's Shape has
// no documents.
func (x *Exchange) Docs(kind string) (DocFunc, error) {
	if x.op.Shape&Docs == 0 {
		return nil, unexpected("documents")
	}
	var fs []DocFunc
	for _, tap := range x.op.docs {
		f, err := tap(kind)
		if err != nil {
			return nil, err
		}
		if f != nil {
			fs = append(fs, f)
		}
	}
	switch len(fs) {
	case 0:
		return nil, nil
	case 1:
		return fs[0], nil
	}
	return func(doc []byte) ([]byte, error) {
		var err error
		for _, f := range fs {
			if doc, err = f(doc); err != nil {
				return nil, err
			}
		}
		return doc, nil
	}, nil
}

// Text lets the taps change a message before the client sees it. After an error
// nothing of the message may be shown.
func (x *Exchange) Text(m *Message) error {
	for _, f := range x.op.texts {
		if err := f(m); err != nil {
			return err
		}
	}
	return nil
}

// Resize tells the taps that the terminal has another size. It may be called
// while the functions of the operation's streams run. After an error nothing
// more of the operation may be shown.
func (x *Exchange) Resize(columns, rows int) error {
	for _, f := range x.op.sizes {
		if err := f(columns, rows); err != nil {
			return err
		}
	}
	return nil
}

// End closes the operation with its outcome. Only the first call counts; it
// may come from any goroutine. An empty Status becomes StatusUnknown and a zero
// Duration the time since the operation was asked for.
func (x *Exchange) End(out Outcome) {
	op := x.op
	if !op.ended.CompareAndSwap(false, true) {
		return
	}
	if out.Status == "" {
		out.Status = StatusUnknown
	}
	if out.Duration == 0 {
		out.Duration = time.Since(op.start)
	}
	x.s.forget(op)
	failed := op.runEnds(out)
	if failed != nil {
		out.Err = errors.Join(out.Err, failed)
	}
	x.s.engine.End(x.s, op, out)
	if failed != nil {
		x.s.Terminate(failed)
	}
}
