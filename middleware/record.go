package middleware

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/protocol"
)

// A RecordOption changes how [Record] keeps the evidence.
type RecordOption func(*recorder)

// RecordStrict makes every record durable before anything is sent, reads
// included: each operation then waits for an fsync, which it shares with all
// others that wait.
func RecordStrict() RecordOption { return func(r *recorder) { r.strict = true } }

// RecordDetail sets how much of texts and arguments is kept.
func RecordDetail(d audit.Detail) RecordOption { return func(r *recorder) { r.detail = d } }

// RecordPolicy lets each decision say by which rules it was made: digest tells them
// from those before and behind them, such as a hash of the file that they are in.
func RecordPolicy(digest string) RecordOption { return func(r *recorder) { r.policy = digest } }

type recorder struct {
	journal *audit.Journal
	strict  bool
	detail  audit.Detail
	policy  string
}

// Record returns the step that keeps in j who asked for what, what was decided
// and how it ended. What may change anything is durable before its first byte
// is sent, and so is whatever somebody approved; a read that is proven to change
// nothing is in the kernel before the first byte of its result is released. If j
// fails, everything is refused, with [protocol.ErrUnavailable].
//
// The step does not close j: whoever opened it does, after the last session.
func Record(j *audit.Journal, opts ...RecordOption) Step {
	s := Step{Name: "record", Role: RoleRecords}
	if j == nil {
		s.err = errors.New("no journal to record in")
		return s
	}
	s.journal = j.Dir()
	r := &recorder{journal: j}
	for _, o := range opts {
		o(r)
	}
	r.detail.Policy = cmp.Or(r.policy, r.detail.Policy)
	s.Event, s.Commit = r.event, r.commit
	return s
}

func (r *recorder) event(_ context.Context, e *protocol.Event) error {
	if e.Kind == protocol.Decided && !r.durable(e.Op) && e.Decision.Effect == protocol.AllowEffect && e.Op.Verb != protocol.Connect {
		return unavailable(r.journal.Postpone(e, r.detail))
	}
	_, err := r.journal.Record(e, r.detail)
	return unavailable(err)
}

// unavailable says of a journal's error that another try may succeed, unless that is
// for whoever asks to see to.
func unavailable(err error) error {
	if err == nil || errors.Is(err, audit.ErrTooLarge) || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w: %w", protocol.ErrUnavailable, err)
}

func (r *recorder) commit(ctx context.Context, p protocol.Point, ops []*protocol.Operation) error {
	if p == protocol.BeforeRelease { // what has to be durable was so before it was sent
		upTo, err := r.journal.Settle(ops)
		if err != nil {
			return unavailable(err)
		}
		return unavailable(r.journal.Flush(ctx, upTo))
	}
	if slices.ContainsFunc(ops, r.durable) {
		return unavailable(r.journal.Sync(ctx, r.last(ops)))
	}
	return nil
}

// durable reports whether the record of op has to be on stable storage before
// the operation is sent.
func (r *recorder) durable(op *protocol.Operation) bool {
	return r.strict || !op.Pure || len(op.Grants()) > 0
}

// last returns the position behind what has been recorded about ops.
func (r *recorder) last(ops []*protocol.Operation) (upTo audit.Position) {
	var session *protocol.SessionInfo
	for _, op := range ops {
		if op.Session != session {
			session = op.Session
			upTo = max(upTo, r.journal.Last(session))
		}
	}
	return upTo
}

// recordSettings are the settings of [RecordKind].
type recordSettings struct {
	Dir         string          `yaml:"dir"`
	Strict      bool            `yaml:"strict"`
	SegmentSize int64           `yaml:"segment_size"` // bytes
	SegmentAge  time.Duration   `yaml:"segment_age"`
	MinFree     uint64          `yaml:"min_free"` // bytes
	AcceptGap   bool            `yaml:"accept_gap"`
	KeyFile     string          `yaml:"key_file"` // the private key that signs checkpoints
	OldKeys     []string        `yaml:"old_keys"` // public keys that signed before key_file
	SealTo      []string        `yaml:"seal_to"`  // recipients of age
	HideArgs    bool            `yaml:"hide_args"`
	HideText    bool            `yaml:"hide_text"`
	HideKey     protocol.Secret `yaml:"hide_key"`
}

// check returns the first mistake in the settings that reading them shows.
func (c *recordSettings) check() error {
	switch {
	case c.Dir == "":
		return errors.New("record: dir is missing: name the directory of the journal")
	case c.SegmentSize < 0 || c.SegmentAge < 0:
		return errors.New("record: segment_size or segment_age is negative")
	}
	return nil
}

// RecordKind is the kind "record": [Record] with a journal from set. Its
// settings are dir (needed), strict, segment_size and min_free in bytes,
// segment_age, accept_gap, key_file with a private key as audit.NewKey makes it,
// old_keys with the public halves of those before it, seal_to with the recipients of age that statements and arguments are sealed to,
// hide_args, hide_text and hide_key; see [audit.Options] and [audit.Detail]. More are
// options of each step of the kind, such as [RecordPolicy].
func RecordKind(set *audit.Set, more ...RecordOption) Kind {
	return KindOf("record", func(c recordSettings) (Step, error) {
		if err := c.check(); err != nil {
			return Step{}, err
		}
		o := audit.Options{SegmentSize: c.SegmentSize, SegmentAge: c.SegmentAge, MinFree: c.MinFree, AcceptGap: c.AcceptGap,
			SealTo: strings.Join(c.SealTo, "\n"), OldKeys: strings.Join(c.OldKeys, "\n")}
		if c.KeyFile != "" {
			key, err := os.ReadFile(c.KeyFile)
			if err != nil {
				return Step{}, fmt.Errorf("record: key_file: %w", err)
			}
			o.Key = protocol.NewSecret(string(key))
		}
		j, release, err := set.Open(c.Dir, o)
		if err != nil {
			return Step{}, err
		}
		opts := []RecordOption{RecordDetail(audit.Detail{HideArgs: c.HideArgs, HideText: c.HideText, Key: c.HideKey, Seal: len(c.SealTo) > 0})}
		if c.Strict {
			opts = append(opts, RecordStrict())
		}
		s := Record(j, append(opts, more...)...)
		s.Close = release
		return s, nil
	})
}

// DryRecordKind is the kind "record" for whoever checks a configuration: it
// understands the same settings and opens no journal, which may belong to a
// gateway that runs. Its step refuses everything.
func DryRecordKind() Kind {
	return KindOf("record", func(c recordSettings) (Step, error) {
		s := Record(nil)
		s.err, s.journal = c.check(), c.Dir
		s.Event = func(context.Context, *protocol.Event) error { return errors.New("record: this is no journal") }
		s.Commit = func(context.Context, protocol.Point, []*protocol.Operation) error { return nil }
		return s, s.err
	})
}
