// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/mizar-go/mizar/internal/testutil"
)

// A frame of more than a page that a packet socket sends has its Ethernet header in the first buffer, and
// all others in pages: tcx has them put into one piece, and XDP, for which veth does that, takes a packet
// of several buffers.
func TestLiveSplit(t *testing.T) {
	const jumbo, payload = 9000, 4900
	for _, mode := range []string{"tcx", "xdp"} {
		t.Run(mode, func(t *testing.T) {
			h, world := lone(t, mode == "xdp")
			defer logCounters(t, h)
			for _, d := range []struct {
				ns   netns.NsHandle
				name string
			}{{h.ns, "u0"}, {world, "w0"}, {h.ns, "e0"}, {h.workload, "eth0"}} {
				inNS(t, d.ns, func() error {
					l, err := netlink.LinkByName(d.name)
					if err != nil {
						return err
					}
					return netlink.LinkSetMTU(l, jumbo)
				})
			}
			r := &rig{t: t, tables: h.tables}
			droplet := TableDroplet{Source4: address(host4), Mtu: jumbo, Traffic: 1}
			if mode == "xdp" {
				droplet.Flags = TableDropletFlagsDROPLET_XDP
			}
			r.put(h.tables.Droplets, uint32(h.droplet), droplet)
			r.put(h.tables.Agents, uint32(h.agent), TableAgent{Vni: vni, Mac: [6]byte(macA), Mtu: jumbo, Traffic: 2,
				Flags: TableAgentFlagsAGENT_PEER})

			out := inner(t, macA, macVirtual, a4, f4, payload)
			want := tunnel(t, host4, far4, vni, nil, sent(out))[14+20+8:]
			receives(t, listenUDP(t, world, netip.AddrPortFrom(far4, port)), want, func() {
				inNS(t, h.workload, func() error { return sendFrame("eth0", out) })
			})
			in := tunnel(t, far4, host4, vni, nil, inner(t, macFar, macVirtual, f4, a4, payload))
			receives(t, listenUDP(t, h.workload, netip.AddrPortFrom(a4, 2000)), make([]byte, payload), func() {
				inNS(t, world, func() error { return sendFrame("w0", in) })
			})
		})
	}
}

// receives waits until a socket got exactly what is sent, perhaps more than once: links come up, and
// neighbours are resolved.
func receives(t *testing.T, c *net.UDPConn, want []byte, send func()) {
	t.Helper()
	got := make([]byte, 1<<14)
	testutil.Eventually(t, 20*time.Second, func() error {
		send()
		if err := c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			return err
		}
		n, err := c.Read(got)
		if err != nil {
			return err
		}
		if !bytes.Equal(want, got[:n]) {
			return errors.New("something else came")
		}
		return nil
	})
	require.NoError(t, c.SetReadDeadline(time.Time{}))
}
