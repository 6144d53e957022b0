// Package gateway assembles an access gateway: a list of steps, a list of
// targets, and the protocol servers that stand between them.
//
// A gateway in ten lines of main:
//
//	gw, err := gateway.New(gateway.Config{
//		Steps: []middleware.Step{
//			middleware.Tokens(tokens...),
//			middleware.Authorize(access...),
//			middleware.Mask(rules...),
//			middleware.Record(journal),
//		},
//		Targets: []gateway.Target{{Name: "orders", Protocol: "postgres", Addr: "10.0.0.5:5432",
//			User: "svc", Secret: gateway.Env("ORDERS_PASSWORD")}},
//	})
//	if err != nil {
//		log.Fatal(err)
//	}
//	log.Fatal(gw.ListenAndServe(ctx, ":5432", &postgres.Server{}))
//
// Start with [New] and [Gateway.ListenAndServe]; [Load] reads the same from a
// file. Steps are in package middleware, connectors below package protocol.
package gateway
