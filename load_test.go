package gateway_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway"
	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// picky is a server that knows no option.
type picky string

func (p picky) Name() string { return string(p) }

func (p picky) ServeConn(context.Context, net.Conn, protocol.Handler) error { return nil }

func (p picky) CheckTarget(r protocol.Resource) error {
	for k := range r.Options {
		return fmt.Errorf("unknown option %q", k)
	}
	return nil
}

func loadKinds(t testing.TB) gateway.Kinds {
	server := func(name string) gateway.ServerKind {
		return gateway.ServerKind{Name: name, New: func(decode func(any) error) (protocol.Server, error) {
			return picky(name), decode(&struct{}{})
		}}
	}
	set := &audit.Set{}
	return gateway.Kinds{Servers: []gateway.ServerKind{server("a"), server("b")},
		Steps: []middleware.Kind{middleware.TokenKind(), middleware.MaskKind(), middleware.RecordKind(set)}}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	var log struct {
		Level string `yaml:"level"`
	}
	kinds := loadKinds(t)
	kinds.Sections = map[string]any{"log": &log}
	c, err := gateway.Load(strings.NewReader(`
log: {level: debug}
listen:
  - {protocol: a, address: "127.0.0.1:0"}
targets:
  - {name: one, protocol: a, address: "10.0.0.5:1", secret: {value: x}}
  - {name: two, protocol: a, address: "10.0.0.5:2"}
steps:
  - record: {dir: `+dir+`}
`), "g.yaml", kinds)
	require.NoError(t, err)
	require.Equal(t, "debug", log.Level)
	require.Len(t, c.Listeners, 1)
	require.Equal(t, "two", c.Targets[1].Name)
	require.Nil(t, c.Targets[1].Secret)
	secret, err := c.Targets[0].Secret(t.Context())
	require.NoError(t, err)
	require.Equal(t, "x", secret.Reveal())
	gw, err := gateway.New(c)
	require.NoError(t, err)
	require.NoError(t, gw.Shutdown(t.Context()))
}

func TestLoadReportsAllMistakesAndClosesWhatItBuilt(t *testing.T) {
	dir := t.TempDir()
	kinds := loadKinds(t)
	_, err := gateway.Load(strings.NewReader(`
listen:
  - {protocol: a, address: ":1"}
  - {protocol: z, address: ":2"}
  - {protocol: b, address: "5432"}
targets:
  - {name: one, protocol: a, address: "h:1", options: {color: red}}
  - {name: one, protocol: a, address: "h:1"}
  - {name: far, protocol: c, address: "h:1"}
  - {name: "x/y", protocol: a, address: "h:1"}
steps:
  - record: {dir: `+dir+`}
  - tokens: {tokens: [{hash: x}]}
`), "g.yaml", kinds)
	require.Equal(t, []string{
		`g.yaml:4:6: listen: protocol: "z" is unknown; known are a, b`,
		`g.yaml:5:6: listen b: address: want host:port, or the path of a Unix socket`,
		`g.yaml:7:6: target one: unknown option "color"`,
		`g.yaml:8:6: target one: there are two of this name`,
		`g.yaml:9:6: target far: no listener serves the protocol c`,
		`g.yaml:10:6: target "x/y": a name has no spaces, '/' or '@', which separate it from other parts`,
		`g.yaml:13:5: step tokens: token 1 (subject ): the hash is not 64 hexadecimal digits`,
	}, strings.Split(err.Error(), "\n"))
	j, err := audit.Open(dir, audit.Options{}) // not locked any more
	require.NoError(t, err)
	require.NoError(t, j.Close())
}

// Each server judges its own targets, whichever is served first.
func TestServeChecksTargetsOfItsProtocolOnly(t *testing.T) {
	j, err := audit.Open(t.TempDir(), audit.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, j.Close()) }()
	gw, err := gateway.New(gateway.Config{Steps: []middleware.Step{middleware.Record(j)}, Targets: []gateway.Target{
		{Name: "good", Protocol: "a", Addr: "h:1"}, {Name: "bad", Protocol: "b", Addr: "h:1", Options: map[string]string{"x": "y"}}}})
	require.NoError(t, err)
	defer func() { require.NoError(t, gw.Shutdown(context.Background())) }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, gw.ListenAndServe(ctx, "127.0.0.1:0", picky("a")))
	require.ErrorContains(t, gw.ListenAndServe(t.Context(), "127.0.0.1:0", picky("b")), `target bad: unknown option "x"`)
}

func ExampleLoad() {
	kinds := gateway.Kinds{Steps: []middleware.Kind{middleware.TokenKind(), middleware.RecordKind(&audit.Set{})}}
	_, err := gateway.Load(strings.NewReader(`
targets:
  - {name: orders, protocol: postgres, address: "10.0.0.5:5432", usr: svc}
steps:
  - token: {}
`), "gateway.yaml", kinds)
	fmt.Println(err)
	// Output:
	// gateway.yaml:3:66: target orders: unknown field "usr"
	// gateway.yaml:5:5: step: "token" is unknown; known are tokens, record
}
