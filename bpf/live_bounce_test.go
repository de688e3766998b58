// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netns"

	"github.com/mizar-go/mizar/internal/ethtool"
	"github.com/mizar-go/mizar/internal/testutil"
)

// lone is a host on a wire to a namespace that knows nothing of tunnels, and plays all others.
func lone(t *testing.T, xdp bool) (h *liveHost, world netns.NsHandle) {
	needRoot(t)
	h = &liveHost{addr: host4, ns: newNS(t), workload: newNS(t)}
	world = newNS(t)
	inNS(t, h.ns, func() (err error) {
		if err := addVeth("u0", mtu, nil, "w0", nil, world); err != nil {
			return err
		}
		if h.droplet, err = setUp("u0", netip.PrefixFrom(host4, 24)); err != nil {
			return err
		}
		if err := addVeth("e0", innerMTU, nil, "eth0", macA, h.workload); err != nil {
			return err
		}
		if h.agent, err = setUp("e0"); err != nil {
			return err
		}
		// Frames that others redirect to either are lost without NAPI.
		for _, name := range []string{"u0", "e0"} {
			if err := ethtool.Set(name, map[string]bool{"rx-gro": true}); err != nil {
				return err
			}
		}
		return nil
	})
	inNS(t, world, func() error {
		if _, err := setUp("w0", netip.PrefixFrom(far4, 24), netip.PrefixFrom(bouncer4, 24)); err != nil {
			return err
		}
		return ethtool.Set("w0", map[string]bool{"rx-gro": true, "tx-checksum-ip-generic": false})
	})
	inNS(t, h.workload, func() error {
		if _, err := setUp("eth0", netip.PrefixFrom(a4, 24)); err != nil {
			return err
		}
		return ethtool.Set("eth0", map[string]bool{"rx-gro": true})
	})
	h.start(t, xdp, macA, [2]netip.Addr{a4, a6}, far4, [2]netip.Addr{f4, f6})
	return h, world
}

// listenUDP opens a socket in a namespace.
func listenUDP(t *testing.T, ns netns.NsHandle, at netip.AddrPort) *net.UDPConn {
	var c *net.UDPConn
	inNS(t, ns, func() (err error) {
		c, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		return err
	})
	t.Cleanup(func() { c.Close() })
	return c
}

// A bounced packet that leaves by the interface that it came in by arrives by itself, also where the
// other end has NAPI and no XDP program: veth sends on what XDP_TX gave it only with other frames then.
func TestLiveBounceAlone(t *testing.T) {
	for _, mode := range []string{"tcx", "xdp"} {
		t.Run(mode, func(t *testing.T) {
			h, world := lone(t, mode == "xdp")
			defer logCounters(t, h)
			from := listenUDP(t, world, netip.AddrPortFrom(bouncer4, 0))
			to := listenUDP(t, world, netip.AddrPortFrom(far4, port))
			got := make([]byte, 2*mtu)
			bounce := func(n int, patience time.Duration) error {
				in := inner(t, macFar, macVirtual, unknown4, f4, 10+n)
				const headers = 14 + 20 + 8
				b := tunnel(t, bouncer4, host4, vni, rts(bouncer4, 4, false), in)[headers:]
				want := tunnel(t, host4, far4, vni, rts(bouncer4, 3, false), in)[headers:]
				if _, err := from.WriteToUDPAddrPort(b, netip.AddrPortFrom(host4, port)); err != nil {
					return err
				}
				if err := to.SetReadDeadline(time.Now().Add(patience)); err != nil {
					return err
				}
				for { // past what came late of those before
					k, err := to.Read(got)
					if err != nil || bytes.Equal(want, got[:k]) {
						return err
					}
				}
			}
			// Until links are up and the kernel knows its neighbours.
			testutil.Eventually(t, 20*time.Second, func() error { return bounce(0, 100*time.Millisecond) })
			for n := range 100 {
				require.NoError(t, bounce(1+n, 5*time.Second), "packet %d", n)
			}
			// The first went by the kernel, which resolved the neighbour.
			resolved := (&rig{t: t, tables: h.tables}).counters()[TableReasonREASON_RESOLVE]
			require.Equal(t, mode == "xdp", resolved > 0)
		})
	}
}
