package wire

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Conn returns a connection like c whose Read and Write cost less: the socket
// does not block, so its system calls are made without telling the scheduler,
// which otherwise takes the processor away from whoever is in one for 20
// microseconds, and gives it back; on a busy machine that is most calls. It
// returns c itself if c is no socket of the kernel's.
func Conn(c net.Conn) net.Conn {
	var s stream
	switch c := c.(type) {
	case *net.TCPConn:
		s = c
	case *net.UnixConn:
		s = c
	default:
		return c
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return c
	}
	d := &direct{stream: s, raw: raw}
	d.in.try, d.in.tryInto, d.out.try = d.in.read, d.in.readInto, d.out.write
	return d
}

// A stream is what the kernel's stream sockets have in common.
type stream interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
}

// direct is a socket whose system calls the scheduler does not see.
type direct struct {
	stream
	raw     syscall.RawConn
	in, out transfer
}

// A transfer is the Read or the Write that is under way.
type transfer struct {
	mu   sync.Mutex
	b    []byte
	n    int
	err  error
	into space
	// What the socket calls when it may be ready: read or write, and readInto.
	try, tryInto func(fd uintptr) bool
}

// Read implements [net.Conn].
func (d *direct) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, err := d.in.run(d.raw.Read, d.in.try, b)
	return d.received(n, err)
}

// readInto reads like Read, into the space of s.
func (d *direct) readInto(s space) (int, error) {
	n, err := d.in.runInto(d.raw.Read, s)
	return d.received(n, err)
}

func (d *direct) received(n int, err error) (int, error) {
	switch {
	case err != nil:
		return n, d.failed("read", err)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// Write implements [net.Conn].
func (d *direct) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, err := d.out.run(d.raw.Write, d.out.try, b)
	if err != nil {
		return n, d.failed("write", err)
	}
	return n, nil
}

func (d *direct) failed(op string, err error) error {
	if e, ok := err.(*net.OpError); ok { // of waiting: a deadline, a closed connection
		err = e.Err
	}
	return &net.OpError{Op: op, Net: d.LocalAddr().Network(), Source: d.LocalAddr(), Addr: d.RemoteAddr(), Err: err}
}

// run transfers b with try, which wait calls whenever the socket may be ready.
func (t *transfer) run(wait func(func(uintptr) bool) error, try func(uintptr) bool, b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b, t.n, t.err = b, 0, nil
	if err := wait(try); err != nil {
		t.err = err
	}
	t.b = nil
	return t.n, t.err
}

// runInto is run for a read into s.
func (t *transfer) runInto(wait func(func(uintptr) bool) error, s space) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.into, t.n, t.err = s, 0, nil
	if err := wait(t.tryInto); err != nil {
		t.err = err
	}
	t.into = nil
	return t.n, t.err
}

func (t *transfer) read(fd uintptr) bool {
	var again bool
	t.n, again, t.err = call("read", unix.SYS_READ, fd, t.b)
	return !again
}

func (t *transfer) readInto(fd uintptr) bool {
	var again bool
	t.n, again, t.err = call("read", unix.SYS_READ, fd, t.into.get())
	if again {
		t.into.unused()
	}
	return !again
}

func (t *transfer) write(fd uintptr) bool {
	for t.n < len(t.b) {
		n, again, err := call("write", unix.SYS_WRITE, fd, t.b[t.n:])
		if again {
			return false
		}
		if t.n, t.err = t.n+n, err; err != nil {
			break
		}
	}
	return true
}

// maxCall is the most that one system call transfers: the scheduler cannot
// stop the goroutine meanwhile.
const maxCall = 64 << 10

// call makes the system call trap on b. It reports whether the socket is not
// ready.
func call(name string, trap, fd uintptr, b []byte) (n int, again bool, err error) {
	b = b[:min(len(b), maxCall)]
	for {
		r, _, errno := unix.RawSyscall(trap, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		switch errno {
		case 0:
			return int(r), false, nil
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, true, nil
		default:
			return 0, false, os.NewSyscallError(name, errno)
		}
	}
}
