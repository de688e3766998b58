// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"
	"connectrpc.com/grpcreflect"
	dataplanev1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1/dataplanev1connect"
	"github.com/mizar-go/mizar/examples/transitd/internal/config"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"
)

func mustAddr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// A handler that panics is an error to its client, a stack in the log, and nothing to others.
func TestPanic(t *testing.T) {
	w := start(t, limits(), nil)
	for name, options := range protocols {
		t.Run(name, func(t *testing.T) {
			c := w.byUnix(t, true, options...)
			refused(t, c.add(t, 13), connect.CodeInternal, dataplanev1.Cause_CAUSE_UNSPECIFIED)
			require.Equal(t, "internal", w.ended(t, addEndpoint).Code)
			s := c.AddEndpoints(t.Context())
			require.NoError(t, s.Send(&dataplanev1.AddEndpointsRequest{Endpoints: make([]*dataplanev1.Endpoint, 13)}))
			_, err := s.Receive()
			require.NoError(t, err)
			_, err = s.Receive()
			refused(t, err, connect.CodeInternal, dataplanev1.Cause_CAUSE_UNSPECIFIED)
			_, _ = s.CloseRequest(), s.CloseResponse()
			require.Equal(t, "internal", w.ended(t, addEndpoints).Code)
			require.NoError(t, c.add(t, 1))
			w.ended(t, addEndpoint)
		})
	}
	line := w.logs.has(t, "level", "ERROR", "procedure", addEndpoint, "panic", "thirteen")
	require.Contains(t, line["stack"], "(*service).AddEndpoint")
}

// A panic outside of what a handler's options watch over is the same to a client.
func TestPanicOutside(t *testing.T) {
	w := start(t, limits(), func(s *Server) {
		s.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == getEndpoint {
				_, _ = w.Write([]byte("half"))
			}
			panic("outside")
		})
	})
	for _, http2 := range []bool{false, true} {
		c := w.byUnix(t, http2)
		refused(t, c.add(t, 1), connect.CodeInternal, dataplanev1.Cause_CAUSE_UNSPECIFIED)
		res, err := c.http.Post(c.url+getEndpoint, "application/json", strings.NewReader("{}"))
		if err == nil {
			_, err = io.ReadAll(res.Body)
			require.NoError(t, res.Body.Close())
		}
		require.Error(t, err, "half an answer does not look like a whole one")
	}
	w.logs.has(t, "level", "ERROR", "procedure", addEndpoint, "panic", "outside")
}

// Draining lets a call come to its end, ends streams with a reason, and takes nothing more.
func TestDrain(t *testing.T) {
	clients := newAuthority(t, "clients")
	w, own, _ := startTLS(t, limits(), clients)
	op := clients.client(t, leaf{cn: "op"})
	slow := byTLS(t, w.tcp(0), own, op)
	called := make(chan error, 1)
	go func() { called <- slow.add(t, 42) }()
	<-w.service.holding
	type streams struct {
		watch *connect.ServerStreamForClient[dataplanev1.WatchEventsResponse]
		bulk  *connect.BidiStreamForClient[dataplanev1.AddEndpointsRequest, dataplanev1.AddEndpointsResponse]
		again *caller
	}
	open := map[string]streams{}
	for name, options := range protocols {
		c := byTLS(t, w.tcp(0), own, op, options...)
		s := streams{again: c}
		var err error
		s.watch, err = c.stats.WatchEvents(t.Context(), connect.NewRequest(&dataplanev1.WatchEventsRequest{}))
		require.NoError(t, err)
		require.True(t, s.watch.Receive())
		s.bulk = c.AddEndpoints(t.Context())
		require.NoError(t, s.bulk.Send(&dataplanev1.AddEndpointsRequest{}))
		_, err = s.bulk.Receive()
		require.NoError(t, err)
		open[name] = s
	}
	plain := w.byUnix(t, false) // HTTP/1.1
	watch, err := plain.stats.WatchEvents(t.Context(), connect.NewRequest(&dataplanev1.WatchEventsRequest{}))
	require.NoError(t, err)
	require.True(t, watch.Receive())

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- w.Drain(ctx) }()
	for name, s := range open {
		require.False(t, s.watch.Receive(), name)
		refused(t, s.watch.Err(), connect.CodeUnavailable, dataplanev1.Cause_CAUSE_CLOSING)
		_, err := s.bulk.Receive()
		refused(t, err, connect.CodeUnavailable, dataplanev1.Cause_CAUSE_CLOSING)
		_, _ = s.watch.Close(), s.bulk.CloseResponse()
		require.Error(t, s.again.get(t), "no more calls")
	}
	require.False(t, watch.Receive())
	refused(t, watch.Err(), connect.CodeUnavailable, dataplanev1.Cause_CAUSE_CLOSING)
	_ = watch.Close()
	testutil.Eventually(t, 5*time.Second, func() error {
		if _, err := os.Lstat(w.socket); err == nil {
			return errors.New("the socket is still there")
		}
		return nil
	})
	select {
	case err := <-drained:
		require.Fail(t, "drained with a call under way", "%v", err)
	case err := <-called:
		require.Fail(t, "the call was cut", "%v", err)
	case <-time.After(100 * time.Millisecond):
	}
	w.service.hold <- struct{}{}
	require.NoError(t, <-called)
	require.NoError(t, <-drained)
	require.NoError(t, w.end())
}

