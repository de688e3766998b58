// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
)

// knownTicks is at least so many nanoseconds: KNOWN_TICKS of a timer of 100 Hz, and the clock's own step.
const knownTicks = 60e6

// ends runs a packet at a hook, and tells what became of it.
func (r *rig) ends(hook string, from int, frame []byte) TableReason {
	r.t.Helper()
	r.resetCounters()
	p, ifindex := r.program(hook, from)
	r.run(p, ifindex, frame)
	counted := r.counters()
	require.Len(r.t, counted, 1)
	for reason := range counted {
		return reason
	}
	return 0
}

// A knownCase is something that programs keep for a moment, and a change of what it is of.
type knownCase struct {
	name    string
	from    int
	in      []byte
	was, is TableReason
	change  func(*rig) error // of a table; nobody tells the programs
}

func knownCases(t *testing.T) []knownCase {
	out := inner(t, macA, macVirtual, a4, f4, 9)
	in := tunnel(t, far4, host4, vni, nil, inner(t, macFar, macVirtual, f4, a4, 9))
	big := inner(t, macA, macVirtual, a4, f4, 1300)
	del := func(m func(*Tables) *ebpf.Map, key func(*rig) any) func(*rig) error {
		return func(r *rig) error { return m(r.tables).Delete(key(r)) }
	}
	return []knownCase{
		{"peer", -1, in, TableReasonREASON_DELIVER, TableReasonDROP_PEER, del(
			func(t *Tables) *ebpf.Map { return t.Peers },
			func(*rig) any {
				return TablePeerKey{Prefixlen: 96 + 26, Addr: address(netip.MustParseAddr("192.0.2.0"))}
			})},
		{"own address", -1, in, TableReasonREASON_DELIVER, TableReasonDROP_OUTER_SOURCE, func(r *rig) error {
			return r.tables.Addresses.Put(address(far4), uint32(r.droplet))
		}},
		{"droplet", -1, in, TableReasonREASON_DELIVER, TableReasonREASON_PASS, del(
			func(t *Tables) *ebpf.Map { return t.Droplets }, func(r *rig) any { return uint32(r.droplet) })},
		{"agent that is delivered to", -1, in, TableReasonREASON_DELIVER, TableReasonDROP_TENANT, func(r *rig) error {
			return r.tables.Agents.Put(uint32(r.agents[0]), TableAgent{Vni: otherVNI, Mac: [6]byte(macA), Mtu: mtu})
		}},
		{"host of a source", -1, in, TableReasonREASON_DELIVER, TableReasonDROP_SOURCE_HOST, func(r *rig) error {
			return r.tables.Endpoints.Put(TableEndpointKey{Vni: vni, Addr: address(f4)},
				TableEndpoint{Kind: TableEndpointKindENDPOINT_SIMPLE, Host: address(bouncer4)})
		}},
		{"agent that sends", 0, out, TableReasonREASON_SEND_DIRECT, TableReasonDROP_NO_AGENT, del(
			func(t *Tables) *ebpf.Map { return t.Agents }, func(r *rig) any { return uint32(r.agents[0]) })},
		{"address that an endpoint sends from", 0, out, TableReasonREASON_SEND_DIRECT, TableReasonDROP_SPOOF_ADDRESS, func(r *rig) error {
			return r.tables.Endpoints.Put(TableEndpointKey{Vni: vni, Addr: address(a4)},
				TableEndpoint{Kind: TableEndpointKindENDPOINT_SIMPLE, Ifindex: uint32(r.agents[1])})
		}},
		{"MTU of a path", 0, big, TableReasonREASON_SEND_DIRECT, TableReasonREASON_TOO_BIG_REPLY, func(r *rig) error {
			return r.tables.Paths.Put(address(far4), TablePath{Refreshed: 1, Host: address(far4), Mtu: 1300, Expires: 1 << 62})
		}},
	}
}

// refill has all as it was before a case, and programs know nothing.
func (r *rig) refill() {
	r.t.Helper()
	if err := r.tables.Addresses.Delete(address(far4)); !errors.Is(err, ebpf.ErrKeyNotExist) {
		require.NoError(r.t, err)
	}
	r.fill()
}

