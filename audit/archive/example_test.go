package archive_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/archive"
	"github.com/sallyport-dev/gateway/audit/store"
)

// A journal in a store, and back.
func ExampleArchive() {
	dir, err := os.MkdirTemp("", "example")
	check(err)
	defer os.RemoveAll(dir)
	private, public, err := audit.NewKey("gateway.example.com")
	check(err)
	key, err := audit.ParseKey(public)
	check(err)
	j, err := audit.Open(dir+"/audit", audit.Options{Key: private})
	check(err)
	check(j.Close())
	j, err = audit.Open(dir+"/audit", audit.Options{Key: private}) // begins another segment
	check(err)
	defer j.Close()

	bucket := store.Dir(dir + "/bucket") // or s3.New
	a := &archive.Archive{Dir: dir + "/audit", Store: bucket, Keys: []note.Verifier{key}, Keep: 30 * 24 * time.Hour}
	res, err := a.Round(context.Background()) // or Run, beside the gateway
	fmt.Println(res.Segments, err)

	ids, err := archive.Journals(context.Background(), bucket)
	check(err)
	rep, err := archive.Copy{Store: bucket, Origin: ids[0]}.Verify(context.Background(), audit.Trust{Keys: []note.Verifier{key}})
	fmt.Println(rep.Segments, err)
	// Output:
	// 1 <nil>
	// 1 <nil>
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
