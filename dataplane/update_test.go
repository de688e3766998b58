// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// TestDropletUpdateUnderTraffic: a droplet gets another address and loses it again, many times, and no packet is lost.
func TestDropletUpdateUnderTraffic(t *testing.T) {
	inEachMode(t, func(t *testing.T, mode droplet.Mode) {
		f := newFleet(t, mode)
		dp := f.a.open(t)
		running := f.a.running(t)
		stop := f.ping(t)
		more := netip.MustParseAddr("192.0.2.77")
		const n = 100
		for i := range uint64(n) {
			c := droplet.Config{Interface: "eth0", Addrs: []netip.Addr{f.a.addr, more}[:1+i%2], Cookie: i}
			got, err := dp.Droplet.Update(t.Context(), c)
			require.NoError(t, err)
			require.Equal(t, c.Addrs, got.Addrs)
		}
		stop()
		d, err := dp.Droplet.Get(t.Context(), "eth0")
		require.NoError(t, err)
		require.Equal(t, uint64(n-1), d.Cookie)
		require.Contains(t, d.Addrs, more)
		require.Equal(t, running, f.a.running(t))
		require.NoError(t, dp.Close())
		f.destroy(t)
	})
}

// TestDropletUpdateFromAnother: what is sent after an update comes from the address that it gave: the other host takes
// packets from no other.
func TestDropletUpdateFromAnother(t *testing.T) {
	inEachMode(t, func(t *testing.T, mode droplet.Mode) {
		f := newFleet(t, mode)
		a, b := f.a.open(t), f.b.open(t)
		another := netip.MustParseAddr("192.0.2.77")
		for p := range b.Peer.List(t.Context()) {
			require.NoError(t, b.Peer.Remove(t.Context(), p.Prefix))
		}
		require.NoError(t, b.Peer.Add(t.Context(), maps.Peer{Prefix: netip.PrefixFrom(another, 32)}))
		require.NoError(t, b.Endpoint.Add(t.Context(), maps.Endpoint{VNI: vni, Addr: netip.MustParseAddr("10.0.0.1"), Host: another}))
		testutil.Addr(t, f.a.ns, "eth0", another.String()+"/24")
		_, err := a.Droplet.Update(t.Context(), droplet.Config{Interface: "eth0", Addrs: []netip.Addr{another, f.a.addr}})
		require.NoError(t, err)
		f.requirePing(t)
		require.NoError(t, a.Close())
		require.NoError(t, b.Close())
		f.destroy(t)
	})
}

// TestEndpointUpdateUnderTraffic: an endpoint may send from more, and from less, many times, and no packet is lost.
func TestEndpointUpdateUnderTraffic(t *testing.T) {
	inEachMode(t, func(t *testing.T, mode droplet.Mode) {
		f := newFleet(t, mode)
		dp := f.a.open(t)
		stop := f.ping(t)
		more := []netip.Prefix{netip.MustParsePrefix("10.99.0.0/16"), netip.MustParsePrefix("2001:db8:99::/48")}
		for i := range uint64(200) {
			got, err := dp.Endpoint.Update(t.Context(), "mzworkload", endpoint.Change{Allowed: more[:i%3], Cookie: i})
			require.NoError(t, err)
			require.Equal(t, i, got.Cookie)
		}
		stop()
		require.NoError(t, dp.Close())
		f.destroy(t)
	})
}