// What programs keep is void at once when user space says that a table has changed, and before long if it
// does not: who writes the tables may die in between.
func TestKnownIsVoid(t *testing.T) {
	r := newRig(t)
	for _, c := range knownCases(t) {
		for _, hook := range []string{"xdp", "tcx"} {
			for _, told := range []bool{true, false} {
				r.refill()
				require.Equal(t, c.was, r.ends(hook, c.from, c.in), "%s: %s", hook, c.name)
				require.NoError(t, c.change(r))
				if told {
					r.nextEpoch()
				} else {
					passes(t, now(t)+knownTicks)
				}
				require.Equal(t, c.is, r.ends(hook, c.from, c.in), "%s: %s, told: %t", hook, c.name, told)
			}
		}
	}
}

// And it is kept for a moment: or else all of this would be for nothing.
func TestKnownIsKept(t *testing.T) {
	r := newRig(t)
	for _, c := range knownCases(t) {
		for _, hook := range []string{"xdp", "tcx"} {
			kept := func() bool {
				r.refill()
				r.resetCounters()
				p, ifindex := r.program(hook, c.from)
				r.run(p, ifindex, c.in)
				require.NoError(t, c.change(r))
				r.run(p, ifindex, c.in)
				n := r.counted(c.was).Packets // not in between: that takes longer than some kernels keep anything
				require.NotZero(t, n, "%s: %s", hook, c.name)
				return n == 2
			}
			tries := 20 // this thread may have been elsewhere for longer, or on another CPU
			for !kept() {
				tries--
				require.Positive(t, tries, "%s: %s", hook, c.name)
			}
		}
	}
}

// There are more hosts than places. Who has the place of a peer is none for that.
func TestKnownPeersAndStrangers(t *testing.T) {
	r := newRig(t)
	for _, hook := range []string{"xdp", "tcx"} {
		for last := range 250 {
			host := netip.AddrFrom4([4]byte{192, 0, 2, byte(last + 2)})
			for _, from := range []netip.Addr{far4, host, host} {
				want := TableReasonREASON_DELIVER
				if !netip.MustParsePrefix("192.0.2.0/26").Contains(from) {
					want = TableReasonDROP_PEER
				}
				in := tunnel(t, from, host4, vni, nil, inner(t, macFar, macVirtual, elsewhere4, a4, 9))
				require.Equal(t, want, r.ends(hook, -1, in), "%s: %v", hook, from)
			}
		}
	}
}

// Nor is the way to a host another's that has its place.
func TestKnownWays(t *testing.T) {
	r := newRigFor(t, 1000)
	hosts := []netip.Addr{}
	for last := range 62 {
		hosts = append(hosts, netip.AddrFrom4([4]byte{192, 0, 2, byte(last + 2)}), netip.AddrFrom4([4]byte{198, 51, 100, byte(last + 2)}),
			netip.AddrFrom4([4]byte{198, 51, byte(last + 2), 1}), netip.AddrFrom4([4]byte{192, byte(last + 2), 2, 1}),
			netip.AddrFrom4([4]byte{byte(last + 2), 18, 0, 1}))
	}
	mac := func(i int) net.HardwareAddr { return net.HardwareAddr{2, 0, 1, 0, byte(i >> 8), byte(i)} }
	r.change(func() error {
		if err := netlink.RouteAdd(&netlink.Route{LinkIndex: r.droplet, Scope: netlink.SCOPE_LINK,
			Dst: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}}); err != nil {
			return err
		}
		for i, h := range hosts {
			if err := netlink.NeighSet(&netlink.Neigh{LinkIndex: r.droplet, IP: h.AsSlice(), HardwareAddr: mac(i), State: netlink.NUD_PERMANENT}); err != nil {
				return err
			}
		}
		return nil
	})
	to := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 7, byte(i >> 8), byte(i)}) }
	for i, h := range hosts {
		r.put(r.tables.Paths, address(h), TablePath{Refreshed: 1, Host: address(h)})
		r.endpoint(vni, to(i), TableEndpoint{Host: address(h)})
	}
	for i, h := range hosts {
		for range 2 {
			act, out := r.verdictXDP(0, inner(t, macA, macVirtual, a4, to(i), 9))
			require.EqualValues(t, xdpRedirect, act)
			require.Equal(t, []byte(mac(i)), out[:6], h)
			require.Equal(t, h.AsSlice(), out[30:34])
		}
	}
}

