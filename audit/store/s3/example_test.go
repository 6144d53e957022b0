package s3_test

import (
	"log"

	"github.com/sallyport-dev/gateway/audit/store/s3"
	"github.com/sallyport-dev/gateway/protocol"
)

func ExampleNew() {
	s, err := s3.New(s3.Config{Endpoint: "https://s3.eu-central-1.amazonaws.com", Region: "eu-central-1", Bucket: "evidence", Prefix: "gateway-1/",
		AccessKey: "AKIAEXAMPLE", SecretKey: protocol.NewSecret("from where secrets are kept")})
	if err != nil {
		log.Fatal(err)
	}
	_ = s // for export.Objects or archive.Archive
}
