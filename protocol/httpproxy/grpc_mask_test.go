package httpproxy_test

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/sallyport-dev/gateway/mask"
	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// people is a target whose answers have somebody's address in them.
type people struct {
	grpc_testing.UnimplementedTestServiceServer
	unknown bool // there is a field that no descriptor knows
}

func (p *people) UnaryCall(ctx context.Context, in *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	_ = grpc.SetTrailer(ctx, metadata.Pairs("x-tail", "ann@example.com"))
	if s := in.GetResponseStatus(); s != nil {
		st, err := status.New(codes.Code(s.Code), s.Message).WithDetails(&grpc_testing.Payload{Body: []byte("ann@example.com")})
		if err != nil {
			return nil, err
		}
		return nil, st.Err()
	}
	out := &grpc_testing.SimpleResponse{Username: "ann@example.com", Hostname: "of " + string(in.GetPayload().GetBody()), Payload: &grpc_testing.Payload{Body: []byte("bob@example.com")}}
	if p.unknown {
		out.ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(nil, 999, protowire.BytesType), "ann@example.com"))
	}
	return out, nil
}

func (p *people) StreamingOutputCall(in *grpc_testing.StreamingOutputCallRequest, s grpc_testing.TestService_StreamingOutputCallServer) error {
	for range in.ResponseParameters {
		if err := s.Send(&grpc_testing.StreamingOutputCallResponse{Payload: &grpc_testing.Payload{Body: []byte("bob@example.com")}}); err != nil {
			return err
		}
	}
	return nil
}

func (p *people) FullDuplexCall(s grpc_testing.TestService_FullDuplexCallServer) error {
	for {
		in, err := s.Recv()
		if err != nil {
			return status.Error(codes.OutOfRange, "no more of bob@example.com")
		}
		if p.unknown && string(in.Payload.Body) == "last" {
			in.ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(nil, 999, protowire.BytesType), "ann@example.com"))
			out := &grpc_testing.StreamingOutputCallResponse{Payload: in.Payload}
			out.ProtoReflect().SetUnknown(in.ProtoReflect().GetUnknown())
			if err := s.Send(out); err != nil {
				return err
			}
			continue
		}
		if err := s.Send(&grpc_testing.StreamingOutputCallResponse{Payload: &grpc_testing.Payload{Body: append(in.Payload.Body, " bob@example.com"...)}}); err != nil {
			return err
		}
	}
}

// described writes the descriptors of the test service into a file.
func described(t testing.TB) string {
	t.Helper()
	var set descriptorpb.FileDescriptorSet
	seen := map[string]bool{}
	var add func(f protoreflect.FileDescriptor)
	add = func(f protoreflect.FileDescriptor) {
		if seen[f.Path()] {
			return
		}
		seen[f.Path()] = true
		for i := range f.Imports().Len() {
			add(f.Imports().Get(i).FileDescriptor)
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(f))
	}
	add(grpc_testing.File_grpc_testing_test_proto)
	b, err := proto.Marshal(&set)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "services.pb")
	require.NoError(t, os.WriteFile(file, b, 0o600))
	return file
}

// grpcPair is a target made with grpc-go, and a client of it through a gateway.
func grpcPair(t testing.TB, p *people, options map[string]string, steps ...middleware.Step) (grpc_testing.TestServiceClient, context.Context) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv := grpc.NewServer()
	grpc_testing.RegisterTestServiceServer(srv, p)
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(srv.Stop)
	all := map[string]string{"http2": "enable"}
	for k, v := range options {
		all[k] = v
	}
	r := newRig(t, rigConfig{addr: l.Addr().String(), options: all, steps: steps})
	conn, err := grpc.NewClient("passthrough:///"+r.addr, grpc.WithTransportCredentials(credentials.NewTLS(r.tls)), grpc.WithAuthority("app.gw.test"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return grpc_testing.NewTestServiceClient(conn), metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+r.token)
}

