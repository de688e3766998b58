// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/mizar-go/mizar/internal/ethtool"
)

// logCounters says what the hosts did, where a test failed.
func logCounters(t *testing.T, hosts ...*liveHost) {
	if !t.Failed() {
		return
	}
	for i, h := range hosts {
		for reason, n := range (&rig{t: t, tables: h.tables}).counters() {
			t.Logf("host %d: %v %d", i, reason, n)
		}
	}
}

// A workload's own VXLAN crosses at full segment size.
func TestLiveOwnVXLAN(t *testing.T) {
	for _, mode := range []string{"tcx", "xdp"} {
		t.Run(mode, func(t *testing.T) {
			a, b := live(t, mode == "xdp")
			defer logCounters(t, a, b)
			ends := []netip.Prefix{netip.MustParsePrefix("198.51.100.1/24"), netip.MustParsePrefix("198.51.100.2/24")}
			for i, h := range []*liveHost{a, b} {
				own, other := a4, b4
				if i == 1 {
					own, other = b4, a4
				}
				inNS(t, h.workload, func() error {
					attrs := netlink.NewLinkAttrs()
					attrs.Name = "vx0"
					if err := netlink.LinkAdd(&netlink.Vxlan{LinkAttrs: attrs, VxlanId: 42, Port: 4789,
						SrcAddr: own.AsSlice(), Group: other.AsSlice(), UDPCSum: true}); err != nil {
						return err
					}
					_, err := setUp("vx0", ends[i])
					return err
				})
			}
			const n = 16 << 20
			d := stream(t, a, b, ends[1].Addr(), n)
			t.Logf("%.0f Mbit/s", n*8/d.Seconds()/1e6)
		})
	}
}

// An endpoint that is a router: b has an arm in another VPC, where c lives on a's host. What it forwards
// was decapsulated on its host, and is encapsulated there again.
func TestLiveRouter(t *testing.T) {
	for _, mode := range []string{"tcx", "xdp"} {
		t.Run(mode, func(t *testing.T) {
			a, b := live(t, mode == "xdp")
			defer logCounters(t, a, b)
			c, arm := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("198.51.100.254")
			ns := newNS(t)
			macArm := macFar
			ifindex := [2]int{}
			for i, h := range []*liveHost{a, b} {
				inNS(t, h.ns, func() (err error) {
					mac, to, name := macC, ns, "eth0"
					if i == 1 {
						mac, to, name = macArm, h.workload, "eth1"
					}
					if err := addVeth("e1", innerMTU, nil, name, mac, to); err != nil {
						return err
					}
					ifindex[i], err = setUp("e1")
					return err
				})
			}
			route := func(prefix string, via netip.Addr) error {
				_, dst, err := net.ParseCIDR(prefix)
				if err != nil {
					return err
				}
				return netlink.RouteAdd(&netlink.Route{Dst: dst, Gw: via.AsSlice()})
			}
			inNS(t, ns, func() error {
				if _, err := setUp("eth0", netip.PrefixFrom(c, 24)); err != nil {
					return err
				}
				if err := ethtool.Set("eth0", map[string]bool{"rx-gro": true}); err != nil {
					return err
				}
				return route("203.0.113.0/24", arm)
			})
			inNS(t, a.workload, func() error { return route("198.51.100.0/24", b4) })
			inNS(t, b.workload, func() error {
				if _, err := setUp("eth1", netip.PrefixFrom(arm, 24)); err != nil {
					return err
				}
				if err := ethtool.Set("eth1", map[string]bool{"rx-gro": true, "tx-udp_tnl-segmentation": false,
					"tx-udp_tnl-csum-segmentation": false}); err != nil {
					return err
				}
				return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
			})
			for i, h := range []*liveHost{a, b} {
				r := &rig{t: t, tables: h.tables}
				mac := macC
				if i == 1 {
					mac = macArm
				}
				agent := TableAgent{Vni: otherVNI, Flags: TableAgentFlagsAGENT_PEER, Mac: [6]byte(mac), Mtu: innerMTU, Traffic: 3}
				local, remote := c, arm
				if i == 1 {
					local, remote = arm, c
					agent.Flags |= TableAgentFlagsAGENT_ALLOWED
					r.allow(ifindex[1], "203.0.113.0/24")
					r.allow(b.agent, "198.51.100.0/24")
					r.put(h.tables.Agents, uint32(b.agent), TableAgent{Vni: vni, Mac: [6]byte(macB), Mtu: innerMTU,
						Traffic: 2, Flags: TableAgentFlagsAGENT_PEER | TableAgentFlagsAGENT_ALLOWED})
				}
				r.put(h.tables.Agents, uint32(ifindex[i]), agent)
				r.put(h.tables.VPCs, uint32(otherVNI), TableVpc{Vni: otherVNI, Generation: 2})
				r.endpoint(otherVNI, local, TableEndpoint{Ifindex: uint32(ifindex[i])})
				other := b.addr
				if i == 1 {
					other = a.addr
				}
				r.endpoint(otherVNI, remote, TableEndpoint{Host: address(other)})
				r.network(vni, "198.51.100.0/24", TableNetwork{Kind: TableNetworkKindNETWORK_ENDPOINT, Via: address(b4)})
				r.network(otherVNI, "203.0.113.0/24", TableNetwork{Kind: TableNetworkKindNETWORK_ENDPOINT, Via: address(arm)})
				inNS(t, h.ns, func() error {
					return attachTCX(t, ifindex[i], h.p.AgentTCX)
				})
			}
			const n = 16 << 20
			d := stream(t, a, &liveHost{workload: ns}, c, n)
			t.Logf("%.0f Mbit/s", n*8/d.Seconds()/1e6)
			require.NotZero(t, (&rig{t: t, tables: b.tables}).counters()[TableReasonREASON_DELIVER])
		})
	}
}
