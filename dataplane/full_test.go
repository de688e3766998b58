// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// rowsOf is what all managers of rows can do.
type rowsOf[Key, Row any] interface {
	Add(context.Context, Row) error
	AddAll(context.Context, []Row) error
	Get(context.Context, Key) (Row, error)
	Remove(context.Context, Key) error
}

// fillUp adds rows until there is no room, and looks at what that leaves. Row i is the i-th, of a key of
// its own.
func fillUp[Key, Row any](t *testing.T, m rowsOf[Key, Row], limit uint32, row func(i uint32) Row, key func(Row) Key) {
	t.Helper()
	ctx := t.Context()
	n := uint32(0)
	for ; n <= limit; n++ {
		if err := m.Add(ctx, row(n)); err != nil {
			require.ErrorIs(t, err, ErrFull)
			break
		}
	}
	require.NotZero(t, n)
	require.LessOrEqual(t, n, limit)
	require.ErrorIs(t, m.AddAll(ctx, []Row{row(0), row(n)}), ErrFull)
	_, err := m.Get(ctx, key(row(n)))
	require.ErrorIs(t, err, ErrNotFound)
	for i := range n {
		got, err := m.Get(ctx, key(row(i)))
		require.NoError(t, err)
		require.Equal(t, row(i), got)
	}
	// What is there can be replaced, and with one less there is room for another.
	require.NoError(t, m.Add(ctx, row(0)))
	require.NoError(t, m.Remove(ctx, key(row(0))))
	require.NoError(t, m.Add(ctx, row(n)))
}

// TestT20FullTables: who finds a table full is told so, and what was in it stays as it was; packets too go
// where they went.
func TestT20FullTables(t *testing.T) {
	f := newFleet(t, droplet.TCX)
	dp := f.a.open(t)
	stop := f.ping(t)
	hosts := []netip.Addr{f.b.addr}
	addr := func(i uint32) netip.Addr {
		return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, 20<<24|i)))
	}
	limits := dp.Limits()
	t.Run("peers", func(t *testing.T) {
		fillUp(t, dp.Peer, limits.Peers, func(i uint32) maps.Peer {
			return maps.Peer{Prefix: netip.PrefixFrom(addr(i), 32), Cookie: uint64(i)}
		}, func(p maps.Peer) netip.Prefix { return p.Prefix })
	})
	t.Run("VPCs", func(t *testing.T) {
		fillUp(t, dp.VPC, limits.VPCs, func(i uint32) maps.VPC {
			return maps.VPC{VNI: 100 + i, Dividers: hosts, Cookie: uint64(i)}
		}, func(v maps.VPC) uint32 { return v.VNI })
	})
	t.Run("networks", func(t *testing.T) {
		fillUp(t, dp.Network, limits.Networks, func(i uint32) maps.Network {
			return maps.Network{VNI: vni, Prefix: netip.PrefixFrom(addr(i), 32), Bouncers: hosts, Cookie: uint64(i)}
		}, maps.Network.Key)
	})
	t.Run("endpoints", func(t *testing.T) {
		fillUp(t, dp.Endpoint, limits.Endpoints, func(i uint32) maps.Endpoint {
			return maps.Endpoint{VNI: vni, Addr: addr(i), Host: f.b.addr, Cookie: uint64(i)}
		}, maps.Endpoint.Key)
		// No room for one of this host either, of which nothing is left then.
		before := interfaces(t, f.a.ns)
		ns := testutil.NewNS(t)
		_, err := dp.Endpoint.Create(t.Context(), endpoint.Config{
			VNI: vni, Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.9/24")}, NetNS: endpoint.FD(ns.FD()),
		})
		require.ErrorIs(t, err, ErrFull)
		require.Equal(t, before, interfaces(t, f.a.ns))
		require.False(t, testutil.Exists(t, ns, "eth0"))
	})
	f.requirePing(t)
	stop()
	require.NoError(t, dp.Close())
	f.destroy(t)
}
