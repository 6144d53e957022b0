package audit

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-dev/gateway/protocol"
)

// A Reader answers people who ask about the evidence over HTTP. All its fields
// are needed.
type Reader struct {
	Index   Index
	Journal *Journal // in which each question is recorded before it is answered

	// Auth says who asks, or fails. May says whether they may: nobody may by
	// default.
	Auth func(*http.Request) (*protocol.Identity, error)
	May  func(*protocol.Identity) bool
}

// ServeHTTP answers GET with a [Page] as JSON. The parameters are the fields of
// a [Query] as [QueryFields] names them; with format=csv the answer is
// [WriteCSV]'s, and the header Next-Cursor has the next page's cursor. As long as
// there is a cursor there may be more, also behind a page that is short. Who asked
// for what is an event of its own, audit.read, on stable storage before the
// first byte of the answer: what cannot be recorded is not answered.
func (rd *Reader) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	fail := func(status int, text string) { http.Error(w, text, status) }
	if r.Method != http.MethodGet {
		head.Set("Allow", http.MethodGet)
		fail(http.StatusMethodNotAllowed, "only GET is answered")
		return
	}
	who, err := rd.Auth(r)
	if err != nil || who == nil {
		head.Set("WWW-Authenticate", "Bearer")
		fail(http.StatusUnauthorized, "log in to read the journal")
		return
	}
	if rd.May == nil || !rd.May(who) {
		fail(http.StatusForbidden, "you may not read the journal")
		return
	}
	v := r.URL.Query()
	format := v.Get("format")
	v.Del("format")
	if format != "" && format != "json" && format != "csv" {
		fail(http.StatusBadRequest, "format: want json or csv")
		return
	}
	q, err := ParseQuery(v, time.Now())
	if err != nil {
		fail(http.StatusBadRequest, err.Error())
		return
	}
	if err := rd.Journal.RecordReading(r.Context(), who, r.RemoteAddr, q); err != nil {
		fail(http.StatusServiceUnavailable, "the journal cannot record that you read it")
		return
	}
	p, err := rd.Index.Search(r.Context(), q)
	switch {
	case errors.Is(err, ErrQuery):
		fail(http.StatusBadRequest, err.Error())
	case err != nil:
		fail(http.StatusInternalServerError, "the index cannot be read")
	case format == "csv":
		head.Set("Content-Type", "text/csv; charset=utf-8")
		head.Set("Next-Cursor", p.Next)
		_ = WriteCSV(w, p.Entries, true) // whoever asked has gone
	default:
		head.Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(p)
	}
}

// RecordReading records that who has read what q asks for, durably. An error
// means that it must not be shown.
func (j *Journal) RecordReading(ctx context.Context, who *protocol.Identity, remote string, q Query) error {
	return j.own(ctx, Event{Kind: JournalRead, Identity: identityOf(who), Remote: Text(remote), Journal: &About{What: Text(q.String())}})
}

// identityOf returns id as an event has it.
func identityOf(id *protocol.Identity) *Identity {
	var first *Identity
	for at, n := &first, 0; id != nil && n < maxActors; id, n = id.OnBehalfOf, n+1 {
		out := &Identity{Issuer: Text(id.Issuer), Subject: Text(id.Subject), Name: Text(id.Name), Email: Text(id.Email),
			Kind: Text(id.Kind), Method: Text(id.Method)}
		for _, g := range id.Groups {
			out.Groups = append(out.Groups, Text(g))
		}
		*at, at = out, &out.OnBehalfOf
	}
	return first
}

// csvHeader are the columns of [WriteCSV].
var csvHeader = []string{"origin", "seq", "end_seq", "time", "kind", "session", "command", "issuer", "subject", "on_behalf_of", "target", "tool", "trust",
	"verb", "access", "objects", "text", "effect", "rule", "reason", "ticket", "approved_by", "risk", "status", "code", "rows", "bytes", "masked", "duration_us", "error"}

// WriteCSV writes entries as CSV, with a header if told so. Cells that a
// spreadsheet would take for a formula begin with an apostrophe.
func WriteCSV(w io.Writer, entries []Entry, header bool) error {
	out := csv.NewWriter(w)
	if header {
		if err := out.Write(csvHeader); err != nil {
			return err
		}
	}
	for i := range entries {
		cells := csvCells(&entries[i])
		for k := range cells {
			if cells[k] != "" && strings.ContainsRune("=+-@\t\r", rune(cells[k][0])) {
				cells[k] = "'" + cells[k]
			}
		}
		if err := out.Write(cells); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func csvCells(e *Entry) []string {
	var id, behalf Identity
	var a Action
	var d Decision
	var r Result
	var tool Tool
	target := Text("")
	if e.Identity != nil {
		id = *e.Identity
		if id.OnBehalfOf != nil {
			behalf = *id.OnBehalfOf
		}
	}
	if e.Action != nil {
		a = *e.Action
	}
	if e.Decision != nil {
		d = *e.Decision
	}
	if e.Result != nil {
		r = *e.Result
	}
	if e.Tool != nil {
		tool = *e.Tool
	}
	if e.Target != nil {
		target = e.Target.Name
	}
	var objects, masked, approvers []string
	for _, o := range a.Objects {
		objects = append(objects, string(o.Name))
	}
	for _, m := range r.Masked {
		masked = append(masked, string(m))
	}
	for _, g := range d.Grants {
		approvers = append(approvers, string(g.By))
	}
	text := ""
	if a.Text != nil {
		text = string(a.Text.Text)
	}
	number := func(n int64) string {
		if n == 0 {
			return ""
		}
		return strconv.FormatInt(n, 10)
	}
	return []string{e.Origin, strconv.FormatUint(e.Seq, 10), number(int64(e.End)), e.Time.UTC().Format(time.RFC3339Nano), string(e.Kind),
		e.Session, number(int64(e.Command)), string(id.Issuer), string(id.Subject), string(behalf.Subject), string(target), string(tool.Name), tool.Trust,
		string(a.Verb), strings.Join(a.Access, " "), strings.Join(objects, " "), text, d.Effect, string(d.Rule), string(d.Reason), string(d.Ticket),
		strings.Join(approvers, " "), number(int64(a.Risk)), r.Status, string(r.Code), number(r.Rows), number(r.Bytes), strings.Join(masked, " "),
		number(r.Duration), string(e.Error)}
}
