package index

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport-dev/gateway/audit"
)

// A source is what is known in memory of the journal that is indexed. It lives
// from one transaction to the next, so that most of what a batch needs is there.
type source struct {
	t    *tx
	id   int64
	next uint64
	last string

	block   openBlock
	full    []openBlock        // whose rows are still to be written
	buckets map[uint64]*bucket // the newest ones
	running map[op]running     // entries that an event is still to come for
	opened  map[string]opened  // of sessions

	// What the transaction is to write.
	begun    map[op]bool
	ended    []op
	later    []any
	sessions []any
	gaps     []any
	uses     uses
	values   map[value]bool // true: known to be in the table
	fresh    int            // how many are not
	size     int            // of values, bytes
}

type op struct {
	session string
	command uint64
}

// A running entry waits for an event. day says what its use is counted as, and
// verdict by which terms its newest decision is found; nil: it has to be read again.
type running struct {
	entry   uint64
	day     *day
	verdict []value
}

type value struct{ name, value string }

// A bucket is the terms of a run of entries.
type bucket struct {
	terms     map[term]*docs
	modified  map[term]*docs
	whole     bool  // terms has all that the table has
	low, high int64 // times; 0, 0: none yet
	times     bool  // they are to be written
}

// Bounds of what is kept in memory.
const (
	maxBuckets = 3
	maxValues  = 16 << 20 // bytes
	maxNames   = 50_000
)

func newSource(t *tx, id int64) *source {
	return &source{t: t, id: id, buckets: map[uint64]*bucket{}, running: map[op]running{}, opened: map[string]opened{}, begun: map[op]bool{}, values: map[value]bool{}}
}

func loadSource(t *tx, id int64, next uint64, last string) (*source, error) {
	s := newSource(t, id)
	s.next, s.last = next, last
	if err := t.each("select session, command, entry from running where source = ?", []any{id}, func(scan func(...any) error) error {
		var o op
		var r running
		err := scan(&o.session, &o.command, &r.entry)
		s.running[o] = r
		return err
	}); err != nil {
		return nil, err
	}
	// The newest block may have room.
	var b openBlock
	var data []byte
	found, err := t.find("select first, n, low, high, data from block where source = ? order by first desc limit 1", []any{id}, &b.first, &b.n, &b.low, &b.high, &data)
	if err != nil {
		return nil, err
	}
	if found && b.first+uint64(b.n) == next {
		if b.raw, err = unzip.DecodeAll(data, nil); err != nil {
			return nil, err
		}
		s.block = b
	}
	return s, nil
}

// event indexes one event.
func (s *source) event(l *audit.Leaf) error {
	e := &l.Event
	if s.block.n > 0 && (s.block.full() || s.block.first+uint64(s.block.n) != e.Seq) {
		s.full = append(s.full, s.block)
		s.block = openBlock{}
	}
	if s.block.n == 0 {
		s.block.first = e.Seq
	}
	s.block.add(l.Bytes, nanoseconds(e.Time))
	s.next, s.last = e.Seq+1, hashOf(l.Bytes)

	switch e.Kind {
	case audit.SessionOpened:
		o := opened{Tool: lower(e.Tool.Called())}
		for id := e.Identity; id != nil; id = id.OnBehalfOf {
			for _, name := range [3]audit.Text{id.Subject, id.Name, id.Email} {
				if name != "" {
					o.Names = append(o.Names, lower(name))
				}
			}
		}
		names, err := json.Marshal(o.Names)
		if err != nil {
			return err
		}
		s.remember(e.Session, o)
		s.sessions = append(s.sessions, s.id, e.Session, string(names), o.Tool)
	case audit.CommandCompleted:
		if e.Decision == nil {
			return s.end(e)
		}
	case audit.RecordingChunk:
		return nil // nobody looks for it
	case audit.CommandUnknown, audit.SessionClosed:
		return s.end(e)
	}
	return s.begin(e)
}

// begin indexes an event that says what was decided, or that stands alone.
func (s *source) begin(e *audit.Event) error {
	id := e.Seq
	o := op{e.Session, e.Command}
	r, known := s.running[o]
	known = known && e.Session != ""
	if known { // a decision about what was held, or another about what was allowed
		id = r.entry
		if err := s.recall(r); err != nil {
			return err
		}
		s.later = append(s.later, s.id, int64(id), int64(e.Seq))
	}
	if err := s.post(id, e); err != nil {
		return err
	}
	s.use(e)
	effect := ""
	if e.Decision != nil {
		effect = e.Decision.Effect
	}
	switch {
	case e.Session == "":
	case e.Kind == audit.CommandCompleted || effect == "deny":
		if known {
			s.finish(o)
		}
	case !known:
		s.begun[o] = true
		fallthrough
	default:
		s.running[o] = running{id, dayOf(e), verdictOf(e)}
	}
	return nil
}

