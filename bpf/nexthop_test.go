// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/internal/testutil"
)

// now is the programs' clock.
func now(t testing.TB) uint64 {
	var ts unix.Timespec
	require.NoError(t, unix.ClockGettime(unix.CLOCK_MONOTONIC_COARSE, &ts))
	return uint64(ts.Nano())
}

// passes waits until the programs' clock is past.
func passes(t testing.TB, when uint64) {
	t.Helper()
	testutil.Eventually(t, 20*time.Second, func() error {
		if is := now(t); is <= when {
			return fmt.Errorf("it is %d ns, not past %d", is, when)
		}
		return nil
	})
}

const hopAge = 100e6 // ns: HOP_AGE_NS

// verdictXDP is what an XDP program returns, and the frame that it leaves.
func (r *rig) verdictXDP(from int, frame []byte) (uint32, []byte) {
	p, ifindex := r.program("xdp", from)
	out := make([]byte, len(frame)+512)
	opts := &ebpf.RunOptions{Data: frame, DataOut: out,
		Context: &struct{ data, dataEnd, meta, ingress, queue, egress uint32 }{dataEnd: uint32(len(frame)), ingress: uint32(ifindex)}}
	var ret uint32
	inNS(r.t, r.ns, func() (err error) {
		ret, err = p.Run(opts)
		return err
	})
	return ret, opts.DataOut
}

const xdpPass = 2

// A next hop is asked for once, and then again after a tenth of a second, not for every packet.
func TestNextHopIsRemembered(t *testing.T) {
	r := newRig(t)
	in := inner(t, macA, macVirtual, a4, f4, 9)
	for _, hook := range []string{"xdp", "tcx"} {
		p, ifindex := r.program(hook, 0)
		r.put(r.tables.Paths, address(far4), TablePath{Refreshed: 1, Host: address(far4)})
		testutil.Eventually(t, 20*time.Second, func() error {
			r.run(p, ifindex, in)
			was := r.path(far4).Looked
			require.NotZero(t, was)
			passes(t, was) // so that another look would show
			r.run(p, ifindex, in)
			if r.path(far4).Looked != was {
				return errors.New("looked up again")
			}
			return nil
		})
		was := r.path(far4).Looked
		passes(t, was+hopAge)
		r.run(p, ifindex, in)
		require.Greater(t, r.path(far4).Looked, was, hook)
	}
}

// A row of the LRU may have become another host's while it is read: what it says of the way is not used.
func TestNextHopOfAnotherHost(t *testing.T) {
	r := newRig(t)
	in := inner(t, macA, macVirtual, a4, f4, 9)
	want := tunnel(t, host4, far4, vni, nil, sent(in))
	prepare := func(r *rig) {
		row := TablePath{Refreshed: now(t), Looked: now(t), Host: address(bouncer4), Mtu: 68, Expires: 1 << 62}
		row.Hop.Ifindex, row.Hop.Source, row.Hop.Mtu = uint32(r.droplet), address(stranger4), mtu
		r.put(r.tables.Paths, address(far4), row)
	}
	r.check(packetCase{name: "another's row", in: in, only: "tcx", reason: TableReasonREASON_SEND_DIRECT, out: want, prepare: prepare})
	// To XDP the host is new then.
	r.check(packetCase{name: "another's row", cold: true, in: in, only: "xdp", reason: TableReasonREASON_SEND_DIRECT, action: pass, prepare: prepare})
}

// XDP lets the kernel see the first packet to a host, and then one now and then.
func TestXDPLetsTheKernelSee(t *testing.T) {
	r := newRig(t)
	in := inner(t, macA, macVirtual, a4, f4, 9)
	r.settings(func(s *TableSettings) { s.RefreshNs = 10e9 })
	for name, row := range map[string]TablePath{"new": {}, "long ago": {Refreshed: now(t) - 20e9, Host: address(far4)}} {
		r.put(r.tables.Paths, address(far4), row)
		act, _ := r.verdictXDP(0, in)
		require.EqualValues(t, xdpPass, act, name)
		act, _ = r.verdictXDP(0, in)
		require.EqualValues(t, xdpRedirect, act, name)
	}
}

