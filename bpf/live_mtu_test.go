// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/internal/testutil"
)

const (
	rtsHeaders4 = 14 + 20 + 8 + 8 + 24 // that our tunnel packets have more than what they carry
	headers4    = 14 + 20 + 8 + 8
)

// setMTU says what a workload sends and takes, more than the way or less.
func setMTU(t *testing.T, h *liveHost, to int) {
	r := &rig{t: t, tables: h.tables}
	var row TableAgent
	require.NoError(t, h.tables.Agents.Lookup(uint32(h.agent), &row))
	row.Mtu = uint16(to)
	r.put(h.tables.Agents, uint32(h.agent), row)
	for name, ns := range map[string]netns.NsHandle{"e0": h.ns, "eth0": h.workload} {
		inNS(t, ns, func() error {
			l, err := netlink.LinkByName(name)
			if err != nil {
				return err
			}
			return netlink.LinkSetMTU(l, to)
		})
	}
}

// pathMTU is what a namespace's kernel knows of the way to an address.
func pathMTU(ns netns.NsHandle, to netip.Addr) (got int, err error) {
	was, err := netns.Get()
	if err != nil {
		return 0, err
	}
	defer was.Close()
	c, err := net.Dial("udp", netip.AddrPortFrom(to, 9).String())
	if err != nil {
		return 0, err
	}
	defer c.Close()
	raw, err := c.(*net.UDPConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	level, option := unix.IPPROTO_IP, unix.IP_MTU
	if to.Is6() {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_MTU
	}
	controlled := raw.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), level, option) })
	return got, errors.Join(err, controlled)
}

// learnsMTU sends until the kernel of the namespace knows the MTU of the way to an address.
func learnsMTU(t *testing.T, ns netns.NsHandle, to netip.Addr, want int, send func()) {
	t.Helper()
	testutil.Eventually(t, 20*time.Second, func() error {
		send()
		var got int
		inNS(t, ns, func() (err error) {
			got, err = pathMTU(ns, to)
			return err
		})
		if got != want {
			return fmt.Errorf("path MTU %d, not %d", got, want)
		}
		return nil
	})
}

// A tunnel of the workload's own that is too wide hears of it: its packets can't be cut as others are.
func TestLiveTooBigInOwnVXLAN(t *testing.T) {
	for _, mode := range []string{"tcx", "xdp"} {
		t.Run(mode, func(t *testing.T) {
			a, b := live(t, mode == "xdp")
			defer logCounters(t, a, b)
			setMTU(t, a, mtu)
			ours, far := netip.MustParsePrefix("198.51.100.1/24"), netip.MustParseAddr("198.51.100.2")
			inNS(t, a.workload, func() error {
				attrs := netlink.NewLinkAttrs()
				attrs.Name, attrs.MTU = "vx0", mtu-70
				if err := netlink.LinkAdd(&netlink.Vxlan{LinkAttrs: attrs, VxlanId: 42, Port: 4789,
					SrcAddr: a6.AsSlice(), Group: b6.AsSlice(), UDPCSum: true, UDP6ZeroCSumTx: true}); err != nil {
					return err
				}
				index, err := setUp("vx0", ours)
				if err != nil {
					return err
				}
				return netlink.NeighSet(&netlink.Neigh{LinkIndex: index, IP: far.AsSlice(), HardwareAddr: macFar, State: netlink.NUD_PERMANENT})
			})
			var c net.Conn
			inNS(t, a.workload, func() (err error) {
				c, err = net.Dial("udp", netip.AddrPortFrom(far, 2000).String())
				return err
			})
			defer c.Close()
			learnsMTU(t, a.workload, b6, mtu-headers4, func() { c.Write(make([]byte, mtu-70-28)) })
		})
	}
}

// So does TCP behind the longest IP header, where the checksum is written late.
func TestLiveTooBigBehindOptions(t *testing.T) {
	for _, mode := range []string{"tcx", "xdp"} {
		t.Run(mode, func(t *testing.T) {
			a, b := live(t, mode == "xdp")
			defer logCounters(t, a, b)
			setMTU(t, a, mtu)
			setMTU(t, b, mtu)
			options := make([]byte, 40)
			for i := range options {
				options[i] = 1 // no operation
			}
			l, err := net.Listener(nil), error(nil)
			inNS(t, b.workload, func() error {
				l, err = net.Listen("tcp", netip.AddrPortFrom(b4, 2000).String())
				return err
			})
			defer l.Close()
			var c net.Conn
			inNS(t, a.workload, func() (err error) {
				d := net.Dialer{Timeout: 5 * time.Second, Control: func(_, _ string, raw syscall.RawConn) (err error) {
					controlled := raw.Control(func(fd uintptr) {
						err = unix.SetsockoptString(int(fd), unix.IPPROTO_IP, unix.IP_OPTIONS, string(options))
					})
					return errors.Join(err, controlled)
				}}
				c, err = d.Dial("tcp", l.Addr().String())
				return err
			})
			defer c.Close()
			_, err = c.Write(make([]byte, 1<<16))
			require.NoError(t, err)
			learnsMTU(t, a.workload, b4, mtu-headers4, func() {})
		})
	}
}

// A bouncer tells the sending host what the way on takes, and that host its workload.
func TestLiveTooBigForTheBouncer(t *testing.T) {
	const takes = 1300
	for _, mode := range []string{"tcx", "xdp"} {
		t.Run(mode, func(t *testing.T) {
			a, b := live(t, mode == "xdp")
			defer logCounters(t, a, b)
			r := &rig{t: t, tables: a.tables}
			r.remove(a.tables.Endpoints, TableEndpointKey{Vni: vni, Addr: address(b4)})
			r.set(1, 0, b.addr)
			r.network(vni, b4.String()+"/32", TableNetwork{Kind: TableNetworkKindNETWORK_BOUNCERS, Set: 1})
			r = &rig{t: t, tables: b.tables}
			next := netip.MustParseAddr("192.0.2.50")
			r.endpoint(vni, b4, TableEndpoint{Host: address(next)})
			inNS(t, b.ns, func() error {
				return netlink.NeighSet(&netlink.Neigh{LinkIndex: b.droplet, IP: next.AsSlice(), HardwareAddr: macFar, State: netlink.NUD_PERMANENT})
			})
			r.put(b.tables.Droplets, uint32(b.droplet), TableDroplet{Source4: address(b.addr), Mtu: takes,
				Flags: map[bool]TableDropletFlags{true: TableDropletFlagsDROPLET_XDP}[mode == "xdp"], Traffic: 1})
			var c net.Conn
			inNS(t, a.workload, func() (err error) {
				c, err = net.Dial("udp", netip.AddrPortFrom(b4, 2000).String())
				return err
			})
			defer c.Close()
			learnsMTU(t, a.workload, b4, takes-rtsHeaders4, func() { c.Write(make([]byte, innerMTU-28)) })
		})
	}
}
