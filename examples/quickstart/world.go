package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport-dev/gateway/middleware/oidc/oidctest"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

//go:embed gateway.yaml
var gatewayYAML string

// A world is everything that the story needs: a database, an identity provider
// and a gateway, all on this machine, and a folder to stand in.
type world struct {
	dir   string
	port  int    // of the gateway, for psql
	ssh   int    // and for ssh
	admin string // its URL for approvers
	env   []string

	pg      *servers.Postgres
	sshd    sshd
	issuer  *http.Server
	gateway *exec.Cmd
	ended   chan struct{} // closed when the gateway has
}

// newWorld starts everything. What it returns is to be closed, also beside an
// error, unless it is nil.
func newWorld(ctx context.Context, s *stage) (*world, error) {
	dir, err := os.MkdirTemp("", "sallyport-quickstart-")
	if err != nil {
		return nil, err
	}
	w := &world{dir: dir, ended: make(chan struct{})}
	s.heading("Setting the stage")
	s.say("Compiling the gateway. The first time this takes a few minutes: PostgreSQL's own grammar is part of it.")
	built := make(chan error, 1)
	go func() { built <- w.build(ctx) }()
	err = w.startPostgres(ctx, s)
	if err == nil {
		w.sshd, err = startSSHD(ctx, s)
	}
	if err = errors.Join(err, <-built); err != nil {
		return w, err
	}
	issuer, err := w.startIssuer()
	if err != nil {
		return w, err
	}
	s.say("An identity provider at %s, which knows alice (analyst), bob (dba) and a CI job.", issuer.URL())
	if err := w.write(ctx, issuer); err != nil {
		return w, err
	}
	if err := w.startGateway(ctx); err != nil {
		return w, err
	}
	s.say("The gateway at localhost:%d, and for ssh at localhost:%d, configured by %s.", w.port, w.ssh, filepath.Join(w.dir, "gateway.yaml"))
	s.say("\nEvery command below ran in that folder, as it stands here, with these settings for psql:")
	s.block("export PGHOST=localhost PGPORT=%d PGSSLMODE=verify-full PGSSLROOTCERT=ca.pem", w.port)
	return w, nil
}

func (w *world) build(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(w.dir, "gateway"), "github.com/sallyport-dev/gateway/examples/gateway")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("compiling the gateway: %w\n%s", err, out)
	}
	return nil
}

func (w *world) startPostgres(ctx context.Context, s *stage) error {
	inst, err := servers.FindPostgres(ctx)
	if errors.Is(err, servers.ErrNoPostgres) {
		inst, err = servers.InstallPostgres(ctx, s.w)
	}
	if err != nil {
		return err
	}
	psql, err := inst.Tool("psql")
	if err != nil {
		return err
	}
	password := rand.Text()
	w.pg, err = servers.StartPostgres(ctx, servers.PostgresConfig{
		Install: &inst,
		SQL:     []string{servers.SampleSQL},
		// The account may do everything with the data, so that it is the
		// gateway that keeps people from it.
		Roles: []servers.Role{{Name: "gateway_svc", Password: password, Grant: `ALTER TABLE customers OWNER TO gateway_svc;
			ALTER TABLE orders OWNER TO gateway_svc; GRANT pg_read_all_data, pg_write_all_data TO gateway_svc`}},
	})
	if err != nil {
		return err
	}
	s.say("PostgreSQL %s at %s, with a small shop in it. The people in it are invented.", inst.Version, w.pg.Addr)
	w.env = []string{"SHOP_PASSWORD=" + password}
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "PG") && !strings.HasPrefix(kv, "SALLYPORT_") && !strings.HasPrefix(kv, "PATH=") {
			w.env = append(w.env, kv)
		}
	}
	w.env = append(w.env, "PATH="+strings.Join([]string{w.dir, filepath.Dir(psql), os.Getenv("PATH")}, string(os.PathListSeparator)),
		"PSQLRC=/dev/null", "PAGER=cat", "LC_ALL=C.UTF-8", "TZ=UTC")
	return nil
}

func (w *world) startIssuer() (*oidctest.Issuer, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	issuer := oidctest.NewIssuer("http://" + l.Addr().String())
	w.issuer = &http.Server{Handler: issuer, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = w.issuer.Serve(l) }() // ends with Close
	return issuer, nil
}

// sshConfig is the client's; with it "ssh -F ssh_config web" is all that is typed.
const sshConfig = `Host web
  HostName localhost
  Port %d
  User alice@web
  IdentityFile alice.key
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile known_hosts
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
  BatchMode yes
`

