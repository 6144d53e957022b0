package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/postgres"
)

// A gateway takes steps and targets; the server is what its listeners speak.
func ExampleServer() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	journal, err := audit.Open(dir, audit.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer journal.Close()
	token, hash := middleware.NewToken()

	gw, err := gateway.New(gateway.Config{
		Steps: []middleware.Step{
			middleware.Tokens(middleware.Token{Hash: hash, Subject: "alice", Kind: protocol.Human, Groups: []string{"dba"}}),
			middleware.Authorize(middleware.Access{Name: "dba", Groups: []string{"dba"}, Targets: []string{"orders"}}),
			middleware.Record(journal),
		},
		Targets: []gateway.Target{{Name: "orders", Protocol: "postgres", Addr: "10.0.0.5:5432",
			User: "svc_gateway", Secret: gateway.Env("ORDERS_PASSWORD"),
			Options: map[string]string{"dbname": "shop", "require_auth": "scram-sha-256"}}},
	})
	if err != nil {
		log.Fatal(err)
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- gw.Serve(ctx, l, &postgres.Server{}) }() // a program gives it TLS

	// Without it a token would cross the network in the clear.
	_, err = pgx.Connect(ctx, "postgres://alice:"+token.Reveal()+"@"+l.Addr().String()+"/orders?sslmode=disable")
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		fmt.Println(refused.Message)
	}

	stop()
	fmt.Println(<-served, gw.Shutdown(context.Background()))
	// Output:
	// this gateway takes passwords and tokens over TLS only: use sslmode=require or stronger
	// <nil> <nil>
}

func ExampleServer_CheckTarget() {
	var s postgres.Server
	err := s.CheckTarget(protocol.Resource{Addr: "10.0.0.5:5432", Options: map[string]string{"sslmode": "full"}})
	fmt.Println(err)
	// Output: option sslmode: "full" is none of disable, prefer, require, verify-ca, verify-full
}
