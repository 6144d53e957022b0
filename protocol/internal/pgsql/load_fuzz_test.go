package pgsql

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// A told is a server that answers the queries of a load one after the other
// with what stands in a text: a paragraph for each, a line for each row, a tab
// between values; \N is NULL.
type told struct{ answers []string }

// Query implements Querier.
func (s *told) Query(_ context.Context, _ string, row func([][]byte) error) error {
	if len(s.answers) == 0 {
		return nil
	}
	answer := s.answers[0]
	s.answers = s.answers[1:]
	for line := range strings.SplitSeq(answer, "\n") {
		var values [][]byte
		for v := range strings.SplitSeq(line, "\t") {
			if v == `\N` {
				values = append(values, nil)
			} else {
				values = append(values, []byte(v))
			}
		}
		if line == "" {
			continue
		}
		if err := row(values); err != nil {
			return err
		}
	}
	return nil
}

// toldCatalog is what a server with a few relations says.
var toldCatalog = "x\t150000\t1:1:\n\n" + // state
	"1:1\n\n" + // the sum of what came with it
	strings.TrimSuffix(toldTally(), "\n") + "\n\n" +
	"1259\tpg_catalog\tpg_class\tr\tf\n\n1259\t1\toid\t26\n1259\t2\trelname\t19\n\n" +
	"23\tpg_catalog\tint4\tb\t0\tf\t0\t0\n25\tpg_catalog\ttext\tb\t0\tf\t0\t0\n1009\tpg_catalog\t_text\tb\t25\tf\t0\t0\n\n" +
	"lower\ti\tf\tf\tf\tf\t\\N\tf\t25\ncount\ti\tt\tf\tf\tf\t\\N\tt\t20\njson_each\ti\tf\tf\tt\tt\tkey,value\tf\t0\n\n" +
	"20100\tpublic\tt\tr\tf\n20101\tpublic\tv\tv\tf\n20102\tpublic\tw\tv\tt\n20103\tpublic\tu\tr\tf\n\n" +
	"20100\t1\tid\t23\n20100\t2\temail\t25\n20101\t1\tmail\t25\n20102\t1\tm\t25\n20103\t1\tid\t23\n20103\t2\temail\t25\n\n" +
	"20103\t20100\n\n" + // inheritance
	"20101\tSELECT lower(t.email) AS mail FROM public.t\n20102\tSELECT v.mail AS m FROM public.v\n\n" +
	"20100\tw\ta trigger\n\n" + // code behind relations
	"20200\tpublic\tmood\te\t0\tf\t0\t0\n20201\tpublic\td\td\t0\tt\t20202\t0\n20202\tpublic\tt\tc\t0\tf\t0\t20100\n\n" + // types
	"20300\tpublic\tf\t23 25\ti\tf\t23\tf\t14\n\n" + // functions
	"public\t+\t23\t23\tf\n\n" + // operators
	"20200\t25\tt\tf\n\n" + // casts
	"20100\t2\t1\n" // generated columns

// toldTally is the answer to what there is.
func toldTally() string {
	var b strings.Builder
	for i := range tables {
		fmt.Fprintf(&b, "%d\t1\t%d:%d\n", i, 20100+i, 20100)
	}
	return b.String()
}

// FuzzLoad reads the catalog of a server that says anything. Whatever it says,
// the load ends, and so does what is asked of the catalog it made.
func FuzzLoad(f *testing.F) {
	f.Add(toldCatalog, "select m from w")
	f.Add(strings.Replace(toldCatalog, "20202\t0\n", "20201\t0\n", 1), "select 'x'::d, coalesce(t, '(1)') from t") // a domain that stands on itself
	f.Add(strings.Replace(toldCatalog, "FROM public.t\n", "FROM public.w\n", 1), "select * from v")                // views that contain each other
	f.Add(strings.Replace(toldCatalog, "20103\t20100", "20103\t20100\n20100\t20103\n20100\t20100", 1), "select u from u")
	f.Add(strings.Replace(toldCatalog, "20101\t1\tmail", "20101\t1\tmail\t25\n20101\t1\tmail", 1), "update v set mail = ''")
	f.Add(strings.Replace(toldCatalog, "20101\tSELECT lower(t.email) AS mail FROM public.t", `20101`+"\t\\N", 1), "table w")
	f.Fuzz(func(t *testing.T, rows, text string) {
		if len(rows) > 10_000 || len(text) > 1000 {
			return
		}
		var l Loader
		answers := strings.Split(rows, "\n\n")
		c, err := l.Load(t.Context(), &told{answers})
		if err != nil {
			return
		}
		if !l.Partial() { // nothing is asked but whether anything has changed
			if again, err := l.Load(t.Context(), &told{answers}); err != nil || again != c {
				t.Fatalf("the same answers made another catalog: %v", err)
			}
		}
		for line := range strings.SplitSeq(rows, "\n") {
			r := record{values: [][]byte{}}
			for v := range strings.SplitSeq(line, "\t") {
				r.values = append(r.values, []byte(v))
			}
			if oid := r.oid(); r.err == nil {
				for num := int16(-7); num < 4; num++ {
					if len(c.Sources(oid, num)) == 0 {
						t.Fatalf("column %d of relation %d comes from nowhere", num, oid)
					}
					c.Column(oid, num)
				}
			}
		}
		st := &State{Catalog: c, SearchPath: []string{"pg_catalog", "public"}, StandardStrings: true}
		for _, s := range NewAnalyzer(Options{CacheEntries: -1}).Analyze([]byte(text), st).Statements {
			if s.Access == 0 || strings.Contains(s.Why, "analysis failed") {
				t.Fatalf("%q: access %v, %s", text, s.Access, s.Why)
			}
		}
	})
}