// write makes the files in the folder: tokens, keys, certificates, configuration.
func (w *world) write(ctx context.Context, issuer *oidctest.Issuer) error {
	var ports [3]int
	for i := range ports {
		var err error
		if ports[i], err = servers.FreePort(); err != nil {
			return err
		}
	}
	w.port, w.ssh, w.admin = ports[0], ports[1], fmt.Sprintf("http://127.0.0.1:%d", ports[2])
	files, public := map[string]string{}, map[string]string{}
	for _, name := range []string{"host", "alice", "carl"} {
		key, pub, err := servers.NewSSHKey(ctx)
		if err != nil {
			return err
		}
		files[name+".key"], public[name] = key.Reveal(), pub
	}
	files["web.key"] = w.sshd.key.Reveal()
	files["known_hosts"] = fmt.Sprintf("[localhost]:%d %s\n", w.ssh, public["host"])
	files["ssh_config"] = fmt.Sprintf(sshConfig, w.ssh)
	ca, err := servers.NewAuthority("quickstart")
	if err != nil {
		return err
	}
	cert, err := ca.Issue(servers.Subject{CommonName: "gateway", Hosts: []string{"localhost", "127.0.0.1"}})
	if err != nil {
		return err
	}
	chain, key, err := servers.EncodePEM(cert)
	if err != nil {
		return err
	}
	files["ca.pem"], files["gateway.crt"], files["gateway.key"] = string(ca.PEM()), string(chain), string(key)
	files["gateway.yaml"] = os.Expand(gatewayYAML, func(name string) string {
		return map[string]string{"GATEWAY_PORT": strconv.Itoa(w.port), "SSH_PORT": strconv.Itoa(w.ssh), "ADMIN_PORT": strconv.Itoa(ports[2]),
			"POSTGRES_ADDR": w.pg.Addr, "SSHD_ADDR": w.sshd.addr, "SSHD_ACCOUNT": w.sshd.account, "SSHD_HOST_KEY": w.sshd.hostKey,
			"ALICE_KEY": public["alice"], "CARL_KEY": public["carl"], "LAST_WEEK": time.Now().AddDate(0, 0, -7).UTC().Format(time.RFC3339),
			"ISSUER": issuer.URL()}[name]
	})
	for name, claims := range map[string]map[string]any{
		"alice": {"sub": "alice", "name": "Alice", "email": "alice@example.com", "email_verified": true, "groups": []string{"analysts"}},
		"bob":   {"sub": "bob", "name": "Bob", "email": "bob@example.com", "email_verified": true, "groups": []string{"dba"}},
		"ci":    {"sub": "repo:shop/nightly", "groups": []string{"ci"}},
	} {
		claims["aud"], claims["exp"] = "sallyport", time.Now().Add(8*time.Hour).Unix()
		files[name+".token"] = issuer.Token(claims)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// startGateway starts the reference binary and waits until it serves.
func (w *world) startGateway(ctx context.Context) error {
	log, err := os.Create(filepath.Join(w.dir, "gateway.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	w.gateway = exec.Command(filepath.Join(w.dir, "gateway"), "run", "-config", "gateway.yaml")
	w.gateway.Dir, w.gateway.Env, w.gateway.Stdout, w.gateway.Stderr = w.dir, w.env, log, log
	if err := w.gateway.Start(); err != nil {
		w.gateway = nil
		return err
	}
	go func() {
		_ = w.gateway.Wait() // its log says why
		close(w.ended)
	}()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.admin+"/healthz", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-w.ended:
			return errors.New("the gateway has ended while it was starting")
		case <-ctx.Done():
			return fmt.Errorf("the gateway does not answer: %w", context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// shell runs a command line as somebody would type it and returns what it
// prints, errors included.
func (w *world) shell(ctx context.Context, line string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Dir = w.dir
	// What the shell started ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	cmd.Env = append(w.env[1:len(w.env):len(w.env)], // whoever types does not have the target's password
		"PGHOST=localhost", "PGPORT="+strconv.Itoa(w.port), "PGSSLMODE=verify-full", "PGSSLROOTCERT=ca.pem", "SALLYPORT_SERVER="+w.admin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (w *world) logTail() string {
	b, err := os.ReadFile(filepath.Join(w.dir, "gateway.log"))
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4<<10):])
}

// stopGateway lets the gateway drain, and returns when it has ended.
func (w *world) stopGateway() error {
	if w.gateway == nil {
		return nil
	}
	_ = w.gateway.Process.Signal(syscall.SIGTERM) // gone already: ended is closed soon
	select {
	case <-w.ended:
	case <-time.After(40 * time.Second):
		_ = w.gateway.Process.Kill()
		<-w.ended
		return errors.New("the gateway did not end by itself")
	}
	if code := w.gateway.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("the gateway ended with status %d:\n%s", code, w.logTail())
	}
	return nil
}

// close stops everything; the folder is removed unless it is to be kept.
func (w *world) close(keep bool) error {
	err := w.stopGateway()
	if w.issuer != nil {
		err = errors.Join(err, w.issuer.Close())
	}
	if w.sshd.stop != nil {
		w.sshd.stop()
	}
	if w.pg != nil {
		w.pg.Stop()
	}
	if keep {
		return err
	}
	return errors.Join(err, os.RemoveAll(w.dir))
}
