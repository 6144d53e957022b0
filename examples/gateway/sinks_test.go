package main

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/slim/otlp/collector/logs/v1"
	"google.golang.org/protobuf/proto"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

// A sink is a server that is dead in its own way, until it lives.
type sink struct {
	name, death string
	to          string // what 'audit export' is told
	addr        string
	serve       func(s *sink, c net.Conn) // nil: http
	http        http.Handler

	mu    sync.Mutex
	alive bool
	held  []net.Conn
	tried int
	seen  map[uint64]bool
}

func (s *sink) saw(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[seq] = true
}

func (s *sink) lives() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.alive
}

// A holding listener keeps what it gets to itself while its sink
// only accepts.
type holding struct {
	net.Listener
	s *sink
}

func (l holding) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		l.s.mu.Lock()
		l.s.tried++
		hold := !l.s.alive && l.s.death == "never reads"
		if hold {
			l.s.held = append(l.s.held, c)
		}
		l.s.mu.Unlock()
		if !hold {
			return c, nil
		}
	}
}

func (s *sink) listen(t *testing.T) {
	l, err := net.Listen("tcp", s.addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	if s.serve == nil {
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !s.lives() {
				http.Error(w, "out of order", http.StatusInternalServerError)
				return
			}
			s.http.ServeHTTP(w, r)
		})}
		go func() { _ = srv.Serve(holding{l, s}) }()
		t.Cleanup(func() { _ = srv.Close() })
		return
	}
	go func() {
		for {
			c, err := holding{l, s}.Accept()
			if err != nil {
				return
			}
			if !s.lives() { // the nearest to an error that there is
				_, _ = io.ReadFull(c, make([]byte, 50))
				_ = c.Close()
				continue
			}
			s.serve(s, c)
		}
	}()
}

// revive lets the sink live, as somebody who starts it again does.
func (s *sink) revive(t *testing.T) {
	s.mu.Lock()
	s.alive = true
	held := s.held
	s.mu.Unlock()
	for _, c := range held {
		_ = c.Close()
	}
	if s.death == "refuses" {
		s.listen(t)
	}
}

func webhookSink(s *sink) {
	s.to = "http://" + s.addr + "/hook"
	s.http = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var batch []struct{ ID string }
		if json.NewDecoder(r.Body).Decode(&batch) == nil {
			for _, e := range batch {
				seq, _ := strconv.ParseUint(e.ID, 10, 64)
				s.saw(seq)
			}
		}
	})
}

func otlpSink(s *sink) {
	s.to = "otlp+http://" + s.addr + "/v1/logs"
	s.http = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			return
		}
		b, _ := io.ReadAll(z)
		var m collector.ExportLogsServiceRequest
		if proto.Unmarshal(b, &m) != nil {
			return
		}
		for _, rl := range m.ResourceLogs {
			for _, sl := range rl.ScopeLogs {
				for _, r := range sl.LogRecords {
					var e audit.Event
					if json.Unmarshal([]byte(r.Body.GetStringValue()), &e) == nil {
						s.saw(e.Seq)
					}
				}
			}
		}
	})
}

func syslogSink(s *sink) {
	s.to = "syslog+tcp://" + s.addr
	id := regexp.MustCompile(`externalId=\S+:(\d+) `)
	s.serve = func(s *sink, c net.Conn) {
		defer c.Close()
		r := bufio.NewReader(c)
		for {
			size, err := r.ReadString(' ')
			if err != nil {
				return
			}
			n, err := strconv.Atoi(strings.TrimSpace(size))
			if err != nil || n > 1<<20 {
				return
			}
			b := make([]byte, n)
			if _, err := io.ReadFull(r, b); err != nil {
				return
			}
			if m := id.FindSubmatch(b); m != nil {
				seq, _ := strconv.ParseUint(string(m[1]), 10, 64)
				s.saw(seq)
			}
		}
	}
}

func bucketSink(s *sink) {
	s.to = "s3://evidence/lines?region=us-east-1&endpoint=http://" + s.addr
	mem := s3mem.New()
	_ = mem.CreateBucket("evidence")
	fake := gofakes3.New(mem).Server()
	s.http = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fake.ServeHTTP(w, r)
		if r.Method != http.MethodPut {
			return
		}
		// What is kept is read back: a file has all events of its batch.
		name := strings.TrimPrefix(r.URL.Path, "/evidence/")
		o, err := mem.GetObject("evidence", name, nil)
		if err != nil {
			return
		}
		defer o.Contents.Close()
		z, err := gzip.NewReader(o.Contents)
		if err != nil {
			return
		}
		for lines := json.NewDecoder(z); ; {
			var e audit.Event
			if lines.Decode(&e) != nil {
				return
			}
			s.saw(e.Seq)
		}
	})
}

