package approval_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sallyport-dev/gateway/approval"
	"github.com/sallyport-dev/gateway/protocol"
)

// modelRequest is what the model knows about a request: who said yes, and
// what became of it.
type modelRequest struct {
	p     *approval.Pending
	owner string
	need  int
	until time.Time
	yes   map[string]bool
	state approval.State
}

// TestModel runs random commands against a broker and the plainest model of
// one, and compares after each.
func TestModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(bubbled{t}, func(rt *rapid.T) {
			const perIdentity, total = 2, 5
			b := approval.NewBroker(approval.Options{PerIdentity: perIdentity, Total: total, Keep: 1000})
			names := []string{"alice", "bob", "carol", "dave"}
			var all []*modelRequest
			pick := func(rt *rapid.T) *modelRequest {
				if len(all) == 0 {
					rt.Skip("no request yet")
				}
				return all[rapid.IntRange(0, len(all)-1).Draw(rt, "request")]
			}
			rt.Repeat(map[string]func(*rapid.T){
				"submit": func(rt *rapid.T) {
					m := &modelRequest{owner: rapid.SampledFrom(names).Draw(rt, "owner"),
						need: rapid.IntRange(1, 2).Draw(rt, "need"), yes: map[string]bool{}, state: approval.StatePending}
					r := ask()
					r.Requester = person(m.owner)
					r.Approvers.Need = m.need
					m.until = time.Now().Add(time.Duration(rapid.IntRange(1, 60).Draw(rt, "seconds")) * time.Second)
					r.Until = m.until
					open, own := 0, 0
					for _, o := range all {
						if o.state == approval.StatePending {
							open++
							if o.owner == m.owner {
								own++
							}
						}
					}
					p, err := b.Submit(t.Context(), r)
					if open >= total || own >= perIdentity {
						require.ErrorIs(rt, err, approval.ErrTooMany)
						return
					}
					require.NoError(rt, err)
					m.p = p
					all = append(all, m)
				},
				"decide": func(rt *rapid.T) {
					m := pick(rt)
					who := rapid.SampledFrom(names).Draw(rt, "who")
					member := rapid.Bool().Draw(rt, "member")
					v := yes(m.p, person(who))
					if member {
						v.By.Groups = []string{"dba"}
					}
					v.Approve = rapid.Bool().Draw(rt, "approve")
					right := rapid.IntRange(0, 9).Draw(rt, "digest") > 0
					if !right {
						v.Digest[0] ^= 1
					}
					_, err := b.Decide(t.Context(), v)
					var forbidden *approval.ForbiddenError
					switch {
					case who == m.owner || !member:
						require.ErrorAs(rt, err, &forbidden)
					case m.state != approval.StatePending:
						require.ErrorIs(rt, err, approval.ErrEnded)
					case !right:
						require.ErrorIs(rt, err, approval.ErrDigest)
					case m.yes[who]:
						require.ErrorIs(rt, err, approval.ErrVoted)
					case !v.Approve:
						require.NoError(rt, err)
						m.state = approval.StateDenied
					default:
						require.NoError(rt, err)
						m.yes[who] = true
						if len(m.yes) == m.need {
							m.state = approval.StateApproved
						}
					}
				},
				"withdraw": func(rt *rapid.T) {
					m := pick(rt)
					m.p.Withdraw(errors.New("gone"))
					if m.state == approval.StatePending {
						m.state = approval.StateWithdrawn
					}
				},
				"pass time": func(rt *rapid.T) {
					time.Sleep(time.Duration(rapid.IntRange(1, 30).Draw(rt, "seconds")) * time.Second)
					synctest.Wait()
					for _, m := range all {
						if m.state == approval.StatePending && !time.Now().Before(m.until) {
							m.state = approval.StateExpired
						}
					}
				},
				"": func(rt *rapid.T) {
					var want, got []string
					for _, m := range all {
						r := m.p.Request()
						want = append(want, fmt.Sprint(r.ID, m.state))
						got = append(got, fmt.Sprint(r.ID, r.State))
						if r.State == approval.StateApproved {
							checkApproved(rt, r)
						}
					}
					require.Equal(rt, want, got)
					require.Len(rt, b.List(), len(all))
				},
			})
			for _, m := range all { // leave no timer to the next run
				m.p.Withdraw(nil)
			}
		})
	})
}

// checkApproved proves an approval from the request alone, as an auditor
// would.
func checkApproved(t require.TestingT, r approval.Request) {
	people := map[protocol.Key]bool{}
	for _, d := range r.Decisions {
		require.True(t, d.Approve)
		require.False(t, d.By.Same(r.Requester))
		require.True(t, r.Approvers.Include(d.By))
		require.True(t, d.Time.Before(r.Until))
		people[d.By.Key()] = true
	}
	require.GreaterOrEqual(t, len(people), max(r.Approvers.Need, 1))
}

// bubbled hides the test's deadline, which cannot be asked for where time is
// not real.
type bubbled struct{ rapid.TB }
