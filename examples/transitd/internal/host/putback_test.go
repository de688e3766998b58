// SPDX-License-Identifier: Apache-2.0

package host

import (
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// testPutBack: what is replaced by removing it, and then cannot be made as it is wanted, is there again as it was.
func testPutBack(t *testing.T, w *world) {
	one, _ := named(t, "one")
	two, _ := named(t, "two")
	inside, err := netns.FromPath(filepath.Join(namespaces, two))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, inside.Close()) })
	testutil.Veth(t, inside, "eth0", inside, "eth9")
	s := full(t, one)
	s.Addresses = []*pb.Address{{Interface: "eth0", Address: "192.0.2.101/32"}}
	s.Droplets[0] = &pb.Droplet{Interface: "eth0", Addresses: []string{"192.0.2.101", "192.0.2.1"}, Mode: pb.Mode_MODE_TCX, Cookie: 8}
	w.apply(t, s)
	w.library(t, func(dp *dataplane.Dataplane) { // a foreign one, and 10.0.0.9 is our own
		require.NoError(t, dp.Endpoint.Add(t.Context(), maps.Endpoint{VNI: 7, Addr: netip.MustParseAddr("10.0.0.7"), Host: netip.MustParseAddr("192.0.2.3")}))
	})
	h := w.open(t)
	require.Empty(t, h.repairs)
	was, etag := w.kernel(t), h.Etag()

	moved := s.LocalEndpoints[0]
	moved = with(moved, anyEtag).(*pb.LocalEndpoint)
	moved.Addresses = append(moved.Addresses, "10.0.0.7/24", "10.0.0.9/24")
	moved.Place = &pb.LocalEndpoint_Netns{Netns: two} // where there is an eth0 already
	_, _, err = h.Put(t.Context(), moved, "test")
	require.ErrorIs(t, err, dataplane.ErrExists)
	require.Equal(t, was, w.kernel(t))

	other := with(s.Droplets[0], anyEtag).(*pb.Droplet)
	other.Mode = pb.Mode_MODE_OFFLOAD // which no veth has
	_, _, err = h.Put(t.Context(), other, "test")
	require.ErrorIs(t, err, dataplane.ErrNotSupported)
	require.Equal(t, was, w.kernel(t))

	require.Equal(t, etag, h.Etag())
	w.requireWhole(t)
	d, err := h.Get(t.Context(), &pb.Droplet{Interface: "eth0"})
	require.NoError(t, err)
	require.Equal(t, []string{"192.0.2.101", "192.0.2.1"}, d.(*pb.Droplet).Status.Addresses, "the first is the source")
	require.Equal(t, pb.Mode_MODE_TCX, d.(*pb.Droplet).Status.Mode)
	// The order says which is the source, so it counts.
	other = with(s.Droplets[0], "").(*pb.Droplet)
	other.Addresses = []string{"192.0.2.1", "192.0.2.101"}
	_, _, err = h.Put(t.Context(), other, "test")
	require.ErrorIs(t, err, ErrDiffers)

	h = w.open(t)
	require.Empty(t, h.repairs)
	require.Equal(t, was, w.kernel(t))

	// Also where only the kernel tells what it is.
	h = w.lose(t)
	_, _, err = h.Put(t.Context(), other, "test")
	require.ErrorIs(t, err, ErrDiffers)
	_, outcome, err := h.Put(t.Context(), s.Droplets[0], "test")
	require.NoError(t, err)
	require.Equal(t, pb.Outcome_OUTCOME_UNCHANGED, outcome)
	require.Equal(t, was, w.kernel(t))
}
