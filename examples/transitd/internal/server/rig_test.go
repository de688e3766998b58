// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	api "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1/dataplanev1connect"
	"github.com/mizar-go/mizar/examples/transitd/internal/host"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"

	"connectrpc.com/connect"
)

// served is a host in a namespace of its own, its services, and clients of them.
type served struct {
	t       testing.TB
	ns      *netns.Handle
	options host.Options
	h       *host.Host
	http    *http.Client
	stop    func()

	hosts     api.HostServiceClient
	endpoints api.EndpointServiceClient
}

// serve opens a host and serves it on a Unix socket.
func serve(t testing.TB, ns *netns.Handle, o host.Options) *served {
	t.Helper()
	o.Dataplane.NetNS = fmt.Sprintf("/proc/self/fd/%d", ns.FD())
	if o.Dataplane.Limits == (bpf.Limits{}) {
		o.Dataplane.Limits = bpf.Limits{Endpoints: 1024, Networks: 64, VPCs: 64, Sets: 64, Peers: 64, Agents: 64, Allowed: 64, Directs: 1024, Paths: 64, Traffic: 64}
	}
	s := &served{t: t, ns: ns, options: o}
	s.start()
	t.Cleanup(func() { s.stop() })
	return s
}

func (s *served) start() {
	s.t.Helper()
	var err error
	s.h, err = host.Open(s.t.Context(), s.options)
	require.NoError(s.t, err)
	path := filepath.Join(s.t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	require.NoError(s.t, err)
	mux := http.NewServeMux()
	Register(mux, s.h, Options{Tables: func(context.Context) ([]*pb.Table, error) { return nil, nil }})
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	protocols.SetHTTP1(true)
	server := &http.Server{Handler: mux, Protocols: protocols}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	only2 := new(http.Protocols)
	only2.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: only2, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	s.http = &http.Client{Transport: transport}
	s.hosts = api.NewHostServiceClient(s.http, "http://host", connect.WithGRPC())
	s.endpoints = api.NewEndpointServiceClient(s.http, "http://host", connect.WithGRPC())
	s.stop = func() {
		transport.CloseIdleConnections()
		require.NoError(s.t, server.Close())
		require.ErrorIs(s.t, <-ended, http.ErrServerClosed)
		require.NoError(s.t, s.h.Close())
	}
}

// apply applies a state that is written as JSON.
func (s *served) apply(state string) *pb.ApplyResponse {
	s.t.Helper()
	got, err := s.tryApply(state)
	require.NoError(s.t, err)
	return got
}

func (s *served) tryApply(state string) (*pb.ApplyResponse, error) {
	s.t.Helper()
	r := &pb.ApplyRequest{State: &pb.State{}}
	require.NoError(s.t, protojson.Unmarshal([]byte(state), r.State))
	got, err := s.hosts.Apply(s.t.Context(), connect.NewRequest(r))
	if err != nil {
		return nil, err
	}
	return got.Msg, nil
}

// health is without what was repaired.
func (s *served) health() *pb.GetHealthResponse {
	s.t.Helper()
	got, err := s.hosts.GetHealth(s.t.Context(), connect.NewRequest(&pb.GetHealthRequest{}))
	require.NoError(s.t, err)
	return got.Msg
}

// twoHosts are on one wire, 192.0.2.1 and 192.0.2.2.
func twoHosts(t testing.TB, in func(a *netns.Handle) host.Options) (a, b *served) {
	t.Helper()
	testutil.Root(t)
	testutil.Leaks(t)
	nsA, nsB := testutil.NewNS(t), testutil.NewNS(t)
	testutil.Veth(t, nsA, "eth0", nsB, "eth0")
	for i, ns := range []*netns.Handle{nsA, nsB} {
		testutil.Addr(t, ns, "eth0", fmt.Sprintf("192.0.2.%d/24", i+1))
		testutil.Up(t, ns, "eth0")
	}
	testutil.Ready(t, nsA, "eth0")
	bpffs := testutil.BPFFS(t)
	open := func(ns *netns.Handle, name string) *served {
		o := host.Options{}
		if in != nil && name == "a" {
			o = in(ns)
		}
		o.StateDir = filepath.Join(t.TempDir(), "state")
		o.Dataplane = dataplane.Config{Name: name, BPFFS: bpffs}
		return serve(t, ns, o)
	}
	return open(nsA, "a"), open(nsB, "b")
}

func request[T any](m *T) *connect.Request[T] { return connect.NewRequest(m) }