// TestMasksInMessages: with the target's descriptors, messages of gRPC are masked by
// the names of their fields and by detectors, in calls and streams, compressed too.
func TestMasksInMessages(t *testing.T) {
	fields := middleware.Mask(mask.Rule{Name: "user", Fields: []string{"username", "payload.body"}, Transform: mask.Redact()})
	detect := middleware.Mask(mask.Rule{Name: "mail", Detect: []string{"email"}, Transform: mask.Redact()})
	for name, step := range map[string]middleware.Step{"fields": fields, "detectors": detect} {
		t.Run(name, func(t *testing.T) {
			c, ctx := grpcPair(t, &people{}, map[string]string{"descriptors": described(t)}, step)
			for _, opts := range [][]grpc.CallOption{nil, {grpc.UseCompressor("gzip")}} {
				var head, tail metadata.MD
				res, err := c.UnaryCall(ctx, &grpc_testing.SimpleRequest{Payload: &grpc_testing.Payload{Body: []byte("carol@example.com")}}, append(opts, grpc.Header(&head), grpc.Trailer(&tail))...)
				require.NoError(t, err)
				require.Equal(t, "***", res.Username)
				require.Equal(t, "***", string(res.Payload.Body))
				require.Equal(t, map[string]string{"fields": "of carol@example.com", "detectors": "of ***"}[name], res.Hostname, "what the client sends is the client's")
				require.Empty(t, tail["x-tail"])

				out, err := c.StreamingOutputCall(ctx, &grpc_testing.StreamingOutputCallRequest{ResponseParameters: make([]*grpc_testing.ResponseParameters, 3)}, opts...)
				require.NoError(t, err)
				for range 3 {
					res, err := out.Recv()
					require.NoError(t, err)
					require.Equal(t, "***", string(res.Payload.Body))
				}
				_, err = out.Recv()
				require.Equal(t, io.EOF, err)

				both, err := c.FullDuplexCall(ctx, opts...)
				require.NoError(t, err)
				for range 3 { // each answer comes before there is another question
					require.NoError(t, both.Send(&grpc_testing.StreamingOutputCallRequest{Payload: &grpc_testing.Payload{Body: []byte("hello")}}))
					res, err := both.Recv()
					require.NoError(t, err)
					require.Equal(t, map[string]string{"fields": "***", "detectors": "hello ***"}[name], string(res.Payload.Body))
				}
				require.NoError(t, both.CloseSend())
				_, err = both.Recv()
				require.Equal(t, codes.OutOfRange, status.Code(err))
				require.Equal(t, map[string]string{"fields": "the gateway leaves out the target's message", "detectors": "no more of ***"}[name], status.Convert(err).Message())

				_, err = c.UnaryCall(ctx, &grpc_testing.SimpleRequest{ResponseStatus: &grpc_testing.EchoStatus{Code: 9, Message: "é: 100%\nof ann@example.com"}}, append(opts, grpc.Trailer(&tail))...)
				require.Equal(t, codes.FailedPrecondition, status.Code(err))
				require.Equal(t, map[string]string{"fields": "the gateway leaves out the target's message", "detectors": "é: 100%\nof ***"}[name], status.Convert(err).Message())
				require.Empty(t, status.Convert(err).Details())
				require.Empty(t, tail["x-tail"])
				_, err = c.UnimplementedCall(ctx, &grpc_testing.Empty{})
				require.Equal(t, codes.Unimplemented, status.Code(err))
			}
		})
	}
}

// TestMessagesThatCannotBeMasked: without descriptors, and where they do not tell
// all, nothing of a message is shown, and gRPC's clients hear why.
func TestMessagesThatCannotBeMasked(t *testing.T) {
	step := func(pass ...string) middleware.Step {
		return middleware.MaskWith(middleware.MaskConfig{PassKinds: pass, Rules: []mask.Rule{{Name: "user", Fields: []string{"username"}, Transform: mask.Redact()}}})
	}
	file := described(t)
	for name, c := range map[string]struct {
		options map[string]string
		pass    []string
		code    codes.Code
		why     string
	}{
		"no descriptors":    {nil, nil, codes.PermissionDenied, "application/grpc"},
		"they are let pass": {nil, []string{"application/grpc*"}, codes.OK, ""},
		"an unknown field":  {map[string]string{"descriptors": file}, nil, codes.PermissionDenied, "descriptors of the target do not describe"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			client, ctx := grpcPair(t, &people{unknown: true}, c.options, step(c.pass...), middleware.Recordings(middleware.RecordingConfig{Dir: dir, Verbs: []protocol.Verb{"post"}}))
			for _, opts := range [][]grpc.CallOption{nil, {grpc.UseCompressor("gzip")}} {
				res, err := client.UnaryCall(ctx, &grpc_testing.SimpleRequest{}, opts...)
				require.Equal(t, c.code, status.Code(err), err)
				require.Contains(t, status.Convert(err).Message(), c.why)
				if c.code == codes.OK {
					require.Equal(t, "ann@example.com", res.Username)
				}
			}
			_, err := client.UnaryCall(ctx, &grpc_testing.SimpleRequest{ResponseStatus: &grpc_testing.EchoStatus{Code: 9, Message: "of ann@example.com"}})
			require.Equal(t, codes.FailedPrecondition, status.Code(err), err)
			require.Equal(t, c.code == codes.OK, status.Convert(err).Message() == "of ann@example.com")
			require.Equal(t, c.code == codes.OK, len(status.Convert(err).Details()) == 1)
			both, err := client.FullDuplexCall(ctx)
			require.NoError(t, err)
			for _, s := range []string{"first", "last"} { // what can be shown is, until something cannot
				require.NoError(t, both.Send(&grpc_testing.StreamingOutputCallRequest{Payload: &grpc_testing.Payload{Body: []byte(s)}}))
				res, err := both.Recv()
				if c.code == codes.OK || s == "first" && name == "an unknown field" {
					require.NoError(t, err)
					require.True(t, strings.HasPrefix(string(res.Payload.Body), s))
					continue
				}
				require.Equal(t, c.code, status.Code(err), err)
				require.Contains(t, status.Convert(err).Message(), c.why)
				break
			}
			if c.code != codes.OK {
				files, err := filepath.Glob(dir + "/*/*.cast")
				require.NoError(t, err)
				for _, f := range files {
					b, err := os.ReadFile(f)
					require.NoError(t, err)
					require.NotContains(t, string(b), "ann@")
					for line := range strings.SplitSeq(string(b), "\n") {
						if _, data, ok := strings.Cut(line, `"O", "`); ok {
							b, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(data, `"]`))
							require.NoError(t, err)
							require.NotContains(t, string(b), "ann@")
						}
					}
				}
			}
		})
	}
}

