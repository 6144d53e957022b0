// Package s3 is a store in a bucket of Amazon S3 or of a service that speaks
// its protocol. An object is uploaded in one request, with its SHA-256, which
// the service checks; so it is there whole or not at all, and is at most 5 GiB.
// There is no way here to remove an object: give the gateway an account that
// cannot either, and a bucket with object lock where evidence has to stay.
package s3

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/sallyport-dev/gateway/audit/store"
	"github.com/sallyport-dev/gateway/protocol"
)

// A Config says which bucket, and who asks.
type Config struct {
	Endpoint string // such as https://s3.eu-central-1.amazonaws.com
	Region   string // "": the service is asked
	Bucket   string // it has to exist
	Prefix   string // before each name, such as "gateway-1/"

	// AccessKey and SecretKey, and SessionToken where they are temporary. Without
	// AccessKey they are those of the environment (AWS_ACCESS_KEY_ID ...), of the
	// file of the AWS command line, or of the machine's role.
	AccessKey    string
	SecretKey    protocol.Secret
	SessionToken protocol.Secret

	Transport http.RoundTripper // nil: one that waits a minute for something to come, or to be taken

	StorageClass string // "": the bucket's

	patience time.Duration // for tests; 0: as below
}

// patience is how long a service may send nothing, or take nothing, or tell of no
// further object.
const patience = time.Minute

// maxObject is what S3 takes in one request.
const maxObject = 5 << 30

// New returns the store. It asks the service nothing yet.
func New(c Config) (store.Store, error) {
	u, err := url.Parse(c.Endpoint)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || strings.Trim(u.Path, "/") != "" || u.User != nil:
		return nil, fmt.Errorf("s3: endpoint %q: want https://HOST[:PORT]", c.Endpoint)
	case c.Bucket == "":
		return nil, errors.New("s3: there is no bucket")
	case c.Prefix != "" && (strings.HasPrefix(c.Prefix, "/") || !strings.HasSuffix(c.Prefix, "/")):
		return nil, fmt.Errorf("s3: prefix %q: want one that ends with a slash and begins with none", c.Prefix)
	}
	creds := credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{}})
	if c.AccessKey != "" {
		creds = credentials.NewStaticV4(c.AccessKey, c.SecretKey.Reveal(), c.SessionToken.Reveal())
	}
	if c.patience <= 0 {
		c.patience = patience
	}
	transport := c.Transport
	if transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		dial := t.DialContext
		t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return watched{conn, c.patience}, nil
		}
		transport = t
	}
	// Whoever calls tries again, with longer pauses.
	client, err := minio.New(u.Host, &minio.Options{Creds: creds, Secure: u.Scheme == "https", Region: c.Region, Transport: transport, MaxRetries: 2,
		TrailingHeaders: true}) // checksums are not taken from whoever does without
	if err != nil {
		return nil, fmt.Errorf("s3: %w", err)
	}
	return &bucket{client, c.Bucket, c.Prefix, c.StorageClass, c.patience}, nil
}

// A watched connection ends when nothing goes over it while something should: a body
// that stops in its middle would be waited for for ever.
type watched struct {
	net.Conn
	patience time.Duration
}

// Read implements net.Conn.
func (c watched) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.patience)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

// Write implements net.Conn.
func (c watched) Write(b []byte) (int, error) {
	// While something goes out nothing needs to come in, though it is read for.
	if err := c.SetDeadline(time.Now().Add(c.patience)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

type bucket struct {
	client       *minio.Client
	name, prefix string
	class        string
	patience     time.Duration
}

// Put implements [store.Store].
func (b *bucket) Put(ctx context.Context, name string, body store.Body) error {
	if err := store.CheckName(name); err != nil {
		return err
	}
	if body.Size > maxObject {
		return fmt.Errorf("s3: %s has %d bytes, more than one request can hold", name, body.Size)
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err := b.client.PutObject(ctx, b.name, b.prefix+name, body, body.Size, minio.PutObjectOptions{DisableMultipart: true, StorageClass: b.class,
		DisableContentSha256: body.Size == 0, // else nothing is sent without a length, over HTTP without TLS
		UserMetadata:         map[string]string{"x-amz-checksum-sha256": base64.StdEncoding.EncodeToString(body.SHA256[:])}})
	return b.wrap("put", name, err)
}

// Get implements [store.Store].
func (b *bucket) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := store.CheckName(name); err != nil {
		return nil, err
	}
	o, err := b.client.GetObject(ctx, b.name, b.prefix+name, minio.GetObjectOptions{})
	if err == nil {
		_, err = o.Stat() // the first request
	}
	if err != nil {
		if o != nil {
			_ = o.Close()
		}
		return nil, b.wrap("get", name, err)
	}
	return o, nil
}

// List implements [store.Store].
func (b *bucket) List(ctx context.Context, prefix string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		silent := time.AfterFunc(b.patience, func() { cancel(errors.New("it goes on without telling of an object")) })
		defer silent.Stop()
		last := ""
		for o := range b.client.ListObjectsIter(ctx, b.name, minio.ListObjectsOptions{Prefix: b.prefix + prefix, Recursive: true}) {
			if o.Err != nil {
				if ctx.Err() != nil {
					o.Err = errors.Join(context.Cause(ctx), o.Err)
				}
				yield(store.Info{}, b.wrap("list", prefix, o.Err))
				return
			}
			silent.Stop()                                                    // whoever is told takes the time that it takes
			if o.Key <= last || !strings.HasPrefix(o.Key, b.prefix+prefix) { // a service that begins again and again would have no end
				yield(store.Info{}, fmt.Errorf("s3: list %s in %s: the service tells of %q, which is not what comes behind %q", b.prefix+prefix, b.name, o.Key, last))
				return
			}
			last = o.Key
			if !yield(store.Info{Name: strings.TrimPrefix(o.Key, b.prefix), Size: o.Size, Version: o.ETag + " " + o.LastModified.UTC().Format(time.RFC3339Nano)}, nil) {
				return
			}
			silent.Reset(b.patience)
		}
	}
}

// wrap says what failed, and whether it is that there is no such object.
func (b *bucket) wrap(what, name string, err error) error {
	if err == nil {
		return nil
	}
	if minio.ToErrorResponse(err).Code == minio.NoSuchKey {
		err = errors.Join(fs.ErrNotExist, err)
	}
	return fmt.Errorf("s3: %s %s in %s: %w", what, b.prefix+name, b.name, err)
}
