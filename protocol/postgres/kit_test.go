package postgres_test

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgproto3/v2"

	"github.com/sallyport-dev/gateway/protocol"
	"github.com/sallyport-dev/gateway/protocol/postgres"
	"github.com/sallyport-dev/gateway/protocol/protocoltest"
)

// TestKit holds the connector to the rules that all connectors are held to,
// with a scripted client and a scripted server of the test's own.
func TestKit(t *testing.T) {
	protocoltest.Test(t, protocoltest.Kit{
		NewServer:   func() protocol.Server { return &postgres.Server{AllowPlaintext: true} },
		NewClient:   newKitClient,
		ServeTarget: serveKitTarget,
		Read:        func(tag string) string { return "select '" + tag + "'" },
		Write:       func(tag string) string { return "insert into kit values ('" + tag + "')" },
		Options:     map[string]string{"sslmode": "disable"},
		Garbage: [][]byte{
			{0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f, 'x'},
			{0, 0, 0, 0, 0, 0, 0, 0},
			{0x16, 3, 1, 0, 0},
			{'Q', 0x7f, 0xff, 0xff, 0xff},
			{0, 0, 0x27, 0x10, 0, 3, 0, 0},
		},
	})
}

type kitClient struct {
	fe       *pgproto3.Frontend
	conn     net.Conn
	login    protocoltest.Login
	pid, key uint32
}

func newKitClient(conn net.Conn, l protocoltest.Login) (protocoltest.Client, error) {
	c := &kitClient{fe: pgproto3.NewFrontend(pgproto3.NewChunkReader(conn), conn), conn: conn, login: l}
	err := c.fe.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersionNumber,
		Parameters: map[string]string{"user": l.User, "database": l.Target, "application_name": "kit"}})
	if err != nil {
		return nil, err
	}
	for {
		msg, err := c.fe.Receive()
		if err != nil {
			return nil, err
		}
		switch msg := msg.(type) {
		case *pgproto3.AuthenticationCleartextPassword:
			if err := c.fe.Send(&pgproto3.PasswordMessage{Password: l.Proof}); err != nil {
				return nil, err
			}
		case *pgproto3.AuthenticationMD5Password:
			if err := c.fe.Send(&pgproto3.PasswordMessage{Password: md5Password(l.User, l.Proof, msg.Salt)}); err != nil {
				return nil, err
			}
		case *pgproto3.ErrorResponse:
			return nil, errors.New(msg.Message)
		case *pgproto3.BackendKeyData:
			c.pid, c.key = msg.ProcessID, msg.SecretKey
		case *pgproto3.ReadyForQuery:
			return c, nil
		}
	}
}

func (c *kitClient) Do(text string, row func([][]byte) error) error {
	if err := c.fe.Send(&pgproto3.Query{String: text}); err != nil {
		return err
	}
	var reply error
	for {
		msg, err := c.fe.Receive()
		if err != nil {
			return err
		}
		switch msg := msg.(type) {
		case *pgproto3.DataRow:
			if err := row(msg.Values); err != nil {
				return err
			}
		case *pgproto3.ErrorResponse:
			if msg.Severity == "FATAL" {
				return errors.New(msg.Message)
			}
			reply = &protocoltest.ReplyError{Text: msg.Message}
		case *pgproto3.ReadyForQuery:
			return reply
		}
	}
}

func (c *kitClient) Cancel() error {
	conn, err := c.login.Dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write(encode(&pgproto3.CancelRequest{ProcessID: c.pid, SecretKey: c.key})); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, conn)
	return err
}

func (c *kitClient) Close() error { return c.fe.Send(&pgproto3.Terminate{}) }

func md5Password(user, password string, salt [4]byte) string {
	sum := func(s string) string { h := md5.Sum([]byte(s)); return hex.EncodeToString(h[:]) }
	return "md5" + sum(sum(password+user)+string(salt[:]))
}