// TestMessagesOfTheWeb: gRPC-Web has its trailers in the body, and messages in JSON
// need no descriptors; what is framed otherwise than gRPC has it is not shown.
func TestMessagesOfTheWeb(t *testing.T) {
	frame := func(flags byte, payload string) string {
		return string(binary.BigEndian.AppendUint32([]byte{flags}, uint32(len(payload)))) + payload
	}
	message, err := proto.Marshal(&grpc_testing.SimpleResponse{Username: "ann@example.com", Hostname: "h"})
	require.NoError(t, err)
	masked, err := proto.Marshal(&grpc_testing.SimpleResponse{Username: "***", Hostname: "h"})
	require.NoError(t, err)
	const web, tail = "application/grpc-web+proto", "grpc-status: 0\r\ngrpc-message: of%20ann@example.com\r\nx-tail: ann@example.com\r\n"
	packed := pack(t, "gzip", string(message))
	cases := map[string]struct{ kind, body, want, told string }{
		"plain":                {web, frame(0, string(message)), frame(0, string(masked)), ""},
		"compressed":           {web, frame(1, packed), frame(0, string(masked)), ""},
		"in JSON":              {"application/grpc-web+json", frame(0, `{"username":"ann@example.com"}`), frame(0, `{"username":"***"}`), ""},
		"trailers":             {web, frame(0, string(message)) + frame(0x80, tail), frame(0, string(masked)), "grpc-status: 0\r\n"},
		"trailers, compressed": {web, frame(0x81, pack(t, "gzip", tail)), "", "grpc-status: 0\r\n"},
		"no message":           {web, frame(0, "ann@example.com"), "", "grpc-status: 7\r\n"},
		"flags of nobody":      {web, frame(4, string(message)), "", "grpc-status: 2\r\n"},
		"too long":             {web, "\x00\xff\xff\xff\xffann@example.com", "", "grpc-status: 2\r\n"},
		"a bomb":               {web, frame(1, pack(t, "gzip", strings.Repeat("x", 9<<20))), "", "grpc-status: 2\r\n"},
		"not compressed":       {web, frame(1, string(message)), "", "grpc-status: 2\r\n"},
		"half":                 {web, frame(0, string(message))[:9], "", "-"},
	}
	r := newRig(t, rigConfig{options: map[string]string{"descriptors": described(t)},
		steps: []middleware.Step{middleware.Mask(mask.Rule{Name: "user", Fields: []string{"username"}, Transform: mask.Redact()})},
		handler: func(w http.ResponseWriter, req *http.Request) {
			c := cases[req.Header.Get("X-Case")]
			w.Header().Set("Content-Type", c.kind)
			w.Header().Set("Grpc-Encoding", "gzip")
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, c.body)
		}})
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), "POST", "https://app.gw.test/grpc.testing.TestService/UnaryCall", nil)
			require.NoError(t, err)
			req.Header.Set("Authorization", "Bearer "+r.token)
			req.Header.Set("X-Case", name)
			client := r.client(false)
			defer client.CloseIdleConnections()
			res, err := client.Do(req)
			require.NoError(t, err)
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			require.NotContains(t, string(b), "ann@")
			if c.told == "-" {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			require.True(t, strings.HasPrefix(string(b), c.want), "%q", b)
			rest := string(b)[len(c.want):]
			require.Equal(t, c.told == "", rest == "", "%q", rest)
			if rest != "" {
				require.Equal(t, byte(0x80), rest[0])
				require.Contains(t, rest[5:], c.told)
				require.EqualValues(t, len(rest)-5, binary.BigEndian.Uint32([]byte(rest[1:5])))
			}
		})
	}
}
