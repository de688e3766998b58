// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/require"
)

func tagged(b []byte, proto uint16, tags ...uint16) []byte {
	c := append([]byte(nil), b[:12]...)
	for _, tag := range tags {
		c = append(c, byte(proto>>8), byte(proto), byte(tag>>8), byte(tag))
	}
	return append(c, b[12:]...)
}

// T2: the EtherType that decides is the inner header's, whatever the outer one is.
func TestT2InnerEtherType(t *testing.T) {
	r := newRig(t)
	in4, in6 := inner(t, macFar, macVirtual, f4, a4, 9), inner(t, macFar, macVirtual, f6, a6, 9)
	r.put(r.tables.Endpoints, TableEndpointKey{Vni: vni, Addr: address(f4)}, TableEndpoint{Kind: 1, Host: address(far6)})
	r.put(r.tables.Endpoints, TableEndpointKey{Vni: vni, Addr: address(f6)}, TableEndpoint{Kind: 1, Host: address(far4)})
	r.check(packetCase{name: "4 in 6", from: -1, reason: TableReasonREASON_DELIVER, in: tunnel(t, far6, host6, vni, nil, in4), out: delivered(in4, macA)})
	r.check(packetCase{name: "6 in 4", from: -1, reason: TableReasonREASON_DELIVER, in: tunnel(t, far4, host4, vni, nil, in6), out: delivered(in6, macA)})
	r.check(packetCase{name: "says 6, is 4", from: -1, reason: TableReasonDROP_INNER_IPV6,
		in: tunnel(t, far6, host6, vni, nil, mutate(inner(t, macFar, macVirtual, f4, a4, 60), func(b []byte) { b[12], b[13] = 0x86, 0xdd }))})
}

// T3: a later fragment has no ports, and the first one is not told apart by its own: all take one way.
func TestT3FragmentsHaveNoPorts(t *testing.T) {
	r := newRig(t)
	for _, hook := range []string{"xdp", "tcx"} {
		t.Run(hook, func(t *testing.T) { fragmentsHaveNoPorts(t, r, hook) })
	}
}

func fragmentsHaveNoPorts(t *testing.T, r *rig, hook string) {
	ports := func(in []byte) uint16 {
		p, ifindex := r.program(hook, 0)
		act, out := r.run(p, ifindex, in)
		require.Equal(t, transmit, act)
		outer := gopacket.NewPacket(out, layers.LayerTypeEthernet, gopacket.Default)
		return uint16(outer.Layer(layers.LayerTypeUDP).(*layers.UDP).SrcPort)
	}
	whole := inner(t, macA, macVirtual, a4, f4, 64)
	other := mutate(whole, func(b []byte) { b[35]++ })
	require.NotEqual(t, ports(whole), ports(other), "flows by their ports")
	fragment := func(b []byte, hi, lo byte) []byte {
		return mutate(b, func(b []byte) { b[20], b[21] = hi, lo })
	}
	first := ports(fragment(whole, 0x20, 0))
	for name, in := range map[string][]byte{"first of another flow": fragment(other, 0x20, 0),
		"later": fragment(whole, 0x20, 8), "last": fragment(other, 0, 8)} {
		require.Equal(t, first, ports(in), name)
	}
	whole6 := inner(t, macA, macVirtual, a6, f6, 64)
	fragment6 := func(offset, sport byte) []byte {
		b := append([]byte(nil), whole6[:14+40]...)
		b[14+6] = 44
		b[14+5] += 8
		b = append(b, 17, 0, 0, offset, 0, 0, 0, 1)
		b = append(b, whole6[14+40:]...)
		b[14+48+1] = sport
		return b
	}
	// Destination options behind the fragment header: only the first fragment tells what comes then.
	options := mutate(behindHeader(fragment6(1, 1), 44), func(b []byte) { copy(b[54:], []byte{60, 0, 0, 1, 0, 0, 0, 1, 17, 0, 1, 4, 0, 0, 0, 0}) })
	later := mutate(fragment6(8, 1), func(b []byte) { b[54] = 60 })
	for _, b := range [][]byte{fragment6(1, 9), fragment6(8, 1), fragment6(9, 2), options, later} {
		require.Equal(t, ports(fragment6(1, 1)), ports(b))
	}
}

