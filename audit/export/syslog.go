package export

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-dev/gateway/audit"
)

// A Syslog is a sink that sends messages of RFC 5424, each behind its length as
// RFC 5425 has it, over TLS or TCP. Their text is CEF unless Format says
// otherwise.
//
// Syslog has no acknowledgement, and what was written to a connection may still
// be in the memory of either machine when the server dies. So each batch has a
// connection of its own, which ends with it: a server closes it when it has read
// all, and that is what Send waits for. After a connection that ends otherwise the
// batch is sent again.
type Syslog struct {
	Addr   string
	TLS    *tls.Config // nil: TCP without TLS
	Host   string      // HOSTNAME; "": this machine's name
	Format Format      // nil: [CEF]
}

// How long a connection may take to be made, and a batch to be written and read.
const (
	dialTime = 10 * time.Second
	readTime = 30 * time.Second
)

// Send implements [Sink].
func (s *Syslog) Send(ctx context.Context, origin string, events []audit.Event) error {
	var b []byte
	for i := range events {
		m, err := s.message(origin, &events[i])
		if err != nil {
			return &RejectedError{Err: err}
		}
		b = append(strconv.AppendInt(b, int64(len(m)), 10), ' ')
		b = append(b, m...)
	}
	var c interface {
		net.Conn
		CloseWrite() error
	}
	d := &net.Dialer{Timeout: dialTime}
	conn, err := d.DialContext(ctx, "tcp", s.Addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return fmt.Errorf("syslog: %s is not reached over TCP", s.Addr)
	}
	if c = tcp; s.TLS != nil {
		conf := s.TLS.Clone()
		if conf.ServerName == "" {
			conf.ServerName, _, _ = net.SplitHostPort(s.Addr)
		}
		c = tls.Client(conn, conf)
	}
	if err := conn.SetDeadline(time.Now().Add(readTime)); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := c.Write(b); err != nil {
		return err
	}
	if err := c.CloseWrite(); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, c); err != nil { // to its end
		return fmt.Errorf("syslog: %s: nobody knows whether it has read all: %w", s.Addr, err)
	}
	return taken(ctx, tcp)
}

// facility 13 is that of audit messages.
const facility = 13

func (s *Syslog) message(origin string, e *audit.Event) ([]byte, error) {
	format, host := s.Format, s.Host
	if format == nil {
		format = CEF
	}
	if host == "" {
		host, _ = os.Hostname()
	}
	text, err := format(origin, e)
	if err != nil {
		return nil, err
	}
	severity := 6 - min(3, importance(e)/3) // informational to error
	return fmt.Appendf(nil, "<%d>1 %s %s sallyport - %s [meta sequenceId=\"%d\"] %s", facility*8+severity,
		e.Time.UTC().Format("2006-01-02T15:04:05.000000Z07:00"), token(host, 255), token(string(e.Kind), 32), e.Seq%(1<<31-1)+1, text), nil
}

// token is s as a field of the header: visible ASCII.
func token(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '-'
		}
		return r
	}, s)
	if s == "" {
		return "-"
	}
	return s[:min(len(s), limit)]
}

// importance is how much an event matters to whoever watches, from 0 to 10.
func importance(e *audit.Event) int {
	n := 1
	if e.Decision != nil && e.Decision.Effect == "deny" || e.Kind == audit.LoginRefused {
		n = 5
	}
	switch e.Kind {
	case audit.JournalGap:
		n = 10
	case audit.CommandUnknown:
		n = 6
	}
	if e.Action != nil {
		n = max(n, min(10, e.Action.Risk/10))
	}
	return n
}

// cefLimits are how many characters ArcSight keeps of a field, by the dictionary
// of its CEF implementation standard: what is longer is cut here, where it can be
// seen.
var cefLimits = map[string]int{"act": 63, "app": 31, "outcome": 63, "msg": 1023, "reason": 1023, "suid": 1023, "suser": 1023, "dhost": 1023,
	"requestClientApplication": 1023, "cs1": 4000, "cs2": 4000, "cs3": 4000, "cs4": 4000, "cs5": 4000, "cs6": 4000}

