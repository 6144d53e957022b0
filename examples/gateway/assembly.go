package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"time"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/approval"
	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/middleware/oidc"
	"github.com/sallyport-dev/gateway/middleware/policy"
	"github.com/sallyport-dev/gateway/protocol/ssh"
)

// defaultConfig is where a package would install the configuration.
const defaultConfig = "/etc/sallyport/gateway.yaml"

// settings are the sections of the configuration that are this program's own.
type settings struct {
	Admin    adminSettings
	Reader   readerSettings
	Sessions sessionSettings
	Log      logSettings
	Drain    time.Duration // how long sessions may take to end; 0 means 30 s
}

type logSettings struct {
	Level  slog.Level `yaml:"level"`  // debug, info, warn, error
	Format string     `yaml:"format"` // text or json
}

// sections returns what [gateway.Kinds] asks for.
func (s *settings) sections() map[string]any {
	return map[string]any{"admin": &s.Admin, "audit": &s.Reader, "sessions": &s.Sessions, "log": &s.Log, "drain": &s.Drain}
}

func (s *settings) check() error {
	if s.Drain == 0 {
		s.Drain = 30 * time.Second
	}
	switch {
	case s.Drain < 0:
		return errors.New("drain: must not be negative")
	case s.Log.Format != "" && s.Log.Format != "text" && s.Log.Format != "json":
		return fmt.Errorf("log: format %q is not text or json", s.Log.Format)
	}
	return errors.Join(s.Admin.check(), s.Reader.check(&s.Admin), s.Sessions.check(&s.Admin))
}

// An assembly holds what lives longer than one configuration: the journals,
// which sessions of the old one still write to, and the requests that wait.
type assembly struct {
	dry      bool // only look: open nothing, change nothing
	out      io.Writer
	journals audit.Set
	broker   *approval.Broker

	level slog.LevelVar
	log   *slog.Logger
}

// A configuration is what a file came to.
type configuration struct {
	gateway.Config
	settings settings
	digest   string         // of the file, as sha256sum prints it
	sshLogin *ssh.LoginPage // served at the address of admin; nil: none
	masks    []middleware.MaskConfig
	fixed    []any // what a reload cannot change, to be compared
}

// load reads the file at path and builds what it describes.
func (a *assembly) load(path string) (*configuration, error) {
	text, err := readSmall(path, 4<<20)
	if err != nil {
		return nil, err
	}
	c := &configuration{digest: fmt.Sprintf("%x", sha256.Sum256(text))}
	kinds := gateway.Kinds{Sections: c.settings.sections(), Servers: []gateway.ServerKind{a.postgresKind(c), a.mysqlKind(c), a.sshKind(c), a.httpKind(c)}, Steps: a.stepKinds(c)}
	c.Config, err = gateway.Load(bytes.NewReader(text), path, kinds)
	if serr := c.settings.check(); serr != nil {
		err = errors.Join(err, fmt.Errorf("%s: %w", path, serr), closeSteps(c.Steps))
	}
	if err == nil && len(c.Listeners) == 0 {
		err = errors.Join(fmt.Errorf("%s: nothing to listen on: add an entry to listen", path), closeSteps(c.Steps))
	}
	if err != nil {
		return nil, err
	}
	for _, l := range c.Listeners {
		c.fixed = append(c.fixed, l.Addr)
	}
	c.fixed = append(c.fixed, c.settings.Admin, c.settings.Reader, c.settings.Sessions, c.settings.Log.Format)
	c.Logger = a.logger(&c.settings)
	a.level.Set(c.settings.Log.Level)
	return c, nil
}

// needsRestart reports whether next differs in what a reload cannot change.
func (c *configuration) needsRestart(next *configuration) bool {
	return !reflect.DeepEqual(c.fixed, next.fixed)
}

// logger returns the program's logger, which the first configuration makes.
func (a *assembly) logger(s *settings) *slog.Logger {
	if a.log != nil {
		return a.log
	}
	opts := &slog.HandlerOptions{Level: &a.level}
	if s.Log.Format == "json" {
		a.log = slog.New(slog.NewJSONHandler(a.out, opts))
	} else {
		a.log = slog.New(slog.NewTextHandler(a.out, opts))
	}
	return a.log
}

// stepKinds are the steps that a configuration can name.
func (a *assembly) stepKinds(c *configuration) []middleware.Kind {
	record := middleware.RecordKind(&a.journals, middleware.RecordPolicy(c.digest))
	if a.dry {
		record = middleware.DryRecordKind()
	}
	return []middleware.Kind{
		middleware.TokenKind(), middleware.ScramKind(), middleware.CertificateKind(), middleware.PublicKeyKind(), middleware.SSHCertificateKind(), oidc.Kind(),
		policy.AuthorizeKind(), policy.BlockKind(), policy.RiskKind(),
		a.approveKind(c), a.maskKind(c), middleware.RecordingKind(&a.journals), record,
	}
}

func (a *assembly) approveKind(c *configuration) middleware.Kind {
	return middleware.Kind{Name: "approve", New: func(decode func(any) error) (middleware.Step, error) {
		b, err := a.brokerOf(c)
		if err != nil {
			return middleware.Step{}, err
		}
		return policy.ApproveKind(b).New(decode)
	}}
}

// brokerOf makes the broker when the first step needs it, because what it tells
// requesters stands in the section admin of the same file.
func (a *assembly) brokerOf(c *configuration) (*approval.Broker, error) {
	if c.settings.Admin.Address == "" {
		return nil, errors.New("without an admin listener nobody can decide: add 'admin: {address: 127.0.0.1:7443}'")
	}
	if a.broker == nil {
		a.broker = a.newBroker(c.settings.Admin)
	}
	return a.broker, nil
}

// maskKind keeps what masks there are, to be explained.
func (a *assembly) maskKind(c *configuration) middleware.Kind {
	return middleware.MaskKind(func(m *middleware.MaskConfig) error {
		if m.NeedsBroker() {
			b, err := a.brokerOf(c)
			if err != nil {
				return err
			}
			m.Broker = b
		}
		c.masks = append(c.masks, *m)
		return nil
	})
}

func (a *assembly) newBroker(s adminSettings) *approval.Broker {
	return approval.NewBroker(approval.Options{
		URL: s.url(), Command: "gateway approve",
		OnEvent: func(_ context.Context, e approval.Event) error {
			if a.log != nil {
				a.log.Info("approval", "request", e.Request.ID, "state", string(e.Request.State), "target", e.Request.Target,
					"requester", e.Request.Requester.Subject, "rule", e.Request.Rule)
			}
			return nil
		},
	})
}
