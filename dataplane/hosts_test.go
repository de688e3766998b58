// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// neighbours are the managed ones of a host's eth0.
func neighbours(t *testing.T, h *host) []string {
	t.Helper()
	index := testutil.Ifindex(t, h.ns, "eth0")
	var all []string
	testutil.In(t, h.ns, func() error {
		entries, err := netlink.NeighList(index, netlink.FAMILY_V4)
		for _, n := range entries {
			if n.FlagsExt&netlink.NTF_EXT_MANAGED != 0 {
				all = append(all, n.IP.String())
			}
		}
		return err
	})
	return all
}

// TestHostsAreResolved: whoever a row names, and again when there is a droplet to reach them by.
func TestHostsAreResolved(t *testing.T) {
	h, _ := newHosts(t)
	ctx := t.Context()
	addr := func(s string) []netip.Addr { return []netip.Addr{netip.MustParseAddr(s)} }
	dp := h.open(t)
	require.NoError(t, dp.VPC.Add(ctx, maps.VPC{VNI: vni, Dividers: addr("192.0.2.11")}))
	require.NoError(t, dp.Network.Add(ctx, maps.Network{VNI: vni, Prefix: overlay, Bouncers: addr("192.0.2.12")}))
	require.NoError(t, dp.Endpoint.Add(ctx, maps.Endpoint{VNI: vni, Addr: netip.MustParseAddr("10.0.0.9"), Host: addr("192.0.2.13")[0]}))
	require.Empty(t, neighbours(t, h))

	_, err := dp.Droplet.Attach(ctx, droplet.Config{Interface: "eth0"})
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"192.0.2.11", "192.0.2.12", "192.0.2.13"}, neighbours(t, h))

	require.NoError(t, dp.VPC.AddAll(ctx, []maps.VPC{{VNI: 8, Dividers: addr("192.0.2.14")}}))
	require.NoError(t, dp.Network.AddAll(ctx, []maps.Network{{VNI: 8, Prefix: overlay, Bouncers: addr("192.0.2.15")}}))
	require.NoError(t, dp.Endpoint.AddAll(ctx, []maps.Endpoint{
		{VNI: 8, Addr: netip.MustParseAddr("10.0.0.9"), Host: addr("192.0.2.16")[0]},
		{VNI: 8, Addr: netip.MustParseAddr("10.0.0.8"), Host: addr("192.0.2.16")[0]},
	}))
	require.Len(t, neighbours(t, h), 6)

	// No way to a host is no error of the row's.
	require.NoError(t, dp.VPC.Add(ctx, maps.VPC{VNI: 9, Dividers: addr("203.0.113.1")}))
	require.NoError(t, dp.Close())
	require.Len(t, neighbours(t, h), 6)
	h.destroy(t)
	require.Empty(t, neighbours(t, h))
}

// TestHostsOfHalfACall: a bulk call for which there is no room leaves rows, and their hosts are resolved as
// those of any other.
func TestHostsOfHalfACall(t *testing.T) {
	h, _ := newHosts(t)
	ctx := t.Context()
	host := func(i uint32) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}) }
	dp := h.open(t)
	_, err := dp.Droplet.Attach(ctx, droplet.Config{Interface: "eth0"})
	require.NoError(t, err)
	var want []string

	limit := dp.Limits().VPCs
	var vpcs []maps.VPC
	for i := range limit + 2 {
		vpcs = append(vpcs, maps.VPC{VNI: 100 + i, Dividers: []netip.Addr{host(100 + i)}})
	}
	require.ErrorIs(t, dp.VPC.AddAll(ctx, vpcs), ErrFull)
	for _, row := range collect(t, dp.VPC.List(ctx)) {
		want = append(want, row.Dividers[0].String())
	}
	require.Len(t, want, int(limit))
	require.Subset(t, neighbours(t, h), want)

	limit = dp.Limits().Endpoints
	var endpoints []maps.Endpoint
	for i := range limit + 2 {
		addr := netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		endpoints = append(endpoints, maps.Endpoint{VNI: vni, Addr: addr, Host: host(10 + max(i, limit-1) - (limit - 1))})
	}
	require.ErrorIs(t, dp.Endpoint.AddAll(ctx, endpoints), ErrFull)
	require.Len(t, collect(t, dp.Endpoint.List(ctx)), int(limit))
	require.Subset(t, neighbours(t, h), append(want, host(10).String()))

	// Where nothing was written, nothing is resolved.
	want = neighbours(t, h)
	bad := []maps.Endpoint{{VNI: vni, Addr: endpoints[0].Addr, Host: host(20)}, {VNI: vni, Addr: endpoints[1].Addr}}
	require.ErrorIs(t, dp.Endpoint.AddAll(ctx, bad), ErrInvalid)
	require.ErrorIs(t, dp.Endpoint.Add(ctx, maps.Endpoint{VNI: vni, Addr: netip.MustParseAddr("10.9.9.9"), Host: host(20)}), ErrFull)
	require.ElementsMatch(t, want, neighbours(t, h))

	// A context that ends after rows were written.
	ended, cancel := context.WithCancel(ctx)
	cancel()
	dp.hosts.add(ended, slices.Values([]netip.Addr{host(21)}))
	require.ElementsMatch(t, append(want, host(21).String()), neighbours(t, h))
	require.NoError(t, dp.Destroy(ctx))
}

// TestHostsOfACancelledCall: so are those of the rows that were written before the caller gave up.
func TestHostsOfACancelledCall(t *testing.T) {
	h, _ := newHosts(t)
	c := h.config()
	c.Limits.Endpoints = 1 << 14
	dp, err := Open(t.Context(), c)
	require.NoError(t, err)
	_, err = dp.Droplet.Attach(t.Context(), droplet.Config{Interface: "eth0"})
	require.NoError(t, err)
	first, last := netip.MustParseAddr("192.0.2.30"), netip.MustParseAddr("192.0.2.31")
	rows := make([]maps.Endpoint, 1<<14)
	for i := range rows {
		rows[i] = maps.Endpoint{VNI: vni, Addr: netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), Host: first}
	}
	rows[len(rows)-1].Host = last
	ctx, cancel := context.WithCancel(t.Context())
	require.ErrorIs(t, dp.Endpoint.AddAllFunc(ctx, rows, func(int) { cancel() }), context.Canceled)
	require.Contains(t, neighbours(t, h), first.String())
	require.NotContains(t, neighbours(t, h), last.String())
	require.NoError(t, dp.Destroy(t.Context()))
}
