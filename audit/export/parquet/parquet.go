// Package parquet makes Parquet files of a journal's events, for whoever asks
// questions with DuckDB, Spark, Athena or pandas.
//
// # The schema
//
// It is flat and only grows at its end; a file says which version it has in the
// metadata key "sallyport.schema". The columns are the fields of [Row]. What has
// no column is in "event", the event as JSON. Texts are UTF-8; bytes that are
// not become U+FFFD, and "event" has them in base64.
//
// Rows stand in the order of the events. A row group holds the events of one
// hour, so that readers skip those that a question about time is not about: each
// column of a row group has the least and the greatest of its values.
package parquet

import (
	"bytes"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"github.com/sallyport-dev/gateway/audit"
	"github.com/sallyport-dev/gateway/audit/export"
)

// Schema is the version of the schema. It rises with each column.
const Schema = "1"

// A Row is one event.
type Row struct {
	Origin         string    `parquet:"origin,dict"` // the journal's id
	Seq            uint64    `parquet:"seq,delta"`   // with origin, the row's key
	Time           time.Time `parquet:"time,timestamp(nanosecond)"`
	Kind           string    `parquet:"kind,dict"`
	Session        string    `parquet:"session,dict"`
	Command        uint64    `parquet:"command"`
	Issuer         string    `parquet:"issuer,dict"`
	Subject        string    `parquet:"subject,dict"`
	Name           string    `parquet:"name,dict"`
	Email          string    `parquet:"email,dict"`
	IdentityKind   string    `parquet:"identity_kind,dict"`
	OnBehalfOf     string    `parquet:"on_behalf_of,dict"` // subject of the one an agent works for
	User           string    `parquet:"user,dict"`         // the account that the client asked for
	Target         string    `parquet:"target,dict"`
	Protocol       string    `parquet:"protocol,dict"`
	Database       string    `parquet:"database,dict"`
	Remote         string    `parquet:"remote,dict"`
	Tool           string    `parquet:"tool,dict"`
	ToolVersion    string    `parquet:"tool_version,dict"`
	Verb           string    `parquet:"verb,dict"`
	Access         []string  `parquet:"access,list"`
	Objects        []string  `parquet:"objects,list"`
	Fingerprint    string    `parquet:"fingerprint,dict"`
	Text           *string   `parquet:"text,optional"` // null: not there, hidden or sealed
	Risk           int32     `parquet:"risk"`
	Effect         string    `parquet:"effect,dict"`
	By             string    `parquet:"by,dict"`
	Rule           string    `parquet:"rule,dict"`
	Reason         string    `parquet:"reason,dict"`
	Ticket         string    `parquet:"ticket,dict"`
	ApprovedBy     []string  `parquet:"approved_by,list"`
	Status         string    `parquet:"status,dict"`
	Code           string    `parquet:"code,dict"`
	Rows           int64     `parquet:"rows"`
	Bytes          int64     `parquet:"bytes"`
	DurationMicros int64     `parquet:"duration_us"`
	Masked         []string  `parquet:"masked,list"`
	Event          string    `parquet:"event"` // JSON
}

// Encoding is the encoding for [export.Objects].
func Encoding() export.Encoding { return export.Encoding{Suffix: ".parquet", Encode: encode} }

func encode(origin string, events []audit.Event) ([]byte, error) {
	var b bytes.Buffer
	w := parquet.NewGenericWriter[Row](&b, parquet.Compression(&zstd.Codec{}), parquet.KeyValueMetadata("sallyport.schema", Schema),
		parquet.CreatedBy("sallyport", Schema, ""))
	var hour time.Time
	for i := range events {
		e := &events[i]
		if h := e.Time.Truncate(time.Hour); !h.Equal(hour) {
			if i > 0 {
				if err := w.Flush(); err != nil { // ends the row group
					return nil, err
				}
			}
			hour = h
		}
		r, err := row(origin, e)
		if err != nil {
			return nil, err
		}
		if _, err := w.Write([]Row{r}); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

// The first and last time that fit into 64 bits of nanoseconds.
var first, last = time.Unix(0, -1<<63), time.Unix(0, 1<<63-1)

func row(origin string, e *audit.Event) (Row, error) {
	whole, err := export.JSON(origin, e)
	if err != nil {
		return Row{}, err
	}
	r := Row{Origin: origin, Seq: e.Seq, Time: e.Time.UTC(), Kind: string(e.Kind), Session: e.Session, Command: e.Command,
		User: text(e.User), Database: text(e.Database), Remote: text(e.Remote), Event: string(whole)}
	if e.Time.Before(first) || e.Time.After(last) {
		r.Time = time.Unix(0, 0).UTC() // the event has it
	}
	if id := e.Identity; id != nil {
		r.Issuer, r.Subject, r.Name, r.Email, r.IdentityKind = text(id.Issuer), text(id.Subject), text(id.Name), text(id.Email), text(id.Kind)
		if id.OnBehalfOf != nil {
			r.OnBehalfOf = text(id.OnBehalfOf.Subject)
		}
	}
	if t := e.Target; t != nil {
		r.Target, r.Protocol = text(t.Name), text(t.Protocol)
	}
	if t := e.Tool; t != nil {
		r.Tool, r.ToolVersion = text(t.Name), text(t.Version)
	}
	if a := e.Action; a != nil {
		r.Verb, r.Access, r.Fingerprint, r.Risk = text(a.Verb), a.Access, text(a.Fingerprint), int32(a.Risk)
		for _, o := range a.Objects {
			r.Objects = append(r.Objects, text(o.Name))
		}
		if v := a.Text; v != nil && !v.Hidden && v.Sealed == nil {
			s := text(v.Text)
			r.Text = &s
		}
	}
	if d := e.Decision; d != nil {
		r.Effect, r.By, r.Rule, r.Reason, r.Ticket = d.Effect, text(d.By), text(d.Rule), text(d.Reason), text(d.Ticket)
		for _, g := range d.Grants {
			r.ApprovedBy = append(r.ApprovedBy, text(g.By))
		}
	}
	if res := e.Result; res != nil {
		r.Status, r.Code, r.Rows, r.Bytes, r.DurationMicros = res.Status, text(res.Code), res.Rows, res.Bytes, res.Duration
		for _, m := range res.Masked {
			r.Masked = append(r.Masked, text(m))
		}
	}
	return r, nil
}

func text(t audit.Text) string { return strings.ToValidUTF8(string(t), "\uFFFD") }