// Who comes while the daemon drains, on a connection that it had, is told why not.
func TestClosing(t *testing.T) {
	w := start(t, limits(), nil)
	c := w.byUnix(t, true, connect.WithGRPC())
	require.NoError(t, c.get(t))
	w.streams.close()
	refused(t, c.get(t), connect.CodeUnavailable, dataplanev1.Cause_CAUSE_CLOSING)
	refused(t, c.bulk(t, 1), connect.CodeUnavailable, dataplanev1.Cause_CAUSE_CLOSING)
	res, err := grpchealth.NewClient(c.http, c.url, connect.WithGRPC()).Check(t.Context(), &grpchealth.CheckRequest{})
	require.NoError(t, err)
	require.Equal(t, grpchealth.StatusNotServing, res.Status)
}

// A call that takes longer than the drain may is cut.
func TestDrainCut(t *testing.T) {
	w := start(t, limits(), nil)
	called := make(chan error, 1)
	go func() { called <- w.byUnix(t, true).add(t, 42) }()
	<-w.service.holding
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, w.Drain(ctx), context.DeadlineExceeded)
	require.Error(t, <-called)
	require.NoError(t, w.end())
	require.Equal(t, "canceled", w.ended(t, addEndpoint).Code, "its context has ended")
}

func TestHealth(t *testing.T) {
	w := start(t, limits(), nil, config.TCP{Address: loopback(), Insecure: true, Role: config.RoleRead})
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	c := newCaller(t, &http.Transport{Protocols: protocols}, "http://"+w.tcp(0))
	client := grpchealth.NewClient(c.http, c.url, connect.WithGRPC())
	check := func(service string) grpchealth.Status {
		t.Helper()
		res, err := client.Check(t.Context(), &grpchealth.CheckRequest{Service: service})
		require.NoError(t, err)
		return res.Status
	}
	const service = dataplanev1connect.EndpointServiceName
	require.Equal(t, grpchealth.StatusNotServing, check(service))
	w.health.SetAll(true)
	require.Equal(t, grpchealth.StatusServing, check(service))
	require.Equal(t, grpchealth.StatusServing, check(""))
	w.health.Set(service, false)
	require.Equal(t, grpchealth.StatusNotServing, check(service))
	require.Equal(t, grpchealth.StatusServing, check(""))
	_, err := client.Check(t.Context(), &grpchealth.CheckRequest{Service: "nothing"})
	require.Equal(t, connect.CodeNotFound, connect.CodeOf(err))

	for _, reflect := range []*grpcreflect.Client{grpcreflect.NewClient(c.http, c.url, connect.WithGRPC())} {
		s := reflect.NewStream(t.Context())
		names, err := s.ListServices()
		require.NoError(t, err)
		require.Contains(t, names, protoreflect.FullName(service))
		files, err := s.FileContainingSymbol(service)
		require.NoError(t, err)
		require.NotEmpty(t, files)
		_, _ = s.Close()
	}
}
