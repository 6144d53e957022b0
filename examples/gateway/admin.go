package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/approval"
)

// adminSettings describe the listener for approvers and for health checks.
type adminSettings struct {
	Address string      `yaml:"address"`
	URL     string      `yaml:"url"` // what approvers open; by default made from the address
	TLS     tlsSettings `yaml:"tls"`
}

func (s *adminSettings) check() error {
	if s.Address == "" {
		if *s != (adminSettings{}) {
			return errors.New("admin: address is missing")
		}
		return nil
	}
	host, _, err := net.SplitHostPort(s.Address)
	if err != nil {
		return errors.New("admin: address: want host:port, such as 127.0.0.1:7443")
	}
	if s.TLS == (tlsSettings{}) && host != "localhost" && !net.ParseIP(host).IsLoopback() {
		return errors.New("admin: an address that other machines can reach needs tls, because the tokens of approvers pass through it")
	}
	if u, err := url.Parse(s.URL); s.URL != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		return errors.New("admin: url: want a URL such as https://gateway.example.com")
	}
	return nil
}

func (s *adminSettings) url() string {
	switch {
	case s.URL != "":
		return s.URL
	case s.TLS != tlsSettings{}:
		return "https://" + s.Address
	}
	return "http://" + s.Address
}

// absent answers for pages that the configuration does not ask for.
func absent(setting string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = fmt.Fprintf(w, "{\"error\": \"the gateway's configuration has no %s, so this is for nobody\"}\n", setting)
	})
}

// listenAdmin opens the listener and returns what serves it. Whoever decides
// logs in by the same steps as everybody else.
func listenAdmin(s adminSettings, gw *gateway.Gateway, b *approval.Broker, pages map[string]http.Handler, log *slog.Logger) (net.Listener, *http.Server, error) {
	mux := http.NewServeMux()
	if b != nil {
		h := approval.Handler(b, approval.Bearer(gw.Authenticate))
		mux.Handle("/approvals", h)
		mux.Handle("/approvals/", h)
		mux.Handle("GET /{$}", http.RedirectHandler("/approvals", http.StatusSeeOther))
	}
	for path, page := range pages {
		mux.Handle(path, page)
	}
	for path, setting := range map[string]string{"/approvals": "step approve", "/audit": "audit", "/sessions": "sessions", "/sealed": "audit"} {
		if _, on := pages[path]; !on && (b == nil || path != "/approvals") {
			mux.Handle(path, absent(setting))
			mux.Handle(path+"/", absent(setting))
		}
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10, // room for the largest bearer token
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	var conf *tls.Config
	if s.TLS != (tlsSettings{}) {
		var err error
		if conf, err = s.TLS.config(log); err != nil {
			return nil, nil, err
		}
		conf.NextProtos = []string{"h2", "http/1.1"}
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", s.Address)
	if err != nil {
		return nil, nil, err
	}
	if conf != nil {
		l = tls.NewListener(l, conf)
	}
	return l, srv, nil
}
