// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/packet"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// pingUntil pings until it is answered, and does something before each.
func pingUntil(t *testing.T, from *netns.Handle, dst netip.Addr, between func()) {
	t.Helper()
	testutil.Eventually(t, patience, func() error {
		between()
		if r := testutil.Ping(t, from, netip.Addr{}, dst, 1, 500*time.Millisecond); r.Lost != 0 {
			return errors.New("no answer")
		}
		return nil
	})
}

// TestNeighbourChangesUnattended: a host on the way changes its MAC and says so, with no process running.
func TestNeighbourChangesUnattended(t *testing.T) {
	inEachMode(t, func(t *testing.T, mode droplet.Mode) {
		f := newFleet(t, mode)
		was := linkMAC(t, f.b.ns, "eth0")
		now := net.HardwareAddr{2, 0, 0, 0, 1, 2}
		testutil.In(t, f.b.ns, func() error {
			l, err := netlink.LinkByName("eth0")
			if err != nil {
				return err
			}
			return netlink.LinkSetHardwareAddr(l, now)
		})
		require.NotEqual(t, was, now)
		says := rawSocket(t, f.b.ns, "eth0", false)
		pingUntil(t, f.web, addr4(2), func() {
			// Some is enough, but a kernel does not believe another one within a second.
			_, err := says.Write(packet.Eth(now, packet.Broadcast()).ARPRequest(now, addrB, addrB).Build(t))
			require.NoError(t, err)
		})
		require.NoError(t, says.Close())
		r := testutil.Ping(t, f.web, netip.Addr{}, addr4(2), 20, patience)
		require.Zero(t, r.Lost, r.Errors)
		f.destroy(t)
	})
}

// TestUnresolvedNeighbour: somebody takes a next hop's entry away. The first packet may be lost, the second
// is not.
func TestUnresolvedNeighbour(t *testing.T) {
	inEachMode(t, func(t *testing.T, mode droplet.Mode) {
		f := newFleet(t, mode)
		index := testutil.Ifindex(t, f.a.ns, "eth0")
		testutil.In(t, f.a.ns, func() error {
			return netlink.NeighDel(&netlink.Neigh{LinkIndex: index, IP: addrB.AsSlice()})
		})
		testutil.Ping(t, f.web, netip.Addr{}, addr4(2), 1, 2*time.Second)
		r := testutil.Ping(t, f.web, netip.Addr{}, addr4(2), 1, patience)
		require.Zero(t, r.Lost, r.Errors)
		f.destroy(t)
	})
}

// TestRouteChangesUnattended: two ways lead to the other host, whose address is on neither. Routing takes
// the other one with no process running, and no packet is lost.
func TestRouteChangesUnattended(t *testing.T) {
	inEachMode(t, func(t *testing.T, mode droplet.Mode) {
		a, b := newHosts(t)
		testutil.Veth(t, a.ns, "eth1", b.ns, "eth1")
		web, far := testutil.NewNS(t), testutil.NewNS(t)
		loopback := []netip.Addr{netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("198.51.100.2")}
		ways := map[string][]string{"eth0": {"192.0.2.1", "192.0.2.2"}, "eth1": {"203.0.113.1", "203.0.113.2"}}
		hosts, workloads := []*host{a, b}, []*netns.Handle{web, far}
		route := func(way string) {
			for i, h := range hosts {
				testutil.Route(t, h.ns, way, loopback[1-i].String()+"/32", ways[way][1-i])
			}
		}
		for i, h := range hosts {
			testutil.Addr(t, h.ns, "eth1", ways["eth1"][i]+"/24")
			testutil.Addr(t, h.ns, "lo", loopback[i].String()+"/32")
			testutil.Up(t, h.ns, "eth1")
		}
		route("eth0")
		for i, h := range hosts {
			testutil.Ready(t, h.ns, "eth1")
			dp := h.open(t)
			ctx := t.Context()
			for _, way := range []string{"eth0", "eth1"} {
				_, err := dp.Droplet.Attach(ctx, droplet.Config{Interface: way, Mode: mode, Addrs: loopback[i : i+1]})
				require.NoError(t, err)
			}
			require.NoError(t, dp.Peer.Add(ctx, maps.Peer{Prefix: netip.PrefixFrom(loopback[1-i], 32)}))
			require.NoError(t, dp.VPC.Add(ctx, maps.VPC{VNI: vni}))
			_, err := dp.Endpoint.Create(ctx, endpoint.Config{
				VNI: vni, Addrs: []netip.Prefix{netip.PrefixFrom(addr4(byte(i+1)), 24)},
				NetNS: endpoint.FD(workloads[i].FD()), Mode: agentMode(mode),
			})
			require.NoError(t, err)
			require.NoError(t, dp.Endpoint.Add(ctx, maps.Endpoint{VNI: vni, Addr: addr4(byte(2 - i)), Host: loopback[1-i]}))
			require.NoError(t, dp.Close())
		}
		requireReachable(t, web, addr4(2))
		p := testutil.StartPing(t, web, testutil.PingConfig{Dst: addr4(2), Interval: 2 * time.Millisecond, Timeout: patience})
		for _, way := range []string{"eth1", "eth0", "eth1"} {
			before := received(t, b.ns, way)
			route(way)
			testutil.Eventually(t, patience, func() error {
				if n := received(t, b.ns, way) - before; n < 50 {
					return fmt.Errorf("%d packets by %s", n, way)
				}
				return nil
			})
		}
		r := p.Stop()
		if r.Lost != 0 {
			logCounters(t, a, b)
		}
		require.Zero(t, r.Lost, r.Errors)
		for _, h := range slices.Backward(hosts) {
			h.destroy(t)
		}
		require.Empty(t, a.files(t))
	})
}

// received is how many packets an interface has taken.
func received(t *testing.T, ns *netns.Handle, name string) uint64 {
	t.Helper()
	return testutil.Link(t, ns, name).Attrs().Statistics.RxPackets
}
