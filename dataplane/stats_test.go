// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// TestStats: a ping there and back shows in every count, and a forged one as an event.
func TestStats(t *testing.T) {
	a, b := newHosts(t)
	web, far := testutil.NewNS(t), testutil.NewNS(t)
	ctx := t.Context()
	dpA, dpB := a.open(t), b.open(t)
	require.NoError(t, contentsOf(a, b, 1, 2).fill(ctx, dpA, droplet.TCX, endpoint.FD(web.FD())))
	require.NoError(t, contentsOf(b, a, 2, 1).fill(ctx, dpB, droplet.TCX, endpoint.FD(far.FD())))

	counters := func() map[bpf.TableReason]maps.Counter {
		all := make(map[bpf.TableReason]maps.Counter)
		for _, c := range collect(t, dpA.Stats.Counters(ctx)) {
			all[c.Reason] = c
		}
		return all
	}
	require.NotContains(t, counters(), bpf.TableReasonREASON_DELIVER)
	dst := netip.MustParseAddr("10.0.0.2")
	requireReachable(t, web, dst)
	r := testutil.Ping(t, web, netip.Addr{}, dst, 10, patience)
	require.Zero(t, r.Lost, r.Errors)
	got := uint64(r.Sent - r.Lost)
	require.GreaterOrEqual(t, counters()[bpf.TableReasonREASON_DELIVER].Packets, got)
	require.GreaterOrEqual(t, counters()[bpf.TableReasonREASON_SEND_DIRECT].Packets, got)

	endpoints := collect(t, dpA.Stats.Endpoints(ctx))
	require.Len(t, endpoints, 1)
	require.Equal(t, "mzworkload", endpoints[0].Interface)
	require.Equal(t, uint32(vni), endpoints[0].VNI)
	require.Equal(t, uint64(6), endpoints[0].Cookie)
	require.GreaterOrEqual(t, endpoints[0].RxPackets, got)
	require.GreaterOrEqual(t, endpoints[0].TxPackets, got)
	droplets := collect(t, dpA.Stats.Droplets(ctx))
	require.Len(t, droplets, 1)
	require.Equal(t, "eth0", droplets[0].Interface)
	require.GreaterOrEqual(t, droplets[0].RxPackets, got)
	require.GreaterOrEqual(t, droplets[0].TxBytes, got*84)

	forged := netip.MustParseAddr("10.0.0.66")
	testutil.Addr(t, web, "eth0", "10.0.0.66/24")
	p := testutil.StartPing(t, web, testutil.PingConfig{Src: forged, Dst: dst, Count: 3, Timeout: 100 * time.Millisecond})
	timeout, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for event, err := range dpA.Stats.Events(timeout) {
		require.NoError(t, err)
		if event.Reason != bpf.TableReasonDROP_SPOOF_ADDRESS {
			continue
		}
		require.Equal(t, forged, event.Source)
		require.Equal(t, dst, event.Destination)
		require.Equal(t, uint32(vni), event.VNI)
		require.Equal(t, testutil.Ifindex(t, a.ns, "mzworkload"), event.Ifindex)
		break
	}
	require.NoError(t, timeout.Err())
	require.Equal(t, 3, p.Wait().Lost)
	lost, err := dpA.Stats.Lost(ctx)
	require.NoError(t, err)
	require.Zero(t, lost)
	require.NoError(t, dpA.Destroy(ctx))
	require.NoError(t, dpB.Destroy(ctx))
}
