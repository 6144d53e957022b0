package parquet

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/export"
	"github.com/sallyport-dev/gateway/audit/store"
)

var update = flag.Bool("update", false, "write the golden files anew")

var noon = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

func events(n int) (es []audit.Event) {
	for i := range n {
		es = append(es, audit.Event{V: 1, Seq: uint64(i), Time: noon.Add(time.Duration(i) * time.Minute), Kind: audit.CommandCompleted, Session: "s1", Command: uint64(i + 1),
			Identity: &audit.Identity{Issuer: "https://id.example", Subject: "u-17", Name: "Alice", Kind: "agent", OnBehalfOf: &audit.Identity{Subject: "bob"}},
			Target:   &audit.Target{Name: "orders", Protocol: "postgres"}, Tool: &audit.Tool{Name: "psql", Version: "15"},
			Action:   &audit.Action{Verb: "select", Access: []string{"read"}, Objects: []audit.Object{{Name: "public.t"}}, Text: &audit.Value{Text: "select \xff"}},
			Decision: &audit.Decision{Effect: "allow", By: "authorize", Rule: "r", Grants: []audit.Grant{{By: "carol"}}},
			Result:   &audit.Result{Status: "ok", Rows: 3, Bytes: 99, Duration: 1234, Masked: []audit.Text{"email"}}})
	}
	return es
}

func TestRows(t *testing.T) {
	es := events(150)
	es = append(es, audit.Event{Seq: 150, Time: time.Time{}, Kind: audit.JournalGap}) // a clock that is lost
	e := Encoding()
	b, err := e.Encode("origin", es)
	require.NoError(t, err)
	again, err := e.Encode("origin", es)
	require.NoError(t, err)
	require.Equal(t, b, again, "the same events make the same file")

	f, err := parquet.OpenFile(bytes.NewReader(b), int64(len(b)))
	require.NoError(t, err)
	v, ok := f.Lookup("sallyport.schema")
	require.True(t, ok)
	require.Equal(t, Schema, v)
	require.Len(t, f.RowGroups(), 4, "one for each hour")
	require.EqualValues(t, 60, f.RowGroups()[0].NumRows())

	rows, err := parquet.Read[Row](bytes.NewReader(b), int64(len(b)))
	require.NoError(t, err)
	require.Len(t, rows, 151)
	r := rows[7]
	require.Equal(t, "origin", r.Origin)
	require.EqualValues(t, 7, r.Seq)
	require.True(t, noon.Add(7*time.Minute).Equal(r.Time), "to the nanosecond")
	require.Equal(t, "select \uFFFD", *r.Text)
	require.Equal(t, []string{"carol"}, r.ApprovedBy)
	require.Equal(t, "bob", r.OnBehalfOf)
	require.Nil(t, rows[150].Text)
	var whole audit.Event
	require.NoError(t, json.Unmarshal([]byte(r.Event), &whole))
	require.Equal(t, audit.Text("select \xff"), whole.Action.Text.Text, "the event has every byte")
}

// The schema does not change by accident: files of different days are read together.
func TestSchema(t *testing.T) {
	const path = "testdata/schema.txt"
	have := fmt.Sprintf("version %s\n%s\n", Schema, parquet.SchemaOf(Row{}))
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(have), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), have)
}

// A file of each batch, below a folder for each day and hour.
func ExampleEncoding() {
	dir, err := os.MkdirTemp("", "lake")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	lake := store.Dir(dir) // or s3.New, a bucket
	if err := export.Objects(lake, Encoding()).Send(context.Background(), "journal", events(100)); err != nil {
		panic(err)
	}
	for o, err := range lake.List(context.Background(), "") {
		fmt.Println(o.Name, err)
	}
	// Output: journal/day=2026-03-01/hour=12/00000000000000000000.parquet <nil>
}