func verdictOf(e *audit.Event) (list []value) {
	verdict(e, func(name, v string) { list = append(list, value{name, v}) })
	return list
}

// recall makes an entry be found no more by what was decided about it so far:
// whoever asks what is held would have all to look at that ever was.
func (s *source) recall(r running) error {
	if r.verdict == nil {
		newest := r.entry
		if err := s.t.each("select seq from later where source = ? and entry = ? order by seq desc limit 1", []any{s.id, int64(r.entry)},
			func(scan func(...any) error) error { return scan(&newest) }); err != nil {
			return err
		}
		e, err := s.find(newest)
		if err != nil {
			return err
		}
		r.verdict = verdictOf(e)
	}
	b, err := s.bucket(r.entry >> bucketBits)
	if err != nil {
		return err
	}
	for _, v := range r.verdict {
		t := termOf(v.name, v.value)
		d, err := s.docs(b, r.entry, t)
		if err != nil {
			return err
		}
		if d.remove(uint16(r.entry % bucketSize)) {
			b.modified[t] = d
		}
	}
	return nil
}

// end indexes an event that says how an operation or a session ended.
func (s *source) end(e *audit.Event) error {
	o := op{e.Session, e.Command}
	r, known := s.running[o]
	if !known {
		return s.post(e.Seq, e) // what began it is not in the journal any more
	}
	s.later = append(s.later, s.id, int64(r.entry), int64(e.Seq))
	s.finish(o)
	if e.Result == nil {
		return nil
	}
	b, err := s.bucket(r.entry >> bucketBits)
	if err != nil {
		return err
	}
	if err := s.add(b, r.entry, outcome, strings.ToLower(e.Result.Status)); err != nil {
		return err
	}
	if r.day == nil {
		first, err := s.find(r.entry)
		if err != nil {
			return err
		}
		r.day = dayOf(first)
	}
	if r.day != nil {
		c := of(&s.uses.days, *r.day)
		c.rows += e.Result.Rows
		c.masked += int64(min(len(e.Result.Masked), 1))
	}
	return nil
}

func (s *source) finish(o op) {
	delete(s.running, o)
	if s.begun[o] {
		delete(s.begun, o) // it began in this transaction
	} else {
		s.ended = append(s.ended, o)
	}
}

// An opened session is what its operations do not repeat, as it is compared.
type opened struct {
	Names []string // of whoever opened it, and of whom they act for
	Tool  string
}

func (s *source) remember(session string, o opened) {
	if len(s.opened) >= maxNames {
		clear(s.opened)
	}
	s.opened[session] = o
}

// opening returns what is known of the session that e is of.
func (s *source) opening(e *audit.Event) (o opened, err error) {
	if e.Session == "" {
		return o, nil
	}
	o, known := s.opened[e.Session]
	if known {
		return o, nil
	}
	var names string
	found, err := s.t.find("select names, tool from session where source = ? and id = ?", []any{s.id, e.Session}, &names, &o.Tool)
	if err == nil && found {
		err = json.Unmarshal([]byte(names), &o.Names)
	}
	s.remember(e.Session, o)
	return o, err
}

// post makes the entry with number id be found by the terms of e.
func (s *source) post(id uint64, e *audit.Event) error {
	o, err := s.opening(e)
	if err != nil {
		return err
	}
	b, err := s.bucket(id >> bucketBits)
	if err != nil {
		return err
	}
	ts := nanoseconds(e.Time)
	if b.low == 0 && b.high == 0 {
		b.low, b.high, b.times = ts, ts, true
	} else if ts < b.low || ts > b.high {
		b.low, b.high, b.times = min(b.low, ts), max(b.high, ts), true
	}
	if id != e.Seq {
		// The entry is in an older block, by whose times it is looked for.
		if err := s.widen(id, ts); err != nil {
			return err
		}
	}
	terms(e, o, func(name, value string) {
		if err == nil {
			err = s.add(b, id, name, value)
		}
	})
	return err
}

