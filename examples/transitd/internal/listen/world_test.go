// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	dataplanev1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1/dataplanev1connect"
	"github.com/mizar-go/mizar/examples/transitd/internal/config"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/stretchr/testify/require"
)

const (
	addEndpoint  = dataplanev1connect.EndpointServiceAddEndpointProcedure
	addEndpoints = dataplanev1connect.EndpointServiceAddEndpointsProcedure
	getEndpoint  = dataplanev1connect.EndpointServiceGetEndpointProcedure
)

// service has one method of each shape.
type service struct {
	dataplanev1connect.UnimplementedEndpointServiceHandler
	dataplanev1connect.UnimplementedStatsServiceHandler
	calls   atomic.Int64
	who     atomic.Value // Identity
	hold    chan struct{}
	holding chan struct{}
	flood   bool // who watches is sent events without end
}

func (s *service) came(ctx context.Context) {
	s.calls.Add(1)
	s.who.Store(From(ctx))
}

// AddEndpoint panics for VNI 13, and waits for hold for VNI 42.
func (s *service) AddEndpoint(ctx context.Context, req *connect.Request[dataplanev1.AddEndpointRequest]) (*connect.Response[dataplanev1.AddEndpointResponse], error) {
	s.came(ctx)
	switch req.Msg.GetEndpoint().GetVni() {
	case 13:
		panic("thirteen")
	case 42:
		s.holding <- struct{}{}
		select {
		case <-s.hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return connect.NewResponse(&dataplanev1.AddEndpointResponse{}), nil
}

func (s *service) AddEndpoints(ctx context.Context, stream *connect.BidiStream[dataplanev1.AddEndpointsRequest, dataplanev1.AddEndpointsResponse]) error {
	s.came(ctx)
	var n uint64
	for {
		req, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		n += uint64(len(req.Endpoints))
		if err := stream.Send(&dataplanev1.AddEndpointsResponse{Added: n}); err != nil {
			return err
		}
		if n == 13 {
			panic("thirteen")
		}
	}
}

func (s *service) GetEndpoint(ctx context.Context, _ *connect.Request[dataplanev1.GetEndpointRequest]) (*connect.Response[dataplanev1.GetEndpointResponse], error) {
	s.came(ctx)
	return connect.NewResponse(&dataplanev1.GetEndpointResponse{Endpoint: &dataplanev1.Endpoint{Vni: 7}}), nil
}

func (s *service) WatchEvents(ctx context.Context, _ *connect.Request[dataplanev1.WatchEventsRequest], stream *connect.ServerStream[dataplanev1.WatchEventsResponse]) error {
	s.came(ctx)
	if err := stream.Send(&dataplanev1.WatchEventsResponse{}); err != nil {
		return err
	}
	if s.flood {
		s.holding <- struct{}{}
	}
	for e := (&dataplanev1.Event{Event: &dataplanev1.Event_Drop{Drop: &dataplanev1.Drop{Bytes: make([]byte, 4096)}}}); s.flood && ctx.Err() == nil; {
		if err := stream.Send(&dataplanev1.WatchEventsResponse{Event: e}); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

// logs are what was logged, a line each.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logs) lines() (all []map[string]any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		var m map[string]any
		if json.Unmarshal([]byte(line), &m) == nil {
			all = append(all, m)
		}
	}
	return all
}

// has waits for a line with these, in pairs; a string has to be in the value.
func (l *logs) has(t testing.TB, pairs ...string) map[string]any {
	t.Helper()
	var found map[string]any
	testutil.Eventually(t, 5*time.Second, func() error {
	next:
		for _, line := range l.lines() {
			for i := 0; i < len(pairs); i += 2 {
				if s, ok := line[pairs[i]].(string); !ok || !strings.Contains(s, pairs[i+1]) {
					continue next
				}
			}
			found = line
			return nil
		}
		return errors.New("not logged: " + strings.Join(pairs, " ") + "\n" + l.last())
	})
	return found
}

// last are the last lines.
func (l *logs) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.text.String()
	return text[max(0, len(text)-3000):]
}

// world is a server under test.
type world struct {
	*Server
	service *service
	health  *Health
	logs    *logs
	socket  string
	calls   chan Call
	end     func() error // once
}

func limits() config.RPC {
	return config.RPC{MaxMessageBytes: 64 << 20, CallsPerSecond: 100000, Burst: 100000, MaxStreams: 100, MaxConnections: 100}
}

func handlers(s *service, h *Health, options []connect.HandlerOption) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(dataplanev1connect.NewEndpointServiceHandler(s, options...))
	mux.Handle(dataplanev1connect.NewStatsServiceHandler(s, options...))
	h.Mount(mux, options...)
	return mux
}

