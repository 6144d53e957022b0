package middleware_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

func openRecordJournal(t testing.TB, dir string) *audit.Journal {
	t.Helper()
	j, err := audit.Open(dir, audit.Options{MinFree: 1})
	require.NoError(t, err)
	t.Cleanup(func() { _ = j.Close() })
	return j
}

// recordedSession opens a session on a chain that allows and records, and returns it
// after its Connect operation.
func recordedSession(t testing.TB, steps ...middleware.Step) *protocol.Session {
	t.Helper()
	allow := middleware.Step{Name: "allow", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if op.Verb == "drop table" {
			return protocol.Deny("not today"), nil
		}
		return protocol.Allow("all"), nil
	}}
	c, err := middleware.NewChain(append([]middleware.Step{allow}, steps...)...)
	require.NoError(t, err)
	s := protocol.NewSession(context.Background(), protocol.SessionConfig{Engine: c, Info: &protocol.SessionInfo{
		Protocol: "toy", Identity: &protocol.Identity{Issuer: "static", Subject: "alice"}, Resource: protocol.Resource{Name: "orders"}}})
	require.NoError(t, s.Connect(t.Context(), &protocol.Operation{}))
	return s
}

func keptKinds(t testing.TB, dir string) (kinds []audit.Kind) {
	t.Helper()
	for e, err := range audit.Events(dir) {
		require.NoError(t, err)
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

func TestRecord(t *testing.T) {
	dir := t.TempDir()
	j := openRecordJournal(t, dir)
	s := recordedSession(t, middleware.Record(j))
	x, err := s.Begin(t.Context(), &protocol.Operation{Verb: "select", Text: "select 1", Access: protocol.Read, Pure: true})
	require.NoError(t, err)
	x.End(protocol.Outcome{Status: protocol.StatusOK, Rows: 1})
	_, err = s.Begin(t.Context(), &protocol.Operation{Verb: "drop table", Text: "drop table t", Access: protocol.Schema})
	require.ErrorContains(t, err, "not today")
	s.Close(nil)
	require.NoError(t, j.Close())
	require.Equal(t, []audit.Kind{audit.JournalSegment, audit.JournalOpened, audit.SessionOpened, audit.CommandDecided,
		audit.CommandCompleted, audit.CommandDecided, audit.SessionClosed, audit.JournalClosed}, keptKinds(t, dir))
	rep, err := audit.Verify(dir, j.Head())
	require.NoError(t, err)
	require.True(t, rep.Closed)
}

// TestRecordIsSafeInTime holds the first invariant: what may change anything
// is durable when Commit(BeforeSend) returns, and everything is in the kernel
// when Commit(BeforeRelease) does.
func TestRecordIsSafeInTime(t *testing.T) {
	for name, test := range map[string]struct {
		opts                    []middleware.RecordOption
		ops                     []*protocol.Operation
		durableBefore, inKernel bool // after BeforeSend
	}{
		"read":          {ops: []*protocol.Operation{{Verb: "select", Pure: true, Access: protocol.Read}}},
		"unproven read": {ops: []*protocol.Operation{{Verb: "select", Access: protocol.Read}}, durableBefore: true, inKernel: true},
		"write":         {ops: []*protocol.Operation{{Verb: "update", Access: protocol.Write}}, durableBefore: true, inKernel: true},
		"batch with a write": {ops: []*protocol.Operation{{Verb: "select", Pure: true}, {Verb: "update"}, {Verb: "select", Pure: true}},
			durableBefore: true, inKernel: true},
		"strict read": {opts: []middleware.RecordOption{middleware.RecordStrict()}, ops: []*protocol.Operation{{Verb: "select", Pure: true}}, durableBefore: true, inKernel: true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			j := openRecordJournal(t, dir)
			s := recordedSession(t, middleware.Record(j, test.opts...))
			before := j.Head().Size
			require.NoError(t, s.Ask(t.Context(), test.ops))
			require.Equal(t, before, j.Head().Size, "deciding waits for no disk")
			require.NoError(t, s.Commit(t.Context(), protocol.BeforeSend, test.ops))
			require.Equal(t, test.durableBefore, j.Head().Size > before)
			if test.inKernel {
				require.Contains(t, keptKinds(t, dir), audit.CommandDecided)
			}
			require.NoError(t, s.Commit(t.Context(), protocol.BeforeRelease, test.ops))
			require.Equal(t, len(test.ops), countKind(keptKinds(t, dir), audit.CommandDecided))
			s.Close(nil)
		})
	}
}

func countKind(kinds []audit.Kind, k audit.Kind) (n int) {
	for _, have := range kinds {
		if have == k {
			n++
		}
	}
	return n
}

func TestRecordFailureRefuses(t *testing.T) {
	j := openRecordJournal(t, t.TempDir())
	s := recordedSession(t, middleware.Record(j))
	require.NoError(t, j.Close())
	_, err := s.Begin(t.Context(), &protocol.Operation{Verb: "select", Pure: true})
	require.ErrorIs(t, err, audit.ErrClosed)
	require.ErrorIs(t, err, protocol.ErrUnavailable, "it can be tried again")
	require.Equal(t, protocol.FixedReason, protocol.Reason(err), "the client does not read why")
	s.Close(nil)
}

func TestRecordNothing(t *testing.T) {
	_, err := middleware.NewChain(middleware.Record(nil))
	require.ErrorContains(t, err, "no journal")
}

func TestRecordDetail(t *testing.T) {
	dir := t.TempDir()
	j := openRecordJournal(t, dir)
	s := recordedSession(t, middleware.Record(j, middleware.RecordDetail(audit.Detail{HideArgs: true})))
	x, err := s.Begin(t.Context(), &protocol.Operation{Verb: "select", Text: "select $1", Args: []protocol.Arg{{Text: "hunter2"}}})
	require.NoError(t, err)
	x.End(protocol.Outcome{Status: protocol.StatusOK})
	s.Close(nil)
	require.NoError(t, j.Close())
	files, err := filepath.Glob(filepath.Join(dir, "*.journal"))
	require.NoError(t, err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		require.NotContains(t, string(b), "hunter2")
		require.Contains(t, string(b), "select $1")
	}
}

// Whatever was decided, and whenever it is written, says by which rules.
func TestRecordPolicy(t *testing.T) {
	dir := t.TempDir()
	j := openRecordJournal(t, dir)
	s := recordedSession(t, middleware.Record(j, middleware.RecordPolicy("9f86d0"), middleware.RecordDetail(audit.Detail{HideArgs: true})))
	for _, pure := range []bool{true, false} {
		x, err := s.Begin(t.Context(), &protocol.Operation{Verb: "select", Text: "select 1", Pure: pure})
		require.NoError(t, err)
		x.End(protocol.Outcome{Status: protocol.StatusOK})
	}
	s.Close(nil)
	require.NoError(t, j.Close())
	decisions := 0
	for e, err := range audit.Events(dir) {
		require.NoError(t, err)
		if e.Decision != nil {
			decisions++
			require.EqualValues(t, "9f86d0", e.Decision.Policy, e.Kind)
		}
	}
	require.Equal(t, 3, decisions, "of the connection, the read and the other")
}

func TestRecordManySessions(t *testing.T) {
	dir := t.TempDir()
	j := openRecordJournal(t, dir)
	step := middleware.Record(j)
	var wg sync.WaitGroup
	for range 8 {
		s := recordedSession(t, step)
		wg.Go(func() {
			defer s.Close(nil)
			for i := range 50 {
				x, err := s.Begin(context.Background(), &protocol.Operation{Verb: "select", Pure: i%10 != 0})
				if err != nil {
					t.Error(err)
					return
				}
				x.End(protocol.Outcome{Status: protocol.StatusOK})
			}
		})
	}
	wg.Wait()
	require.NoError(t, j.Close())
	rep, err := audit.Verify(dir, j.Head())
	require.NoError(t, err)
	require.True(t, rep.Closed)
	require.EqualValues(t, 400, rep.Kinds[audit.CommandCompleted])
}

func decodeRecordYAML(text string) func(any) error {
	return func(into any) error { return yaml.UnmarshalWithOptions([]byte(text), into, yaml.Strict()) }
}

func TestRecordKind(t *testing.T) {
	var set audit.Set
	k := middleware.RecordKind(&set)
	require.Equal(t, "record", k.Name)
	dir := filepath.Join(t.TempDir(), "journal")
	config := fmt.Sprintf("dir: %s\nstrict: true\nhide_args: true\nhide_key: abc\nsegment_size: 1048576\nmin_free: 1\n", dir)
	old, err := k.New(decodeRecordYAML(config))
	require.NoError(t, err)
	s := recordedSession(t, old)
	renewed, err := k.New(decodeRecordYAML(config)) // the file is read again
	require.NoError(t, err)
	require.NoError(t, old.Close())
	x, err := s.Begin(t.Context(), &protocol.Operation{Verb: "select", Pure: true})
	require.NoError(t, err, "the journal is still in use")
	x.End(protocol.Outcome{Status: protocol.StatusOK})
	s.Close(nil)
	require.NoError(t, renewed.Close())
	kinds := keptKinds(t, dir)
	require.Equal(t, audit.JournalClosed, kinds[len(kinds)-1])
	require.False(t, slices.Contains(kinds[:len(kinds)-1], audit.JournalClosed))

	_, err = k.New(decodeRecordYAML("strict: true\n"))
	require.ErrorContains(t, err, "dir")
	_, err = k.New(decodeRecordYAML("dir: x\nsegment_sise: 5\n"))
	require.ErrorContains(t, err, "segment_sise")
	_, err = k.New(decodeRecordYAML("dir: x\nsegment_size: -5\n"))
	require.ErrorContains(t, err, "segment_size")
}

// The key of a journal is changed in the configuration.
func TestRecordKindChangesItsKey(t *testing.T) {
	dir := t.TempDir()
	key := func(name string) (file, public string) {
		private, public, err := audit.NewKey("gateway.example.com")
		require.NoError(t, err)
		file = filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte(private.Reveal()), 0o600))
		return file, public
	}
	first, public := key("first")
	second, _ := key("second")
	open := func(rest string) error {
		var set audit.Set
		s, err := middleware.RecordKind(&set).New(decodeRecordYAML(fmt.Sprintf("dir: %s/journal\nmin_free: 1\n%s", dir, rest)))
		if err == nil {
			err = s.Close()
		}
		return err
	}
	require.NoError(t, open("key_file: "+first+"\n"))
	require.ErrorContains(t, open("key_file: "+second+"\n"), "old keys")
	require.ErrorContains(t, open("key_file: "+second+"\nold_keys: [nonsense]\n"), "nonsense")
	require.NoError(t, open("key_file: "+second+"\nold_keys: ["+public+"]\n"))
	require.NoError(t, open("key_file: "+second+"\n"))
}
