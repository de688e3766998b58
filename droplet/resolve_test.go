// SPDX-License-Identifier: Apache-2.0

package droplet

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

const patience = 5 * time.Second

// neighbourOf is the kernel's entry for an address; nil if there is none.
func neighbourOf(t *testing.T, ns *netns.Handle, name, addr string) (e *entry) {
	t.Helper()
	ifindex := testutil.Ifindex(t, ns, name)
	testutil.In(t, ns, func() (err error) {
		e, err = neighbour{ifindex, netip.MustParseAddr(addr)}.get()
		return err
	})
	return e
}

// requireManaged waits until an address is resolved, and takes it that the entry is ours.
func requireManaged(t *testing.T, ns *netns.Handle, name, addr string) {
	t.Helper()
	testutil.Eventually(t, patience, func() error {
		e := neighbourOf(t, ns, name, addr)
		if e == nil || e.state&(netlink.NUD_REACHABLE|netlink.NUD_STALE|netlink.NUD_DELAY|netlink.NUD_PROBE) == 0 {
			return fmt.Errorf("%s: %+v", addr, e)
		}
		require.True(t, e.ours(), "%+v", e)
		return nil
	})
}

func resolve(t *testing.T, p *plane, hosts ...string) error {
	t.Helper()
	var addrs []netip.Addr
	for _, h := range hosts {
		addrs = append(addrs, netip.MustParseAddr(h))
	}
	return p.Resolve(t.Context(), addrs...)
}

func TestResolve(t *testing.T) {
	p, far := newHost(t)
	testutil.Addr(t, far, "sw0", "192.0.2.3/24", "192.0.2.4/24", "192.0.2.5/24", "2001:db8:1::3/64")
	testutil.Route(t, p.ns, "up0", "198.51.100.0/24", "192.0.2.3")
	testutil.Route(t, p.ns, "up0", "2001:db8:2::/64", "2001:db8:1::3")
	up0 := testutil.Ifindex(t, p.ns, "up0")
	testutil.In(t, p.ns, func() error {
		hop := func(gw string) *netlink.NexthopInfo {
			return &netlink.NexthopInfo{LinkIndex: up0, Gw: net.ParseIP(gw)}
		}
		_, both, err := net.ParseCIDR("203.0.113.0/25")
		if err != nil {
			return err
		}
		if err := netlink.RouteAdd(&netlink.Route{Dst: both, MultiPath: []*netlink.NexthopInfo{hop("192.0.2.4"), hop("192.0.2.5")}}); err != nil {
			return err
		}
		_, via6, err := net.ParseCIDR("203.0.113.128/25")
		if err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{
			LinkIndex: up0, Dst: via6, Via: &netlink.Via{AddrFamily: netlink.FAMILY_V6, Addr: net.ParseIP("2001:db8:1::2")},
		})
	})
	before := p.snapshot(t)
	p.attach(t, TCX)
	attached := p.snapshot(t)

	// On the link; through a gateway; through two; IPv4 through IPv6; IPv6 through a gateway; ourselves.
	for _, c := range []struct {
		host string
		hops []string
	}{
		{"192.0.2.2", []string{"192.0.2.2"}},
		{"198.51.100.7", []string{"192.0.2.3"}},
		{"203.0.113.1", []string{"192.0.2.4", "192.0.2.5"}},
		{"203.0.113.200", []string{"2001:db8:1::2"}},
		{"2001:db8:2::7", []string{"2001:db8:1::3"}},
		{"::ffff:192.0.2.2", []string{"192.0.2.2"}},
		{"192.0.2.1", nil},
	} {
		require.NoError(t, resolve(t, p, c.host))
		for _, hop := range c.hops {
			requireManaged(t, p.ns, "up0", hop)
		}
		require.Equal(t, len(attached)+len(c.hops), len(p.snapshot(t)), "no other neighbours: %s", c.host)
		require.NoError(t, resolve(t, p, c.host), "again")
		require.NoError(t, p.again(t).Forget(t.Context()))
		require.Equal(t, attached, p.snapshot(t))
		require.NoError(t, p.Forget(t.Context()), "nothing left")
	}

	require.NoError(t, resolve(t, p, "192.0.2.2", "2001:db8:2::7"))
	p.detach(t)
	require.Equal(t, before, p.snapshot(t), "a droplet's neighbours go with it")
}

