package httpproxy_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkRequest asks over 8 connections of HTTP/1.1 for 1 KiB, once through a bare
// httputil.ReverseProxy. What client and target allocate is nothing; see bench for
// throughput, with each in a process of its own. Go 1.26.8:
//
//	reverseproxy   39,460 B/op    75 allocs/op   32 KiB of which are a buffer
//	gateway        10,470 B/op   111 allocs/op
func BenchmarkRequest(b *testing.B) {
	target := rawTarget(b)
	b.Run("reverseproxy", func(b *testing.B) {
		u := &url.URL{Scheme: "http", Host: target}
		p := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) },
			Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(b, err)
		srv := &http.Server{Handler: p}
		go func() { _ = srv.Serve(l) }()
		defer srv.Close()
		askRaw(b, l.Addr().String(), "none")
	})
	b.Run("gateway", func(b *testing.B) {
		r := newRig(b, rigConfig{plain: true, addr: target, options: map[string]string{"auth": "none", "safe_methods": "pure"}})
		askRaw(b, r.addr, r.token)
	})
}

var rawAnswer = []byte("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nDate: Tue, 24 Nov 2026 12:00:00 GMT\r\nContent-Length: 1024\r\n\r\n" + strings.Repeat("x", 1024))

// rawTarget answers requests without bodies.
func rawTarget(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				buf := make([]byte, 4<<10)
				for n := 0; ; {
					m, err := nc.Read(buf[n:])
					if err != nil {
						return
					}
					if n += m; bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
						if n = 0; write(nc, rawAnswer) != nil {
							return
						}
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

func write(w io.Writer, b []byte) error {
	_, err := w.Write(b)
	return err
}

func askRaw(b *testing.B, addr, token string) {
	request := fmt.Appendf(nil, "GET /bench/1k HTTP/1.1\r\nHost: app.gw.test\r\nAuthorization: Bearer %s\r\nUser-Agent: bench/1\r\n\r\n", token)
	b.ReportAllocs()
	b.SetParallelism(max(1, 8/runtime.GOMAXPROCS(0)))
	b.RunParallel(func(pb *testing.PB) {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			b.Error(err)
			return
		}
		defer nc.Close()
		buf := make([]byte, 4<<10)
		for pb.Next() {
			if err := write(nc, request); err != nil {
				b.Error(err)
				return
			}
			for n, whole := 0, -1; whole < 0 || n < whole; {
				m, err := nc.Read(buf[n:])
				if err != nil {
					b.Error(err)
					return
				}
				n += m
				if end := bytes.Index(buf[:n], []byte("\r\n\r\n")); whole < 0 && end >= 0 {
					if whole = end + 4 + 1024; !bytes.HasPrefix(buf, []byte("HTTP/1.1 200 OK")) {
						b.Errorf("%.200s", buf[:n])
						return
					}
				}
			}
		}
	})
}
