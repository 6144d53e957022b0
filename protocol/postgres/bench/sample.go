//go:build linux

package main

import (
	"time"
)

// A sample is what one party did in one round.
type sample struct {
	ops  float64 // units of work: queries, rows, sessions
	gb   float64 // 1e9 bytes of result that the client has read
	took time.Duration

	client, server, proxy time.Duration // CPU

	p50, p99 time.Duration
	kib      float64 // resident memory for each idle session
}

// meter measures CPU from its creation to stop.
type meter struct {
	b             *bed
	pid           int
	start         time.Time
	server, proxy time.Duration
}

func (b *bed) meter(p *party) (m meter, err error) {
	m.b, m.pid = b, p.pid
	if m.server, err = cpuOfTree(b.pgPID); err != nil {
		return m, err
	}
	if m.proxy, err = cpuOf(p.pid); err != nil {
		return m, err
	}
	m.start = time.Now()
	return m, nil
}

// stop puts the times into s.
func (m *meter) stop(s *sample) error {
	s.took = time.Since(m.start)
	proxy, err := cpuOf(m.pid)
	if err != nil {
		return err
	}
	server, err := cpuOfTree(m.b.pgPID)
	if err != nil {
		return err
	}
	s.proxy, s.server = proxy-m.proxy, server-m.server
	return nil
}

// Values that rows of the table show.

func perSecond(s sample) float64 { return s.ops / s.took.Seconds() }

// proxyMicros is the proxy's CPU for each unit, in microseconds.
func proxyMicros(s sample) float64 { return float64(s.proxy.Nanoseconds()) / 1e3 / s.ops }

// allMicros is everybody's CPU for each unit: what the unit costs the machine,
// and so what throughput comes to when all cores are busy.
func allMicros(s sample) float64 {
	return float64((s.client + s.server + s.proxy).Nanoseconds()) / 1e3 / s.ops
}

func proxyPerGB(s sample) float64 { return s.proxy.Seconds() / s.gb }

func rowsPerCore(s sample) float64 { return s.ops / s.proxy.Seconds() }

func p50Micros(s sample) float64 { return float64(s.p50.Nanoseconds()) / 1e3 }

func p99Micros(s sample) float64 { return float64(s.p99.Nanoseconds()) / 1e3 }

func kibEach(s sample) float64 { return s.kib }

// corePercent is the proxy's CPU in percent of one core.
func corePercent(s sample) float64 { return 100 * s.proxy.Seconds() / s.took.Seconds() }