// Dead sinks, each in its own way, under load: the gateway answers as if there were
// none, what they cost is bounded, and when they live, each gets every event.
func TestDeadSinks(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") }))
	defer target.Close()
	port := must(servers.FreePort())
	token, hash := middleware.NewToken()
	require.NoError(t, os.WriteFile("g.yaml", []byte(fmt.Sprintf(`
listen: [{protocol: http, address: "127.0.0.1:%d", settings: {allow_plaintext: true, hosts: {127.0.0.1: app}}}]
targets: [{name: app, protocol: http, address: "%s", options: {auth: none, tls: disable}}]
steps:
  - tokens: {tokens: [{hash: %q, subject: alice, kind: human, groups: [dev]}]}
  - authorize: {rules: [{name: dev, groups: [dev], targets: [app]}]}
  - record: {dir: journal}
`, port, target.Listener.Addr(), hash)), 0o600))
	start := func(log string, args ...string) *exec.Cmd {
		c := exec.Command("gateway", args...)
		c.Env = append(os.Environ(), "SALLYPORT_WEBHOOK_SECRET=secret", "AWS_ACCESS_KEY_ID=id", "AWS_SECRET_ACCESS_KEY=secret")
		f, err := os.Create(log)
		require.NoError(t, err)
		t.Cleanup(func() { _ = f.Close() })
		c.Stderr = f
		require.NoError(t, c.Start())
		t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
		return c
	}
	gateway := start("gateway.log", "run", "-config", "g.yaml")
	awaited(t, "the gateway", func() bool { return strings.Contains(string(must(os.ReadFile("gateway.log"))), "protocol=http") })

	var sinks []*sink
	exporters := map[*sink]*exec.Cmd{}
	for name, kind := range map[string]func(*sink){"webhook": webhookSink, "otlp": otlpSink, "syslog": syslogSink, "bucket": bucketSink} {
		for _, death := range []string{"refuses", "never reads", "fails"} {
			s := &sink{name: name, death: death, addr: fmt.Sprint("127.0.0.1:", must(servers.FreePort())), seen: map[uint64]bool{}}
			kind(s)
			if death != "refuses" {
				s.listen(t)
			}
			sinks = append(sinks, s)
			folder := filepath.Join("exports", name+" "+death)
			require.NoError(t, os.MkdirAll(folder, 0o700))
			exporters[s] = start(folder+".log", "audit", "export", "-follow", "-every", "50ms", "-cursor", filepath.Join(folder, "cursor"), s.to, "journal")
		}
	}
	// A folder that cannot be written to is a dead sink as well.
	require.NoError(t, os.WriteFile("lake", nil, 0o600))
	start("lake.log", "audit", "export", "-follow", "-every", "50ms", "-cursor", "lake.cursor", "dir:lake", "journal")

	load := func(n int) {
		t.Helper()
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for i := range n / 4 {
					r, _ := http.NewRequest(http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/%d/%d?q=%s", port, w, i, strings.Repeat("x", 2000)), nil)
					r.Header.Set("Authorization", "Bearer "+token.Reveal())
					res, err := http.DefaultClient.Do(r)
					if err != nil {
						t.Error(err)
						return
					}
					b, err := io.ReadAll(res.Body)
					_ = res.Body.Close()
					if err != nil || res.StatusCode != http.StatusOK || string(b) != "here" {
						t.Errorf("%s: %q, %v", res.Status, b, err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	load(400)
	for _, s := range sinks {
		awaited(t, s.name+" that "+s.death+" to be tried", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.tried > 0 || s.death == "refuses" && strings.Contains(string(must(os.ReadFile(filepath.Join("exports", s.name+" "+s.death+".log")))), "the sink failed")
		})
	}
	load(400)
	for _, s := range sinks {
		require.Empty(t, s.seen, s.name)
	}

	for _, s := range sinks {
		s.revive(t)
	}
	require.NoError(t, os.Remove("lake"))
	load(100)
	require.NoError(t, gateway.Process.Signal(syscall.SIGTERM))
	require.NoError(t, gateway.Wait())
	all := uint64(0)
	for e, err := range audit.Events("journal") {
		require.NoError(t, err)
		all = e.Seq + 1
	}
	require.Greater(t, all, uint64(900))
	for _, s := range sinks {
		awaited(t, s.name+" that "+s.death+" to have all", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return uint64(len(s.seen)) == all
		})
		require.NoFileExists(t, filepath.Join("exports", s.name+" "+s.death, "cursor.rejected"))
		for name, size := range sizes(t, filepath.Join("exports", s.name+" "+s.death)) {
			require.Less(t, size, int64(1<<10), name)
		}
		require.Less(t, peak(t, exporters[s]), 200<<20, s.name+" that "+s.death)
	}
	awaited(t, "the folder to have all", func() bool {
		n, err := os.ReadFile("lake.cursor")
		return err == nil && strings.Contains(string(n), fmt.Sprintf(`"next":%d}`, all))
	})
	require.NotContains(t, string(must(os.ReadFile("gateway.log"))), "level=ERROR")
}

// awaited waits until ok, which takes as long as somebody who waits has patience.
func awaited(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(50 * time.Millisecond) {
		require.True(t, time.Now().Before(deadline), "waited too long for %s", what)
	}
}

// peak is the most memory that a process has had, in bytes.
func peak(t *testing.T, c *exec.Cmd) int {
	t.Helper()
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(must(os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Process.Pid))))
	require.NotNil(t, m)
	return must(strconv.Atoi(string(m[1]))) << 10
}
