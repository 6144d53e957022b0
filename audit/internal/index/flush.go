package index

import (
	"cmp"
	"maps"
	"slices"
)

// flush writes what the transaction has changed.
func (s *source) flush() error {
	for _, step := range []func() error{s.flushValues, s.flushBlocks, s.flushBuckets, s.flushRest, s.uses.flush(s), s.flushCursor} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// flushValues writes values in order: other journals add theirs to the same
// table, and whoever waits for one must not hold another that is waited for.
func (s *source) flushValues() error {
	if s.fresh == 0 {
		return nil
	}
	var fresh []value
	for v, known := range s.values {
		if !known {
			fresh = append(fresh, v)
		}
	}
	slices.SortFunc(fresh, func(a, b value) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.value, b.value)) })
	args := make([]any, 0, 2*len(fresh))
	for _, v := range fresh {
		args = append(args, v.name, v.value)
		s.values[v] = true
	}
	s.fresh = 0
	return s.t.insert("value (name, value)", " on conflict do nothing", 2, args)
}

func (s *source) flushBlocks() error {
	var args []any
	add := func(b *openBlock) {
		args = append(args, s.id, int64(b.first), b.n, b.low, b.high, zip.EncodeAll(b.raw, nil))
	}
	for i := range s.full {
		add(&s.full[i])
	}
	s.full = nil
	if s.block.modified {
		s.block.modified = false
		add(&s.block)
	}
	return s.t.insert("block (source, first, n, low, high, data)",
		" on conflict (source, first) do update set n = excluded.n, low = excluded.low, high = excluded.high, data = excluded.data", 6, args)
}

func (s *source) flushBuckets() error {
	for _, n := range slices.Sorted(maps.Keys(s.buckets)) {
		if err := s.flushBucket(n); err != nil {
			return err
		}
	}
	return nil
}

func (s *source) flushBucket(n uint64) error {
	b := s.buckets[n]
	if b.times {
		b.times = false
		if err := s.t.exec("insert into bucket (source, id, low, high) values (?, ?, ?, ?) on conflict (source, id) do update set low = excluded.low, high = excluded.high",
			s.id, int64(n), b.low, b.high); err != nil {
			return err
		}
	}
	if len(b.modified) == 0 {
		return nil
	}
	args := make([]any, 0, 4*len(b.modified))
	for _, t := range slices.Sorted(maps.Keys(b.modified)) { // side by side in the table
		args = append(args, s.id, int64(n), int64(t), b.modified[t].encode())
	}
	clear(b.modified)
	return s.t.insert("posting (source, bucket, term, docs)", " on conflict (source, bucket, term) do update set docs = excluded.docs", 4, args)
}

// flushRest writes what is a few rows.
func (s *source) flushRest() error {
	var args []any
	for o := range s.begun {
		args = append(args, s.id, o.session, int64(o.command), int64(s.running[o].entry))
	}
	for _, o := range s.ended {
		if err := s.t.exec("delete from running where source = ? and session = ? and command = ?", s.id, o.session, int64(o.command)); err != nil {
			return err
		}
	}
	for _, i := range []struct {
		into, behind string
		columns      int
		args         []any
	}{
		{"running (source, session, command, entry)", " on conflict (source, session, command) do update set entry = excluded.entry", 4, args},
		{"later (source, entry, seq)", " on conflict do nothing", 3, s.later},
		{"session (source, id, names, tool)", " on conflict (source, id) do update set names = excluded.names, tool = excluded.tool", 4, s.sessions},
		{"gap (source, at, what)", " on conflict do nothing", 3, s.gaps},
	} {
		if err := s.t.insert(i.into, i.behind, i.columns, i.args); err != nil {
			return err
		}
	}
	clear(s.begun)
	s.ended, s.later, s.sessions, s.gaps = nil, nil, nil, nil
	return nil
}

func (s *source) flushCursor() error {
	return s.t.exec("update source set next = ?, last = ? where id = ?", int64(s.next), s.last, s.id)
}
