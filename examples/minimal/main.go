// Minimal is a gateway for one PostgreSQL in ten lines of main. It prints a
// token to log in with.
//
//	TARGET=127.0.0.1:5432 TARGET_USER=postgres TARGET_PASSWORD=secret go run ./examples/minimal
//	PGPASSWORD=<token> psql -h 127.0.0.1 -p 6432 -d target/postgres -U anything
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"os"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/postgres"
)

func main() {
	token, hash := middleware.NewToken()
	fmt.Println("token:", token.Reveal())
	journal, err := audit.Open("audit", audit.Options{})
	if err != nil {
		log.Fatal(err)
	}
	gw, err := gateway.New(gateway.Config{
		Steps: []middleware.Step{
			middleware.Tokens(middleware.Token{Hash: hash, Subject: "me", Kind: protocol.Human, Groups: []string{"dba"}}),
			middleware.Authorize(middleware.Access{Name: "dba", Groups: []string{"dba"}, Targets: []string{"*"}}),
			middleware.Record(journal),
		},
		Targets: []gateway.Target{{Name: "target", Protocol: "postgres", Addr: os.Getenv("TARGET"),
			User: os.Getenv("TARGET_USER"), Secret: gateway.Env("TARGET_PASSWORD"),
			Options: map[string]string{"sslmode": "disable"}}},
	})
	if err != nil {
		log.Fatal(err)
	}
	addr := cmp.Or(os.Getenv("LISTEN"), "127.0.0.1:6432")
	log.Fatal(gw.ListenAndServe(context.Background(), addr, &postgres.Server{AllowPlaintext: true}))
}
