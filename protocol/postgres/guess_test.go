package postgres

import (
	"errors"
	"net"
	"testing"
	"time"
)

// Whoever has many addresses takes no more memory than the bound, and no more
// guesses once it is reached.
func TestGuessersAreBounded(t *testing.T) {
	var cs cancels
	looked := 0
	for i := range 3 * maxGuessers {
		remote := &net.TCPAddr{IP: net.IPv4(10, byte(i>>16), byte(i>>8), byte(i))}
		if _, err := cs.find(&cancelRequest{pid: 1, key: []byte("1234")}, remote); !errors.Is(err, errIgnored) {
			looked++
		}
	}
	if n := len(cs.guessers); n > maxGuessers+1 {
		t.Fatalf("%d addresses are kept", n)
	}
	if looked > maxGuessers+2*cancelBurst {
		t.Fatalf("%d guesses were looked at", looked)
	}
}

func TestGuessersOfOneIPv6NetworkShareABucket(t *testing.T) {
	var cs cancels
	now := time.Now()
	a := cs.guesser(&net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Zone: "eth0"}, now)
	b := cs.guesser(&net.TCPAddr{IP: net.ParseIP("2001:db8::ffff:2")}, now)
	c := cs.guesser(&net.TCPAddr{IP: net.ParseIP("2001:db8:0:1::1")}, now)
	if a != b || a == c {
		t.Fatal("buckets are not those of the networks")
	}
}
