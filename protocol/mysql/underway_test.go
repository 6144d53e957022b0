package mysql_test

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/mytest"
	"github.com/sallyport-dev/gateway/protocol/protocoltest/servers"
)

var places = servers.MariaDBConfig{SQL: []string{"USE shop",
	"CREATE VIEW places AS SELECT city FROM customers",
	"CREATE VIEW mails AS SELECT CONCAT(email, '') AS city FROM customers",
	"CREATE TABLE towns (city VARCHAR(80)) SELECT city FROM customers"}}

// TestDefinitionsChangeWhileAStatementWaits has a statement wait at the target behind
// one that changes what it reads, by which time it was decided about.
func TestDefinitionsChangeWhileAStatementWaits(t *testing.T) {
	for name, c := range map[string]struct{ read, change string }{
		"view":  {"SELECT city FROM places", "RENAME TABLE places TO old_places, mails TO places"},
		"table": {"SELECT city FROM towns", "RENAME TABLE towns TO old_towns, mails TO towns"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigConfig{steps: []middleware.Step{maskShop()}, maria: places})
			waiting := func(n string) {
				require.Eventually(t, func() bool {
					return mytest.Exec(t, r.db, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for %metadata lock'") == n
				}, 10*time.Second, 5*time.Millisecond)
			}
			locks, err := r.connect(t).Conn(t.Context())
			require.NoError(t, err)
			defer locks.Close()
			exec := func(text string) {
				_, err := locks.ExecContext(t.Context(), text)
				require.NoError(t, err)
			}
			exec("BEGIN")
			exec(c.read)
			changes, reads := r.connect(t), r.connect(t)
			changed := make(chan error, 1)
			go func() {
				_, err := changes.Exec(c.change)
				changed <- err
			}()
			waiting("1")
			type answer struct {
				seen string
				err  error
			}
			answered := make(chan answer, 1)
			go func() {
				seen, err := everything(reads, c.read)
				answered <- answer{seen, err}
			}()
			waiting("2")
			exec("COMMIT")
			require.NoError(t, <-changed)
			a := <-answered
			require.Empty(t, secretsIn(a.seen), "%s", a.seen)
			require.ErrorContains(t, a.err, "definitions have just changed")
			a.seen, a.err = everything(reads, c.read)
			require.NoError(t, a.err)
			require.Contains(t, a.seen, "***")
		})
	}
}

// TestDefinitionsChangeWhileHeld changes what a statement reads while somebody thinks
// about it.
func TestDefinitionsChangeWhileHeld(t *testing.T) {
	h := newHolding()
	steps := append(rulesOf("held", h.hold), maskShop())
	r := newRig(t, rigConfig{steps: steps, maria: places})
	ask := func(db *sql.DB) chan error {
		done := make(chan error, 1)
		go func() {
			seen, err := everything(db, "SELECT city AS held FROM places")
			if err == nil && !strings.Contains(seen, "London") {
				t.Errorf("shown: %s", seen)
			}
			done <- err
		}()
		<-h.waits
		return done
	}
	db, other := r.connect(t), r.connect(t)
	done := ask(db)
	_, err := other.Exec("CREATE VIEW something_else AS SELECT 1")
	require.NoError(t, err)
	h.decides <- protocol.Allow("somebody")
	require.NoError(t, <-done)
	done = ask(db)
	_, err = other.Exec("CREATE OR REPLACE VIEW places AS SELECT name AS city FROM customers")
	require.NoError(t, err)
	h.decides <- protocol.Allow("somebody")
	require.ErrorContains(t, <-done, "definitions have just changed")
}
