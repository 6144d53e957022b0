package httpproxy_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/httpproxy"
)

// A service that knows one key, and people who never see it.
func ExampleServer() {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"path":%q,"known":%t,"email":"ada@example.com"}`, r.URL.Path, r.Header.Get("X-Api-Key") == "the service's key")
	}))
	defer service.Close()

	dir, err := os.MkdirTemp("", "journal-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	journal, err := audit.Open(dir, audit.Options{})
	if err != nil {
		log.Fatal(err)
	}
	token, hash := middleware.NewToken()
	gw, err := gateway.New(gateway.Config{
		Steps: []middleware.Step{
			middleware.Tokens(middleware.Token{Hash: hash, Subject: "ada", Kind: protocol.Human, Groups: []string{"dev"}}),
			middleware.Authorize(middleware.Access{Name: "dev", Groups: []string{"dev"}, Targets: []string{"orders"}, Access: []string{"read"}}),
			middleware.Mask(mask.Rule{Name: "mail", Fields: []string{"**.email"}, Transform: mask.Redact()}),
			middleware.Record(journal),
		},
		Targets: []gateway.Target{{Name: "orders", Protocol: "http", Addr: service.Listener.Addr().String(),
			Secret:  gateway.Fixed(protocol.NewSecret("the service's key")),
			Options: map[string]string{"tls": "disable", "auth": "header", "auth_name": "X-Api-Key"}}},
	})
	if err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	// In the open, clients come over TLS; see Server.TLS.
	go func() { _ = gw.Serve(context.Background(), l, &httpproxy.Server{AllowPlaintext: true, Paths: true}) }()

	for _, method := range []string{"GET", "DELETE"} {
		req, err := http.NewRequest(method, "http://"+l.Addr().String()+"/orders/v1/items/7", nil)
		if err != nil {
			log.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token.Reveal())
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			log.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		fmt.Printf("%s\n%s\n", res.Status, body)
	}
	http.DefaultClient.CloseIdleConnections()
	_ = gw.Shutdown(context.Background())
	_ = journal.Close()
	// Output:
	// 200 OK
	// {"path":"/v1/items/7","known":true,"email":"***"}
	// 403 Forbidden
	// no rule allows this
	// ask whoever runs the gateway for access
}