// cefCut bounds a value to what ArcSight keeps.
func cefCut(key, value string) string {
	limit := cefLimits[key]
	if limit == 0 || len(value) <= limit {
		return value
	}
	r := []rune(value)
	if len(r) <= limit {
		return value
	}
	return string(r[:limit-3]) + "..."
}

// CEF is the event in ArcSight's Common Event Format, version 0, with the escapes
// of its implementation standard: \ and | in the header, \ and = in a value, of
// which a line's end is written as \n. What is longer than ArcSight keeps is cut,
// and ends with three points.
func CEF(origin string, e *audit.Event) ([]byte, error) {
	var b strings.Builder
	name := string(e.Kind)
	if e.Action != nil && e.Action.Verb != "" {
		name += " " + string(e.Action.Verb)
	}
	fmt.Fprintf(&b, "CEF:0|Sallyport|gateway|%d|%s|%s|%d|", e.V, cefHeader(string(e.Kind)), cefHeader(name), importance(e))
	first := true
	add := func(key string, value string) {
		if value == "" {
			return
		}
		if !first {
			b.WriteByte(' ')
		}
		first = false
		b.WriteString(key + "=" + cefValue(cefCut(key, value)))
	}
	label := func(n int, name, value string) {
		if value != "" {
			add(fmt.Sprintf("cs%d", n), value)
			add(fmt.Sprintf("cs%dLabel", n), name)
		}
	}
	add("externalId", fmt.Sprintf("%s:%d", origin, e.Seq))
	add("rt", strconv.FormatInt(e.Time.UnixMilli(), 10))
	if id := e.Identity; id != nil {
		add("suid", string(id.Subject))
		add("suser", string(id.Name))
	} else {
		add("suser", string(e.User))
	}
	if host, port, err := net.SplitHostPort(string(e.Remote)); err == nil {
		add("src", host)
		add("spt", port)
	}
	if e.Target != nil {
		add("dhost", string(e.Target.Name))
		add("app", string(e.Target.Protocol))
	}
	if e.Tool != nil {
		add("requestClientApplication", string(e.Tool.Name))
	}
	if a := e.Action; a != nil {
		add("act", string(a.Verb))
		if a.Text != nil && !a.Text.Hidden {
			add("msg", string(a.Text.Text))
		}
		label(1, "access", strings.Join(a.Access, " "))
		var objects []string
		for _, o := range a.Objects {
			objects = append(objects, string(o.Name))
		}
		label(2, "objects", strings.Join(objects, " "))
		if a.Risk > 0 {
			add("cn1", strconv.Itoa(a.Risk))
			add("cn1Label", "risk")
		}
	}
	if d := e.Decision; d != nil {
		label(3, "decision", d.Effect)
		label(4, "rule", strings.TrimSpace(string(d.By+" "+d.Rule)))
		add("reason", string(d.Reason))
		var by []string
		for _, g := range d.Grants {
			by = append(by, string(g.By))
		}
		label(5, "approved by", strings.Join(by, " "))
	}
	if r := e.Result; r != nil {
		add("outcome", r.Status)
		if r.Rows > 0 {
			add("cn2", strconv.FormatInt(r.Rows, 10))
			add("cn2Label", "rows")
		}
		add("out", positive(r.Bytes))
	}
	label(6, "session", e.Session)
	return []byte(b.String()), nil
}

func positive(n int64) string {
	if n <= 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func cefHeader(s string) string {
	return strings.NewReplacer(`\`, `\\`, `|`, `\|`).Replace(printable(strings.ReplaceAll(s, "\n", " ")))
}

func cefValue(s string) string {
	return strings.NewReplacer(`\`, `\\`, `=`, `\=`, "\n", `\n`).Replace(printable(s))
}

// printable is s without what a terminal would obey; a line's end stays.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && (r < ' ' || r >= 0x7f && r < 0xa0) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