// hidingPackets hide something behind tags and headers.
func hidingPackets(t testing.TB) []packetCase {
	ok, forged := inner(t, macA, macVirtual, a4, b4, 9), inner(t, macA, macVirtual, f4, b4, 9)
	spoof := arp(t, 1, macA, broadcast, macA, b4, make([]byte, 6), f4)
	ok6, forged6 := inner(t, macA, macVirtual, a6, b6, 9), inner(t, macA, macVirtual, f6, b6, 9)
	in := inner(t, macFar, macVirtual, f4, a4, 9)
	all := []packetCase{
		{name: "tag", in: tagged(ok, 0x8100, 5), reason: TableReasonREASON_DELIVER_LOCAL},
		{name: "forged behind a tag", in: tagged(forged, 0x8100, 5), reason: TableReasonDROP_SPOOF_ADDRESS},
		{name: "forged behind priority tag", in: tagged(forged, 0x8100, 0), reason: TableReasonDROP_SPOOF_ADDRESS},
		{name: "forged behind 802.1ad", in: tagged(forged, 0x88a8, 5), reason: TableReasonDROP_SPOOF_ADDRESS},
		{name: "two tags", in: tagged(ok, 0x8100, 5, 6), reason: TableReasonDROP_INNER_VLAN},
		{name: "arp behind a tag", in: tagged(spoof, 0x8100, 5), reason: TableReasonDROP_SPOOF_NEIGHBOUR},
		{name: "llc behind a tag", in: mutate(tagged(ok, 0x8100, 5), func(b []byte) { b[16], b[17] = 0, 40 }), reason: TableReasonDROP_INNER_ETHERTYPE},
		{name: "extension", in: behindHeader(ok6, 60), reason: TableReasonREASON_DELIVER_LOCAL},
		{name: "forged behind an extension", in: behindHeader(forged6, 60), reason: TableReasonDROP_SPOOF_ADDRESS},
		{name: "neighbour advertisement behind an extension", reason: TableReasonDROP_NEIGHBOUR,
			in: behindHeader(discovery(t, macA, a6, f6, 255, 136, &layers.ICMPv6NeighborAdvertisement{TargetAddress: b6.AsSlice()}), 0)},
		{name: "later fragment of options", reason: TableReasonREASON_DELIVER_LOCAL, // what is in it is no header
			in: mutate(behindHeader(ok6, 44), func(b []byte) { copy(b[54:], []byte{60, 0, 0, 8, 0, 0, 0, 1, 44, 255}) })},
		{name: "two fragment headers", in: mutate(behindHeader(mutate(behindHeader(ok6, 44), func(b []byte) { b[56], b[57] = 0, 0 }), 44), func(b []byte) { b[56], b[57] = 0, 0 }), reason: TableReasonDROP_INNER_EXTENSION},
		{name: "tag in a tunnel", from: -1, in: tunnel(t, far4, host4, vni, nil, tagged(in, 0x8100, 5)),
			reason: TableReasonREASON_DELIVER, out: delivered(tagged(in, 0x8100, 5), macA)},
		{name: "two tags in a tunnel", from: -1, in: tunnel(t, far4, host4, vni, nil, tagged(in, 0x8100, 5, 6)), reason: TableReasonDROP_INNER_VLAN},
	}
	for i, c := range all {
		if len(c.in) > 13 && c.in[12] == 0x81 && c.reason == TableReasonREASON_DELIVER_LOCAL {
			all[i].only = "xdp" // a run does not move the tag out of the bytes
		}
	}
	return all
}

// T4: VLAN tags, LLC and extension headers do not slip past a check.
func TestT4NothingSlipsPast(t *testing.T) { newRig(t).table(hidingPackets(t)) }

// T6: what an endpoint sends to the tunnel port stays inside its VPC, and its ICMP teaches no path.
func TestT6NoTunnelFromInside(t *testing.T) {
	r := newRig(t)
	evil := tunnel(t, a4, host4, otherVNI, nil, inner(t, macFar, macC, f4, a4, 9))
	copy(evil, macVirtual)
	copy(evil[6:], macA)
	// The host's own address is a stranger in the VPC: it goes to the VPC's divider, wrapped.
	r.check(packetCase{name: "to the host", in: evil, reason: TableReasonREASON_SEND_BOUNCER})
	r.put(r.tables.Paths, address(far4), TablePath{Refreshed: 1, Host: address(far4)})
	ours := tunnel(t, host4, far4, vni, nil, inner(t, macA, macVirtual, a4, f4, 100))
	icmp := icmpTooBig(t, a4, b4, 1300, ours)
	copy(icmp, macVirtual)
	copy(icmp[6:], macA)
	r.check(packetCase{name: "icmp", in: icmp, reason: TableReasonREASON_DELIVER_LOCAL})
	require.Zero(t, r.path(far4).Mtu)
	// Nor one that comes through a tunnel.
	r.check(packetCase{name: "icmp in a tunnel", from: -1, reason: TableReasonREASON_DELIVER,
		in: tunnel(t, far4, host4, vni, nil, icmpTooBig(t, f4, a4, 1300, ours))})
	require.Zero(t, r.path(far4).Mtu)
}

