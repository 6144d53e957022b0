package middleware

import (
	"sync"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/protocol"
)

// maskCounts counts what would be masked of one operation, whose streams may be
// different goroutines'.
type maskCounts struct {
	mu      sync.Mutex
	masked  map[string]int
	refused string
}

func (c *maskCounts) add(rule string) {
	c.mu.Lock()
	c.masked[rule]++
	c.mu.Unlock()
}

func (c *maskCounts) refuse(reason string) {
	c.mu.Lock()
	c.refused = reason
	c.mu.Unlock()
}

// watch is decide and tell in shadow: what it registers changes nothing.
func (m *masking) watch(op *protocol.Operation, hit *mask.Rule) (protocol.Decision, error) {
	c := &maskCounts{masked: map[string]int{}}
	counting := *m
	counting.counts = c
	d, t := counting.decide(op, hit)
	d, t = counting.tell(op, hit, nil, d, t)
	op.OnEnd(func(protocol.Outcome) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		m.shadow(op, c.masked, c.refused)
		return nil
	})
	switch d.Effect {
	case protocol.DenyEffect:
		c.refuse(d.Reason)
		return protocol.Pass, nil
	case protocol.HoldEffect:
		c.refuse("needs approval: " + d.Reason)
	}
	t = t.watched(c)
	return protocol.Pass, t.register(op)
}

// watched returns taps that change nothing.
func (t maskTaps) watched(c *maskCounts) maskTaps {
	var w maskTaps
	if t.rows != nil {
		w.sample = t.sample
		w.rows = func(cols []protocol.Column) (protocol.RowFunc, error) {
			f, err := t.rows(cols)
			if err != nil {
				c.refuse(protocol.Reason(err))
			}
			if f == nil || err != nil {
				return nil, nil
			}
			var copied [][]byte
			return func(row [][]byte) error {
				copied = append(copied[:0], row...) // its values are only replaced, never written to
				if err := f(copied); err != nil {
					c.refuse(protocol.Reason(err))
				}
				return nil
			}, nil
		}
	}
	if t.docs != nil {
		w.docs = func(kind string) (protocol.DocFunc, error) {
			f, err := t.docs(kind)
			if err != nil {
				c.refuse(protocol.Reason(err))
			}
			if f == nil || err != nil {
				return nil, nil
			}
			return func(doc []byte) ([]byte, error) {
				if _, err := f(doc); err != nil {
					c.refuse(protocol.Reason(err))
				}
				return doc, nil
			}, nil
		}
	}
	if t.bytes != nil {
		w.bytes = func(st protocol.Stream) (protocol.BytesFunc, error) {
			f, err := t.bytes(st)
			if f == nil || err != nil {
				return nil, err
			}
			return func(chunk []byte, last bool) ([]byte, error) {
				_, err := f(chunk, last)
				return chunk, err
			}, nil
		}
	}
	if t.text != nil {
		w.text = func(msg *protocol.Message) error {
			copied := *msg
			return t.text(&copied)
		}
	}
	return w
}
