package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Process is the process of a server, with a folder of its own.
type Process struct {
	dir  string
	end  syscall.Signal // ends it at once
	cmd  *exec.Cmd
	log  *logBuffer
	exit chan struct{} // closed when the server is gone
	stop sync.Once
}

// launch starts what command returns for a free port, on another one if somebody
// took that a moment ago, and returns the port as soon as ready is true.
func (p *Process) launch(ctx context.Context, command func(port int) *exec.Cmd, acc account, ready func(port int) bool) (port int, err error) {
	p.log = &logBuffer{}
	for try := 1; ; try++ {
		if port, err = FreePort(); err != nil {
			return 0, err
		}
		p.cmd, p.exit = command(port), make(chan struct{})
		p.cmd.Dir, p.cmd.Env, p.cmd.SysProcAttr = p.dir, cleanEnv(), acc.attr()
		p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
		if err := p.cmd.Start(); err != nil {
			return 0, err
		}
		go func(cmd *exec.Cmd, exit chan struct{}) {
			_ = cmd.Wait() // the log says why
			close(exit)
		}(p.cmd, p.exit)
		if err = p.await(ctx, func() bool { return ready(port) }); err == nil {
			return port, nil
		}
		p.kill()
		if try == 5 || !strings.Contains(p.Log(), "Address already in use") {
			return 0, fmt.Errorf("%s: %w\n%s", p.cmd.Path, err, tail([]byte(p.Log())))
		}
	}
}

// PID returns the number of the server's process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

func (p *Process) await(ctx context.Context, ready func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		select {
		case <-p.exit:
			return errors.New("ended while it was starting")
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// Log returns what the server has logged so far.
func (p *Process) Log() string { return p.log.String() }

// Stop ends the server at once and removes its folder. It may be called more
// than once.
func (p *Process) Stop() {
	p.stop.Do(func() {
		p.kill()
		_ = os.RemoveAll(p.dir) // a temporary folder: the system removes it one day
	})
}

func (p *Process) kill() {
	_ = p.cmd.Process.Signal(p.end) // gone already: exit is closed soon
	select {
	case <-p.exit:
	case <-time.After(10 * time.Second):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // its own process group
		<-p.exit
	}
}

// cleanEnv keeps a developer's PGHOST, MYSQL_HOST and the like out.
func cleanEnv() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "PG") && !strings.HasPrefix(kv, "MYSQL") && !strings.HasPrefix(kv, "MARIADB") {
			env = append(env, kv)
		}
	}
	return append(env, "LC_ALL=C.UTF-8", "TZ=UTC")
}

// logBuffer keeps the last of what a program prints.
type logBuffer struct {
	mu sync.Mutex
	b  []byte
}

const maxLog = 1 << 20

// Write implements io.Writer.
func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(l.b, b...)
	if n := len(l.b) - maxLog; n > 0 {
		l.b = append(l.b[:0], l.b[n:]...)
	}
	return len(b), nil
}

// String returns what is kept.
func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.b)
}
