package approval

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// Options are the settings of a [Broker]. The zero Options are good defaults.
type Options struct {
	// PerIdentity is how many requests of one requester may be open; 0 means
	// 5. A request of an agent counts for whom it acts as well, so that nobody
	// floods the approvers through many agents.
	PerIdentity int

	// InVain is how many requests of one requester, counted in the same way, may
	// come to nothing within an hour before further ones are refused; 0 means
	// 20. Otherwise a client that asks, leaves and asks again wears the
	// approvers out, until one says yes.
	InVain int

	// Total is how many requests may be open altogether; 0 means 1000.
	Total int

	// MaxWait is the longest time for which a request may be open; 0 means 24
	// hours.
	MaxWait time.Duration

	// MaxBytes is the size of the largest statement, with its arguments, that
	// people can be asked about; 0 means 64 KiB. A larger one is refused,
	// because nobody can approve what they have not read.
	MaxBytes int

	// Keep and KeepFor bound how many ended requests can still be looked at,
	// and for how long; 0 means 200 and 24 hours.
	Keep    int
	KeepFor time.Duration

	// URL is where [Handler] can be reached, such as
	// "https://gateway.example.com", and Command what an approver types before
	// a request's id, such as "gateway approve". Both are for [Broker.Hint].
	URL     string
	Command string

	// OnEvent is told of every change, before anybody can see it; use it to
	// keep a journal. An error, or a panic, undoes what could let an operation
	// run: a new request, an approving vote. Refusals, expiries and
	// withdrawals stand whatever it returns. Events of one request come one
	// after the other, those of several at once. OnEvent must not call the
	// Broker, and should return within the 10 seconds after which ctx ends.
	OnEvent func(ctx context.Context, e Event) error
}

// An Event is a change of a request.
type Event struct {
	Request  Request   // after the change
	Decision *Decision // the vote that made the change, or nil
}

// An attempt is a request that came to nothing.
type attempt struct {
	requester *protocol.Identity
	at        time.Time
}

const hookTime = 10 * time.Second

// A Broker brings requests and those who decide together, in memory: when the
// process ends, so do the sessions that wait. Its methods may be called from
// many goroutines. The zero Broker refuses every request; use [NewBroker].
type Broker struct {
	opt Options

	mu     sync.Mutex
	byID   map[string]*entry
	per    map[protocol.Key]int // open requests
	open   int
	ended  []*entry  // oldest first
	inVain []attempt // of the last hour, oldest first
	latest uint64    // version of the newest change
	wake   chan struct{}
}

// entry is one request. A change holds mu from its check to the moment at
// which it can be seen; reading takes no lock.
type entry struct {
	mu    sync.Mutex
	now   atomic.Pointer[Request] // what it points to never changes
	timer *time.Timer
	done  chan struct{} // closed when the state is final

	version uint64 // of the last change; 0 until the request is known. Guarded by Broker.mu
}

// NewBroker returns a Broker without requests.
func NewBroker(o Options) *Broker {
	orElse(&o.PerIdentity, 5)
	orElse(&o.InVain, 20)
	orElse(&o.Total, 1000)
	orElse(&o.MaxWait, 24*time.Hour)
	orElse(&o.MaxBytes, 64<<10)
	orElse(&o.Keep, 200)
	orElse(&o.KeepFor, 24*time.Hour)
	o.URL = strings.TrimRight(o.URL, "/")
	return &Broker{opt: o, byID: map[string]*entry{}, per: map[protocol.Key]int{}, wake: make(chan struct{})}
}

func orElse[T int | time.Duration](v *T, or T) {
	if *v <= 0 {
		*v = or
	}
}

// MaxWait returns the longest time for which a request may be open.
func (b *Broker) MaxWait() time.Duration { return b.opt.MaxWait }

