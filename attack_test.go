package gateway_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/protocoltest"
)

// open opens a session at gw past any connection.
func open(t testing.TB, gw *gateway.Gateway, password string) (*protocol.Session, error) {
	t.Helper()
	s, err := gw.Open(t.Context(), &protocol.Login{Protocol: "line", User: "ada", Resource: "shop",
		Proof: protocol.Password{Secret: protocol.NewSecret(password), TLS: true},
		WhileHeld: func(ctx context.Context, _ protocol.Waiting, wait func(context.Context) error) error {
			return wait(ctx)
		}})
	if err == nil {
		t.Cleanup(func() { s.Close(nil) })
	}
	return s, err
}

func ended(s *protocol.Session) bool { return s.Context().Err() != nil }

// What somebody logged in with has to be good for the new configuration too.
func TestAttackReloadEndsLogins(t *testing.T) {
	token, hash := middleware.NewToken()
	_, other := middleware.NewToken()
	known := middleware.Token{Hash: hash, Subject: "ada", Kind: protocol.Human, Groups: []string{"dba"}, OnBehalfOf: "static|eve"}
	everybody := middleware.Step{Name: "all", Operation: func(context.Context, *protocol.Operation) (protocol.Decision, error) {
		return protocol.Allow("all"), nil
	}}
	for name, c := range map[string]struct {
		change func(*middleware.Token)
		stays  bool
	}{
		"the same":           {func(*middleware.Token) {}, true},
		"another token":      {func(t *middleware.Token) { t.Hash = other }, false},
		"another subject":    {func(t *middleware.Token) { t.Subject = "eva" }, false},
		"a group less":       {func(t *middleware.Token) { t.Groups = nil }, false},
		"another kind":       {func(t *middleware.Token) { t.Kind = protocol.Agent }, false},
		"for somebody else":  {func(t *middleware.Token) { t.OnBehalfOf = "static|ivy" }, false},
		"for nobody":         {func(t *middleware.Token) { t.OnBehalfOf = "" }, false},
		"until another time": {func(t *middleware.Token) { t.Expires = time.Now().Add(time.Hour) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			c1 := config("127.0.0.1:1", &protocoltest.Recorder{})
			c1.Steps[0] = middleware.Tokens(known)
			c1.Steps = append(c1.Steps, everybody)
			gw, err := gateway.New(c1)
			require.NoError(t, err)
			s, err := open(t, gw, token.Reveal())
			require.NoError(t, err)
			next := known
			c.change(&next)
			c1.Steps[0] = middleware.Tokens(next)
			require.NoError(t, gw.Reload(t.Context(), c1))
			require.Equal(t, !c.stays, ended(s))
			require.NotContains(t, s.Info().Identity.Claims["credential"], hash[:8])
		})
	}
}

// Labels, address and account of an open session are those it was opened with,
// so another target of the same name ends it.
func TestAttackReloadChangesTarget(t *testing.T) {
	for name, change := range map[string]func(*gateway.Target){
		"label":   func(t *gateway.Target) { t.Labels = map[string]string{"env": "prod"} },
		"address": func(t *gateway.Target) { t.Addr = "127.0.0.1:2" },
		"account": func(t *gateway.Target) { t.User = "less" },
		"option":  func(t *gateway.Target) { t.Options = map[string]string{"a": "b"} },
		"nothing": func(*gateway.Target) {},
	} {
		c := config("127.0.0.1:1", &protocoltest.Recorder{})
		gw, err := gateway.New(c)
		require.NoError(t, err)
		s, err := open(t, gw, "open")
		require.NoError(t, err)
		c.Targets = []gateway.Target{c.Targets[0]}
		change(&c.Targets[0])
		require.NoError(t, gw.Reload(t.Context(), c))
		require.Equal(t, name != "nothing", ended(s), name)
	}
}

// A login that a reload overtakes is no way round it.
func TestAttackReloadDuringLogin(t *testing.T) {
	c := config("127.0.0.1:1", &protocoltest.Recorder{})
	var gw *gateway.Gateway
	in := door(nil).Authenticate
	c.Steps[0].Authenticate = func(ctx context.Context, l *protocol.Login) (*protocol.Identity, error) {
		next := config("127.0.0.1:1", &protocoltest.Recorder{})
		next.Targets[0].Name = "elsewhere"
		if err := gw.Reload(ctx, next); err != nil {
			return nil, err
		}
		return in(ctx, l)
	}
	gw, err := gateway.New(c)
	require.NoError(t, err)
	_, err = open(t, gw, "open")
	require.ErrorContains(t, err, "the configuration changed during the login")
	require.Empty(t, gw.Sessions())
}

// What was asked for by the old rules does not run by them.
func TestAttackReloadWhileHeld(t *testing.T) {
	rec := &protocoltest.Recorder{}
	c := config("127.0.0.1:1", rec)
	held, approve := make(chan bool), make(chan bool)
	c.Steps[0] = door(func(op *protocol.Operation) protocol.Decision {
		if op.Verb != "drop" {
			return protocol.Allow("all")
		}
		return protocol.Hold("t", "drops", func(context.Context) (protocol.Decision, error) {
			held <- true
			<-approve
			return protocol.Allow("approved"), nil
		})
	})
	gw, err := gateway.New(c)
	require.NoError(t, err)
	s, err := open(t, gw, "open")
	require.NoError(t, err)
	done := make(chan error)
	go func() {
		_, err := s.Begin(t.Context(), &protocol.Operation{Verb: "drop", Access: protocol.Schema})
		done <- err
	}()
	<-held
	c.Steps = []middleware.Step{door(func(op *protocol.Operation) protocol.Decision {
		if op.Verb == "drop" {
			return protocol.Deny("nothing is dropped any more")
		}
		return protocol.Allow("all")
	}), rec.Step()}
	require.NoError(t, gw.Reload(t.Context(), c))
	require.False(t, ended(s))
	approve <- true
	require.ErrorContains(t, <-done, "the rules changed while this waited for approval")
}

// One session that cannot be asked about keeps no other one open.
func TestAttackReloadReachesEverySession(t *testing.T) {
	c := config("127.0.0.1:1", &protocoltest.Recorder{})
	gw, err := gateway.New(c)
	require.NoError(t, err)
	var all []*protocol.Session
	for range 8 {
		s, err := open(t, gw, "open")
		require.NoError(t, err)
		all = append(all, s)
	}
	hang := make(chan bool, 1)
	hang <- true
	release := make(chan bool)
	c.Steps = []middleware.Step{door(func(op *protocol.Operation) protocol.Decision {
		select {
		case <-hang:
			<-release
		default:
		}
		return protocol.Deny("nobody")
	}), (&protocoltest.Recorder{}).Step()}
	done := make(chan error, 1)
	go func() { done <- gw.Reload(t.Context(), c) }()
	require.Eventually(t, func() bool {
		n := 0
		for _, s := range all {
			if ended(s) {
				n++
			}
		}
		return n == len(all)-1
	}, 5*time.Second, time.Millisecond)
	close(release)
	require.NoError(t, <-done)
	var denied *protocol.DeniedError
	for _, s := range all {
		require.True(t, errors.As(context.Cause(s.Context()), &denied))
	}
}