// Nor does an endpoint of one host or tenant pass for another's because its address is the same.
func TestKnownSources(t *testing.T) {
	r := newRig(t)
	r.endpoint(otherVNI, f4, TableEndpoint{Host: address(bouncer4)})
	place := func(v uint32, source netip.Addr) uint32 { // place_of
		b := source.As4()
		return (binary.BigEndian.Uint32(b[:]) ^ 0xffff ^ v<<12) * 0x9e3779b1 >> (32 - 9)
	}
	same := uint32(vni + 1) // whose f4 has the same place
	for place(same, f4) != place(vni, f4) {
		same++
	}
	neighbour := netip.MustParseAddr("10.9.0.1") // who has the same place
	for place(vni, neighbour) != place(vni, f4) {
		neighbour = neighbour.Next()
	}
	r.endpoint(vni, neighbour, TableEndpoint{Host: address(bouncer4)})
	r.put(r.tables.VPCs, same, TableVpc{Vni: same, Generation: 3})
	r.put(r.tables.Agents, uint32(r.agents[1]), TableAgent{Vni: same, Mac: [6]byte(macB), Mtu: mtu})
	r.endpoint(same, a4, TableEndpoint{Ifindex: uint32(r.agents[1])})
	r.endpoint(same, f4, TableEndpoint{Host: address(bouncer4)})
	in := func(from netip.Addr, v uint32, source netip.Addr) []byte {
		return tunnel(t, from, host4, v, nil, inner(t, macFar, macVirtual, source, a4, 9))
	}
	for _, hook := range []string{"xdp", "tcx"} {
		for range 3 {
			require.Equal(t, TableReasonREASON_DELIVER, r.ends(hook, -1, in(far4, vni, f4)))
			require.Equal(t, TableReasonDROP_SOURCE_HOST, r.ends(hook, -1, in(bouncer4, vni, f4)))
			require.Equal(t, TableReasonDROP_SOURCE_HOST, r.ends(hook, -1, in(far4, otherVNI, f4)))
			require.Equal(t, TableReasonREASON_DELIVER, r.ends(hook, -1, in(far4, vni, f4)))
			require.Equal(t, TableReasonDROP_SOURCE_HOST, r.ends(hook, -1, in(far4, same, f4)))
			require.Equal(t, TableReasonREASON_DELIVER, r.ends(hook, -1, in(bouncer4, same, f4)))
			require.Equal(t, TableReasonREASON_DELIVER, r.ends(hook, -1, in(far4, vni, f4)))
			require.Equal(t, TableReasonDROP_SOURCE_HOST, r.ends(hook, -1, in(far4, vni, neighbour)))
			require.Equal(t, TableReasonREASON_DELIVER, r.ends(hook, -1, in(bouncer4, otherVNI, f4)))
			require.Equal(t, TableReasonDROP_SOURCE_HOST, r.ends(hook, -1, in(far4, vni, b4)))
		}
		// By a relay it may not come, though it came straight.
		relayed := tunnel(t, netip.MustParseAddr("192.0.2.9"), host4, vni, rts(far4, 3, false), inner(t, macFar, macVirtual, f4, a4, 9))
		require.Equal(t, TableReasonREASON_DELIVER, r.ends(hook, -1, in(far4, vni, f4)))
		require.Equal(t, TableReasonDROP_SOURCE_HOST, r.ends(hook, -1, relayed))
		// Nor is it the relay's own because that relayed it.
		relayed = tunnel(t, bouncer4, host4, vni, rts(far4, 3, false), inner(t, macFar, macVirtual, f4, a4, 9))
		require.Equal(t, TableReasonREASON_DELIVER, r.ends(hook, -1, relayed))
		require.Equal(t, TableReasonDROP_SOURCE_HOST, r.ends(hook, -1, in(bouncer4, vni, f4)))
	}
}

// Two interfaces whose numbers lead to one place are two.
func TestKnownInterfaces(t *testing.T) {
	r := newRig(t)
	const places = 512 // KNOWN_INTERFACES
	twin := r.agents[0] + places
	r.change(func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.Index = "twin", twin
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "twinp"})
	})
	r.put(r.tables.Agents, uint32(twin), TableAgent{Vni: otherVNI, Mac: [6]byte(macB), Mtu: mtu})
	r.endpoint(otherVNI, b4, TableEndpoint{Ifindex: uint32(twin)})
	r.endpoint(otherVNI, f4, TableEndpoint{Host: address(far4)})
	mine, his := inner(t, macA, macVirtual, a4, f4, 9), inner(t, macB, macVirtual, b4, f4, 9)
	for _, hook := range []string{"xdp", "tcx"} {
		p, _ := r.program(hook, 0)
		for range 3 {
			for _, c := range []struct {
				ifindex int
				in      []byte
				want    TableReason
				vni     byte
			}{
				{r.agents[0], mine, TableReasonREASON_SEND_DIRECT, vni}, {twin, his, TableReasonREASON_SEND_DIRECT, otherVNI},
				{r.agents[0], his, TableReasonDROP_SPOOF_MAC, 0}, {twin, mine, TableReasonDROP_SPOOF_MAC, 0},
			} {
				r.resetCounters()
				_, out := r.run(p, c.ifindex, c.in)
				require.Equal(t, map[TableReason]uint64{c.want: 1}, r.counters(), hook)
				if c.vni != 0 {
					require.Equal(t, c.vni, out[14+20+8+6], hook)
				}
			}
		}
	}
}

