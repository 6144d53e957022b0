package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// config returns the TLS configuration of a listener. Its certificate follows
// its files; client_ca is read once.
func (s tlsSettings) config(log *slog.Logger) (*tls.Config, error) {
	if s.Cert == "" || s.Key == "" {
		return nil, errors.New("cert and key belong together")
	}
	cert, err := newCertificate(s.Cert, s.Key, log)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: cert.get}
	if s.ClientCA != "" {
		pool, err := clientCAs(s.ClientCA)
		if err != nil {
			return nil, fmt.Errorf("client_ca: %w", err)
		}
		withClients(c, pool)
	}
	return c, nil
}

// lookEvery is how long a look at the files of a certificate stays good.
const lookEvery = time.Second

// A certificate follows its files, so that whoever renews it has nothing to
// restart. While the files do not fit together, such as between the two writes
// of a renewal, the certificate before goes on being used.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu     sync.Mutex
	looked time.Time
	stamp  string // of the files that now was made from
	failed string // of the files that could not be used, to say so once
	now    *tls.Certificate
}

func newCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	return c, c.read(c.stamps())
}

// stamps changes when one of the files does.
func (c *certificate) stamps() string {
	s := ""
	for _, f := range []string{c.certFile, c.keyFile} {
		if fi, err := os.Stat(f); err == nil {
			s += fmt.Sprint(fi.ModTime().UnixNano(), fi.Size(), " ")
		}
	}
	return s
}

func (c *certificate) read(stamp string) error {
	cert, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return err
	}
	c.now, c.stamp, c.failed = &cert, stamp, ""
	return nil
}

// get has the form of tls.Config.GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) < lookEvery {
		return c.now, nil
	}
	c.looked = time.Now()
	switch stamp := c.stamps(); {
	case stamp == c.stamp:
	case c.read(stamp) == nil:
		c.log.Info("certificate renewed", "file", c.certFile)
	case stamp != c.failed:
		c.failed = stamp
		c.log.Error("the certificate's files have changed and do not fit together; the old certificate stays", "cert", c.certFile, "key", c.keyFile)
	}
	return c.now, nil
}
