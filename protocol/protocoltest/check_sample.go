package protocoltest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sallyport-dev/gateway/protocol"
)

// A sampler is a step that samples rows and marks them, and sees what comes when.
type sampler struct {
	enough int // how many rows it wants to see; 0: any number

	mu            sync.Mutex
	sampled, seen []string
	late          bool // a row was sampled behind one that was shown
}

func (s *sampler) register(op *protocol.Operation) error {
	s.mu.Lock()
	s.sampled, s.seen, s.late = nil, nil, false
	s.mu.Unlock()
	err := op.OnRows(func([]protocol.Column) (protocol.RowFunc, error) {
		return func(values [][]byte) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			last := len(values) - 1
			s.seen = append(s.seen, string(values[last]))
			values[last] = append([]byte("<"), append(bytes.Clone(values[last]), '>')...)
			return nil
		}, nil
	})
	if err != nil {
		return err
	}
	return op.OnSample(func([]protocol.Column) (protocol.SampleFunc, error) {
		return func(values [][]byte) bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.sampled = append(s.sampled, string(values[len(values)-1]))
			s.late = s.late || len(s.seen) > 0
			return len(s.sampled) == s.enough
		}, nil
	})
}

// sampled has results of several lengths, and one that stalls. How many rows are
// sampled depends on how fast they come: one of many tries has to have them all.
func sampled(r *rig) {
	if r.kit.Shape&protocol.Rows == 0 {
		r.Logf("what is sampled is rows")
		return
	}
	s := r.open()
	for _, c := range []struct{ rows, enough, want int }{
		{0, 0, 0}, {1, 0, 1}, {5, 0, 5}, {5, 2, 2}, {protocol.SampleRows, 0, protocol.SampleRows}, {3 * protocol.SampleRows, 0, protocol.SampleRows},
	} {
		step := &sampler{enough: c.enough}
		var all [][][]byte
		var want [][][]byte
		var values []string
		tag := r.tag(nil)
		for i := range c.rows {
			v := fmt.Sprintf("%s-%d;", value(tag), i)
			values = append(values, v)
			all, want = append(all, row(fmt.Sprint(i), v)), append(want, row(fmt.Sprint(i), "<"+v+">"))
		}
		r.target.on(tag, func() Reply { return r.rows(all...) })
		r.rule(tag, func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
			return protocol.Allow("kit"), step.register(op)
		})
		most := 0
		for range 20 {
			got, err := s.do(r.kit.Read(tag))
			if exp := r.expect(want...); err != nil || got != exp {
				r.fatalf("the client got %q, %v; want %q", cut(got), err, cut(exp))
			}
			step.mu.Lock()
			sampled, seen, late := slices.Clone(step.sampled), slices.Clone(step.seen), step.late
			step.mu.Unlock()
			switch {
			case late:
				r.fatalf("a row was sampled behind one that was shown")
			case len(sampled) > c.want:
				r.fatalf("of %d rows %d were sampled, though the step or the bound said %d", c.rows, len(sampled), c.want)
			case !slices.Equal(sampled, values[:len(sampled)]):
				r.fatalf("what was sampled are not the first rows as the target sent them: %q", sampled)
			case !slices.Equal(seen, values):
				r.fatalf("the rows that were shown are not those that the target sent: %q", cut(fmt.Sprint(seen)))
			}
			if most = max(most, len(sampled)); most == c.want {
				break
			}
		}
		if most < c.want {
			r.fatalf("of %d rows at most %d were sampled before the first was shown, not %d", c.rows, most, c.want)
		}
	}
	stalled(r, s)
}

// stalled has a target that sends no more before its client has what there is.
func stalled(r *rig, s *session) {
	step := &sampler{}
	var got atomic.Int64
	tag := r.tag(nil)
	r.target.on(tag, func() Reply {
		return Reply{Columns: r.columns(), Rows: func(yield func([][]byte, error) bool) {
			for i := range 6 {
				if i == 3 && !r.eventually(patience, func() bool { return got.Load() == 3 }) {
					r.errorf(r.check.Rule, "of a result that stalls the client has got %d rows of 3 after %v", got.Load(), patience)
				}
				if !yield(row(fmt.Sprint(i), value(tag)), nil) {
					return
				}
			}
		}}
	})
	r.rule(tag, func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		return protocol.Allow("kit"), step.register(op)
	})
	err := r.within(4*patience, s.conn, "no answer", func() error {
		return s.c.Do(r.kit.Read(tag), func([][]byte) error {
			got.Add(1)
			return nil
		})
	})
	if err != nil || got.Load() != 6 {
		r.fatalf("a result that stalls came as %d rows of 6, %v", got.Load(), err)
	}
	s.works("after rows were sampled")
}
