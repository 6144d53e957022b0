package witness

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/sallyport-dev/gateway/audit"
)

// A Peer is a witness that is asked.
type Peer struct {
	URL string        // its submission prefix, such as https://witness.example/api
	Key note.Verifier // see [ParseKey]
}

// A Collector has the newest checkpoint of a journal cosigned, and keeps it with
// the cosignatures in the journal's directory when enough have come.
type Collector struct {
	Dir   string          // of the journal
	Keys  []note.Verifier // its public keys
	Peers []Peer

	// Quorum is how many have to cosign: all if 0.
	Quorum int

	Client *http.Client  // nil: one with a time limit of 15 s that follows no redirects
	Logger *slog.Logger  // nil: slog.Default()
	Every  time.Duration // how often Run asks: every ten seconds if 0

	mu   sync.Mutex
	size map[string]uint64 // of the newest checkpoint that a peer has cosigned, by URL
}

var client = &http.Client{Timeout: 15 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// A SplitError says that a witness has seen another journal than the one that is
// here: it was rewritten or cut off, or there are two of it.
type SplitError struct{ What string }

// Error says what does not belong together.
func (e *SplitError) Error() string { return "witness: " + e.What }

// Run asks until ctx ends.
func (c *Collector) Run(ctx context.Context) error {
	every, log := c.Every, c.Logger
	if every <= 0 {
		every = 10 * time.Second
	}
	if log == nil {
		log = slog.Default()
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		_, err := c.Round(ctx)
		var split *SplitError
		switch {
		case err == nil || ctx.Err() != nil:
		case errors.As(err, &split):
			log.Error("witness: A WITNESS HAS SEEN ANOTHER JOURNAL", "dir", c.Dir, "error", err)
		default:
			log.Warn("witness: it is tried again", "in", every, "error", err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.C:
		}
	}
}

// Round asks all witnesses once about the newest checkpoint, at the same time,
// and returns how many have cosigned it. The error is about those that have not,
// and nil if the quorum was met.
func (c *Collector) Round(ctx context.Context) (int, error) {
	quorum := c.Quorum
	if quorum <= 0 {
		quorum = len(c.Peers)
	}
	if quorum == 0 || quorum > len(c.Peers) {
		return 0, fmt.Errorf("witness: a quorum of %d, and %d witnesses", quorum, len(c.Peers))
	}
	signed, err := audit.ReadCheckpoint(c.Dir)
	if err != nil {
		return 0, err
	}
	now, err := audit.ParseCheckpoint(signed, c.Keys...)
	if err != nil {
		return 0, err
	}
	keys := make([]note.Verifier, len(c.Peers))
	for i, p := range c.Peers {
		keys[i] = p.Key
	}
	if was, err := audit.ReadWitnessed(c.Dir); err == nil {
		w, err := audit.ParseWitnessed(was, c.Keys, keys, quorum)
		switch {
		case err != nil: // other witnesses than before
		case w.Origin == now.Origin && w.Size > now.Size:
			return 0, &SplitError{fmt.Sprintf("%d events were witnessed, and the journal's checkpoint is of %d", w.Size, now.Size)}
		case w.Checkpoint == now:
			return len(w.By), nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	lines := make([][]byte, len(c.Peers))
	errs := make([]error, len(c.Peers))
	var wg sync.WaitGroup
	for i := range c.Peers {
		wg.Go(func() { lines[i], errs[i] = c.ask(ctx, &c.Peers[i], signed, now) })
	}
	wg.Wait()
	n := 0
	for _, l := range lines {
		if l != nil {
			n++
			signed = append(signed, l...)
		}
	}
	err = errors.Join(errs...)
	var split *SplitError
	if n < quorum {
		return n, err
	}
	if werr := audit.WriteWitnessed(c.Dir, signed); werr != nil {
		return n, werr
	}
	if errors.As(err, &split) {
		return n, err // however many others have not noticed
	}
	return n, nil
}

// ask returns the line by which p cosigns signed.
func (c *Collector) ask(ctx context.Context, p *Peer, signed []byte, now audit.Checkpoint) ([]byte, error) {
	c.mu.Lock()
	old := c.size[p.URL]
	c.mu.Unlock()
	for try := 0; ; try++ {
		line, has, err := c.add(ctx, p, signed, now, old)
		var conflict *conflictError
		switch {
		case errors.As(err, &conflict) && has > now.Size:
			// The journal's newer checkpoint may just have been written.
			if again, rerr := audit.ReadCheckpoint(c.Dir); rerr == nil && !bytes.Equal(again, signed) {
				return nil, fmt.Errorf("%w: it has seen %d events already", err, has)
			}
			return nil, &SplitError{fmt.Sprintf("%s has seen %d events, the journal's checkpoint is of %d", p.Key.Name(), has, now.Size)}
		case errors.As(err, &conflict) && has == old && has == now.Size:
			return nil, &SplitError{fmt.Sprintf("%s has seen other events than the %d that are here", p.Key.Name(), now.Size)}
		case errors.As(err, &conflict) && try < 2:
			old = has
			continue
		case errors.As(err, &conflict):
			return nil, err
		case err != nil:
			return nil, err
		}
		c.mu.Lock()
		if c.size == nil {
			c.size = map[string]uint64{}
		}
		c.size[p.URL] = now.Size
		c.mu.Unlock()
		return line, nil
	}
}

// A conflictError is a witness's answer that it has another size.
type conflictError struct{ error }

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 10

// add is one add-checkpoint.
func (c *Collector) add(ctx context.Context, p *Peer, signed []byte, now audit.Checkpoint, old uint64) (line []byte, has uint64, err error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "old %d\n", old)
	if old > 0 && old < now.Size {
		proof, err := audit.ConsistencyProof(c.Dir, old, now)
		if err != nil {
			return nil, 0, err
		}
		for _, h := range proof {
			fmt.Fprintf(&b, "%s\n", base64.StdEncoding.EncodeToString(h[:]))
		}
	}
	b.WriteByte('\n')
	b.Write(signed)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(p.URL, "/")+"/add-checkpoint", &b)
	if err != nil {
		return nil, 0, err
	}
	cl := c.Client
	if cl == nil {
		cl = client
	}
	res, err := cl.Do(r)
	if err != nil {
		return nil, 0, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, 0, err
	}
	failed := fmt.Errorf("witness %s answered %s", p.Key.Name(), res.Status)
	switch res.StatusCode {
	case http.StatusOK:
		line, err := cosignature(signed, answer, p.Key)
		return line, 0, err
	case http.StatusConflict:
		text := strings.TrimSuffix(string(answer), "\n")
		n, err := strconv.ParseUint(text, 10, 63)
		if err != nil || strconv.FormatUint(n, 10) != text {
			return nil, 0, fmt.Errorf("%w, and no size", failed)
		}
		return nil, n, &conflictError{failed}
	case http.StatusUnprocessableEntity:
		return nil, 0, &SplitError{fmt.Sprintf("%s has seen %d events that are not the first of those here", p.Key.Name(), old)}
	}
	return nil, 0, failed
}

// cosignature returns, of what a witness answered, the line that it has signed.
func cosignature(signed, answer []byte, key note.Verifier) ([]byte, error) {
	n, err := note.Open(append(bytes.Clone(signed), answer...), note.VerifierList(key))
	if err != nil {
		return nil, fmt.Errorf("witness %s: its answer is no cosignature: %w", key.Name(), err)
	}
	return fmt.Appendf(nil, "\u2014 %s %s\n", n.Sigs[0].Name, n.Sigs[0].Base64), nil
}
