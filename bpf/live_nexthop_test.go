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
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/internal/testutil"
)

// bouncing is traffic of a bouncer that `h` sends on to the far host, and what comes of it.
type bouncing struct {
	t    *testing.T
	from *net.UDPConn
	n    int
}

// send sends one packet more, which its last two bytes tell from all others.
func (b *bouncing) send() {
	in := inner(b.t, macFar, macVirtual, unknown4, f4, 10)
	packet := tunnel(b.t, bouncer4, host4, vni, rts(bouncer4, 4, false), append(in, byte(b.n>>8), byte(b.n)))[14+20+8:]
	b.n++
	_, err := b.from.WriteToUDPAddrPort(packet, netip.AddrPortFrom(host4, port))
	require.NoError(b.t, err)
}

// arrives tells whether a packet that is sent now comes out at `to`.
func (b *bouncing) arrives(to *net.UDPConn, patience time.Duration) bool {
	got := make([]byte, 2*mtu)
	b.send()
	want := []byte{byte((b.n - 1) >> 8), byte(b.n - 1)}
	require.NoError(b.t, to.SetReadDeadline(time.Now().Add(patience)))
	for {
		n, err := to.Read(got)
		if err != nil {
			return false
		}
		if bytes.HasSuffix(got[:n], want) {
			return true
		}
	}
}

// A route or a neighbour that changes is followed within a second, under traffic that never pauses.
func TestLiveNextHopIsFollowed(t *testing.T) {
	for _, mode := range []string{"tcx", "xdp"} {
		for _, what := range []string{"route", "neighbour"} {
			t.Run(mode+"/"+what, func(t *testing.T) {
				h, world := lone(t, mode == "xdp")
				defer logCounters(t, h)
				r := &rig{t: t, tables: h.tables}
				// What the kernel sees now and then does not help.
				r.settings(func(s *TableSettings) { s.RefreshNs = 1 << 62 })

				// Another host of the same address, behind a second droplet.
				other := newNS(t)
				mac := net.HardwareAddr{2, 0, 0, 0, 9, 9}
				var second int
				inNS(t, h.ns, func() (err error) {
					if err := addVeth("u1", mtu, nil, "w0", mac, other); err != nil {
						return err
					}
					second, err = setUp("u1")
					return err
				})
				inNS(t, other, func() error {
					_, err := setUp("w0", netip.PrefixFrom(far4, 24))
					return err
				})
				r.put(h.tables.Droplets, uint32(second), TableDroplet{Source4: address(host4), Mtu: mtu, Traffic: 3})

				to := listenUDP(t, world, netip.AddrPortFrom(far4, port))
				traffic := &bouncing{t: t, from: listenUDP(t, world, netip.AddrPortFrom(bouncer4, 0))}
				testutil.Eventually(t, 20*time.Second, func() error {
					if !traffic.arrives(to, 100*time.Millisecond) {
						return unix.EAGAIN
					}
					return nil
				})
				require.True(t, traffic.arrives(to, 5*time.Second))

				permanent := &netlink.Neigh{IP: far4.AsSlice(), HardwareAddr: mac, State: netlink.NUD_PERMANENT}
				switch what {
				case "route":
					to = listenUDP(t, other, netip.AddrPortFrom(far4, port))
					inNS(t, h.ns, func() error {
						permanent.LinkIndex = second
						if err := netlink.NeighSet(permanent); err != nil {
							return err
						}
						return netlink.RouteReplace(&netlink.Route{LinkIndex: second, Scope: netlink.SCOPE_LINK,
							Dst: &net.IPNet{IP: far4.AsSlice(), Mask: net.CIDRMask(32, 32)}})
					})
				case "neighbour":
					inNS(t, world, func() error {
						l, err := netlink.LinkByName("w0")
						if err != nil {
							return err
						}
						return netlink.LinkSetHardwareAddr(l, mac)
					})
					inNS(t, h.ns, func() error {
						permanent.LinkIndex = h.droplet
						return netlink.NeighSet(permanent)
					})
				}
				testutil.Eventually(t, time.Second, func() error {
					if !traffic.arrives(to, 50*time.Millisecond) {
						return errors.New("packets go the old way")
					}
					return nil
				})
			})
		}
	}
}
