// Package sslmode reads the options of a target that say how the connection to
// it is encrypted. They are libpq's, and the same for every database.
package sslmode

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/sallyport-dev/gateway/protocol"
)

// The options, as in [protocol.Resource].
const (
	optMode     = "sslmode"     // disable, prefer, require, verify-ca, verify-full (default)
	optRootCert = "sslrootcert" // file with the CAs that may sign the target's certificate; default: the system's
	optCert     = "sslcert"     // file with the gateway's client certificate
	optKey      = "sslkey"      // file with its key
)

// Options are the names of the options.
var Options = []string{optMode, optRootCert, optCert, optKey}

var modes = []string{"disable", "prefer", "require", "verify-ca", "verify-full"}

// Of returns what the target's sslmode comes to. As for libpq, require with a
// file of CAs means verify-ca.
func Of(r protocol.Resource) string {
	switch m := r.Options[optMode]; {
	case m == "require" && r.Options[optRootCert] != "":
		return "verify-ca"
	case m != "":
		return m
	}
	if strings.HasPrefix(r.Addr, "/") {
		return "disable" // a Unix socket does not speak TLS
	}
	return "verify-full"
}

// Verifies reports whether a mode proves who answers.
func Verifies(mode string) bool { return mode == "verify-ca" || mode == "verify-full" }

// Config returns the TLS configuration for r, nil for none, or an error that
// names the wrong option.
func Config(r protocol.Resource, nextProtos ...string) (*tls.Config, error) {
	mode := Of(r)
	if !slices.Contains(modes, mode) {
		return nil, fmt.Errorf("option sslmode: %q is none of %s", mode, strings.Join(modes, ", "))
	}
	if mode == "disable" {
		return nil, nil
	}
	host, _, err := net.SplitHostPort(r.Addr)
	if err != nil {
		return nil, errors.New("address: want host:port, or the path of a Unix socket")
	}
	c := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, NextProtos: nextProtos}
	if f := r.Options[optRootCert]; f != "" {
		pem, err := os.ReadFile(f)
		if err != nil {
			return nil, fmt.Errorf("option sslrootcert: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("option sslrootcert: no certificate in %s", f)
		}
	}
	if f := r.Options[optCert]; f != "" {
		cert, err := tls.LoadX509KeyPair(f, r.Options[optKey])
		if err != nil {
			return nil, fmt.Errorf("options sslcert and sslkey: %w", err)
		}
		c.Certificates = []tls.Certificate{cert}
	} else if r.Options[optKey] != "" {
		return nil, errors.New("option sslkey needs sslcert")
	}
	switch mode {
	case "prefer", "require":
		c.InsecureSkipVerify = true // encrypts, proves nothing: each connector's documentation says so
	case "verify-ca":
		c.InsecureSkipVerify = true // the name is not checked, the chain is, below
		roots := c.RootCAs
		c.VerifyConnection = func(cs tls.ConnectionState) error {
			o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
			for _, ic := range cs.PeerCertificates[1:] {
				o.Intermediates.AddCert(ic)
			}
			_, err := cs.PeerCertificates[0].Verify(o)
			return err
		}
	}
	return c, nil
}
