package httpproxy

import (
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// maxWindow is how far back a compressed body may refer, and so most of the
// memory that unpacking it takes. RFC 9659 lets zstd have no more in HTTP; brotli
// has 16 MiB at most by its format (RFC 7932, section 9.1).
const maxWindow = 8 << 20

// decoded returns the body without its compression. What it unpacks to is
// bounded by whoever reads it.
func decoded(res *http.Response) (io.Reader, error) {
	codings := strings.ToLower(strings.Join(res.Header["Content-Encoding"], ","))
	return unpack(strings.Trim(codings, " \t"), res.Body)
}

// unpack returns what was compressed to r. It needs no closing: nothing runs
// beside whoever reads.
func unpack(coding string, r io.Reader) (io.Reader, error) {
	switch coding {
	case "", "identity":
		return r, nil
	case "gzip", "x-gzip":
		return gzip.NewReader(r)
	case "deflate":
		return zlib.NewReader(r)
	case "br":
		return brotli.NewReader(r), nil
	case "zstd":
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
	}
	return nil, refuse(http.StatusForbidden, fmt.Sprintf("a step has to look into this body, and cannot unpack %.20q", coding))
}
