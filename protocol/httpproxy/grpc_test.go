package httpproxy_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/sallyport-dev/gateway/middleware"
	"github.com/sallyport-dev/gateway/protocol"
)

// grpcTarget is a server made with grpc-go.
type grpcTarget struct {
	grpc_testing.UnimplementedTestServiceServer
	deadlines chan time.Time
	ended     chan error
}

func (g *grpcTarget) UnaryCall(ctx context.Context, in *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if d, ok := ctx.Deadline(); ok {
		select {
		case g.deadlines <- d:
		default:
		}
	}
	_ = grpc.SetHeader(ctx, metadata.Pairs("x-head", "h", "x-head-bin", "\x00\xff"))
	_ = grpc.SetTrailer(ctx, metadata.Pairs("x-tail", "t", "x-tail-bin", "\xff\x00", "x-auth", fmt.Sprint(md["authorization"], md["x-forwarded-host"])))
	if s := in.GetResponseStatus(); s != nil {
		st, err := status.New(codes.Code(s.Code), s.Message).WithDetails(&grpc_testing.Payload{Body: []byte("detail")})
		if err != nil {
			return nil, err
		}
		return nil, st.Err()
	}
	return &grpc_testing.SimpleResponse{Payload: &grpc_testing.Payload{Body: bytes.ToUpper(in.Payload.GetBody())}}, nil
}

func (g *grpcTarget) StreamingOutputCall(in *grpc_testing.StreamingOutputCallRequest, s grpc_testing.TestService_StreamingOutputCallServer) error {
	for _, p := range in.ResponseParameters {
		if err := s.Send(&grpc_testing.StreamingOutputCallResponse{Payload: &grpc_testing.Payload{Body: make([]byte, p.Size)}}); err != nil {
			return err
		}
	}
	s.SetTrailer(metadata.Pairs("x-tail", "t"))
	return nil
}

func (g *grpcTarget) StreamingInputCall(s grpc_testing.TestService_StreamingInputCallServer) error {
	n := 0
	for {
		in, err := s.Recv()
		if err == io.EOF {
			return s.SendAndClose(&grpc_testing.StreamingInputCallResponse{AggregatedPayloadSize: int32(n)})
		}
		if err != nil {
			return err
		}
		n += len(in.Payload.Body)
	}
}

func (g *grpcTarget) FullDuplexCall(s grpc_testing.TestService_FullDuplexCallServer) error {
	for {
		in, err := s.Recv()
		if err == io.EOF {
			return status.Error(codes.AlreadyExists, "done")
		}
		if err != nil {
			g.ended <- err
			return err
		}
		if err := s.Send(&grpc_testing.StreamingOutputCallResponse{Payload: in.Payload}); err != nil {
			return err
		}
	}
}

