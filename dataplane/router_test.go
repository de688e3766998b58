// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/internal/ethtool"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

const otherVNI = vni + 1

// everyMode runs f with two hosts opened, and a droplet on each, for the modes of droplets and agents.
func everyMode(t *testing.T, f func(t *testing.T, p *pair)) {
	for _, mode := range []struct {
		droplet droplet.Mode
		agent   endpoint.Mode
	}{
		{droplet.TCX, endpoint.TCX},
		{droplet.Native, endpoint.Native},
		{droplet.Generic, endpoint.Generic},
		{droplet.Native, endpoint.TCX}, // what Auto takes on a NIC
		{droplet.TCX, endpoint.Native},
	} {
		t.Run(fmt.Sprintf("%s, agents %s", mode.droplet, mode.agent), func(t *testing.T) {
			testutil.Leaks(t)
			p := &pair{agent: mode.agent}
			p.hosts[0], p.hosts[1] = newHosts(t)
			for i, h := range p.hosts {
				p.dp[i] = h.open(t)
				defer func() { require.NoError(t, p.dp[i].Destroy(t.Context())) }()
				require.NoError(t, p.dp[i].Peer.Add(t.Context(), maps.Peer{Prefix: underlay}))
				_, err := p.dp[i].Droplet.Attach(t.Context(), droplet.Config{Interface: "eth0", Mode: mode.droplet})
				require.NoError(t, err)
			}
			defer func() {
				if t.Failed() {
					logCounters(t, p.hosts[:]...)
				}
			}()
			f(t, p)
		})
	}
}

// pair is two hosts on one wire.
type pair struct {
	agent endpoint.Mode
	hosts [2]*host
	dp    [2]*Dataplane
}

// vpc makes a VPC, with networks, known to both.
func (p *pair) vpc(t *testing.T, v uint32, networks ...maps.Network) {
	t.Helper()
	for _, dp := range p.dp {
		require.NoError(t, dp.VPC.Add(t.Context(), maps.VPC{VNI: v}))
		for _, n := range networks {
			n.VNI = v
			require.NoError(t, dp.Network.Add(t.Context(), n))
		}
	}
}

// endpoint makes one on host i, and tells the other where it is.
func (p *pair) endpoint(t *testing.T, i int, ns *netns.Handle, c endpoint.Config) *endpoint.Endpoint {
	t.Helper()
	c.NetNS, c.Mode = endpoint.FD(ns.FD()), p.agent
	e, err := p.dp[i].Endpoint.Create(t.Context(), c)
	require.NoError(t, err)
	for _, a := range e.Addrs {
		require.NoError(t, p.dp[1-i].Endpoint.Add(t.Context(), maps.Endpoint{VNI: c.VNI, Addr: a, Host: p.hosts[i].addr}))
	}
	return e
}

func prefixes(all ...string) (parsed []netip.Prefix) {
	for _, s := range all {
		parsed = append(parsed, netip.MustParsePrefix(s))
	}
	return parsed
}

// bulk sends megabytes there and back over TCP, every byte checked, in segments as large as an interface
// of that MTU takes. Queues may have been too short for some of them, but not for a large part. It returns the mean size
// of what the sender's interface was given.
func bulk(t *testing.T, from *netns.Handle, via string, to *netns.Handle, addr netip.Addr, mtu int) int {
	t.Helper()
	const size = 16 << 20
	server := testutil.EchoTCP(t, to, netip.AddrPortFrom(addr, 0))
	c, err := testutil.DialTCP(t, from, netip.Addr{}, server, patience)
	require.NoError(t, err, "connect to %s", addr)
	defer c.Close()
	before := testutil.Link(t, from, via).Attrs().Statistics
	begin := time.Now()
	require.NoError(t, testutil.Exchange(c, size, patience))
	took := time.Since(begin)
	after := testutil.Link(t, from, via).Attrs().Statistics
	info := tcpInfo(t, c)
	headers := 20 + 20 + 12 // IPv4, TCP, timestamps
	if addr.Is6() {
		headers += 20
	}
	mean := int((after.TxBytes - before.TxBytes) / (after.TxPackets - before.TxPackets))
	t.Logf("%s: %.0f Mbit/s each way, segments of %d, %d of %d sent again, %d bytes a packet", addr,
		size*8/took.Seconds()/1e6, info.Snd_mss, info.Total_retrans, info.Data_segs_out, mean)
	require.Equal(t, mtu-headers, int(info.Snd_mss), "segment size to %s", addr)
	require.Equal(t, mtu-headers, int(info.Rcv_mss), "segment size from %s", addr)
	require.Less(t, info.Total_retrans, info.Data_segs_out/4, "sent again, to %s", addr)
	return mean
}

func tcpInfo(t *testing.T, c *net.TCPConn) (info *unix.TCPInfo) {
	t.Helper()
	raw, err := c.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) {
		info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	}))
	require.NoError(t, err)
	return info
}

// offloaded checks that a workload's interface cuts no segments itself, where a mode can do with that.
func (p *pair) offloaded(t *testing.T, ns *netns.Handle, name string) {
	t.Helper()
	testutil.In(t, ns, func() error {
		features, err := ethtool.Get(name)
		require.Equal(t, !p.agent.XDP(), features["tx-tcp-segmentation"].On)
		require.Equal(t, !p.agent.XDP(), features["tx-tcp6-segmentation"].On)
		return err
	})
}