// To a device whose driver may not take XDP's frames the kernel sends.
func TestXDPToADropletWithoutIt(t *testing.T) {
	r := newRig(t)
	in := inner(t, macA, macVirtual, a4, f4, 9)
	r.put(r.tables.Droplets, uint32(r.droplet), TableDroplet{Source4: address(host4), Mac: [6]byte(macDroplet), Mtu: mtu})
	for range 2 {
		act, _ := r.verdictXDP(0, in)
		require.EqualValues(t, xdpPass, act)
	}
}

// XDP asks the kernel to resolve a neighbour that it does not know.
func TestXDPToAnUnknownNeighbour(t *testing.T) {
	r := newRig(t)
	nobody := netip.MustParseAddr("192.0.2.50")
	r.endpoint(vni, f4, TableEndpoint{Host: address(nobody)})
	in := inner(t, macA, macVirtual, a4, f4, 9)
	for range 2 {
		r.put(r.tables.Paths, address(nobody), TablePath{Refreshed: now(t), Host: address(nobody)})
		act, _ := r.verdictXDP(0, in)
		require.EqualValues(t, xdpPass, act)
	}
}

// XDP writes both MACs, and gives back to its own driver only what leaves there, where the driver can do that.
func TestXDPSends(t *testing.T) {
	r := newRig(t)
	bounce := tunnel(t, bouncer4, host4, vni, rts(bouncer4, 4, false), inner(t, macFar, macVirtual, unknown4, f4, 9))
	mine := inner(t, macA, macVirtual, a4, f4, 9)
	for _, c := range []struct {
		flags TableDropletFlags
		from  int
		in    []byte
		want  uint32
	}{
		{TableDropletFlagsDROPLET_XDP, -1, bounce, xdpRedirect},
		{TableDropletFlagsDROPLET_XDP | TableDropletFlagsDROPLET_TX, -1, bounce, xdpTX},
		{TableDropletFlagsDROPLET_XDP | TableDropletFlagsDROPLET_TX, 0, mine, xdpRedirect},
	} {
		r.fill()
		mac := net.HardwareAddr{2, 0, 0, 0, 7, 7} // of the droplet's row
		r.put(r.tables.Droplets, uint32(r.droplet), TableDroplet{Source4: address(host4), Mac: [6]byte(mac), Mtu: mtu, Flags: c.flags})
		act, out := r.verdictXDP(c.from, c.in)
		require.Equal(t, c.want, act)
		require.Equal(t, []byte(macFar), out[:6])
		require.Equal(t, []byte(mac), out[6:12])
	}
}

// change changes routes and the like in the rig's namespace.
func (r *rig) change(f func() error) {
	r.t.Helper()
	inNS(r.t, r.ns, f)
}

// A route with a locked MTU (the kernel tells of no other) may be narrower than the device, and never wider.
func TestRouteMTU(t *testing.T) {
	r := newRig(t)
	in := inner(t, macA, macVirtual, a4, f4, 1400-50-28)
	for _, c := range []struct {
		route  int
		frame  []byte
		reason TableReason
	}{
		{1400, in, TableReasonREASON_SEND_DIRECT},
		{1399, in, TableReasonREASON_TOO_BIG_REPLY},
		{9000, inner(t, macA, macVirtual, a4, f4, mtu-50-28+1), TableReasonREASON_TOO_BIG_REPLY},
	} {
		route := &netlink.Route{LinkIndex: r.droplet, Scope: netlink.SCOPE_LINK, MTU: c.route, MTULock: true,
			Dst: &net.IPNet{IP: far4.AsSlice(), Mask: net.CIDRMask(32, 32)}}
		r.change(func() error { return netlink.RouteAdd(route) })
		r.check(packetCase{name: "route", in: c.frame, reason: c.reason, prepare: func(r *rig) {
			r.put(r.tables.Paths, address(far4), TablePath{Refreshed: 1, Host: address(far4)})
		}})
		r.change(func() error { return netlink.RouteDel(route) })
	}
}