// Hint tells a requester how the request can be decided, as far as the
// Options say.
func (b *Broker) Hint(id string) string {
	var how []string
	if b.opt.Command != "" {
		how = append(how, b.opt.Command+" "+id)
	}
	if b.opt.URL != "" {
		how = append(how, b.opt.URL+path+"/"+id)
	}
	if len(how) == 0 {
		return "ask an approver to decide about request " + id
	}
	return "an approver decides with: " + strings.Join(how, " or ")
}

// Submit makes r known to those who may decide and returns at once. It copies
// r and fills Created and State; ID if it is empty, and Until if it is zero or
// beyond MaxWait. Its errors are [ErrTooMany], [ErrTooOften] and [ErrTooLarge],
// about which a requester should read, and others that mean a mistake of the caller or of
// the journal.
func (b *Broker) Submit(ctx context.Context, r Request) (*Pending, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if err := r.check(b.opt.MaxBytes); err != nil {
		return nil, err
	}
	r = r.clone()
	if r.ID == "" {
		r.ID = NewID()
	}
	r.Created, r.Ended = time.Now(), time.Time{}
	r.State, r.Cause, r.Decisions = StatePending, "", nil
	if last := r.Created.Add(b.opt.MaxWait); r.Until.IsZero() || r.Until.After(last) {
		r.Until = last
	}
	if !r.Until.After(r.Created) {
		return nil, errors.New("approval: the request would have expired before it was made")
	}
	e := &entry{done: make(chan struct{})}
	e.now.Store(&r)
	if err := b.reserve(e, &r); err != nil {
		return nil, err
	}
	if err := b.tell(ctx, Event{Request: r.clone()}); err != nil {
		b.mu.Lock()
		b.release(&r)
		delete(b.byID, r.ID)
		b.mu.Unlock()
		return nil, err
	}
	e.mu.Lock()
	e.timer = time.AfterFunc(time.Until(r.Until), func() { b.end(e, StateExpired, "") })
	e.mu.Unlock()
	b.publish(e, false)
	return &Pending{b: b, e: e}, nil
}

// check refuses what nobody could decide about, or not knowingly.
func (r *Request) check(maxBytes int) error {
	if r.ID != "" && !validID(r.ID) {
		return fmt.Errorf("approval: %q is not a request id", r.ID)
	}
	depth := 0
	for id := r.Requester; id != nil; id = id.OnBehalfOf {
		if depth++; id.Issuer == "" || id.Subject == "" || depth > 8 {
			return errors.New("approval: the requester is not known well enough to keep them from approving their own request")
		}
	}
	if depth == 0 {
		return errors.New("approval: a request without a requester")
	}
	if r.Digest == [32]byte{} {
		return errors.New("approval: a request without a digest binds votes to nothing")
	}
	if err := r.Approvers.Check(); err != nil {
		return err
	}
	n := len(r.Text) + len(r.Behind) + len(r.Rewritten) + len(r.Settings)
	for _, a := range r.Args {
		n += len(a.Text) + len(a.Type) + 1
	}
	for _, o := range r.Objects {
		n += len(o.Kind) + len(o.Name) + 1
	}
	if n > maxBytes {
		return ErrTooLarge
	}
	return nil
}

// Check returns an error if the approvers could never decide: nobody is named,
// or more people are needed than there are.
func (a Approvers) Check() error {
	switch {
	case len(a.Groups) == 0 && len(a.Users) == 0:
		return errors.New("approval: no group and no user may approve")
	case slices.Contains(a.Groups, ""):
		return errors.New("approval: an approving group without a name")
	case slices.ContainsFunc(a.Users, func(k protocol.Key) bool { return k.Issuer == "" || k.Subject == "" }):
		return errors.New("approval: an approving user without issuer or subject")
	case a.Need < 0:
		return fmt.Errorf("approval: %d approvers are needed", a.Need)
	case len(a.Groups) == 0 && a.need() > len(a.Users):
		return fmt.Errorf("approval: %d approvers are needed and %d are named", a.need(), len(a.Users))
	}
	return nil
}

