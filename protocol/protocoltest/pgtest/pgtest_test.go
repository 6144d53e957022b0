package pgtest_test

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/protocol/protocoltest/pgtest"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

func TestStart(t *testing.T) {
	pg := pgtest.Start(t, pgtest.Sample(), pgtest.TLS(), pgtest.Setting("work_mem", "5MB"),
		pgtest.User("scram", "s'cr\\am", ""), pgtest.User("md5", "md5pw", "md5"), pgtest.User("plain", "plainpw", "password"),
		pgtest.User("open", "", "trust"), pgtest.User("card", "", "cert"))
	require.Equal(t, "5", strings.TrimSpace(pgtest.Exec(t, pg, "SELECT count(*) FROM customers")))
	require.Equal(t, "500", strings.TrimSpace(pgtest.Exec(t, pg, "SELECT count(*) FROM logins")))
	require.Equal(t, "5MB", strings.TrimSpace(pgtest.Exec(t, pg, "SHOW work_mem")))

	psql := func(dsn string) error {
		out, err := exec.Command(pgtest.Tool(t, "psql"), "-X", "-w", "-At", dsn, "-c", "SELECT count(*) FROM orders").CombinedOutput()
		if err == nil {
			require.Equal(t, "500\n", string(out))
		}
		return err
	}
	require.NoError(t, psql(pg.SuperuserDSN()))
	require.NoError(t, psql(pg.DSN("scram", "s'cr\\am")))
	require.NoError(t, psql(pg.DSN("md5", "md5pw")))
	require.NoError(t, psql(pg.DSN("plain", "plainpw")))
	require.NoError(t, psql(pg.DSN("open", "")))
	require.Error(t, psql(pg.DSN("scram", "wrong")))
	require.Error(t, psql(pg.DSN("card", "")), "cert needs TLS")

	// The certificate of the role card is accepted by the server.
	conf, err := pg.ClientTLS("card")
	require.NoError(t, err)
	conn, err := net.Dial("tcp", pg.Addr)
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}) // SSLRequest
	require.NoError(t, err)
	var answer [1]byte
	_, err = io.ReadFull(conn, answer[:])
	require.NoError(t, err)
	require.Equal(t, "S", string(answer[:]))
	tc := tls.Client(conn, conf)
	start := "\x00\x03\x00\x00user\x00card\x00database\x00postgres\x00\x00"
	_, err = tc.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(start)+4)), start...))
	require.NoError(t, err)
	var head [9]byte
	_, err = io.ReadFull(tc, head[:])
	require.NoError(t, err)
	require.Equal(t, "R\x00\x00\x00\x08\x00\x00\x00\x00", string(head[:]), "AuthenticationOk")
}

func TestStartIsQuickAndCleansUp(t *testing.T) {
	pgtest.Start(t).Stop() // the template exists from here on
	best := time.Hour
	for range 3 { // the machine may be busy
		start := time.Now()
		pg := pgtest.Start(t)
		best = min(best, time.Since(start))
		dir := pg.SocketDir
		pg.Stop()
		pg.Stop()
		_, err := os.Stat(dir)
		require.ErrorIs(t, err, os.ErrNotExist)
		_, err = net.Dial("tcp", pg.Addr)
		require.Error(t, err)
	}
	t.Logf("start took %v", best)
	require.Less(t, best, 5*time.Second)
}

func TestStartReportsWhatIsWrong(t *testing.T) {
	inst := pgtest.Install(t)
	_, err := servers.StartPostgres(t.Context(), servers.PostgresConfig{Install: &inst, Settings: map[string]string{"no_such_setting": "1"}})
	require.ErrorContains(t, err, "no_such_setting")
	_, err = servers.StartPostgres(t.Context(), servers.PostgresConfig{Install: &inst, SQL: []string{"SELECT nonsense"}})
	require.ErrorContains(t, err, `column "nonsense" does not exist`)
}

// A terminal that is set up for another server, as the quickstart's last lines
// do, does not lead the tests astray.
func TestSettingsOfTheTerminal(t *testing.T) {
	t.Setenv("PGSSLMODE", "verify-full")
	t.Setenv("PGSSLROOTCERT", "elsewhere.pem")
	t.Setenv("PGPORT", "1")
	pg := pgtest.Start(t)
	conn, err := pgx.Connect(t.Context(), pg.DSN(pg.Superuser.User, pg.Superuser.Secret.Reveal()))
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
}
