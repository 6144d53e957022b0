package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"minimal": main}) }

func TestScripts(t *testing.T) {
	pg := pgtest.Start(t, pgtest.Sample(), pgtest.User("svc", "secret", "scram-sha-256"))
	psql := pgtest.Tool(t, "psql")
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			port, err := servers.FreePort()
			e.Setenv("PATH", e.Getenv("PATH")+string(os.PathListSeparator)+filepath.Dir(psql))
			e.Setenv("PORT", fmt.Sprint(port))
			e.Setenv("LISTEN", "127.0.0.1:"+e.Getenv("PORT"))
			e.Setenv("TARGET", pg.Addr)
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"token": token},
	})
}

// token FILE waits until the gateway has printed its token to a file, and puts
// it where psql looks for a password.
func token(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		b, _ := os.ReadFile(ts.MkAbs(args[0]))
		if t, ok := strings.CutPrefix(string(b), "token: "); ok && strings.HasSuffix(t, "\n") {
			ts.Setenv("PGPASSWORD", strings.TrimSpace(t))
			return
		}
	}
	ts.Fatalf("no token in %s", args[0])
}