// start has a server serve, on a Unix socket and on what is given. prepare may change it before.
func start(t testing.TB, limits config.RPC, prepare func(*Server), tcp ...config.TCP) *world {
	t.Helper()
	w := &world{
		service: &service{hold: make(chan struct{}), holding: make(chan struct{}, 1)},
		health:  NewHealth(dataplanev1connect.EndpointServiceName),
		logs:    &logs{},
		socket:  filepath.Join(t.TempDir(), "s"),
		calls:   make(chan Call, 10000),
	}
	log := slog.New(slog.NewJSONHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, err := New(Config{
		Listen:  config.Listen{Unix: config.Unix{Path: w.socket}, TCP: tcp},
		RPC:     limits,
		Observe: func(c Call) { w.calls <- c },
	}, handlers(w.service, w.health, Options(limits)), log)
	require.NoError(t, err)
	w.Server = s
	if prepare != nil {
		prepare(s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	w.end = sync.OnceValue(func() error {
		cancel()
		return <-served
	})
	t.Cleanup(func() { require.NoError(t, w.end()) })
	return w
}

// tcp is the address of the nth listener on TCP.
func (w *world) tcp(n int) string { return w.Addrs()[1+n].String() }

// loopback is a listener on a port that the kernel chooses.
func loopback() netip.AddrPort { return netip.MustParseAddrPort("127.0.0.1:0") }

// protocols are those that clients speak.
var protocols = map[string][]connect.ClientOption{
	"Connect JSON": {connect.WithProtoJSON()},
	"Connect":      nil,
	"gRPC":         {connect.WithGRPC()},
	"gRPC-Web":     {connect.WithGRPCWeb()},
}

// caller is a client with connections of its own.
type caller struct {
	dataplanev1connect.EndpointServiceClient
	stats dataplanev1connect.StatsServiceClient
	http  *http.Client
	url   string
}

func newCaller(t testing.TB, transport *http.Transport, url string, options ...connect.ClientOption) *caller {
	t.Helper()
	t.Cleanup(transport.CloseIdleConnections)
	c := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	return &caller{
		EndpointServiceClient: dataplanev1connect.NewEndpointServiceClient(c, url, options...),
		stats:                 dataplanev1connect.NewStatsServiceClient(c, url, options...),
		http:                  c,
		url:                   url,
	}
}

// byTLS is a client with a certificate, or none.
func byTLS(t testing.TB, addr string, ca *authority, cert *tls.Certificate, options ...connect.ClientOption) *caller {
	t.Helper()
	c := &tls.Config{RootCAs: ca.pool()}
	if cert != nil {
		c.Certificates = []tls.Certificate{*cert}
	}
	return newCaller(t, &http.Transport{TLSClientConfig: c, ForceAttemptHTTP2: true}, "https://"+addr, options...)
}

// byUnix is a client on this host, which speaks HTTP/2 or HTTP/1.1.
func (w *world) byUnix(t testing.TB, http2 bool, options ...connect.ClientOption) *caller {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(http2)
	protocols.SetHTTP1(!http2)
	return newCaller(t, &http.Transport{Protocols: protocols,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", w.socket)
		}}, "http://localhost", options...)
}

func (c *caller) get(t testing.TB) error {
	t.Helper()
	_, err := c.GetEndpoint(t.Context(), connect.NewRequest(&dataplanev1.GetEndpointRequest{}))
	return err
}

func (c *caller) add(t testing.TB, vni uint32) error {
	t.Helper()
	_, err := c.AddEndpoint(t.Context(), connect.NewRequest(&dataplanev1.AddEndpointRequest{Endpoint: &dataplanev1.Endpoint{Vni: vni}}))
	return err
}

// bulk is a bidirectional stream of one message.
func (c *caller) bulk(t testing.TB, n int) error {
	t.Helper()
	s := c.AddEndpoints(t.Context())
	_ = s.Send(&dataplanev1.AddEndpointsRequest{Endpoints: make([]*dataplanev1.Endpoint, n)})
	_, err := s.Receive()
	_ = s.CloseRequest()
	for e := err; e == nil; {
		_, e = s.Receive()
	}
	_ = s.CloseResponse()
	return err
}

// refused requires an error of a code, with a cause.
func refused(t testing.TB, err error, code connect.Code, cause dataplanev1.Cause) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, code.String(), connect.CodeOf(err).String(), "%v", err)
	var ce *connect.Error
	require.ErrorAs(t, err, &ce)
	require.NotEmpty(t, ce.Details(), "%v", err)
	v, e := ce.Details()[0].Value()
	require.NoError(t, e)
	require.Equal(t, cause, v.(*dataplanev1.ErrorDetail).Cause)
}

func (l *logs) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Reset()
}
