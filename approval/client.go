package approval

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// maxReply bounds what a client reads of an answer.
const maxReply = 64 << 20

// A Client speaks to a [Handler]. Its methods may be called from many
// goroutines; their errors are those of a [Broker].
type Client struct {
	// URL is the server's, such as "https://gateway.example.com". Without TLS
	// it may only be on this machine, because the token is sent there.
	URL   string
	Token protocol.Secret
	HTTP  *http.Client // nil: one of its own, with a time limit
}

// List returns the pending requests that the caller may see, oldest first,
// and the ended ones too if all is true.
func (c *Client) List(ctx context.Context, all bool) ([]Request, error) {
	var l list
	query := ""
	if all {
		query = "?state=all"
	}
	err := c.Do(ctx, http.MethodGet, path+query, nil, &l)
	return l.Requests, err
}

// Get returns one request; id may be as somebody typed it.
func (c *Client) Get(ctx context.Context, id string) (Request, error) {
	var r Request
	key, ok := ParseID(id)
	if !ok {
		return r, ErrUnknown
	}
	err := c.Do(ctx, http.MethodGet, path+"/"+key, nil, &r)
	return r, err
}

// Decide votes on r as it was returned by List, Get or Watch, and returns the
// request as it is afterwards. Show all of [Request.Card] before.
func (c *Client) Decide(ctx context.Context, r Request, approve bool, comment string) (Request, error) {
	v := wireVerdict{Verdict: "deny", Digest: hexDigest(r.Digest), Comment: comment}
	if approve {
		v.Verdict = "approve"
	}
	var after Request
	key, ok := ParseID(r.ID)
	if !ok {
		return after, ErrUnknown
	}
	err := c.Do(ctx, http.MethodPost, path+"/"+key, v, &after)
	return after, err
}

// Watch yields the pending requests and from then on each that changes, as
// seen by asking every interval (two seconds if it is 0), until ctx ends. An
// error is yielded and does not end it, except [ErrLogin].
func (c *Client) Watch(ctx context.Context, interval time.Duration) iter.Seq2[Request, error] {
	orElse(&interval, 2*time.Second)
	return func(yield func(Request, error) bool) {
		type seen struct {
			state State
			votes int
		}
		var known map[string]seen
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			rs, err := c.List(ctx, true)
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				if !yield(Request{}, err) || errors.Is(err, ErrLogin) {
					return
				}
			default:
				now := make(map[string]seen, len(rs))
				for _, r := range rs {
					s := seen{r.State, len(r.Decisions)}
					now[r.ID] = s
					if before, ok := known[r.ID]; ok && before == s || known == nil && r.State != StatePending {
						continue
					}
					if !yield(r, nil) {
						return
					}
				}
				known = now
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}
}

// Do asks another page of the same server, as the same person: it sends body as
// JSON, unless that is nil, and reads the answer into into.
func (c *Client) Do(ctx context.Context, method, where string, body, into any) error {
	u, err := url.Parse(strings.TrimRight(c.URL, "/"))
	if err != nil {
		return fmt.Errorf("approval: the server's address: %w", err)
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())) {
		return fmt.Errorf("approval: %s: the token is sent over https, or to this machine", u.Redacted())
	}
	var send io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		send = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String()+where, send)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.Token.Reveal())
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	hc := http.Client{Timeout: 30 * time.Second}
	if c.HTTP != nil {
		hc = *c.HTTP
	}
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // the token goes where it was meant to
	resp, err := hc.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	switch {
	case err != nil:
		return err
	case len(b) > maxReply:
		return errors.New("approval: the server's answer is too large")
	case resp.StatusCode != http.StatusOK:
		return failure(resp.StatusCode, b)
	}
	return json.Unmarshal(b, into)
}

// failure turns a server's refusal back into the error it was.
func failure(status int, body []byte) error {
	var p problem
	_ = json.Unmarshal(body, &p) // something between may have answered, in its own words
	if p.Code == "forbidden" {
		return &ForbiddenError{Visible(p.Error)}
	}
	for _, c := range codes {
		if c.code == p.Code {
			return c.err
		}
	}
	if p.Error == "" {
		p.Error = http.StatusText(status)
	}
	return fmt.Errorf("approval: the server answered %d: %s", status, Visible(p.Error))
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
