package index

import (
	"context"
	"database/sql"
	"strings"

	"github.com/sallyport-dev/gateway/audit"
)

// A scan goes through the entries of one journal, newest first.
type scan struct {
	x       *Index
	id      int64
	origin  string
	next    uint64 // the journal's events that are indexed
	filters []filter
	late    audit.Query // what is looked at in the entry

	before uint64       // entries below it are still to come
	at     uint64       // the number of head
	head   *audit.Entry // nil: there are no more

	looked bool     // left is known
	left   []uint64 // buckets that are still to be read, newest first
	width  int      // how many are read at once
	most   int      // work for one page
	work   int      // that was done
	tired  bool     // that is most, and nothing more was found

	reached uint64 // from which on all buckets were read

	queue []uint64
	times map[uint64]bool // of the buckets in which times have to be looked at

	later  map[uint64][]uint64 // of the entries that were read: their later events
	blocks map[uint64]*block   // with the events of these
}

type block struct {
	first  uint64
	leaves [][]byte
}

// maxWidth bounds the buckets that are read at once.
const maxWidth = 64

// What a page may cost: one is about what it takes to find a row, some 10 us. What
// is asked for may be anywhere, or nowhere, and each of its filters frequent: then
// a page ends before it is full, and the next goes on.
const (
	maxWork   = 25_000
	rowWork   = 5 // rows that follow one another, for one
	entryWork = 20
)

// step moves to the next entry.
func (s *scan) step(ctx context.Context) error {
	for {
		for len(s.queue) > 0 {
			id := s.queue[0]
			s.queue = s.queue[1:]
			s.work += entryWork
			e, err := s.entry(ctx, id)
			if err != nil {
				return err
			}
			if e != nil && s.late.Matches(e, nil) {
				s.at, s.head = id, e
				return nil
			}
		}
		if !s.looked {
			if err := s.look(ctx); err != nil {
				return err
			}
		}
		s.head = nil
		if len(s.left) == 0 {
			s.before = 0
			return nil
		}
		if s.tired = s.work >= s.most; s.tired {
			s.before = min(s.before, s.reached)
			return nil
		}
		if err := s.fill(ctx); err != nil {
			return err
		}
	}
}

// bounds returns the times that are asked for.
func (s *scan) bounds() (since, until int64) {
	since, until = -1<<63, 1<<63-1
	if !s.late.Since.IsZero() {
		since = nanoseconds(s.late.Since)
	}
	if !s.late.Until.IsZero() {
		until = nanoseconds(s.late.Until)
	}
	return since, until
}

// look finds the buckets with entries of the times that are asked for.
func (s *scan) look(ctx context.Context) error {
	since, until := s.bounds()
	s.looked, s.times = true, map[uint64]bool{}
	return s.x.each(ctx, "select id, low, high from bucket where source = ? and id < ? and high >= ? and low <= ? order by id desc",
		[]any{s.id, int64((s.before + bucketSize - 1) >> bucketBits), since, until}, func(read func(...any) error) error {
			var id uint64
			var low, high int64
			err := read(&id, &low, &high)
			s.left = append(s.left, id)
			s.times[id] = low < since || high > until
			return err
		})
}

// fill reads which entries of the next buckets have a term of each filter.
func (s *scan) fill(ctx context.Context) error {
	now := s.left[:min(s.width, len(s.left))]
	s.left = s.left[len(now):]
	before := s.work
	s.reached = now[len(now)-1] << bucketBits
	defer func() { s.width = min(2*s.width, maxWidth, max(1, s.most/4*len(now)/max(1, s.work-before))) }()
	var found map[uint64]*bitmap
	for _, f := range s.filters {
		have, err := s.having(ctx, f, now, found)
		if err != nil {
			return err
		}
		for id, m := range found {
			if o := have[id]; o == nil || !o.and(m) {
				delete(have, id)
			}
		}
		if found = have; len(found) == 0 {
			return nil
		}
	}
	for _, b := range now {
		m := found[b]
		if m == nil {
			continue
		}
		if s.times[b] {
			if err := s.within(ctx, b, m); err != nil {
				return err
			}
		}
		s.queue = m.descend(s.queue, b, s.before)
	}
	return nil
}

// someTerms is up to how many terms are looked for one by one. To go through all
// that a bucket has of a name takes as long as to find some tens of them.
const someTerms = 30