func (r *rig) direct(v uint32, a netip.Addr) (TableDirect, bool) {
	var d TableDirect
	err := r.tables.Directs.Lookup(TableEndpointKey{Vni: v, Addr: address(a)}, &d)
	if !errors.Is(err, ebpf.ErrKeyNotExist) {
		require.NoError(r.t, err)
	}
	return d, err == nil
}

// T9, T11 and who teaches: the direct path is learned from peers only, for its own VPC only, from the
// host itself or by a relay of this VPC.
func TestT11OnlyPeersTeach(t *testing.T) {
	r := newRig(t)
	in := inner(t, macFar, macVirtual, unknown4, a4, 9)
	for _, c := range []struct {
		name   string
		in     []byte
		reason TableReason
		want   netip.Addr // zero: nothing is learned
		set    func()
	}{
		{"straight", tunnel(t, far4, host4, vni, nil, in), TableReasonREASON_DELIVER, far4, nil},
		{"by the bouncer", tunnel(t, bouncer4, host4, vni, rts(far4, 3, false), in), TableReasonREASON_DELIVER, far4, nil},
		{"by the divider", tunnel(t, divider4, host4, vni, rts(far4, 3, false), in), TableReasonREASON_DELIVER, far4, nil},
		{"from the host itself", tunnel(t, far4, host4, vni, rts(far4, 4, false), in), TableReasonREASON_DELIVER, far4, nil},
		{"by a host that is no relay", tunnel(t, far4, host4, vni, rts(divider4, 3, false), in), TableReasonREASON_DELIVER, netip.Addr{}, nil},
		{"names no peer", tunnel(t, bouncer4, host4, vni, rts(stranger4, 3, false), in), TableReasonREASON_DELIVER, netip.Addr{}, nil},
		{"names this host", tunnel(t, bouncer4, host4, vni, rts(host4, 3, false), in), TableReasonREASON_DELIVER, netip.Addr{}, nil},
		{"from no peer", tunnel(t, stranger4, host4, vni, nil, in), TableReasonDROP_PEER, netip.Addr{}, nil},
		{"not for an endpoint here", tunnel(t, far4, host4, vni, rts(far4, 4, false), inner(t, macFar, macVirtual, unknown4, elsewhere4, 9)), TableReasonREASON_DIVIDE_VPC, netip.Addr{}, nil},
		{"vpc without direct path", tunnel(t, far4, host4, vni, nil, in), TableReasonREASON_DELIVER, netip.Addr{}, func() {
			r.put(r.tables.VPCs, uint32(vni), TableVpc{Vni: vni, Set: 3, Generation: 1, Flags: TableVpcFlagsVPC_NO_DIRECT})
		}},
		{"network without direct path", tunnel(t, far4, host4, vni, nil, in), TableReasonREASON_DELIVER, netip.Addr{}, func() {
			r.network(vni, "203.0.113.0/24", TableNetwork{Kind: 1, Set: 1, Flags: TableNetworkFlagsNETWORK_NO_DIRECT})
		}},
	} {
		r.check(packetCase{name: c.name, from: -1, in: c.in, reason: c.reason, prepare: func(r *rig) {
			r.fill()
			r.tables.Directs.Delete(TableEndpointKey{Vni: vni, Addr: address(unknown4)})
			if c.set != nil {
				c.set()
			}
		}})
		d, ok := r.direct(vni, unknown4)
		require.Equal(t, c.want.IsValid(), ok, c.name)
		if ok {
			require.Equal(t, address(c.want), d.Host, c.name)
		}
		_, ok = r.direct(otherVNI, unknown4)
		require.False(t, ok, "another VPC learned")
	}
}

// learned says that an endpoint lives on that host, as if a packet had come from there just now.
func (r *rig) learned(v uint32, a, host netip.Addr) {
	var vpc TableVpc
	require.NoError(r.t, r.tables.VPCs.Lookup(v, &vpc))
	r.put(r.tables.Directs, TableEndpointKey{Vni: v, Addr: address(a)},
		TableDirect{Host: address(host), Generation: vpc.Generation, Seen: 1 << 62})
}

