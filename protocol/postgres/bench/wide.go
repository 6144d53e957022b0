//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"
)

// wide returns the work of reading all rows of a query with a client that does
// nothing but count them.
func wide(query string) func(context.Context, *bed, string) (sample, error) {
	return func(ctx context.Context, b *bed, name string) (s sample, err error) {
		p := b.parties[name]
		conn, err := p.connect(ctx)
		if err != nil {
			return s, err
		}
		raw, err := conn.Hijack()
		if err != nil {
			return s, err
		}
		defer raw.Conn.Close()
		if _, _, err := readAll(raw.Conn, "SELECT 1 FROM pgbench_branches LIMIT 1"); err != nil { // what a first query costs is not meant
			return s, err
		}
		m, err := b.meter(p)
		if err != nil {
			return s, err
		}
		own := ownCPU()
		rows, bytes, err := readAll(raw.Conn, query)
		if err != nil {
			return s, err
		}
		s.client = ownCPU() - own
		if err := m.stop(&s); err != nil {
			return s, err
		}
		if rows != b.rows {
			return s, fmt.Errorf("%d rows came, not %d", rows, b.rows)
		}
		s.ops, s.gb = float64(rows), float64(bytes)/1e9
		return s, nil
	}
}

// readAll sends a simple query and reads up to ReadyForQuery.
func readAll(conn net.Conn, query string) (rows int, bytes int64, err error) {
	if err := conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return 0, 0, err
	}
	if _, err := conn.Write(message(nil, 'Q', append([]byte(query), 0)...)); err != nil {
		return 0, 0, err
	}
	buf := make([]byte, 256<<10)
	start, end := 0, 0
	for {
		if end-start < 5 {
			end = copy(buf, buf[start:end])
			start = 0
			n, err := io.ReadAtLeast(conn, buf[end:], 5-end)
			if err != nil {
				return rows, bytes, err
			}
			end += n
			bytes += int64(n)
			continue
		}
		typ, n := buf[start], int(binary.BigEndian.Uint32(buf[start+1:]))+1
		switch typ {
		case 'D':
			rows++
		case 'E':
			return rows, bytes, fmt.Errorf("the server says %q", buf[start:min(end, start+n)])
		case 'Z':
			return rows, bytes, nil
		}
		for start += n; start > end; {
			skipped, err := conn.Read(buf)
			if err != nil {
				return rows, bytes, err
			}
			bytes += int64(skipped)
			start, end = start-end, skipped
		}
	}
}

// copyOut reads the table wide with psql and COPY.
func copyOut(ctx context.Context, b *bed, name string) (s sample, err error) {
	p := b.parties[name]
	m, err := b.meter(p)
	if err != nil {
		return s, err
	}
	cmd := p.client(ctx, b.psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", "COPY wide TO STDOUT")
	count := &counter{}
	cmd.Stdout = count
	if err := cmd.Run(); err != nil {
		return s, fmt.Errorf("psql: %w", err)
	}
	if err := m.stop(&s); err != nil {
		return s, err
	}
	if count.lines != b.rows {
		return s, fmt.Errorf("%d lines came, not %d", count.lines, b.rows)
	}
	s.ops, s.gb = float64(count.lines), float64(count.bytes)/1e9
	s.client = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return s, nil
}

// counter counts what is written to it.
type counter struct {
	lines int
	bytes int64
}

// Write implements io.Writer.
func (c *counter) Write(b []byte) (int, error) {
	for _, x := range b {
		if x == '\n' {
			c.lines++
		}
	}
	c.bytes += int64(len(b))
	return len(b), nil
}
