package witness

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport-dev/gateway/audit"
)

// A Server is a witness: it answers POST /add-checkpoint. What it has seen is in
// Dir, on stable storage before it answers; losing Dir means to begin anew and
// to be no witness of what was before.
type Server struct {
	Signer note.Signer     // see [ParseSigner]
	Keys   []note.Verifier // of the journals that are witnessed, as audit.ParseKey returns them
	Dir    string          // a folder that exists, of this witness only

	mu sync.Mutex // a size is looked at and set by one request at a time
}

// Bounds of a request, and of what one key can make a witness remember.
const (
	maxRequest  = 128 << 10
	maxProof    = 63
	maxJournals = 1000
)

// A refusal is an answer that is no cosignature.
type refusal struct {
	status int
	size   string // of a conflict
	error
}

func refuse(status int, format string, a ...any) error {
	return &refusal{status, "", fmt.Errorf(format, a...)}
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case !strings.HasSuffix(r.URL.Path, "/add-checkpoint"):
		http.NotFound(w, r)
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "add-checkpoint is a POST", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		http.Error(w, "the request is too large, or was cut off", http.StatusBadRequest)
		return
	}
	line, err := s.add(body)
	var no *refusal
	switch {
	case err == nil:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write(line)
	case errors.As(err, &no) && no.size != "":
		w.Header().Set("Content-Type", "text/x.tlog.size")
		w.WriteHeader(no.status)
		_, _ = io.WriteString(w, no.size+"\n")
	case errors.As(err, &no):
		http.Error(w, no.Error(), no.status)
	default:
		http.Error(w, "the witness cannot keep what it sees", http.StatusInternalServerError)
	}
}

// A request is a decoded add-checkpoint.
type request struct {
	old    uint64
	proof  tlog.TreeProof
	signed []byte
}

func parse(body []byte) (q request, err error) {
	head, signed, ok := bytes.Cut(body, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	old, isOld := strings.CutPrefix(lines[0], "old ")
	n, perr := strconv.ParseUint(old, 10, 63)
	if !ok || !isOld || perr != nil || strconv.FormatUint(n, 10) != old || len(lines)-1 > maxProof {
		return q, refuse(http.StatusBadRequest, "not in the form of c2sp.org/tlog-witness")
	}
	for _, l := range lines[1:] {
		b, err := base64.StdEncoding.DecodeString(l)
		if err != nil || len(b) != tlog.HashSize {
			return q, refuse(http.StatusBadRequest, "a line of the proof is no hash")
		}
		q.proof = append(q.proof, tlog.Hash(b))
	}
	q.old, q.signed = n, signed
	return q, nil
}

// add checks a request, remembers its checkpoint and returns the cosignature.
func (s *Server) add(body []byte) ([]byte, error) {
	q, err := parse(body)
	if err != nil {
		return nil, err
	}
	origin, _, _ := strings.Cut(string(q.signed), "\n")
	if !s.knows(origin) {
		return nil, refuse(http.StatusNotFound, "nobody of that name is witnessed here")
	}
	c, err := audit.ParseCheckpoint(q.signed, s.Keys...)
	if err != nil {
		return nil, refuse(http.StatusForbidden, "it is not signed by a key that is known here")
	}
	if q.old > c.Size {
		return nil, refuse(http.StatusBadRequest, "the old size is larger than the new one")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	was, err := s.read(c.Origin)
	if err != nil {
		return nil, err
	}
	conflict := func() error {
		return &refusal{http.StatusConflict, strconv.FormatUint(was.Size, 10), errors.New("conflict")}
	}
	if q.old != was.Size {
		return nil, conflict()
	}
	switch {
	case q.old == c.Size && was.Origin != "":
		if c.Root != was.Root {
			return nil, conflict()
		}
		if len(q.proof) > 0 {
			return nil, refuse(http.StatusUnprocessableEntity, "there is nothing to prove")
		}
	case q.old == 0:
		if len(q.proof) > 0 {
			return nil, refuse(http.StatusUnprocessableEntity, "there is nothing to prove")
		}
		if c.Size == 0 && c.Root != sha256.Sum256(nil) {
			return nil, refuse(http.StatusUnprocessableEntity, "the root is not that of no event")
		}
	default:
		if err := tlog.CheckTree(q.proof, int64(c.Size), tlog.Hash(c.Root), int64(was.Size), tlog.Hash(was.Root)); err != nil {
			return nil, refuse(http.StatusUnprocessableEntity, "the proof does not show that it continues what was seen")
		}
	}
	return s.cosign(q.signed, c, was)
}

// knows reports whether journals of the name in origin are witnessed.
func (s *Server) knows(origin string) bool {
	for _, k := range s.Keys {
		if strings.HasPrefix(origin, k.Name()+"/") {
			return true
		}
	}
	return false
}

func (s *Server) cosign(signed []byte, c, was audit.Checkpoint) ([]byte, error) {
	n, err := note.Open(signed, note.VerifierList(s.Keys...))
	if err != nil {
		return nil, err
	}
	if err := s.write(c.Origin, signed, was.Origin == ""); err != nil {
		return nil, err
	}
	both, err := note.Sign(&note.Note{Text: n.Text}, s.Signer)
	if err != nil {
		return nil, err
	}
	_, line, _ := bytes.Cut(both, []byte("\n\n"))
	return line, nil
}

// path is where the newest checkpoint of origin is.
func (s *Server) path(origin string) string {
	h := sha256.Sum256([]byte(origin))
	return filepath.Join(s.Dir, hex.EncodeToString(h[:])+".checkpoint")
}

// read returns the newest checkpoint of origin, or the zero one.
func (s *Server) read(origin string) (audit.Checkpoint, error) {
	b, err := os.ReadFile(s.path(origin))
	if errors.Is(err, fs.ErrNotExist) {
		return audit.Checkpoint{}, nil
	}
	if err != nil {
		return audit.Checkpoint{}, err
	}
	// By any key that signed it then: the witness itself has put it there.
	return audit.ReadUnsigned(b)
}

func (s *Server) write(origin string, signed []byte, fresh bool) error {
	if fresh {
		known, err := os.ReadDir(s.Dir)
		if err != nil {
			return err
		}
		if len(known) >= maxJournals {
			return refuse(http.StatusTooManyRequests, "this witness has %d journals, and takes no more", len(known))
		}
	}
	f, err := os.OpenFile(s.path(origin)+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(signed); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), s.path(origin)); err != nil {
		return err
	}
	d, err := os.Open(s.Dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
