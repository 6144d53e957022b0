package main

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// notify tells the service manager about a change of state, as sd_notify(3)
// does. Without a service manager it does nothing; one that does not listen is
// no reason to stop.
func notify(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"}) // "@" is the abstract namespace
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(state))
}

func notifyReady(status string) { notify("READY=1\nSTATUS=" + status) }

// notifyReloading needs the moment by the clock that systemd compares with.
func notifyReloading() {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return
	}
	notify(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", t.Nano()/1000))
}

func notifyStopping() { notify("STOPPING=1") }
