// Customconnector serves the connector of folder line: a gateway for a protocol
// that the library does not know. It prints a token to log in with.
//
//	TARGET=127.0.0.1:7000 TARGET_USER=app TARGET_PASSWORD=secret go run ./examples/customconnector
//	nc 127.0.0.1 7001
//	LOGIN target me <token>
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/examples/customconnector/line"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

func main() {
	token, hash := middleware.NewToken()
	fmt.Println("token:", token.Reveal())
	journal, err := audit.Open(cmp.Or(os.Getenv("JOURNAL"), "audit"), audit.Options{})
	if err != nil {
		log.Fatal(err)
	}
	gw, err := gateway.New(gateway.Config{
		Steps: []middleware.Step{
			middleware.Tokens(middleware.Token{Hash: hash, Subject: "me", Kind: protocol.Human, Groups: []string{"ops"}}),
			middleware.Authorize(middleware.Access{Name: "ops", Groups: []string{"ops"}, Targets: []string{"*"}}),
			middleware.Record(journal),
		},
		Targets: []gateway.Target{{Name: "target", Protocol: "line", Addr: os.Getenv("TARGET"),
			User: os.Getenv("TARGET_USER"), Secret: gateway.Env("TARGET_PASSWORD")}},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := gw.ListenAndServe(ctx, cmp.Or(os.Getenv("LISTEN"), "127.0.0.1:7001"), &line.Server{}); err != nil {
		log.Fatal(err)
	}
	// Open sessions may finish what they are at; then their ends are written.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := gw.Shutdown(ctx); err != nil {
		log.Print(err)
	}
}
