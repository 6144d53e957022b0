package main

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"

	"github.com/sallyport-dev/gateway/audit/store"
	"github.com/sallyport-dev/gateway/audit/store/s3"
)

// storeHelp explains what openStore understands.
const storeHelp = `'dir:PATH' is a folder, and 's3://BUCKET/PREFIX?endpoint=URL&region=NAME'
a bucket of Amazon S3, without endpoint, or of another service that speaks its
protocol; keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the file of
the AWS command line, or the machine's role.`

// openStore opens the store that to names; ok is false if it names none.
func openStore(to string) (s store.Store, ok bool, err error) {
	if path, ok := strings.CutPrefix(to, "dir:"); ok {
		if path == "" {
			return nil, true, usagef("%q names no folder", to)
		}
		return store.Dir(path), true, nil
	}
	if !strings.HasPrefix(to, "s3://") {
		return nil, false, nil
	}
	u, err := url.Parse(to)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, true, usagef("%q is not s3://BUCKET/PREFIX", to)
	}
	q := u.Query()
	for k := range q {
		if k != "endpoint" && k != "region" && k != "class" {
			return nil, true, usagef("%q: there is no setting %q", to, k)
		}
	}
	region := q.Get("region")
	endpoint := cmp.Or(q.Get("endpoint"), fmt.Sprintf("https://s3.%s.amazonaws.com", cmp.Or(region, "us-east-1")))
	at, err := url.Parse(endpoint)
	if err != nil {
		return nil, true, usagef("endpoint %q is not understood", endpoint)
	}
	if err := sendsSafely(at); err != nil {
		return nil, true, err
	}
	prefix := strings.Trim(u.Path, "/")
	if prefix != "" {
		prefix += "/"
	}
	s, err = s3.New(s3.Config{Endpoint: endpoint, Region: region, Bucket: u.Host, Prefix: prefix, StorageClass: q.Get("class")})
	return s, true, err
}
