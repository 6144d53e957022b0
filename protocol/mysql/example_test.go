package mysql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"net"
	"os"

	driver "github.com/go-sql-driver/mysql"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/mysql"
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
		Targets: []gateway.Target{{Name: "orders", Protocol: "mysql", Addr: "10.0.0.5:3306",
			User: "svc_gateway", Secret: gateway.Env("ORDERS_PASSWORD"),
			Options: map[string]string{"dbname": "shop", "require_auth": "caching_sha2_password"}}},
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
	go func() { served <- gw.Serve(ctx, l, &mysql.Server{}) }() // a program gives it TLS

	// Without it a token would cross the network in the clear.
	db, err := sql.Open("mysql", "alice@orders:"+token.Reveal()+"@tcp("+l.Addr().String()+")/shop?allowCleartextPasswords=true")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	var refused *driver.MySQLError
	if errors.As(db.Ping(), &refused) {
		fmt.Println(refused.Message)
	}
	stop()
	if err := <-served; err != nil {
		log.Fatal(err)
	}
	// Output: this gateway takes passwords and tokens over TLS only
}
