package sqlite_test

import (
	"context"
	"database/sql"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/protocol"
)

// How many wait for their record at once, as sessions of a busy gateway do.
const waitingSessions = 128

// On a quiet virtual machine with 2 cores (AMD EPYC), records of about 1 KB, of
// which each is on stable storage when it is acknowledged:
//
//	BenchmarkDurable/journal             86,900 events/s   p50  1.3 ms    p99   4.2 ms
//	BenchmarkDurable/journal-signed      85,100 events/s   p50  1.2 ms    p99   5.9 ms
//	BenchmarkDurable/sqlite-grouped      48,400 events/s   p50  2.0 ms    p99  17 ms
//	BenchmarkDurable/sqlite-each          2,200 events/s   p50 34 ms      p99 256 ms
//	BenchmarkDurable/bbolt-grouped        9,300 events/s   p50 13 ms      p99  18 ms
//	BenchmarkDurable/fsync-each           1,800 events/s   p50 69 ms      p99 111 ms

// BenchmarkDurable holds the journal against what one would take in its place.
func BenchmarkDurable(b *testing.B) {
	b.Run("journal", func(b *testing.B) {
		j, err := audit.Open(b.TempDir(), audit.Options{MinFree: 1})
		require.NoError(b, err)
		durably(b, recordIn(b, j))
		require.NoError(b, j.Close())
	})
	b.Run("journal-signed", func(b *testing.B) {
		key, _, err := audit.NewKey("gateway.example")
		require.NoError(b, err)
		j, err := audit.Open(b.TempDir(), audit.Options{MinFree: 1, Key: key})
		require.NoError(b, err)
		durably(b, recordIn(b, j))
		require.NoError(b, j.Close())
	})
	b.Run("sqlite-grouped", func(b *testing.B) {
		db := openSQLite(b)
		durably(b, grouped(b, func(batch [][]byte) error {
			tx, err := db.Begin()
			if err != nil {
				return err
			}
			for _, r := range batch {
				if _, err := tx.Exec("insert into event (leaf) values (?)", r); err != nil {
					return err
				}
			}
			return tx.Commit()
		}))
	})
	b.Run("sqlite-each", func(b *testing.B) {
		db := openSQLite(b)
		durably(b, func(_ int, r []byte) error {
			_, err := db.Exec("insert into event (leaf) values (?)", r)
			return err
		})
	})
	b.Run("bbolt-grouped", func(b *testing.B) {
		db, err := bbolt.Open(filepath.Join(b.TempDir(), "db"), 0o600, nil)
		require.NoError(b, err)
		defer db.Close()
		bucket := []byte("events")
		require.NoError(b, db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket(bucket); return err }))
		durably(b, func(_ int, r []byte) error {
			return db.Batch(func(tx *bbolt.Tx) error {
				k := tx.Bucket(bucket)
				seq, err := k.NextSequence()
				if err != nil {
					return err
				}
				return k.Put(binary.BigEndian.AppendUint64(nil, seq), r)
			})
		})
	})
	b.Run("fsync-each", func(b *testing.B) {
		f, err := os.Create(filepath.Join(b.TempDir(), "log"))
		require.NoError(b, err)
		defer f.Close()
		var mu sync.Mutex
		durably(b, func(_ int, r []byte) error {
			mu.Lock()
			defer mu.Unlock()
			if _, err := f.Write(r); err != nil {
				return err
			}
			return f.Sync()
		})
	})
}

// durably lets everybody put record after record, each waiting for its own.
func durably(b *testing.B, put func(w int, record []byte) error) {
	record := make([]byte, 1000)
	for i := range record {
		record[i] = byte('a' + i%26)
	}
	var mu sync.Mutex
	var took []time.Duration
	var wg sync.WaitGroup
	b.ResetTimer()
	for w := range waitingSessions {
		wg.Go(func() {
			mine := make([]time.Duration, 0, b.N/waitingSessions+1)
			for i := w; i < b.N; i += waitingSessions {
				start := time.Now()
				if err := put(w, record); err != nil {
					b.Error(err)
					return
				}
				mine = append(mine, time.Since(start))
			}
			mu.Lock()
			took = append(took, mine...)
			mu.Unlock()
		})
	}
	wg.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(0, "ns/op")
}

// recordIn puts an operation's decision into a journal.
func recordIn(b *testing.B, j *audit.Journal) func(int, []byte) error {
	sessions := make([]*protocol.SessionInfo, waitingSessions)
	for w := range sessions {
		sessions[w] = &protocol.SessionInfo{ID: "0192aab0-0000-7000-8000-00000000" + strconv.Itoa(1000+w), Identity: &protocol.Identity{Issuer: "https://id.example", Subject: "alice"},
			Resource: protocol.Resource{Name: "orders", Protocol: "postgres"}}
		op := &protocol.Operation{Session: sessions[w], ID: 1, Verb: protocol.Connect}
		op.Decide(protocol.Allow("x"), nil)
		_, err := j.Record(&protocol.Event{Kind: protocol.Decided, Session: op.Session, Op: op, Decision: protocol.Allow("x")}, audit.Detail{})
		require.NoError(b, err)
	}
	return func(w int, record []byte) error {
		op := &protocol.Operation{Session: sessions[w], ID: 2, Verb: "update", Text: string(record[:600]), Access: protocol.Write, Fingerprint: "02a281c251c3a43d"}
		op.Decide(protocol.Allow("x"), nil)
		p, err := j.Record(&protocol.Event{Kind: protocol.Decided, Session: op.Session, Op: op, Decision: protocol.Allow("x")}, audit.Detail{})
		if err != nil {
			return err
		}
		return j.Sync(context.Background(), p)
	}
}

func openSQLite(b *testing.B) *sql.DB {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(b.TempDir(), "db")+"?_pragma=busy_timeout(60000)&_pragma=journal_mode(wal)&_pragma=synchronous(full)")
	require.NoError(b, err)
	b.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	_, err = db.Exec("create table event (seq integer primary key, leaf blob)")
	require.NoError(b, err)
	return db
}

// grouped commits what waits together, which is the best that a database can do.
func grouped(b *testing.B, commit func([][]byte) error) func(int, []byte) error {
	type waiting struct {
		record []byte
		done   chan error
	}
	queue := make(chan waiting, waitingSessions)
	b.Cleanup(func() { close(queue) })
	go func() {
		for first := range queue {
			batch, all := [][]byte{first.record}, []waiting{first}
			for more := true; more; {
				select {
				case w, ok := <-queue:
					if more = ok; ok {
						batch, all = append(batch, w.record), append(all, w)
					}
				default:
					more = false
				}
			}
			err := commit(batch)
			for _, w := range all {
				w.done <- err
			}
		}
	}()
	return func(_ int, r []byte) error {
		done := make(chan error, 1)
		queue <- waiting{r, done}
		return <-done
	}
}
