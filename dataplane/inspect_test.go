// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/internal/testutil"
)

func TestInspectWhileHeld(t *testing.T) {
	h, other := newHosts(t)
	ctx := t.Context()
	workload := testutil.NewNS(t)
	c := contentsOf(h, other, 1, 2)
	dp := h.open(t)
	require.NoError(t, c.fill(ctx, dp, droplet.TCX, endpoint.FD(workload.FD())))

	v, err := InspectAt(h.bpffs, h.name)
	require.NoError(t, err)
	defer v.Close()
	require.Equal(t, "a", v.Name())
	limits, err := v.Limits(ctx)
	require.NoError(t, err)
	require.Equal(t, dp.Limits(), limits)
	s, err := v.Settings(ctx)
	require.NoError(t, err)
	require.Equal(t, bpf.Build(), s.Build)
	require.Contains(t, collect(t, v.Peers(ctx)), c.peer)
	require.Contains(t, collect(t, v.VPCs(ctx)), c.vpc)
	require.Contains(t, collect(t, v.Networks(ctx)), c.network)
	require.Contains(t, collect(t, v.Endpoints(ctx)), c.remote)
	require.Len(t, collect(t, v.Endpoints(ctx)), 2)
	droplets := collect(t, v.Droplets(ctx))
	require.Len(t, droplets, 1)
	require.Equal(t, uint64(5), droplets[0].Cookie)
	agents := collect(t, v.Agents(ctx))
	require.Len(t, agents, 1)
	require.Equal(t, uint64(6), agents[0].Cookie)
	require.Len(t, collect(t, v.Interfaces(ctx)), 2)
	require.Empty(t, collect(t, v.Directs(ctx)))
	_, err = v.Direct(ctx, c.remote.Key())
	require.ErrorIs(t, err, ErrNotFound)
	collect(t, v.Paths(ctx))
	require.NotEmpty(t, collect(t, v.Stats.Counters(ctx)))
	traffic := collect(t, v.Stats.Endpoints(ctx))
	require.Len(t, traffic, 1)
	require.Equal(t, "mzworkload", traffic[0].Interface)
	require.Equal(t, uint32(vni), traffic[0].VNI)
	require.Len(t, collect(t, v.Stats.Droplets(ctx)), 1)

	// What the holder changes is seen.
	c.vpc.Dividers = []netip.Addr{addrA, netip.MustParseAddr("192.0.2.77")}
	require.NoError(t, dp.VPC.Add(ctx, c.vpc))
	vpcs := collect(t, v.VPCs(ctx))
	require.Len(t, vpcs, 1)
	require.ElementsMatch(t, c.vpc.Dividers, vpcs[0].Dividers)

	require.NoError(t, v.Close())
	require.NoError(t, v.Close())
	_, err = first(v.Peers(ctx))
	require.ErrorIs(t, err, ErrClosed)
	_, err = v.Direct(ctx, c.remote.Key())
	require.ErrorIs(t, err, ErrClosed)
	_, err = v.Limits(ctx)
	require.ErrorIs(t, err, ErrClosed)
	require.NoError(t, dp.Destroy(ctx))
}

func TestInspectWhatIsNotThere(t *testing.T) {
	h := newHost(t)
	_, err := InspectAt(h.bpffs, "nobody")
	require.ErrorIs(t, err, ErrNotFound)
	require.Empty(t, h.files(t))
	_, err = InspectAt(t.TempDir(), "nobody")
	require.ErrorIs(t, err, ErrNotFound)
	dp := h.open(t)
	require.NoError(t, dp.Destroy(context.Background()))
	_, err = InspectAt(h.bpffs, h.name)
	require.ErrorIs(t, err, ErrNotFound)
}