// What was learned is followed at once when the endpoint moves, and believed for a time only.
func TestDirectMovesAndAges(t *testing.T) {
	r := newRig(t)
	in, out := inner(t, macFar, macVirtual, unknown4, a4, 9), inner(t, macA, macVirtual, a4, unknown4, 9)
	for _, host := range []netip.Addr{far4, divider4} {
		r.check(packetCase{name: "teach", from: -1, in: tunnel(t, host, host4, vni, nil, in), reason: TableReasonREASON_DELIVER})
		r.check(packetCase{name: "learned", in: out, reason: TableReasonREASON_SEND_DIRECT, out: tunnel(t, host4, host, vni, nil, sent(out))})
	}
	r.check(packetCase{name: "too long ago", in: out, reason: TableReasonREASON_SEND_BOUNCER, prepare: func(r *rig) {
		r.settings(func(s *TableSettings) { s.DirectAgeNs = 1 })
		r.put(r.tables.Directs, TableEndpointKey{Vni: vni, Addr: address(unknown4)}, TableDirect{Host: address(far4), Generation: 1})
	}})
	r.check(packetCase{name: "no direct path any more", in: out, reason: TableReasonREASON_SEND_BOUNCER, prepare: func(r *rig) {
		r.put(r.tables.VPCs, uint32(vni), TableVpc{Vni: vni, Set: 3, Generation: 1, Flags: TableVpcFlagsVPC_NO_DIRECT})
		r.put(r.tables.Directs, TableEndpointKey{Vni: vni, Addr: address(unknown4)}, TableDirect{Host: address(far4), Generation: 1, Seen: 1 << 62})
	}})
}

// T10: what was learned in a VPC is void when the VPC is made again under its VNI.
func TestT10LearnedIsVoid(t *testing.T) {
	r := newRig(t)
	teach := tunnel(t, far4, host4, vni, nil, inner(t, macFar, macVirtual, unknown4, a4, 9))
	out := inner(t, macA, macVirtual, a4, unknown4, 9)
	r.check(packetCase{name: "teach", from: -1, in: teach, reason: TableReasonREASON_DELIVER})
	r.check(packetCase{name: "learned", in: out, reason: TableReasonREASON_SEND_DIRECT, out: tunnel(t, host4, far4, vni, nil, sent(out))})
	r.check(packetCase{name: "other tenant", from: 2, in: mutate(out, func(b []byte) { copy(b[6:], macC) }), reason: TableReasonDROP_NO_NETWORK})
	r.put(r.tables.VPCs, uint32(vni), TableVpc{Vni: vni, Set: 3, Generation: 77})
	r.check(packetCase{name: "void", in: out, reason: TableReasonREASON_SEND_BOUNCER})
	// A returned packet makes the sender forget, if it points there.
	r.check(packetCase{name: "teach again", from: -1, in: teach, reason: TableReasonREASON_DELIVER, prepare: func(r *rig) {
		r.tables.Directs.Delete(TableEndpointKey{Vni: vni, Addr: address(unknown4)})
	}})
	back := func(host netip.Addr) []byte { return tunnel(t, host, host4, vni, rts(host, 4, true), out) }
	r.check(packetCase{name: "returned by another", from: -1, in: back(divider4), reason: TableReasonDROP_RETURN})
	r.check(packetCase{name: "still direct", in: out, reason: TableReasonREASON_SEND_DIRECT})
	for _, name := range []string{"returned", "returned, and was under way before that"} {
		r.check(packetCase{name: name, from: -1, in: back(far4), reason: TableReasonREASON_REROUTE,
			out: tunnel(t, host4, bouncer4, vni, rts(host4, 4, false), out)})
		r.check(packetCase{name: "forgotten", in: out, reason: TableReasonREASON_SEND_BOUNCER})
	}
	r.check(packetCase{name: "taught at once", from: -1, in: teach, reason: TableReasonREASON_DELIVER})
	r.check(packetCase{name: "learned once more", in: out, reason: TableReasonREASON_SEND_DIRECT})
	r.check(packetCase{name: "returned by where the old VPC knew it", from: -1, in: back(far4), reason: TableReasonDROP_RETURN,
		prepare: func(r *rig) { r.put(r.tables.VPCs, uint32(vni), TableVpc{Vni: vni, Set: 3, Generation: 78}) }})
}