// A neighbour that changes its MAC is followed with nobody running: the kernel asks again by itself.
func TestResolveKeepsAsking(t *testing.T) {
	p, far := newHost(t)
	testutil.Sysctl(t, p.ns, "net/ipv4/neigh/up0/interval_probe_time_ms", "100")
	testutil.Sysctl(t, p.ns, "net/ipv4/neigh/up0/base_reachable_time_ms", "100")
	testutil.Sysctl(t, p.ns, "net/ipv4/neigh/up0/delay_first_probe_time", "0")
	p.attach(t, TCX)
	require.NoError(t, resolve(t, p, "192.0.2.2"))
	requireManaged(t, p.ns, "up0", "192.0.2.2")
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 9}
	testutil.In(t, far, func() error {
		l, err := netlink.LinkByName("sw0")
		if err != nil {
			return err
		}
		return netlink.LinkSetHardwareAddr(l, mac)
	})
	up0 := testutil.Ifindex(t, p.ns, "up0")
	testutil.Eventually(t, 2*patience, func() error {
		var now net.HardwareAddr
		testutil.In(t, p.ns, func() error {
			all, err := netlink.NeighList(up0, netlink.FAMILY_V4)
			for _, n := range all {
				if n.IP.String() == "192.0.2.2" {
					now = n.HardwareAddr
				}
			}
			return err
		})
		if now.String() != mac.String() {
			return fmt.Errorf("it is still %s", now)
		}
		return nil
	})
	p.detach(t)
}

func TestResolveLeavesOthersAlone(t *testing.T) {
	p, _ := newHost(t)
	p.attach(t, TCX)
	up0 := testutil.Ifindex(t, p.ns, "up0")
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 7}
	testutil.Neighbour(t, p.ns, "up0", netip.MustParseAddr("192.0.2.7"), mac)
	testutil.Neighbour(t, p.ns, "up0", netip.MustParseAddr("2001:db8:1::7"), mac)
	testutil.In(t, p.ns, func() error {
		for _, n := range []*netlink.Neigh{
			{IP: net.ParseIP("192.0.2.8"), State: netlink.NUD_NONE, FlagsExt: netlink.NTF_EXT_MANAGED},
			{IP: net.ParseIP("192.0.2.9"), State: netlink.NUD_STALE, HardwareAddr: mac},
		} {
			n.LinkIndex = up0
			if err := netlink.NeighAdd(n); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(t, resolve(t, p, "192.0.2.7", "2001:db8:1::7", "192.0.2.8", "192.0.2.9"))
	check := func() {
		for _, addr := range []string{"192.0.2.7", "2001:db8:1::7"} {
			e := neighbourOf(t, p.ns, "up0", addr)
			require.NotNil(t, e, addr)
			require.Equal(t, netlink.NUD_PERMANENT, e.state, addr)
			require.False(t, e.ours())
		}
		e := neighbourOf(t, p.ns, "up0", "192.0.2.8")
		require.NotNil(t, e)
		require.True(t, e.managed)
		require.False(t, e.ours(), "somebody else manages it")
	}
	check()
	require.True(t, neighbourOf(t, p.ns, "up0", "192.0.2.9").ours(), "an ordinary one is taken over")
	p.detach(t)
	check()
	require.Nil(t, neighbourOf(t, p.ns, "up0", "192.0.2.9"))
}

func TestResolveWhatItCan(t *testing.T) {
	p, far := newHost(t)
	testutil.Veth(t, p.ns, "up1", far, "sw1")
	testutil.Addr(t, p.ns, "up1", "198.51.100.1/24")
	testutil.Up(t, p.ns, "up1")
	testutil.Up(t, far, "sw1")
	p.attach(t, TCX)
	err := resolve(t, p, "203.0.113.1", "198.51.100.2", "2001:db8:ffff::1", "224.0.0.1", "192.0.2.2")
	require.ErrorIs(t, err, maps.ErrNotFound)
	require.ErrorContains(t, err, "host 203.0.113.1: no route")
	require.ErrorContains(t, err, "host 2001:db8:ffff::1: no route")
	require.ErrorContains(t, err, "no droplet")
	require.ErrorContains(t, err, "host 224.0.0.1: invalid")
	requireManaged(t, p.ns, "up0", "192.0.2.2")
	require.Nil(t, neighbourOf(t, p.ns, "up1", "198.51.100.2"))
	require.ErrorIs(t, p.Resolve(t.Context(), netip.Addr{}), maps.ErrInvalid)
	p.detach(t)
}
