// Package middlewaretest drives a step the way a session does, so that a
// step's test is a few lines without a gateway, a connector or a target:
//
//	got, err := middlewaretest.Rows(step, op, cols, rows)
//
// It is as unkind as the contract permits: the buffers of a row are reused and
// overwritten as soon as a tap has returned, so that a tap that keeps a row,
// or appends to a value in place, shows it.
package middlewaretest

import (
	"context"
	"errors"
	"slices"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// Ask asks step about op, waits for its hold if it holds, and fixes the
// decision, as a chain does. A refusal is a *protocol.DeniedError; no opinion
// counts as allowed, since a chain has other steps. After nil the exchange has
// the step's taps; the caller ends it.
//
// An op without Session gets one on a PostgreSQL target named "test".
func Ask(step middleware.Step, op *protocol.Operation) (*protocol.Exchange, error) {
	info := op.Session
	if info == nil {
		info = &protocol.SessionInfo{ID: "test", Protocol: "postgres",
			Identity: &protocol.Identity{Issuer: "test", Subject: "somebody"},
			Resource: protocol.Resource{Name: "test", Protocol: "postgres"}}
	}
	s := protocol.NewSession(context.Background(), protocol.SessionConfig{Info: info, Engine: engine{step}})
	return s.Begin(context.Background(), op)
}

// Rows asks step about op and shows one result to its taps. It returns the
// rows as the client would get them. After an error from a tap it returns the
// rows that were shown before.
func Rows(step middleware.Step, op *protocol.Operation, cols []protocol.Column, rows [][][]byte) ([][][]byte, error) {
	x, err := Ask(step, op)
	if err != nil {
		return nil, err
	}
	before := slices.Clone(cols)
	f, err := x.Rows(cols)
	if err != nil {
		x.End(protocol.Outcome{Status: protocol.StatusError, Err: err})
		return nil, err
	}
	var out [][][]byte
	d := driver{}
	if s := x.Sample(); s != nil {
		for _, row := range rows {
			if d.sample(s, row) {
				break
			}
		}
	}
	for _, row := range rows {
		got := row
		if f != nil {
			if got, err = d.show(f, row); err != nil {
				break
			}
		}
		out = append(out, cloneRow(got))
	}
	if err == nil && !slices.EqualFunc(before, cols, sameColumn) {
		err = errors.New("middlewaretest: the tap changed the columns, which others share")
	}
	status := protocol.StatusOK
	if err != nil {
		status = protocol.StatusError
	}
	x.End(protocol.Outcome{Status: status, Rows: int64(len(out)), Err: err})
	return out, err
}

// Text asks step about op and shows m to its taps. It returns the message as
// the client would get it.
func Text(step middleware.Step, op *protocol.Operation, m protocol.Message) (protocol.Message, error) {
	x, err := Ask(step, op)
	if err != nil {
		return protocol.Message{}, err
	}
	err = x.Text(&m)
	x.End(protocol.Outcome{Status: protocol.StatusFailed, Code: m.Code})
	return m, err
}

// poison fills buffers that a tap may not use any more. It is no digit, no
// letter and no valid UTF-8.
const poison = 0xdb

// A driver shows rows in one buffer, as connectors do: the values of a row lie
// one behind the other, each with capacity that reaches into the next.
type driver struct {
	buf []byte
	row [][]byte
}

func (d *driver) show(f protocol.RowFunc, row [][]byte) ([][]byte, error) {
	d.fill(row)
	err := f(d.row)
	var out [][]byte
	if err == nil {
		out = cloneRow(d.row)
	}
	d.poison()
	return out, err
}

// sample shows a row to s and reports whether it wants no more.
func (d *driver) sample(s *protocol.Sampling, row [][]byte) (full bool) {
	d.fill(row)
	defer d.poison()
	return s.Add(d.row, len(d.buf))
}

// fill puts the row into the buffer.
func (d *driver) fill(row [][]byte) {
	size := 0
	for _, v := range row {
		size += len(v)
	}
	if cap(d.buf) < size+1 {
		d.buf = make([]byte, size+1) // an empty value is a slice, not NULL
	}
	d.buf = d.buf[:cap(d.buf)]
	d.row = d.row[:0]
	at := 0
	for _, v := range row {
		if v == nil {
			d.row = append(d.row, nil)
			continue
		}
		n := copy(d.buf[at:], v)
		d.row = append(d.row, d.buf[at:at+n])
		at += n
	}
}

func (d *driver) poison() {
	for i := range d.buf {
		d.buf[i] = poison
	}
	for i := range d.row {
		d.row[i] = d.buf[:1]
	}
}

func cloneRow(row [][]byte) [][]byte {
	out := make([][]byte, len(row))
	for i, v := range row {
		if v != nil {
			out[i] = append([]byte{}, v...)
		}
	}
	return out
}

func sameColumn(a, b protocol.Column) bool {
	return a.Name == b.Name && a.Type == b.Type && a.TypeName == b.TypeName && a.Binary == b.Binary &&
		a.Known == b.Known && slices.Equal(a.Sources, b.Sources)
}

// engine asks one step.
type engine struct{ step middleware.Step }

func (e engine) Authenticate(ctx context.Context, l *protocol.Login) (*protocol.Identity, error) {
	if e.step.Authenticate == nil {
		return nil, nil
	}
	return e.step.Authenticate(ctx, l)
}

func (e engine) Ask(ctx context.Context, _ *protocol.Session, ops []*protocol.Operation) error {
	for _, op := range ops {
		d := protocol.Pass
		if e.step.Operation != nil {
			var err error
			if d, err = e.step.Operation(ctx, op); err != nil {
				op.Decide(protocol.Deny(protocol.FixedReason), nil)
				return err
			}
		}
		var grants []protocol.Decision
		if d.Effect == protocol.HoldEffect {
			if d.Wait == nil {
				return errors.New("middlewaretest: a hold that cannot be waited for")
			}
			granted, err := d.Wait(ctx)
			if err != nil {
				op.Decide(protocol.Deny(protocol.FixedReason), nil)
				return err
			}
			d, grants = granted, []protocol.Decision{granted}
			if d.Effect != protocol.AllowEffect {
				d.Effect = protocol.DenyEffect
			}
		}
		if d.By == "" {
			d.By = e.step.Name
		}
		if d.Effect == protocol.DenyEffect {
			op.Decide(d, grants)
			return &protocol.DeniedError{Step: d.By, Rule: d.Rule, Reason: d.Reason, Hint: d.Hint, Ticket: d.Ticket}
		}
		d.Effect = protocol.AllowEffect
		op.Decide(d, grants)
	}
	return nil
}

func (e engine) Commit(context.Context, protocol.Point, []*protocol.Operation) error { return nil }

func (e engine) End(*protocol.Session, *protocol.Operation, protocol.Outcome) {}