// reserve takes a place for e, which nobody can see before publish.
func (b *Broker) reserve(e *entry, r *Request) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.prune()
	if b.open >= b.opt.Total {
		return ErrTooMany
	}
	for id := r.Requester; id != nil; id = id.OnBehalfOf {
		if b.per[id.Key()] >= b.opt.PerIdentity {
			return ErrTooMany
		}
		if b.failures(id.Key()) >= b.opt.InVain {
			return ErrTooOften
		}
	}
	if b.byID[r.ID] != nil {
		return fmt.Errorf("approval: request %s exists already", r.ID)
	}
	b.byID[r.ID] = e
	b.open++
	for id := r.Requester; id != nil; id = id.OnBehalfOf {
		b.per[id.Key()]++
	}
	return nil
}

// failures counts the requests of the last hour that came to nothing. b.mu is
// held.
func (b *Broker) failures(requester protocol.Key) (n int) {
	for i := range b.inVain {
		for id := b.inVain[i].requester; id != nil; id = id.OnBehalfOf {
			if id.Key() == requester {
				n++
				break
			}
		}
	}
	return n
}

// release gives back what reserve took. b.mu is held.
func (b *Broker) release(r *Request) {
	b.open--
	for id := r.Requester; id != nil; id = id.OnBehalfOf {
		if b.per[id.Key()]--; b.per[id.Key()] <= 0 {
			delete(b.per, id.Key())
		}
	}
}

// publish wakes the watchers and, when e has ended, frees its place.
func (b *Broker) publish(e *entry, ended bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.latest++
	e.version = b.latest
	close(b.wake)
	b.wake = make(chan struct{})
	if ended {
		r := e.now.Load()
		b.release(r)
		b.ended = append(b.ended, e)
		if r.State != StateApproved {
			b.inVain = append(b.inVain, attempt{r.Requester, r.Ended})
		}
	}
	b.prune()
}

// prune forgets ended requests beyond the bounds. b.mu is held.
func (b *Broker) prune() {
	old := 0
	for old < len(b.inVain) && time.Since(b.inVain[old].at) > time.Hour {
		old++
	}
	b.inVain = slices.Delete(b.inVain, 0, old)
	n := max(0, len(b.ended)-b.opt.Keep)
	for n < len(b.ended) && time.Since(b.ended[n].now.Load().Ended) > b.opt.KeepFor {
		n++
	}
	for _, e := range b.ended[:n] {
		delete(b.byID, e.now.Load().ID)
	}
	b.ended = slices.Delete(b.ended, 0, n)
}

func (b *Broker) tell(ctx context.Context, e Event) error {
	if b.opt.OnEvent == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hookTime)
	defer cancel()
	if err := protocol.Guard(func() error { return b.opt.OnEvent(ctx, e) }); err != nil {
		return fmt.Errorf("approval: request %s: the change was not recorded: %w", e.Request.ID, err)
	}
	return nil
}

// change moves e on, once, by what edit makes of a copy of its request. It
// returns the request as it is afterwards.
func (b *Broker) change(ctx context.Context, e *entry, edit func(next *Request) (*Decision, error)) (Request, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.now.Load()
	if now.State.Ended() {
		return now.clone(), ErrEnded
	}
	next := now.clone()
	vote, err := edit(&next)
	if err != nil {
		return now.clone(), err
	}
	ended := next.State.Ended()
	if ended {
		next.Ended = time.Now()
	}
	err = b.tell(ctx, Event{Request: next.clone(), Decision: vote})
	if err != nil && (next.State == StateApproved || next.State == StatePending) {
		return now.clone(), err
	}
	e.now.Store(&next)
	b.publish(e, ended)
	if ended {
		e.timer.Stop()
		close(e.done) // after publish: whoever waits finds the place free
	}
	return next.clone(), err
}

// end moves e to a final state that refuses; it does nothing if e has ended.
func (b *Broker) end(e *entry, s State, cause string) {
	_, _ = b.change(context.Background(), e, func(next *Request) (*Decision, error) {
		next.State, next.Cause = s, cause
		return nil, nil
	}) // a refusal stands even if it could not be recorded
}
