package servers_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

func ExampleStartPostgres() {
	ctx := context.Background()
	inst, err := servers.FindPostgres(ctx)
	if errors.Is(err, servers.ErrNoPostgres) {
		inst, err = servers.InstallPostgres(ctx, os.Stderr)
	}
	if err != nil {
		log.Fatal(err)
	}
	pg, err := servers.StartPostgres(ctx, servers.PostgresConfig{
		Install: &inst,
		Roles:   []servers.Role{{Name: "shop", Password: "secret", Grant: "GRANT SELECT ON ALL TABLES IN SCHEMA public TO shop"}},
		SQL:     []string{servers.SampleSQL},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer pg.Stop()

	out, err := pg.Exec(ctx, "SET ROLE shop", "SELECT name FROM customers WHERE id = 1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(out)
	// Output: Ada Marlowe
}

func ExampleNewAuthority() {
	ca, err := servers.NewAuthority("demo")
	if err != nil {
		log.Fatal(err)
	}
	cert, err := ca.Issue(servers.Subject{CommonName: "gateway", Hosts: []string{"localhost", "127.0.0.1"}})
	if err != nil {
		log.Fatal(err)
	}
	_, err = cert.Leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), DNSName: "localhost"})
	fmt.Println(err)
	chain, key, err := servers.EncodePEM(cert)
	if err != nil {
		log.Fatal(err)
	}
	_, err = tls.X509KeyPair(chain, key)
	fmt.Println(err)
	// Output:
	// <nil>
	// <nil>
}