// having returns the entries in buckets that have a term of f; only the buckets
// in which something was found before, if that is not nil.
func (s *scan) having(ctx context.Context, f filter, in []uint64, before map[uint64]*bitmap) (map[uint64]*bitmap, error) {
	found := map[uint64]*bitmap{}
	var ids []any
	for _, b := range in {
		if before == nil || before[b] != nil {
			ids = append(ids, int64(b))
		}
	}
	args, rows := append([]any{s.id}, ids...), 0
	defer func() { s.work += rows / rowWork }()
	ask := func(which string, wanted func(term) bool, terms ...any) error {
		return s.x.each(ctx, "select bucket, term, docs from posting where source = ? and bucket in (?"+strings.Repeat(", ?", len(ids)-1)+") and "+which,
			append(args[:len(args):len(args)], terms...), func(read func(...any) error) error {
				var id uint64
				var t term
				var set sql.RawBytes
				rows++
				if err := read(&id, &t, &set); err != nil || !wanted(t) {
					return err
				}
				m := found[id]
				if m == nil {
					m = &bitmap{}
					found[id] = m
				}
				m.or(set)
				return nil
			})
	}
	if len(f.terms) > someTerms {
		wanted := map[term]bool{}
		for _, t := range f.terms {
			wanted[t] = true
		}
		first, last := termsOf(f.name)
		return found, ask("term between ? and ?", func(t term) bool { return wanted[t] }, int64(first), int64(last))
	}
	if len(f.terms) == 0 {
		return found, nil
	}
	var terms []any
	for _, t := range f.terms {
		terms = append(terms, int64(t))
	}
	s.work += len(ids) * len(terms)
	return found, ask("term in (?"+strings.Repeat(", ?", len(terms)-1)+")", func(term) bool { return true }, terms...)
}

// within leaves in m the entries of blocks that have some of the times that are
// asked for.
func (s *scan) within(ctx context.Context, bucket uint64, m *bitmap) error {
	since, until := s.bounds()
	keep := &bitmap{}
	low, high := bucket<<bucketBits, (bucket+1)<<bucketBits
	err := s.x.each(ctx, `select first, n from block where source = ? and first < ? and first >= (select coalesce(max(first), 0) from block where source = ? and first <= ?)
		and high >= ? and low <= ?`, []any{s.id, int64(high), s.id, int64(low), since, until}, func(read func(...any) error) error {
		var first, n uint64
		if err := read(&first, &n); err != nil {
			return err
		}
		for seq := max(first, low); seq < min(first+n, high); seq++ {
			keep[seq%bucketSize/64] |= 1 << (seq % 64)
		}
		return nil
	})
	m.and(keep)
	return err
}

// ahead is how many entries are read at once: a database may be far away.
const ahead = 16

// entry reads an entry. nil: it is gone, because the index is made anew.
func (s *scan) entry(ctx context.Context, id uint64) (*audit.Entry, error) {
	if _, known := s.later[id]; !known {
		if err := s.read(ctx, append([]uint64{id}, s.queue[:min(ahead-1, len(s.queue))]...)); err != nil {
			return nil, err
		}
	}
	var all [][]byte
	for _, seq := range append([]uint64{id}, s.later[id]...) {
		leaf := s.leaf(seq)
		if leaf == nil {
			return nil, nil
		}
		all = append(all, leaf)
	}
	delete(s.later, id)
	e, err := entry(all)
	if s.x.d.Shared {
		e.Origin = s.origin
	}
	return &e, err
}

// read reads the events of entries.
func (s *scan) read(ctx context.Context, ids []uint64) error {
	clear(s.later)
	args := []any{s.id}
	for _, id := range ids {
		args = append(args, int64(id))
		s.later[id] = nil
	}
	wanted := ids
	if err := s.x.each(ctx, "select entry, seq from later where source = ? and entry in (?"+strings.Repeat(", ?", len(ids)-1)+") order by entry, seq", args,
		func(read func(...any) error) error {
			var id, seq uint64
			err := read(&id, &seq)
			s.later[id] = append(s.later[id], seq)
			wanted = append(wanted, seq)
			return err
		}); err != nil {
		return err
	}
	// What the entries before have needed is likely to be needed again; the rest
	// is forgotten.
	keep := map[uint64]*block{}
	var parts []string
	args = nil
	for _, seq := range wanted {
		if b := s.holding(seq); b != nil {
			keep[b.first] = b
			continue
		}
		parts = append(parts, "select * from (select first, data from block where source = ? and first <= ? order by first desc limit 1) as b")
		args = append(args, s.id, int64(seq))
	}
	s.blocks = keep
	if len(parts) == 0 {
		return nil
	}
	return s.x.each(ctx, strings.Join(parts, " union "), args, func(read func(...any) error) error {
		b := &block{}
		var data []byte
		if err := read(&b.first, &data); err != nil {
			return err
		}
		var err error
		b.leaves, err = leaves(data)
		s.blocks[b.first] = b
		return err
	})
}

// holding returns the block that was read with event seq in it, or nil.
func (s *scan) holding(seq uint64) *block {
	for _, b := range s.blocks {
		if seq >= b.first && seq-b.first < uint64(len(b.leaves)) {
			return b
		}
	}
	return nil
}

// leaf returns an event that was read, or nil if it is gone.
func (s *scan) leaf(seq uint64) []byte {
	b := s.holding(seq)
	if b == nil {
		return nil
	}
	return b.leaves[seq-b.first]
}
