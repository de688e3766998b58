// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/internal/lab"
	"github.com/mizar-go/mizar/maps"
)

// testReadModifyApply: who reads the state, changes something, and applies it, loses nothing that was asked for, also of
// what is not there at the moment: it comes when it can.
func testReadModifyApply(t *testing.T, w *world) {
	one, ns := named(t, "one")
	require.NoError(t, errors.Join(lab.RemoveNamed(one), ns.Close()))
	w.close(t)
	s := state(t, `{"vpcs":[{"vni":7}],"droplets":[{"interface":"nosuch0"}],"localEndpoints":[{"vni":7,"addresses":["10.0.0.5/24"],"netns":%q}]}`, one)
	w.pend(t, s)
	h := w.open(t)
	w.requireState(t, s)
	for _, kinds := range [][]pb.Kind{{pb.Kind_KIND_LOCAL_ENDPOINT}, {pb.Kind_KIND_VPC}} {
		some := &pb.State{}
		for part, err := range h.State(t.Context(), kinds, false, 1) {
			require.NoError(t, err)
			some.LocalEndpoints = append(some.LocalEndpoints, part.State.LocalEndpoints...)
			some.Vpcs = append(some.Vpcs, part.State.Vpcs...)
		}
		require.Equal(t, 1, len(some.LocalEndpoints)+len(some.Vpcs), "%v", kinds)
	}
	// The droplet never comes, and an Apply with it would say so.
	w.apply(t, &pb.State{}, pb.Kind_KIND_DROPLET)
	ns, err := lab.NewNamed(one) // which the test takes away
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ns.Close()) })
	read := w.state(t)
	read.Vpcs = append(read.Vpcs, &pb.Vpc{Vni: 9})
	_, err = h.Apply(t.Context(), &pb.ApplyRequest{State: read, Etag: h.Etag()}, "test")
	require.NoError(t, err)
	w.requireHealed(t)
	require.Len(t, w.state(t).LocalEndpoints, 1)
	require.Len(t, w.state(t).Vpcs, 2)

	// Rows, too.
	s = w.state(t)
	s.Endpoints = state(t, `{"endpoints":[{"vni":7,"address":"10.0.0.8","host":"192.0.2.2"},{"vni":7,"address":"10.0.0.9","host":"192.0.2.2"}]}`).Endpoints
	w.apply(t, s)
	require.NoError(t, h.dp.Endpoint.Remove(t.Context(), maps.EndpointKey{VNI: 7, Addr: netip.MustParseAddr("10.0.0.8")}))
	require.NoError(t, h.dp.VPC.Remove(t.Context(), 9))
	w.requireState(t, s)
	w.apply(t, w.state(t))
	w.requireState(t, s)
	w.requireWhole(t)
}
