package approval_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/approval"
	"github.com/sallyport-dev/gateway/protocol"
)

// Each attack tries to get a request approved; none may.
var attacks = map[string]struct {
	attack func(r *approval.Request, v *approval.Verdict)
	want   any // an error, or "forbidden"
}{
	"nobody is logged in":     {func(_ *approval.Request, v *approval.Verdict) { v.By = nil }, approval.ErrLogin},
	"an issuer is missing":    {func(_ *approval.Request, v *approval.Verdict) { v.By.Issuer = "" }, approval.ErrLogin},
	"a subject is missing":    {func(_ *approval.Request, v *approval.Verdict) { v.By.Subject = "" }, approval.ErrLogin},
	"the login has expired":   {func(_ *approval.Request, v *approval.Verdict) { v.By.Expires = time.Now() }, approval.ErrLogin},
	"self approval":           {func(r *approval.Request, v *approval.Verdict) { v.By = r.Requester }, "forbidden"},
	"self by a later login":   {func(_ *approval.Request, v *approval.Verdict) { v.By = person("alice", "dba") }, "forbidden"},
	"an admin approves self":  {func(_ *approval.Request, v *approval.Verdict) { v.By = person("alice", "dba", "admin") }, "forbidden"},
	"self named as an user":   {selfNamed, "forbidden"},
	"one person two accounts": {sameAddress, "forbidden"},
	"the requester's owner": {func(r *approval.Request, v *approval.Verdict) {
		r.Requester = &protocol.Identity{Issuer: "agents", Subject: "a1", Kind: protocol.Agent, OnBehalfOf: person("bob")}
	}, "forbidden"},
	"the owner of its owner": {func(r *approval.Request, v *approval.Verdict) {
		inner := &protocol.Identity{Issuer: "agents", Subject: "a2", Kind: protocol.Agent, OnBehalfOf: person("bob")}
		r.Requester = &protocol.Identity{Issuer: "agents", Subject: "a1", Kind: protocol.Agent, OnBehalfOf: inner}
	}, "forbidden"},
	"own agent": {func(r *approval.Request, v *approval.Verdict) {
		v.By = &protocol.Identity{Issuer: "agents", Subject: "a1", Kind: protocol.Agent, Groups: []string{"dba"}, OnBehalfOf: person("alice")}
	}, "forbidden"},
	"agent approver":      {func(_ *approval.Request, v *approval.Verdict) { v.By.Kind = protocol.Agent }, "forbidden"},
	"workload approver":   {func(_ *approval.Request, v *approval.Verdict) { v.By.Kind = protocol.Workload }, "forbidden"},
	"approver of no kind": {func(_ *approval.Request, v *approval.Verdict) { v.By.Kind = "" }, "forbidden"},
	"approver acts for another": {func(_ *approval.Request, v *approval.Verdict) {
		v.By.OnBehalfOf = person("carol", "dba")
	}, "forbidden"},
	"wrong group": {func(_ *approval.Request, v *approval.Verdict) { v.By.Groups = []string{"DBA", "dba "} }, "forbidden"},
	"no group":    {func(_ *approval.Request, v *approval.Verdict) { v.By.Groups = nil }, "forbidden"},
	"same name elsewhere": {func(r *approval.Request, v *approval.Verdict) {
		r.Approvers = users(1, "bob")
		v.By.Issuer = "https://evil.example"
	}, "forbidden"},
	"digest mismatch": {func(_ *approval.Request, v *approval.Verdict) { v.Digest[31] ^= 1 }, approval.ErrDigest},
	"no digest":       {func(_ *approval.Request, v *approval.Verdict) { v.Digest = [32]byte{} }, approval.ErrDigest},
	"unknown request": {func(_ *approval.Request, v *approval.Verdict) { v.Request = approval.NewID() }, approval.ErrUnknown},
	"no request":      {func(_ *approval.Request, v *approval.Verdict) { v.Request = "" }, approval.ErrUnknown},
	"huge comment":    {func(_ *approval.Request, v *approval.Verdict) { v.Comment = strings.Repeat("x", 1<<20) }, approval.ErrComment},
	"comment of a rune too many": {func(_ *approval.Request, v *approval.Verdict) {
		v.Comment = strings.Repeat("ü", approval.MaxComment+1)
	}, approval.ErrComment},
}

func selfNamed(r *approval.Request, v *approval.Verdict) {
	r.Approvers = users(1, "alice")
	v.By = person("alice")
}

func sameAddress(r *approval.Request, v *approval.Verdict) {
	r.Requester.Email, v.By.Email = "alice@example.com", "Alice@Example.com"
}

