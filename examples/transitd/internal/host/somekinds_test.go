// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/maps"
)

// testSomeKinds: an endpoint that is created here, by an Apply that does not speak of endpoints of other hosts, leaves
// them as they were if it fails.
func testSomeKinds(t *testing.T, w *world) {
	one, _ := named(t, "one")
	w.apply(t, state(t, `{"vpcs":[{"vni":7}],"endpoints":[{"vni":7,"address":"10.0.0.9","host":"192.0.2.2"},{"vni":7,"address":"10.0.0.8","host":"192.0.2.2"}]}`))
	w.library(t, func(dp *dataplane.Dataplane) { // and a foreign one
		require.NoError(t, dp.Endpoint.Add(t.Context(), maps.Endpoint{VNI: 7, Addr: netip.MustParseAddr("10.0.0.7"), Host: netip.MustParseAddr("192.0.2.3")}))
	})
	h := w.open(t)
	kinds := []pb.Kind{pb.Kind_KIND_LOCAL_ENDPOINT, pb.Kind_KIND_PEER}
	moved := state(t, `{"localEndpoints":[{"vni":7,"addresses":["10.0.0.7/24","10.0.0.9/24"],"netns":%q}]}`, one)
	bad := state(t, `{"localEndpoints":[{"vni":7,"addresses":["10.0.0.7/24","10.0.0.9/24"],"netns":%q}]}`, one)
	for i := range 30 {
		bad.Peers = append(bad.Peers, &pb.Peer{Prefix: fmt.Sprintf("10.1.%d.0/24", i)})
	}
	was, said, etag := w.kernel(t), textsOf(w.state(t)), h.Etag()
	_, err := h.Apply(t.Context(), &pb.ApplyRequest{State: bad, Kinds: kinds}, "test")
	require.ErrorIs(t, err, dataplane.ErrFull)
	require.NotContains(t, err.Error(), "undo")
	require.Equal(t, was, w.kernel(t))
	require.Equal(t, said, textsOf(w.state(t)))
	require.Equal(t, etag, h.Etag())
	w.requireWhole(t)

	// Without what failed it works, and is the same for the next daemon.
	w.apply(t, moved, kinds...)
	want := []string{"10.0.0.7/24", "10.0.0.9/24"}
	for range 2 {
		require.Len(t, w.state(t).LocalEndpoints, 1)
		require.Equal(t, want, w.state(t).LocalEndpoints[0].Addresses)
		require.Len(t, w.state(t).Endpoints, 1)
		w.requireWhole(t)
		w.open(t)
	}
}

// testChainWithoutItsEndpoint: a chain of an endpoint that the same Apply deletes is refused, not forgotten.
func testChainWithoutItsEndpoint(t *testing.T, w *world) {
	one, _ := named(t, "one")
	s := full(t, one)
	w.apply(t, s)
	was := w.kernel(t)
	without := full(t, one)
	without.LocalEndpoints = nil
	for _, dry := range []bool{true, false} {
		_, err := w.h.Apply(t.Context(), &pb.ApplyRequest{State: without, DryRun: dry}, "test")
		require.ErrorIs(t, err, dataplane.ErrInvalid)
		require.Equal(t, was, w.kernel(t))
	}
	// One that keeps only another of its addresses.
	without.LocalEndpoints = state(t, `{"localEndpoints":[{"vni":7,"addresses":["10.0.0.2/24"],"netns":%q,"cookie":"5"}]}`, one).LocalEndpoints
	_, err := w.h.Apply(t.Context(), &pb.ApplyRequest{State: without}, "test")
	require.ErrorIs(t, err, dataplane.ErrInvalid)
	require.Equal(t, was, w.kernel(t))
	w.requireState(t, s)
	w.requireWhole(t)
	// Where the endpoint is not the daemon's, it stays, and so may its chain.
	h := w.lose(t)
	_, err = h.Apply(t.Context(), &pb.ApplyRequest{State: &pb.State{Stages: s.Stages[1:]}, Kinds: []pb.Kind{pb.Kind_KIND_STAGE, pb.Kind_KIND_LOCAL_ENDPOINT}}, "test")
	require.NoError(t, err)
	require.Equal(t, was, w.kernel(t))
	w.requireWhole(t)
}
