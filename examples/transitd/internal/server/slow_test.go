// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"net/http"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	api "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1/dataplanev1connect"
	"github.com/mizar-go/mizar/examples/transitd/internal/host"
	"github.com/mizar-go/mizar/internal/testutil"
)

// heap is what is in use, in bytes.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestSlowReaders: who reads a long list or events slowly, or not at all, holds up nobody who writes, and little memory.
// Later it gets the rest.
func TestSlowReaders(t *testing.T) {
	testutil.Root(t)
	testutil.Leaks(t)
	const rows, readers, changes = 20_000, 10, 300
	s := serve(t, testutil.NewNS(t), host.Options{StateDir: filepath.Join(t.TempDir(), "state"), Dataplane: dataplane.Config{
		Name: "a", BPFFS: testutil.BPFFS(t), Limits: bpf.Limits{Endpoints: rows + changes, VPCs: 64, Sets: 64, Networks: 64, Directs: 1024}}})
	some := func(from, to int) (all []*pb.Endpoint) {
		for i := from; i < to; i++ {
			all = append(all, &pb.Endpoint{Vni: 7, Address: fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), Host: "192.0.2.2"})
		}
		return all
	}
	for i := 0; i < rows; i += 20_000 {
		_, err := s.h.AddEndpoints(t.Context(), some(i, i+20_000), false, "test")
		require.NoError(t, err)
	}
	s.http.Transport.(*http.Transport).HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10}
	stats := api.NewStatsServiceClient(s.http, "http://host", connect.WithGRPC())
	before := heap()
	var lists []*connect.ServerStreamForClient[pb.ListEndpointsResponse]
	var watches []*connect.ServerStreamForClient[pb.WatchEventsResponse]
	for range readers {
		list, err := s.endpoints.ListEndpoints(t.Context(), request(&pb.ListEndpointsRequest{}))
		require.NoError(t, err)
		require.True(t, list.Receive())
		watch, err := stats.WatchEvents(t.Context(), request(&pb.WatchEventsRequest{}))
		require.NoError(t, err)
		require.True(t, watch.Receive())
		lists, watches = append(lists, list), append(watches, watch)
	}
	time.Sleep(500 * time.Millisecond) // until nothing goes through
	began := time.Now()
	for i := range changes {
		_, err := s.h.AddEndpoints(t.Context(), some(rows+i, rows+i+1), false, "test")
		require.NoError(t, err)
	}
	s.apply(`{"vpcs":[{"vni":7}]}`) // which removes all
	took, more := time.Since(began), heap()-before
	t.Logf("%d changes and an Apply took %s beside %d lists and %d watchers, who have %d KiB", changes, took, readers, readers, more>>10)
	require.Less(t, more, int64(128<<20))
	require.Less(t, took, 10*time.Second)

	for _, watch := range watches {
		for n := 0; n < changes; n++ {
			require.True(t, watch.Receive(), "%v", watch.Err())
			require.Zero(t, watch.Msg().Lost)
		}
		_ = watch.Close()
	}
	for _, list := range lists {
		for list.Receive() {
		}
		require.NoError(t, list.Err())
		require.NoError(t, list.Close())
	}
}
