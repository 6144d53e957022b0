package middleware_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/middleware/middlewaretest"
	"github.com/sallyport-dev/gateway/protocol"
)

func TestMaskMessages(t *testing.T) {
	step := middleware.Mask(maskRules()...)
	const secret = "ada@example.com"
	reads := func() *protocol.Operation { return sel("public.customers.email") }
	prepare := func() *protocol.Operation { op := reads(); op.Prepare = true; return op }
	connect := func() *protocol.Operation {
		return &protocol.Operation{Verb: protocol.Connect, Access: protocol.Control,
			Session: &protocol.SessionInfo{ID: "s", Protocol: "postgres", Tool: protocol.Tool{Raw: "psql"}}}
	}
	commit := func() *protocol.Operation {
		return &protocol.Operation{Verb: "commit", Access: protocol.Control, ReadsKnown: true}
	}
	insert := func(table string) *protocol.Operation {
		return &protocol.Operation{Verb: "insert", Access: protocol.Write, Shape: protocol.Rows, ReadsKnown: true,
			Writes: refs("public." + table + ".id")}
	}
	names := func(table string) map[string]string {
		return map[string]string{"schema": "public", "table": table, "constraint": "c"}
	}
	param := func(name, value string) protocol.Message {
		return protocol.Message{Kind: protocol.ParameterMessage, Code: name, Text: value}
	}
	const kept = "\x00kept" // the text as it was
	for name, c := range map[string]struct {
		op   *protocol.Operation
		m    protocol.Message
		want string
	}{
		"error while reading": {reads(), protocol.Message{Code: "22P02", Text: `invalid input syntax for type integer: "` + secret + `"`, Detail: secret, Hint: secret, Where: secret, Query: secret},
			"a value does not fit its type or function"},
		"name that is a value": {reads(), protocol.Message{Code: "42P01", Text: `relation "` + secret + `" does not exist`}, "the statement names something that does not exist"},
		"found in the text":    {reads(), protocol.Message{Code: "42703", Text: `column "emial" does not exist`, Static: true}, kept},
		"while it is prepared": {prepare(), protocol.Message{Code: "42883", Text: "function lowr(text) does not exist"}, kept},
		"no such class":        {reads(), protocol.Message{Code: "ZZ000", Text: secret}, "the statement failed"},
		"no code":              {reads(), protocol.Message{Text: secret}, "the statement failed"},
		"notice while reading": {reads(), protocol.Message{Kind: protocol.NoticeMessage, Code: "00000", Text: secret}, "a notice was withheld"},
		"reads not known":      {&protocol.Operation{Verb: "select", Access: protocol.Read | protocol.Execute, Shape: protocol.Rows}, protocol.Message{Code: "P0001", Text: secret}, "a function raised an error"},
		"failing row": {insert("customers"), protocol.Message{Code: "23502", Text: "null value in column", Detail: "Failing row contains (1, " + secret + ")", Names: names("customers")},
			"a column that must have a value was given none"},
		"failing row of another":    {insert("orders"), protocol.Message{Code: "23502", Text: "null value", Detail: "Failing row contains (1)", Names: names("orders")}, kept},
		"cascade to a ruled table":  {insert("orders"), protocol.Message{Code: "23502", Text: "null value", Detail: secret, Names: names("customers")}, "a column that must have a value was given none"},
		"row of no named table":     {insert("orders"), protocol.Message{Code: "23514", Text: "null value", Detail: secret}, "a check constraint was violated"},
		"trigger on another":        {insert("orders"), protocol.Message{Code: "P0001", Text: secret, Where: "PL/pgSQL function f()"}, "a function raised an error"},
		"own literal":               {insert("orders"), protocol.Message{Code: "22P02", Text: `invalid input syntax for type integer: "x"`}, kept},
		"check on a ruled table":    {insert("customers"), protocol.Message{Code: "22P02", Text: secret}, "a value does not fit its type or function"},
		"inner query":               {insert("orders"), protocol.Message{Code: "22P02", Text: secret, Query: "select"}, "a value does not fit its type or function"},
		"line of COPY":              {insert("orders"), protocol.Message{Code: "22P02", Text: "invalid", Where: "COPY orders, line 3"}, kept},
		"trigger under COPY":        {insert("orders"), protocol.Message{Code: "22P02", Text: secret, Where: "COPY f()\nCOPY orders, line 3"}, "a value does not fit its type or function"},
		"deferred constraint":       {commit(), protocol.Message{Code: "23P01", Text: "conflicting key", Detail: "Key (email)=(" + secret + ")", Names: names("customers")}, "an integrity constraint was violated"},
		"deferred, another table":   {commit(), protocol.Message{Code: "23503", Text: "violates", Detail: "Key (id)=(1)", Names: names("orders")}, kept},
		"notification":              {connect(), protocol.Message{Kind: protocol.NotificationMessage, Code: "channel", Text: secret}, "***"},
		"shutdown":                  {connect(), protocol.Message{Code: "57P01", Text: "terminating connection due to administrator command"}, kept},
		"version":                   {connect(), param("server_version", "15.20"), kept},
		"encoding":                  {reads(), param("client_encoding", "UTF8"), kept},
		"date style":                {connect(), param("DateStyle", "ISO, MDY"), kept},
		"time zone":                 {connect(), param("TimeZone", "Europe/Warsaw"), kept},
		"time zone by a read":       {reads(), param("TimeZone", "<"+secret+">5"), ""},
		"own application_name":      {connect(), param("application_name", "psql"), kept},
		"other application_name":    {connect(), param("application_name", secret), ""},
		"search_path":               {connect(), param("search_path", secret), ""},
		"setting that is not known": {connect(), param("app.user", secret), ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := middlewaretest.Text(step, c.op, c.m)
			require.NoError(t, err)
			require.Equal(t, c.m.Code, got.Code)
			require.Equal(t, c.m.Names, got.Names)
			if c.want == kept {
				require.Equal(t, c.m.Text, got.Text)
				require.Equal(t, c.m.Detail, got.Detail)
				return
			}
			require.Equal(t, c.want, got.Text)
			require.NotContains(t, got.Detail+got.Hint+got.Where+got.Query, secret)
			if c.m.Kind == protocol.ErrorMessage || c.m.Kind == protocol.NoticeMessage {
				require.Contains(t, got.Hint, "withheld")
			}
		})
	}
}