// What is kept in a place goes when another takes the place, also where nobody ever wrote an epoch: who fills the
// tables without package maps need not know of one.
func TestKnownPlacesChangeHands(t *testing.T) {
	r := newRig(t)
	place := func(a netip.Addr) uint32 { // place_of, of hosts of IPv4
		b := a.As4()
		return (binary.BigEndian.Uint32(b[:]) ^ 0xffff) * 0x9e3779b1 >> (32 - 8)
	}
	var stranger netip.Addr // an endpoint's host, but no peer
	for last := 64; !stranger.IsValid(); last++ {
		if a := netip.AddrFrom4([4]byte{192, 0, 2, byte(last)}); place(a) == place(far4) {
			stranger = a
		}
	}
	r.endpoint(vni, elsewhere4, TableEndpoint{Host: address(stranger)})
	r.change(func() error {
		return netlink.NeighSet(&netlink.Neigh{LinkIndex: r.droplet, IP: stranger.AsSlice(),
			HardwareAddr: macB, State: netlink.NUD_PERMANENT})
	})
	r.put(r.tables.Paths, address(stranger), TablePath{Refreshed: 1, Host: address(stranger)})
	in := func(from, source netip.Addr) []byte {
		return tunnel(t, from, host4, vni, nil, inner(t, macFar, macVirtual, source, a4, 9))
	}
	for _, epoch := range []uint64{1, 0} {
		require.NoError(t, r.tables.Epochs.Put(TableEpochEPOCH_TABLES, epoch))
		for _, hook := range []string{"xdp", "tcx"} {
			for range 3 {
				// The place is a peer's, and of a host that is sent to by the agent of the same program's maps.
				require.Equal(t, TableReasonREASON_DELIVER, r.ends(hook, -1, in(far4, f4)), epoch)
				require.Equal(t, TableReasonREASON_SEND_DIRECT, r.ends(hook, 0, inner(t, macA, macVirtual, a4, elsewhere4, 9)), epoch)
				require.Equal(t, TableReasonDROP_PEER, r.ends(hook, -1, in(stranger, elsewhere4)), epoch)
			}
		}
		// And the way to the stranger is not the peer's.
		for range 3 {
			require.Equal(t, TableReasonREASON_DELIVER, r.ends("xdp", -1, in(far4, f4)))
			_, out := r.verdictXDP(0, inner(t, macA, macVirtual, a4, elsewhere4, 9))
			require.Equal(t, []byte(macB), out[:6], epoch)
			require.Equal(t, TableReasonREASON_DELIVER, r.ends("xdp", -1, in(far4, f4)))
			_, out = r.verdictXDP(0, inner(t, macA, macVirtual, a4, f4, 9))
			require.Equal(t, []byte(macFar), out[:6], epoch)
		}
	}
}

// An address that the interface in the same place may send from, this one may not.
func TestKnownSendersChangeHands(t *testing.T) {
	r := newRig(t)
	const places = 512 // KNOWN_INTERFACES
	twin := r.agents[0] + places
	r.change(func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.Index = "twin", twin
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "twinp"})
	})
	r.put(r.tables.Agents, uint32(twin), TableAgent{Vni: vni, Mac: [6]byte(macB), Mtu: mtu})
	for _, epoch := range []uint64{1, 0} {
		require.NoError(t, r.tables.Epochs.Put(TableEpochEPOCH_TABLES, epoch))
		for _, hook := range []string{"xdp", "tcx"} {
			p, _ := r.program(hook, 0)
			for range 3 {
				require.Equal(t, TableReasonREASON_SEND_DIRECT, r.ends(hook, 0, inner(t, macA, macVirtual, a4, f4, 9)))
				r.resetCounters()
				r.run(p, twin, inner(t, macB, macVirtual, a4, f4, 9))
				require.Equal(t, map[TableReason]uint64{TableReasonDROP_SPOOF_ADDRESS: 1}, r.counters(), "%s %d", hook, epoch)
			}
		}
	}
}