func serveKitTarget(conn net.Conn, t *protocoltest.Target) error {
	be := pgproto3.NewBackend(pgproto3.NewChunkReader(conn), conn)
	first, err := be.ReceiveStartupMessage()
	if err != nil {
		return err
	}
	startup, ok := first.(*pgproto3.StartupMessage)
	if !ok {
		return nil // a cancel request: the kit's target has nothing to cancel
	}
	salt := [4]byte{1, 2, 3, 4}
	if err := be.Send(&pgproto3.AuthenticationMD5Password{Salt: salt}); err != nil {
		return err
	}
	if err := be.SetAuthType(pgproto3.AuthTypeMD5Password); err != nil {
		return err
	}
	msg, err := be.Receive()
	if err != nil {
		return err
	}
	want := t.Account()
	pw, _ := msg.(*pgproto3.PasswordMessage)
	if pw == nil || startup.Parameters["user"] != want.User ||
		pw.Password != md5Password(want.User, want.Secret.Reveal(), salt) {
		_ = be.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "28P01", Message: "password authentication failed"})
		return errors.New("wrong password")
	}
	if _, err := conn.Write(encode(&pgproto3.AuthenticationOk{},
		&pgproto3.ParameterStatus{Name: "server_version", Value: "15.0 (kit)"},
		&pgproto3.ParameterStatus{Name: "client_encoding", Value: "UTF8"},
		&pgproto3.ParameterStatus{Name: "standard_conforming_strings", Value: "on"},
		&pgproto3.BackendKeyData{ProcessID: 4242, SecretKey: 99},
		&pgproto3.ReadyForQuery{TxStatus: 'I'})); err != nil {
		return err
	}
	skipping := false
	for {
		msg, err := be.Receive()
		if err != nil {
			return err
		}
		if _, sync := msg.(*pgproto3.Sync); skipping && !sync {
			continue
		}
		switch msg := msg.(type) {
		case *pgproto3.Terminate:
			return nil
		case *pgproto3.Query:
			if err := answerKit(be, conn, t, msg.String); err != nil {
				return err
			}
		case *pgproto3.Sync:
			skipping = false
			if err := be.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'}); err != nil {
				return err
			}
		default: // the extended protocol, in which the gateway asks for the session's state
			skipping = true
			if err := be.Send(&pgproto3.ErrorResponse{Severity: "ERROR", Code: "0A000", Message: "the kit's target speaks the simple protocol only"}); err != nil {
				return err
			}
		}
	}
}

// answerKit answers one Query as the kit's script has it.
func answerKit(be *pgproto3.Backend, conn net.Conn, t *protocoltest.Target, text string) error {
	ready := encode(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	fail := func(code, msg string) error {
		_, err := conn.Write(append(encode(&pgproto3.ErrorResponse{Severity: "ERROR", Code: code, Message: msg}), ready...))
		return err
	}
	switch {
	case strings.HasPrefix(text, "sallyport refused"):
		return fail("42601", "syntax error")
	case strings.Contains(text, "pg_catalog"): // the gateway reads the catalog: there is none
		return fail("42P01", "no such relation")
	}
	r := t.Do(text)
	if r.Err != "" {
		return fail("XX000", r.Err)
	}
	var out []byte
	if r.Columns != nil {
		var fields []pgproto3.FieldDescription
		for _, c := range r.Columns {
			fields = append(fields, pgproto3.FieldDescription{Name: []byte(c), DataTypeOID: 25, DataTypeSize: -1, TypeModifier: -1})
		}
		out = encode(&pgproto3.RowDescription{Fields: fields})
	}
	n := 0
	if r.Rows != nil {
		for row, err := range r.Rows {
			if err != nil {
				_, _ = conn.Write(out)
				return err
			}
			out = append(out, encode(&pgproto3.DataRow{Values: row})...)
			if _, err := conn.Write(out); err != nil {
				return err
			}
			out, n = out[:0], n+1
		}
	}
	tag := "INSERT 0 1"
	if r.Columns != nil {
		tag = fmt.Sprintf("SELECT %d", n)
	}
	out = append(out, encode(&pgproto3.CommandComplete{CommandTag: []byte(tag)})...)
	_, err := conn.Write(append(out, ready...))
	return err
}

// encode returns the messages as they go over the wire.
func encode(msgs ...interface{ Encode([]byte) ([]byte, error) }) []byte {
	var b []byte
	for _, m := range msgs {
		var err error
		if b, err = m.Encode(b); err != nil {
			panic(err)
		}
	}
	return b
}
