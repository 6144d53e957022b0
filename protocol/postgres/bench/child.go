//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
)

// A child is this program run again in one of its roles, so that its CPU and
// memory can be told from everybody else's. It ends when its input is closed,
// so it does not outlive the parent.
type child struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	addr string
}

// self is this program.
const self = "/proc/self/exe"

// startChild starts a role of program and waits until it listens.
func startChild(program string, env []string, args ...string) (*child, error) {
	c := &child{cmd: exec.Command(program, args...)}
	c.cmd.Env = append(os.Environ(), env...)
	c.cmd.Stderr = os.Stderr
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := c.out.ReadString('\n')
	if err != nil {
		c.stop()
		return nil, fmt.Errorf("%s did not start: %w", args[0], err)
	}
	c.addr = strings.TrimSpace(line)
	return c, nil
}

// ask sends one of the commands of serveCommands and waits until it is done.
func (c *child) ask(command string) error {
	if _, err := fmt.Fprintln(c.in, command); err != nil {
		return err
	}
	line, err := c.out.ReadString('\n')
	if err != nil {
		return err
	}
	if line = strings.TrimSpace(line); line != "ok" {
		return errors.New(line)
	}
	return nil
}

func (c *child) stop() {
	_ = c.in.Close()
	_ = c.cmd.Wait() // how it ended does not matter any more
}

// listen returns a listener on a free port.
func listen() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }

// serveCommands tells the parent where l listens and does what it asks for,
// until it is gone: "gc" gives unused memory back, "profile <path>" and "stop"
// enclose what goes into <path>.cpu and <path>.allocs.
func serveCommands(l net.Listener) error {
	fmt.Println(l.Addr())
	in := bufio.NewScanner(os.Stdin)
	var cpu *os.File
	var path string
	for in.Scan() {
		verb, arg, _ := strings.Cut(in.Text(), " ")
		var err error
		switch verb {
		case "gc":
			runtime.GC()
			debug.FreeOSMemory()
		case "profile":
			path = arg
			if cpu, err = os.Create(path + ".cpu"); err == nil {
				err = pprof.StartCPUProfile(cpu)
			}
		case "stop":
			pprof.StopCPUProfile()
			err = errors.Join(cpu.Close(), writeAllocs(path+".allocs"))
		default:
			err = fmt.Errorf("unknown command %q", verb)
		}
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println("ok")
	}
	return in.Err()
}

func writeAllocs(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("allocs").WriteTo(f, 0), f.Close())
}