// T13: what was learned a moment ago says nothing of where an endpoint lives once it is void: the tables do.
func TestT13LearnedIsNoPlace(t *testing.T) {
	r := newRig(t)
	in := tunnel(t, far4, host4, vni, nil, inner(t, macFar, macVirtual, unknown4, a4, 9))
	for _, c := range []struct {
		generation uint64
		reason     TableReason
	}{{1, TableReasonREASON_DELIVER}, {77, TableReasonDROP_SOURCE_HOST}} {
		r.check(packetCase{name: fmt.Sprintf("generation %d", c.generation), from: -1, in: in, reason: c.reason, prepare: func(r *rig) {
			router := netip.MustParseAddr("198.51.100.200")
			r.endpoint(vni, router, TableEndpoint{Host: address(divider4)})
			r.network(vni, "203.0.113.0/24", TableNetwork{Kind: TableNetworkKindNETWORK_ENDPOINT, Via: address(router)})
			r.put(r.tables.VPCs, uint32(vni), TableVpc{Vni: vni, Set: 3, Generation: c.generation})
			r.put(r.tables.Directs, TableEndpointKey{Vni: vni, Addr: address(unknown4)},
				TableDirect{Host: address(far4), Generation: 1, Seen: now(t)})
		}})
	}
}

// T13: a host that is let in could return what we never sent, in the name of any endpoint here. It is taken
// only from where the destination was, as far as we know.
func TestT13ReturnOfWhatWasNotSent(t *testing.T) {
	r := newRig(t)
	back := func(to netip.Addr) []byte {
		return tunnel(t, far4, host4, vni, rts(far4, 4, true), inner(t, macA, macVirtual, a4, to, 9))
	}
	for name, to := range map[string]netip.Addr{"local": b4, "not known": unknown4, "in no network": elsewhere4} {
		r.check(packetCase{name: name, from: -1, in: back(to), reason: TableReasonDROP_RETURN})
	}
	r.check(packetCase{name: "lives there, say the tables", from: -1, in: back(f4), reason: TableReasonREASON_REROUTE})
	r.check(packetCase{name: "lives elsewhere", from: -1, in: back(f4), reason: TableReasonDROP_RETURN,
		prepare: func(r *rig) { r.endpoint(vni, f4, TableEndpoint{Host: address(divider4)}) }})
	r.check(packetCase{name: "was there too long ago", from: -1, in: back(unknown4), reason: TableReasonDROP_RETURN,
		prepare: func(r *rig) {
			r.settings(func(s *TableSettings) { s.DirectAgeNs = 1 })
			r.put(r.tables.Directs, TableEndpointKey{Vni: vni, Addr: address(unknown4)}, TableDirect{Host: address(far4), Generation: 1})
		}})
}

// What is sent into a black hole is dropped, wherever packets from there come from.
func TestBlackholeTeachesNothing(t *testing.T) {
	r := newRig(t)
	in := tunnel(t, far4, host4, vni, nil, inner(t, macFar, macVirtual, hole4, a4, 9))
	r.check(packetCase{name: "from it", from: -1, in: in, reason: TableReasonREASON_DELIVER})
	_, ok := r.direct(vni, hole4)
	require.False(t, ok)
	r.check(packetCase{name: "to it", in: inner(t, macA, macVirtual, a4, hole4, 9), reason: TableReasonDROP_BLACKHOLE})
}

// T13, second half: a source endpoint is accepted from the host that the tables say it lives on.
func TestT13SourceHost(t *testing.T) {
	r := newRig(t)
	in := inner(t, macFar, macVirtual, f4, a4, 9)
	r.check(packetCase{name: "its host", from: -1, in: tunnel(t, far4, host4, vni, nil, in), reason: TableReasonREASON_DELIVER})
	r.check(packetCase{name: "its host by a bouncer", from: -1, in: tunnel(t, bouncer4, host4, vni, rts(far4, 3, false), in), reason: TableReasonREASON_DELIVER})
	r.check(packetCase{name: "another peer", from: -1, in: tunnel(t, divider4, host4, vni, nil, in), reason: TableReasonDROP_SOURCE_HOST})
	r.check(packetCase{name: "named by no relay", from: -1, in: tunnel(t, netip.MustParseAddr("192.0.2.9"), host4, vni, rts(far4, 3, false), in), reason: TableReasonDROP_SOURCE_HOST})
}