func TestAttacks(t *testing.T) {
	for name, c := range attacks {
		t.Run(name, func(t *testing.T) {
			b := approval.NewBroker(approval.Options{})
			r := ask()
			r.ID = approval.NewID()
			v := approval.Verdict{Request: r.ID, Digest: r.Digest, By: person("bob", "dba"), Approve: true}
			c.attack(&r, &v)
			p := submit(t, b, r)
			_, err := b.Decide(t.Context(), v)
			if want, ok := c.want.(error); ok {
				require.ErrorIs(t, err, want)
			} else {
				var f *approval.ForbiddenError
				require.ErrorAs(t, err, &f)
				require.NotEmpty(t, f.Reason)
			}
			require.Equal(t, approval.StatePending, p.Request().State)
			require.Empty(t, p.Request().Decisions)

			// The unspoiled vote still counts: it was the attack that failed.
			by := person("carol", "dba")
			if len(r.Approvers.Groups) == 0 {
				return
			}
			_, err = b.Decide(t.Context(), yes(p, by))
			require.NoError(t, err)
		})
	}
}

// TestAttackReplay sends a vote again, for the same and for another request
// of the same statement.
func TestAttackReplay(t *testing.T) {
	b := approval.NewBroker(approval.Options{})
	p := submit(t, b, ask())
	v := yes(p, person("bob", "dba"))
	_, err := b.Decide(t.Context(), v)
	require.NoError(t, err)
	_, err = b.Decide(t.Context(), v)
	require.ErrorIs(t, err, approval.ErrEnded)
	again := submit(t, b, ask())
	require.NotEqual(t, p.Request().ID, again.Request().ID)
	_, err = b.Decide(t.Context(), v)
	require.ErrorIs(t, err, approval.ErrEnded)
	require.Equal(t, approval.StatePending, again.Request().State)
}

// TestAttackTwoVotesOfOne fills a quorum of two by one person.
func TestAttackTwoVotesOfOne(t *testing.T) {
	b := approval.NewBroker(approval.Options{})
	r := ask()
	r.Approvers = approval.Approvers{Groups: []string{"dba", "owners"}, Need: 2}
	p := submit(t, b, r)
	bob := person("bob", "dba", "owners")
	bob.Email = "bob@example.com"
	_, err := b.Decide(t.Context(), yes(p, bob))
	require.NoError(t, err)
	second := person("bob-admin", "owners")
	second.Email = "bob@example.com"
	for _, by := range []*protocol.Identity{bob, second} {
		_, err = b.Decide(t.Context(), yes(p, by))
		require.ErrorIs(t, err, approval.ErrVoted)
	}
	require.Equal(t, approval.StatePending, p.Request().State)
}

// TestAttackLate decides in the very moment in which the request expires,
// and after it.
func TestAttackLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := approval.NewBroker(approval.Options{})
		p := submit(t, b, ask())
		time.Sleep(time.Minute)
		_, err := b.Decide(t.Context(), yes(p, person("bob", "dba")))
		require.ErrorIs(t, err, approval.ErrEnded)
		r, err := p.Wait(t.Context())
		require.NoError(t, err)
		require.Equal(t, approval.StateExpired, r.State)
	})
}

func TestAttackControlCharactersInComment(t *testing.T) {
	b := approval.NewBroker(approval.Options{})
	p := submit(t, b, ask())
	v := no(p, person("bob", "dba"))
	v.Comment = "no\x1b[2J\r\nERROR:\u202e all good\xff \u2028 "
	r, err := b.Decide(t.Context(), v)
	require.NoError(t, err)
	require.Equal(t, "no [2J ERROR: all good", r.Decisions[0].Comment)
}

// A client that asks and leaves, again and again, gets no more attention; what
// was approved does not count, and an hour later all is forgotten.
func TestAttackFatigue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := approval.NewBroker(approval.Options{InVain: 3})
		agent := ask()
		agent.Requester = &protocol.Identity{Issuer: "agents", Subject: "a1", Kind: protocol.Agent, OnBehalfOf: person("alice")}
		other := ask()
		other.Requester = person("carol")
		approved := submit(t, b, ask())
		_, err := b.Decide(t.Context(), yes(approved, person("bob", "dba")))
		require.NoError(t, err)
		submit(t, b, ask()).Withdraw(nil)
		submit(t, b, agent).Withdraw(nil)
		_, err = b.Decide(t.Context(), no(submit(t, b, ask()), person("bob", "dba")))
		require.NoError(t, err)
		for _, r := range []approval.Request{ask(), agent} {
			_, err = b.Submit(t.Context(), r)
			require.ErrorIs(t, err, approval.ErrTooOften)
		}
		submit(t, b, other).Withdraw(nil)
		time.Sleep(time.Hour + time.Second)
		later := ask()
		later.Until = time.Now().Add(time.Minute)
		submit(t, b, later).Withdraw(nil)
	})
}
