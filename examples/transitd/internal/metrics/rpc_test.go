// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/emptypb"

	dataplanev1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1/dataplanev1connect"
	"github.com/mizar-go/mizar/internal/testutil"
)

// stats answers as a test has it.
type stats struct {
	dataplanev1connect.UnimplementedStatsServiceHandler
	counters func() error
	events   func(context.Context, *connect.ServerStream[dataplanev1.WatchEventsResponse]) error
}

func (s *stats) ListCounters(context.Context, *connect.Request[dataplanev1.ListCountersRequest]) (*connect.Response[dataplanev1.ListCountersResponse], error) {
	return connect.NewResponse(&dataplanev1.ListCountersResponse{}), s.counters()
}

func (s *stats) WatchEvents(ctx context.Context, _ *connect.Request[dataplanev1.WatchEventsRequest], to *connect.ServerStream[dataplanev1.WatchEventsResponse]) error {
	return s.events(ctx, to)
}

// serveRPC serves stats, and a procedure that is not of the API, behind the interceptor.
func serveRPC(t *testing.T, s *stats) (*Metrics, string) {
	t.Helper()
	m := &Metrics{registry: prometheus.NewPedanticRegistry(), rpc: newRPC()}
	for _, c := range m.rpc.collectors() {
		require.NoError(t, m.registry.Register(c))
	}
	mux := http.NewServeMux()
	mux.Handle(dataplanev1connect.NewStatsServiceHandler(s, connect.WithInterceptors(m.Interceptor())))
	mux.Handle("/some.Service/", connect.NewUnaryHandler("/some.Service/Call",
		func(context.Context, *connect.Request[emptypb.Empty]) (*connect.Response[emptypb.Empty], error) {
			return connect.NewResponse(&emptypb.Empty{}), nil
		}, connect.WithInterceptors(m.Interceptor())))
	server := httptest.NewUnstartedServer(mux)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	return m, server.URL
}

const durations = "mizar_rpc_duration_seconds"

func TestUnary(t *testing.T) {
	testutil.Leaks(t)
	s := new(stats)
	m, url := serveRPC(t, s)
	// The interceptor leaves a client alone that has it, too.
	client := dataplanev1connect.NewStatsServiceClient(http.DefaultClient, url, connect.WithInterceptors(m.Interceptor()))
	defer http.DefaultClient.CloseIdleConnections()
	const procedure = `procedure="mizar.dataplane.v1.StatsService/ListCounters"`
	call := func() error {
		_, err := client.ListCounters(t.Context(), connect.NewRequest(&dataplanev1.ListCountersRequest{}))
		return err
	}
	for _, c := range []struct {
		err  error
		code string
	}{
		{nil, "ok"},
		{connect.NewError(connect.CodeAborted, errors.New("cut")), "aborted"},
		{errors.New("cut"), "unknown"},
		{context.DeadlineExceeded, "deadline_exceeded"},
		{context.Canceled, "canceled"},
		{connect.NewError(connect.Code(4711), errors.New("cut")), "unknown"},
	} {
		before := scrape(t, m).of(durations, procedure, `code="`+c.code+`"`, `type="unary"`).sum()
		s.counters = func() error {
			require.EqualValues(t, 1, scrape(t, m).of("mizar_rpc_in_flight", procedure).sum())
			return c.err
		}
		require.Equal(t, c.err == nil, call() == nil)
		got := scrape(t, m)
		require.Equal(t, before+1, got.of(durations, procedure, `code="`+c.code+`"`, `type="unary"`).sum(), "%v: %v", c.err, got)
		require.Zero(t, got.of("mizar_rpc_in_flight").sum())
	}
	// One that panics has ended, too.
	s.counters = func() error { panic(http.ErrAbortHandler) }
	require.Error(t, call())
	got := scrape(t, m)
	require.EqualValues(t, 1, got.of(durations, procedure, `code="internal"`).sum(), "%v", got)
	require.Zero(t, got.of("mizar_rpc_in_flight").sum())

	// What is not of the API makes no series of its own, however it is called.
	for range 3 {
		_, err := connect.NewClient[emptypb.Empty, emptypb.Empty](http.DefaultClient, url+"/some.Service/Call").
			CallUnary(t.Context(), connect.NewRequest(&emptypb.Empty{}))
		require.NoError(t, err)
	}
	_, err := connect.NewClient[emptypb.Empty, emptypb.Empty](http.DefaultClient, url+"/mizar.dataplane.v1.StatsService/Nothing").
		CallUnary(t.Context(), connect.NewRequest(&emptypb.Empty{}))
	require.Error(t, err)
	got = scrape(t, m)
	require.EqualValues(t, 3, got.of(durations, `procedure="other"`, `code="ok"`).sum())
	require.Len(t, got.of("mizar_rpc_in_flight"), 2, "%v", got)
}

func TestStream(t *testing.T) {
	testutil.Leaks(t)
	sent, more := make(chan struct{}), make(chan struct{})
	s := &stats{events: func(ctx context.Context, to *connect.ServerStream[dataplanev1.WatchEventsResponse]) error {
		for range 3 {
			if err := to.Send(&dataplanev1.WatchEventsResponse{}); err != nil {
				return err
			}
		}
		close(sent)
		<-more
		return connect.NewError(connect.CodeUnavailable, errors.New("cut"))
	}}
	m, url := serveRPC(t, s)
	client := dataplanev1connect.NewStatsServiceClient(http.DefaultClient, url, connect.WithInterceptors(m.Interceptor()))
	defer http.DefaultClient.CloseIdleConnections()
	const procedure = `procedure="mizar.dataplane.v1.StatsService/WatchEvents"`
	stream, err := client.WatchEvents(t.Context(), connect.NewRequest(&dataplanev1.WatchEventsRequest{}))
	require.NoError(t, err)
	<-sent
	got := scrape(t, m)
	require.EqualValues(t, 1, got.of("mizar_rpc_in_flight", procedure).sum())
	require.EqualValues(t, 3, got.of("mizar_rpc_stream_messages_total", procedure, `direction="transmit"`).sum())
	require.EqualValues(t, 1, got.of("mizar_rpc_stream_messages_total", procedure, `direction="receive"`).sum())
	require.Empty(t, got.of(durations))
	close(more)
	n := 0
	for stream.Receive() {
		n++
	}
	require.Equal(t, 3, n)
	require.Equal(t, connect.CodeUnavailable, connect.CodeOf(stream.Err()))
	require.NoError(t, stream.Close())
	got = scrape(t, m)
	require.Zero(t, got.of("mizar_rpc_in_flight").sum())
	require.EqualValues(t, 1, got.of(durations, procedure, `code="unavailable"`, `type="stream"`).sum())
}

func TestDenied(t *testing.T) {
	m, _ := serveRPC(t, new(stats))
	require.Zero(t, scrape(t, m).of("mizar_rpc_denied_total", `code="unauthenticated"`).sum())
	m.Denied("unauthenticated")
	m.Denied("unauthenticated")
	require.EqualValues(t, 2, scrape(t, m).of("mizar_rpc_denied_total", `code="unauthenticated"`).sum())
	require.Zero(t, scrape(t, m).of("mizar_rpc_denied_total", `code="permission_denied"`).sum())
}