// An endpoint that is a router, with an arm in each of two VPCs. What it forwards was decapsulated on its
// host, and is encapsulated there again, or delivered to a neighbour of its.
func TestRouterEndpoint(t *testing.T) {
	everyMode(t, func(t *testing.T, p *pair) {
		left, right := prefixes("10.0.0.0/24", "2001:db8:7::/64"), prefixes("10.9.0.0/24", "2001:db8:9::/64")
		leftArm, rightArm := prefixes("10.0.0.254/24", "2001:db8:7::fe/64"), prefixes("10.9.0.254/24", "2001:db8:9::fe/64")
		var toRight, toLeft []maps.Network
		for i := range left {
			toRight = append(toRight, maps.Network{Prefix: right[i], Via: leftArm[i].Addr()})
			toLeft = append(toLeft, maps.Network{Prefix: left[i], Via: rightArm[i].Addr()})
		}
		p.vpc(t, vni, toRight...)
		p.vpc(t, otherVNI, toLeft...)

		client, far, near, router := testutil.NewNS(t), testutil.NewNS(t), testutil.NewNS(t), testutil.NewNS(t)
		e := p.endpoint(t, 0, client, endpoint.Config{VNI: vni, Addrs: prefixes("10.0.0.1/24", "2001:db8:7::1/64")})
		p.endpoint(t, 0, far, endpoint.Config{VNI: otherVNI, Addrs: prefixes("10.9.0.2/24", "2001:db8:9::2/64")})
		p.endpoint(t, 1, near, endpoint.Config{VNI: otherVNI, Addrs: prefixes("10.9.0.3/24", "2001:db8:9::3/64")})
		p.endpoint(t, 1, router, endpoint.Config{VNI: vni, Addrs: leftArm, Allowed: right, Routes: []endpoint.Route{}})
		p.endpoint(t, 1, router, endpoint.Config{VNI: otherVNI, Addrs: rightArm, Allowed: left, Routes: []endpoint.Route{},
			Interface: "eth1"})
		testutil.Sysctl(t, router, "net/ipv4/ip_forward", "1")
		testutil.Sysctl(t, router, "net/ipv6/conf/all/forwarding", "1")
		p.offloaded(t, client, "eth0")

		for i, server := range []*netns.Handle{far, near} {
			for _, addr := range []string{"10.9.0.%d", "2001:db8:9::%d"} {
				addr := netip.MustParseAddr(fmt.Sprintf(addr, i+2))
				requireReachable(t, client, addr) // links and neighbours settle
				mean := bulk(t, client, "eth0", server, addr, e.MTU)
				if !p.agent.XDP() {
					require.Greater(t, mean, 2*e.MTU, "segments go on together")
				}
			}
		}
	})
}

// A workload's own VXLAN, with and without outer checksums, over IPv4 and IPv6.
func TestOwnVXLAN(t *testing.T) {
	everyMode(t, func(t *testing.T, p *pair) {
		p.vpc(t, vni)
		workloads := []*netns.Handle{testutil.NewNS(t), testutil.NewNS(t)}
		var mtu int
		for i, ns := range workloads {
			mtu = p.endpoint(t, i, ns, endpoint.Config{VNI: vni, Addrs: prefixes(
				fmt.Sprintf("10.0.0.%d/24", i+1), fmt.Sprintf("2001:db8:7::%d/64", i+1))}).MTU
		}
		p.offloaded(t, workloads[0], "eth0")
		for n, tunnel := range []struct {
			name, outer string
			checksum    bool
		}{
			{"IPv4", "10.0.0.%d", false},
			{"IPv4 with checksum", "10.0.0.%d", true},
			{"IPv6 with checksum", "2001:db8:7::%d", true},
		} {
			t.Run(tunnel.name, func(t *testing.T) {
				overhead := 50
				for i, ns := range workloads {
					own, other := netip.MustParseAddr(fmt.Sprintf(tunnel.outer, i+1)), netip.MustParseAddr(fmt.Sprintf(tunnel.outer, 2-i))
					if own.Is6() {
						overhead = 70
					}
					testutil.In(t, ns, func() error {
						attrs := netlink.NewLinkAttrs()
						attrs.Name, attrs.MTU = "vx0", mtu-overhead
						return netlink.LinkAdd(&netlink.Vxlan{LinkAttrs: attrs, VxlanId: 42 + n, Port: 4789, SrcAddr: own.AsSlice(),
							Group: other.AsSlice(), UDPCSum: tunnel.checksum})
					})
					testutil.Addr(t, ns, "vx0", fmt.Sprintf("198.51.100.%d/24", i+1), fmt.Sprintf("2001:db8:100::%d/64", i+1))
					testutil.Up(t, ns, "vx0")
					defer testutil.Delete(t, ns, "vx0")
				}
				for _, addr := range []string{"198.51.100.2", "2001:db8:100::2"} {
					bulk(t, workloads[0], "eth0", workloads[1], netip.MustParseAddr(addr), mtu-overhead)
				}
			})
		}
	})
}