// TestRealGRPC: grpc-go on both sides notices no gateway between them; the same
// while a step keeps the bodies.
func TestRealGRPC(t *testing.T) {
	watch := middleware.Step{Name: "watch", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if op.Verb == protocol.Connect {
			return protocol.Pass, nil
		}
		return protocol.Pass, op.OnBytes(func(protocol.Stream) (protocol.BytesFunc, error) {
			return func(b []byte, _ bool) ([]byte, error) { return b, nil }, nil
		})
	}}
	no := middleware.Step{Name: "no", Operation: func(_ context.Context, op *protocol.Operation) (protocol.Decision, error) {
		if strings.HasSuffix(op.Text, "EmptyCall") {
			return protocol.Deny("not today: 50%"), nil
		}
		return protocol.Pass, nil
	}}
	for name, steps := range map[string][]middleware.Step{"plain": {no}, "watched": {no, watch}} {
		t.Run(name, func(t *testing.T) {
			g := &grpcTarget{deadlines: make(chan time.Time, 1), ended: make(chan error, 1)}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			srv := grpc.NewServer()
			grpc_testing.RegisterTestServiceServer(srv, g)
			go func() { _ = srv.Serve(l) }()
			defer srv.Stop()
			r := newRig(t, rigConfig{addr: l.Addr().String(), options: map[string]string{"http2": "enable"}, steps: steps})
			conn, err := grpc.NewClient("passthrough:///"+r.addr, grpc.WithTransportCredentials(credentials.NewTLS(r.tls)), grpc.WithAuthority("app.gw.test"))
			require.NoError(t, err)
			defer conn.Close()
			c := grpc_testing.NewTestServiceClient(conn)
			ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+r.token)
			payload := func(s string) *grpc_testing.Payload { return &grpc_testing.Payload{Body: []byte(s)} }

			for _, opts := range [][]grpc.CallOption{nil, {grpc.UseCompressor("gzip")}} {
				var head, tail metadata.MD
				res, err := c.UnaryCall(ctx, &grpc_testing.SimpleRequest{Payload: payload("hello")}, append(opts, grpc.Header(&head), grpc.Trailer(&tail))...)
				require.NoError(t, err)
				require.Equal(t, "HELLO", string(res.Payload.Body))
				require.Equal(t, []string{"h"}, head["x-head"])
				require.Equal(t, []string{"\x00\xff"}, head["x-head-bin"])
				require.Equal(t, []string{"t"}, tail["x-tail"])
				require.Equal(t, []string{"\xff\x00"}, tail["x-tail-bin"])
				require.Equal(t, []string{"[Bearer " + secret + "] [app.gw.test]"}, tail["x-auth"])
			}
			var tail metadata.MD
			_, err = c.UnaryCall(ctx, &grpc_testing.SimpleRequest{ResponseStatus: &grpc_testing.EchoStatus{Code: 9, Message: "é: 100%\nnot so"}}, grpc.Trailer(&tail))
			st := status.Convert(err)
			require.Equal(t, codes.FailedPrecondition, st.Code())
			require.Equal(t, "é: 100%\nnot so", st.Message())
			require.Len(t, st.Details(), 1)
			require.True(t, proto.Equal(payload("detail"), st.Details()[0].(proto.Message)))
			require.Equal(t, []string{"t"}, tail["x-tail"])

			_, err = c.UnimplementedCall(ctx, &grpc_testing.Empty{})
			require.Equal(t, codes.Unimplemented, status.Code(err))
			_, err = c.EmptyCall(ctx, &grpc_testing.Empty{})
			require.Equal(t, codes.PermissionDenied, status.Code(err))
			require.Equal(t, "not today: 50%", status.Convert(err).Message())
			_, err = c.UnaryCall(t.Context(), &grpc_testing.SimpleRequest{})
			require.Equal(t, codes.Unauthenticated, status.Code(err))

			out, err := c.StreamingOutputCall(ctx, &grpc_testing.StreamingOutputCallRequest{ResponseParameters: []*grpc_testing.ResponseParameters{{Size: 1}, {Size: 1 << 20}, {Size: 0}}})
			require.NoError(t, err)
			for _, size := range []int{1, 1 << 20, 0} {
				res, err := out.Recv()
				require.NoError(t, err)
				require.Len(t, res.Payload.Body, size)
			}
			_, err = out.Recv()
			require.Equal(t, io.EOF, err)
			require.Equal(t, []string{"t"}, out.Trailer()["x-tail"])

			in, err := c.StreamingInputCall(ctx)
			require.NoError(t, err)
			for range 10 {
				require.NoError(t, in.Send(&grpc_testing.StreamingInputCallRequest{Payload: &grpc_testing.Payload{Body: make([]byte, 100<<10)}}))
			}
			sum, err := in.CloseAndRecv()
			require.NoError(t, err)
			require.EqualValues(t, 1000<<10, sum.AggregatedPayloadSize)

			both, err := c.FullDuplexCall(ctx)
			require.NoError(t, err)
			for i := range 5 {
				require.NoError(t, both.Send(&grpc_testing.StreamingOutputCallRequest{Payload: payload(fmt.Sprint(i))}))
				res, err := both.Recv()
				require.NoError(t, err)
				require.Equal(t, fmt.Sprint(i), string(res.Payload.Body))
			}
			require.NoError(t, both.CloseSend())
			_, err = both.Recv()
			require.Equal(t, codes.AlreadyExists, status.Code(err))

			// A deadline is told to the target, and a client that leaves too.
			select {
			case <-g.deadlines:
			default:
			}
			want := time.Now().Add(time.Hour)
			timed, cancel := context.WithDeadline(ctx, want)
			defer cancel()
			_, err = c.UnaryCall(timed, &grpc_testing.SimpleRequest{})
			require.NoError(t, err)
			require.WithinDuration(t, want, <-g.deadlines, time.Minute)
			leaving, leave := context.WithCancel(ctx)
			both, err = c.FullDuplexCall(leaving)
			require.NoError(t, err)
			require.NoError(t, both.Send(&grpc_testing.StreamingOutputCallRequest{Payload: payload("x")}))
			_, err = both.Recv()
			require.NoError(t, err)
			leave()
			require.Equal(t, codes.Canceled, status.Code(<-g.ended))

			srv.Stop()
			_, err = c.UnaryCall(ctx, &grpc_testing.SimpleRequest{})
			require.Equal(t, codes.Unavailable, status.Code(err), err)
		})
	}
}

// TestRequestTrailers: trailers of a request pass to a target that wants them,
// and none that could be taken for a header that decides something.
func TestRequestTrailers(t *testing.T) {
	for _, want := range []string{"", "enable"} {
		for _, target := range []string{"disable", "enable"} {
			got := make(chan http.Header, 1)
			r := newRig(t, rigConfig{options: map[string]string{"http2": target, "request_trailers": want, "user_header": "X-Who"}, handler: func(_ http.ResponseWriter, req *http.Request) {
				_, _ = io.Copy(io.Discard, req.Body)
				got <- req.Trailer
			}})
			for version, h2 := range versions {
				for name, size := range map[string]int64{"streamed": -1, "announced": 5} {
					if size > 0 && !h2 { // HTTP/1.1 has no trailers then
						continue
					}
					req, err := http.NewRequestWithContext(t.Context(), "POST", "https://app.gw.test/", io.LimitReader(strings.NewReader("hello"), 5))
					require.NoError(t, err)
					req.ContentLength = size
					req.Header.Set("Authorization", "Bearer "+r.token)
					req.Trailer = http.Header{"X-Sum": {"5"}, "X-Who": {"forged"}, "X-Forwarded-User": {"forged"}, "Cookie": {"forged"}, "X.Remote.User": {"forged"},
						"X-Http-Method-Override": {"DELETE"}}
					if !h2 { // net/http's server takes it
						req.Trailer["Range"] = []string{"bytes=0-1"}
					}
					c := r.client(h2)
					res, err := c.Do(req)
					require.NoError(t, err)
					_ = res.Body.Close()
					c.CloseIdleConnections()
					require.Equal(t, 200, res.StatusCode)
					if want == "" {
						require.Empty(t, <-got)
						continue
					}
					require.Equal(t, http.Header{"X-Sum": {"5"}}, <-got, "%s, %s, HTTP/2 to the target: %s", version, name, target)
				}
			}
		}
	}
}