// A route too narrow for the tunnel's own headers counts as the floor: what would be left is no number.
func TestRouteNarrowerThanTheHeaders(t *testing.T) {
	r := newRig(t)
	route := &netlink.Route{LinkIndex: r.droplet, Scope: netlink.SCOPE_LINK, MTU: 68, MTULock: true,
		Dst: &net.IPNet{IP: bouncer4.AsSlice(), Mask: net.CIDRMask(32, 32)}}
	r.change(func() error { return netlink.RouteAdd(route) })
	for _, hook := range []string{"xdp", "tcx"} {
		p, ifindex := r.program(hook, 0)
		r.put(r.tables.Paths, address(bouncer4), TablePath{Refreshed: 1, Host: address(bouncer4)})
		r.resetCounters()
		_, out := r.run(p, ifindex, inner(t, macA, macVirtual, a4, unknown4, 1300))
		require.Equal(t, map[TableReason]uint64{TableReasonREASON_TOO_BIG_REPLY: 1}, r.counters())
		require.Equal(t, uint16(1280-74), binary.BigEndian.Uint16(out[14+20+6:]), hook)
	}
	r.change(func() error { return netlink.RouteDel(route) })
}

// Nor is what the underlay said about a path ever a reason to send more than the device takes.
func TestPathWiderThanTheDevice(t *testing.T) {
	r := newRig(t)
	r.check(packetCase{name: "wide", in: inner(t, macA, macVirtual, a4, f4, mtu-50-28+1), reason: TableReasonREASON_TOO_BIG_REPLY, prepare: func(r *rig) {
		r.put(r.tables.Paths, address(far4), TablePath{Refreshed: 1, Host: address(far4), Mtu: 9000, Expires: 1 << 62})
	}})
}

// What cannot be sent is dropped each time, and not remembered: the next packet takes a way that is there
// again. And a way that went away is not used because it was there once.
func TestNoRouteIsNotRemembered(t *testing.T) {
	r := newRig(t)
	in := inner(t, macA, macVirtual, a4, f4, 9)
	for _, kind := range []int{unix.RTN_BLACKHOLE, unix.RTN_UNREACHABLE, unix.RTN_PROHIBIT} {
		route := &netlink.Route{Type: kind, Dst: &net.IPNet{IP: far4.AsSlice(), Mask: net.CIDRMask(32, 32)}}
		for _, hook := range []string{"xdp", "tcx"} {
			p, ifindex := r.program(hook, 0)
			run := func(want TableReason) {
				t.Helper()
				r.resetCounters()
				r.run(p, ifindex, in)
				require.Equal(t, map[TableReason]uint64{want: 1}, r.counters(), "%s %d", hook, kind)
			}
			run(TableReasonREASON_SEND_DIRECT)
			r.change(func() error { return netlink.RouteAdd(route) })
			passes(t, r.path(far4).Looked+hopAge)
			run(TableReasonDROP_NO_ROUTE)
			run(TableReasonDROP_NO_ROUTE)
			r.change(func() error { return netlink.RouteDel(route) })
			run(TableReasonREASON_SEND_DIRECT)
		}
	}
}

// A packet goes to the gateway of its route, whose family may be another.
func TestGateway(t *testing.T) {
	r := newRig(t)
	in := inner(t, macA, macVirtual, a4, f4, 9)
	away := netip.MustParseAddr("192.0.2.130")
	r.endpoint(vni, f4, TableEndpoint{Host: address(away)})
	for _, c := range []struct {
		via  netlink.Destination
		gw   net.IP
		want []byte
		v6   uint8
	}{
		{nil, bouncer4.AsSlice(), bouncer4.AsSlice(), 0},
		{&netlink.Via{AddrFamily: unix.AF_INET6, Addr: bouncer6.AsSlice()}, nil, bouncer6.AsSlice(), 1},
	} {
		r.change(func() error {
			return netlink.RouteReplace(&netlink.Route{LinkIndex: r.droplet, Gw: c.gw, Via: c.via,
				Dst: &net.IPNet{IP: away.AsSlice(), Mask: net.CIDRMask(32, 32)}})
		})
		for _, hook := range []string{"xdp", "tcx"} {
			r.put(r.tables.Paths, address(away), TablePath{Refreshed: 1, Host: address(away)})
			p, ifindex := r.program(hook, 0)
			act, _ := r.run(p, ifindex, in)
			require.Equal(t, transmit, act)
			hop := r.path(away).Hop
			require.Equal(t, c.want, hop.Via.Bytes[:len(c.want)], hook)
			require.Equal(t, c.v6, hop.ViaV6, hook)
			require.Zero(t, hop.V6)
		}
	}
}
