//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit of the times in /proc/<pid>/stat. The kernel fixes it at
// 1/100 s for user space (USER_HZ).
const tick = 10 * time.Millisecond

// A stat is what /proc/<pid>/stat says about a process.
type stat struct {
	parent       int
	self, reaped time.Duration // CPU of its own, and of children that it has waited for
}

func readStat(pid int) (s stat, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return s, err
	}
	// The second field is the program's name in parentheses and may hold
	// anything; proc(5) counts state, behind it, as the third.
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 15 {
		return s, fmt.Errorf("process %d: a short stat", pid)
	}
	var n [15]int
	for i := range n {
		n[i], _ = strconv.Atoi(f[i]) // the state is no number
	}
	return stat{parent: n[1], self: time.Duration(n[11]+n[12]) * tick, reaped: time.Duration(n[13]+n[14]) * tick}, nil
}

// cpuOf returns the CPU that process pid has used, 0 for process 0.
func cpuOf(pid int) (time.Duration, error) {
	if pid == 0 {
		return 0, nil
	}
	s, err := readStat(pid)
	return s.self, err
}

// cpuOfTree returns the CPU that pid and its children have used, those that are
// gone included.
func cpuOfTree(pid int) (time.Duration, error) {
	s, err := readStat(pid)
	if err != nil {
		return 0, err
	}
	sum := s.self + s.reaped
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	for _, dir := range all {
		id, _ := strconv.Atoi(filepath.Base(dir))
		if c, err := readStat(id); err == nil && c.parent == pid { // else it has just ended, and pid will count it
			sum += c.self
		}
	}
	return sum, nil
}

// ownCPU returns the CPU that this process has used.
func ownCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // cannot fail with these arguments
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// residentOf returns the resident memory of process pid in bytes. It reads the
// page tables' own sums: the counters in /proc/<pid>/statm may lag.
func residentOf(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "Rss:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("process %d: no Rss in smaps_rollup", pid)
}