// widen makes the times of id's block hold ts.
func (s *source) widen(id uint64, ts int64) error {
	for _, b := range append(s.full, s.block) {
		if id >= b.first && id < b.first+uint64(b.n) && ts >= b.low && ts <= b.high {
			return nil
		}
	}
	for i := range s.full {
		if b := &s.full[i]; id >= b.first && id < b.first+uint64(b.n) {
			b.low, b.high = min(b.low, ts), max(b.high, ts)
			return nil
		}
	}
	if b := &s.block; id >= b.first {
		b.low, b.high, b.modified = min(b.low, ts), max(b.high, ts), true
		return nil
	}
	return s.t.exec(`update block set low = case when low < ? then low else ? end, high = case when high > ? then high else ? end
		where source = ? and first = (select max(first) from block where source = ? and first <= ?)`, ts, ts, ts, ts, s.id, s.id, int64(id))
}

// bucket returns a bucket, of which an older one may be known in part.
func (s *source) bucket(n uint64) (*bucket, error) {
	b := s.buckets[n]
	if b != nil {
		return b, nil
	}
	b = &bucket{terms: map[term]*docs{}, modified: map[term]*docs{}}
	found, err := s.t.find("select low, high from bucket where source = ? and id = ?", []any{s.id, int64(n)}, &b.low, &b.high)
	if err != nil {
		return nil, err
	}
	b.whole = !found
	if found && n == s.next>>bucketBits {
		b.whole = true
		if err := s.t.each("select term, docs from posting where source = ? and bucket = ?", []any{s.id, int64(n)}, func(scan func(...any) error) error {
			var t term
			var set []byte
			err := scan(&t, &set)
			d := decode(set)
			b.terms[t] = &d
			return err
		}); err != nil {
			return nil, err
		}
	}
	for len(s.buckets) >= maxBuckets {
		oldest := slices.Min(slices.Collect(maps.Keys(s.buckets)))
		if err := s.flushBucket(oldest); err != nil {
			return nil, err
		}
		delete(s.buckets, oldest)
	}
	s.buckets[n] = b
	return b, nil
}

// add makes an entry be found by a term.
func (s *source) add(b *bucket, id uint64, name, v string) error {
	t := termOf(name, v)
	d, err := s.docs(b, id, t)
	if err != nil {
		return err
	}
	if d.add(uint16(id % bucketSize)) {
		b.modified[t] = d
	}
	if listed[name] {
		k := value{name, v}
		if _, known := s.values[k]; !known {
			if s.size >= maxValues && s.fresh == 0 {
				clear(s.values)
				s.size = 0
			}
			s.values[k] = false
			s.fresh++
			s.size += len(v) + 64
		}
	}
	return nil
}

// docs returns the entries of b, in which id is, that have a term.
func (s *source) docs(b *bucket, id uint64, t term) (*docs, error) {
	d := b.terms[t]
	if d == nil {
		d = &docs{}
		if !b.whole {
			var set []byte
			if _, err := s.t.find("select docs from posting where source = ? and bucket = ? and term = ?", []any{s.id, int64(id >> bucketBits), int64(t)}, &set); err != nil {
				return nil, err
			}
			*d = decode(set)
		}
		b.terms[t] = d
	}
	return d, nil
}

// find reads an event that is indexed.
func (s *source) find(seq uint64) (*audit.Event, error) {
	for _, b := range append(s.full, s.block) {
		if seq >= b.first && seq < b.first+uint64(b.n) {
			return leafAt(zip.EncodeAll(b.raw, nil), seq-b.first)
		}
	}
	var first uint64
	var data []byte
	found, err := s.t.find("select first, data from block where source = ? and first <= ? order by first desc limit 1", []any{s.id, int64(seq)}, &first, &data)
	if err == nil && !found {
		err = fmt.Errorf("event %d is not in the index", seq)
	}
	if err != nil {
		return nil, err
	}
	return leafAt(data, seq-first)
}

func leafAt(data []byte, n uint64) (*audit.Event, error) {
	all, err := leaves(data)
	if err != nil {
		return nil, err
	}
	if n >= uint64(len(all)) {
		return nil, fmt.Errorf("a block of %d events has none of number %d", len(all), n)
	}
	e, err := audit.ParseEvent(all[n])
	return &e, err
}

// gap notes a place that cannot be read, and goes on behind it.
func (s *source) gap(d audit.Damage) {
	s.gaps = append(s.gaps, s.id, int64(d.Next), plainly(audit.Text(fmt.Sprintf("%s at offset %d: %s", d.File, d.Offset, d.What))))
	s.next, s.last = d.Next, ""
}
