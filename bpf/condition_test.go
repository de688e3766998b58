// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/require"
)

// What holds because of one condition alone: each of these tests was written for a change that all the
// others let pass.

// RFC 6040, figure 4, all of it: outer, by inner.
func TestEveryECN(t *testing.T) {
	r := newRig(t)
	const notECT, ect1, ect0, ce, lost = 0, 1, 2, 3, 0xff
	want := map[byte][4]byte{ // by outer
		notECT: {notECT: notECT, ect1: ect1, ect0: ect0, ce: ce},
		ect0:   {notECT: notECT, ect1: ect1, ect0: ect0, ce: ce},
		ect1:   {notECT: notECT, ect1: ect1, ect0: ect1, ce: ce},
		ce:     {notECT: lost, ect1: ce, ect0: ce, ce: ce},
	}
	in4, in6 := inner(t, macFar, macVirtual, f4, a4, 9), inner(t, macFar, macVirtual, f6, a6, 9)
	marked := func(b []byte, ecn byte) []byte {
		return mutate(b, func(b []byte) {
			if b[14]>>4 == 6 {
				b[15] |= ecn << 4
				return
			}
			b[15] |= ecn
			b[24], b[25] = 0, 0
			binary.BigEndian.PutUint16(b[24:], internet(b[14:34]))
		})
	}
	for outer, row := range want {
		for in, out := range row {
			for _, b := range [][]byte{in4, in6} {
				from, to := far4, host4
				if b[14]>>4 == 6 {
					from, to = far6, host6
				}
				c := packetCase{name: fmt.Sprintf("%d outside %d in %v", outer, in, from), from: -1, reason: TableReasonREASON_DELIVER,
					in: marked(tunnel(t, from, to, vni, nil, marked(b, byte(in))), outer)}
				if out == lost {
					c.reason = TableReasonDROP_ECN
				} else {
					c.out = delivered(marked(b, out), macA)
				}
				r.check(c)
			}
		}
	}
}

// Options that are not ours, in number and form.
func TestOptionsOfOthers(t *testing.T) {
	r := newRig(t)
	in := inner(t, macFar, macVirtual, f4, a4, 9)
	one := []byte{1, 2, 3, 0}
	times := func(n int, last ...byte) (all []byte) {
		for range n {
			all = append(all, one...)
		}
		return append(all, last...)
	}
	ours := rts(far4, 3, false)
	with := func(change func(b []byte)) []byte { return mutate(ours, change) }
	for _, c := range []struct {
		name    string
		options []byte
		reason  TableReason
	}{
		{"many, then ours", times(57, ours...), TableReasonREASON_DELIVER},
		{"many, then ours of no hops that could be", times(57, rts(far4, 5, false)...), TableReasonDROP_OPTION_RTS},
		{"many, then a critical one", times(62, 1, 2, 0x83, 0), TableReasonDROP_OPTION_CRITICAL},
		{"our type, another's class", with(func(b []byte) { b[0], b[4] = 1, 99 }), TableReasonREASON_DELIVER},
		{"our class, another type", with(func(b []byte) { b[2], b[4] = 7, 99 }), TableReasonREASON_DELIVER},
		{"reserved bits", with(func(b []byte) { b[3] |= 0xe0 }), TableReasonREASON_DELIVER},
		{"ours, but longer", append(with(func(b []byte) { b[3]++ }), 0, 0, 0, 0), TableReasonDROP_OPTION_RTS},
		{"ours, but shorter", with(func(b []byte) { b[3]-- })[:20], TableReasonDROP_OPTION_RTS},
	} {
		r.check(packetCase{name: c.name, from: -1, reason: c.reason, in: tunnel(t, far4, host4, vni, c.options, in)})
	}
}

// What turns back here says that it comes from the address that it was sent to.
func TestAnswersComeFromWhereTheyWereAsked(t *testing.T) {
	r := newRig(t)
	second := netip.MustParseAddr("192.0.2.20")
	r.put(r.tables.Addresses, address(second), uint32(r.droplet))
	gone := inner(t, macFar, macVirtual, f4, unknown4, 9)
	ask := arp(t, 1, macFar, broadcast, macFar, f4, make([]byte, 6), a4)
	r.check(packetCase{name: "returned", from: -1, in: tunnel(t, far4, second, vni, nil, gone), reason: TableReasonREASON_RETURN,
		out: tunnel(t, second, far4, vni, rts(second, 4, true), gone)})
	r.check(packetCase{name: "asked", from: -1, in: tunnel(t, far4, second, vni, nil, ask), reason: TableReasonREASON_ANSWER,
		out: tunnel(t, second, far4, vni, nil, arp(t, 2, macA, macFar, macA, a4, macFar, f4))})
}

// Neighbour messages of rare forms.
func TestRareNeighbours(t *testing.T) {
	r := newRig(t)
	zero, zero4 := make(net.HardwareAddr, 6), netip.IPv4Unspecified()
	spare4 := netip.MustParseAddr("198.51.100.7")
	linkLocal, siteLocal := netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fec0::1")
	redirect := &layers.ICMPv6Redirect{TargetAddress: b6.AsSlice(), DestinationAddress: f6.AsSlice()}
	advertise := func(target netip.Addr, link net.HardwareAddr) []byte {
		return discovery(t, macA, a6, f6, 255, 136, &layers.ICMPv6NeighborAdvertisement{TargetAddress: target.AsSlice(),
			Options: layers.ICMPv6Options{{Type: layers.ICMPv6OptTargetAddress, Data: link}}})
	}
	ask := arp(t, 1, macA, broadcast, macA, a4, zero, f4)
	allowed := func(r *rig) {
		r.fill()
		r.allow(r.agents[0], "198.51.100.0/24")
		r.put(r.tables.Agents, uint32(r.agents[0]), TableAgent{Vni: vni, Mac: [6]byte(macA), Mtu: mtu, Flags: TableAgentFlagsAGENT_ALLOWED})
	}
	for _, c := range []packetCase{
		{name: "redirect from a peer", from: -1, in: tunnel(t, far4, host4, vni, nil, discovery(t, macFar, f6, a6, 255, 137, redirect)), reason: TableReasonDROP_ROUTER_ADVERT},
		{name: "arp reply of no sender", in: arp(t, 2, macA, broadcast, macA, zero4, zero, f4), reason: TableReasonDROP_SPOOF_NEIGHBOUR},
		{name: "arp probe of another's", in: arp(t, 1, macA, broadcast, macA, zero4, zero, b4), reason: TableReasonREASON_ANSWER},
		{name: "gratuitous arp of an allowed address", in: arp(t, 1, macA, broadcast, macA, spare4, zero, spare4), reason: TableReasonDROP_NEIGHBOUR_UNUSED, prepare: allowed},
		{name: "arp hardware", in: mutate(ask, func(b []byte) { b[14] = 1 }), reason: TableReasonDROP_ARP},
		{name: "arp hardware length", in: mutate(ask, func(b []byte) { b[18] = 8 }), reason: TableReasonDROP_ARP},
		{name: "arp protocol length", in: mutate(ask, func(b []byte) { b[19] = 16 }), reason: TableReasonDROP_ARP},
		{name: "na of a link-local address", in: advertise(linkLocal, macA), reason: TableReasonDROP_NEIGHBOUR_UNUSED},
		{name: "na of its own with another's mac", in: advertise(a6, macB), reason: TableReasonDROP_SPOOF_NEIGHBOUR},
		{name: "na of a site-local address", in: advertise(siteLocal, macA), reason: TableReasonDROP_SPOOF_NEIGHBOUR},
		{name: "ns from a site-local address", in: solicit(t, siteLocal, f6, macA), reason: TableReasonDROP_SPOOF_NEIGHBOUR},
		{name: "payload of a later fragment that looks like one", reason: TableReasonREASON_DELIVER_LOCAL,
			in: mutate(behindHeader(discovery(t, macA, a6, b6, 255, 134, &layers.ICMPv6RouterAdvertisement{}), 44), func(b []byte) {
				copy(b, macVirtual)
				b[56], b[57] = 0, 8
			})},
	} {
		r.check(c)
	}
}

// Addresses that nobody has.
func TestAddressesThatNobodyHas(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		addr string
		to   TableReason
	}{
		{"0.1.2.3", TableReasonDROP_INNER_ADDRESS}, {"127.1.2.3", TableReasonDROP_INNER_ADDRESS},
		{"240.0.0.1", TableReasonDROP_INNER_ADDRESS}, {"255.255.255.255", TableReasonDROP_MULTICAST},
		{"239.1.2.3", TableReasonDROP_MULTICAST}, {"::", TableReasonDROP_INNER_ADDRESS},
		{"::1", TableReasonDROP_INNER_ADDRESS}, {"ff02::1", TableReasonDROP_MULTICAST},
	} {
		a := netip.MustParseAddr(c.addr)
		mine, theirs := a4, f4
		if a.Is6() {
			mine, theirs = a6, f6
		}
		r.check(packetCase{name: "to " + c.addr, in: inner(t, macA, macVirtual, mine, a, 9), reason: c.to})
		r.check(packetCase{name: "from " + c.addr, in: inner(t, macA, macVirtual, a, theirs, 9), reason: TableReasonDROP_INNER_ADDRESS})
	}
}

// flowPort is what a frame of an endpoint gets as its outer source port.
func (r *rig) flowPort(hook string, in []byte) uint16 {
	p, ifindex := r.program(hook, 0)
	act, out := r.run(p, ifindex, in)
	require.Equal(r.t, transmit, act)
	at := 14 + 20
	if out[12] == 0x86 {
		at = 14 + 40
	}
	return binary.BigEndian.Uint16(out[at:])
}

// A flow's port tells flows apart by all that makes them different, and by nothing else.
func TestFlowPort(t *testing.T) {
	r := newRig(t)
	base := inner(t, macA, macVirtual, a4, f4, 9)
	proto := func(b []byte, proto byte) []byte { return mutate(b, func(b []byte) { b[23] = proto }) }
	port := func(b []byte) []byte { return mutate(b, func(b []byte) { b[37]++ }) }
	for _, hook := range []string{"xdp", "tcx"} {
		of := func(b []byte) uint16 { return r.flowPort(hook, b) }
		seen := map[uint16]string{}
		for _, c := range []struct {
			name string
			in   []byte
		}{
			{"udp", base}, {"another port", port(base)}, {"tcp", proto(base, 6)}, {"sctp", proto(base, 132)}, {"udp-lite", proto(base, 136)},
			{"tcp, another port", port(proto(base, 6))}, {"sctp, another port", port(proto(base, 132))},
			{"udp-lite, another port", port(proto(base, 136))}, {"esp", proto(base, 50)},
			{"6", inner(t, macA, macVirtual, a6, f6, 9)},
		} {
			at := of(c.in)
			require.Empty(t, seen[at], "%s: %s", hook, c.name)
			seen[at] = c.name
		}
		require.Equal(t, of(proto(base, 50)), of(port(proto(base, 50))), "esp has no ports")
		short := mutate(base, func(b []byte) { b[17] = 22 }) // ends in the ports
		require.Equal(t, of(short), of(port(short)), "what follows a packet is no part of it")
		// The source counts too.
		r.allow(r.agents[0], "203.0.113.0/24")
		r.put(r.tables.Agents, uint32(r.agents[0]), TableAgent{Vni: vni, Mac: [6]byte(macA), Mtu: mtu, Flags: TableAgentFlagsAGENT_ALLOWED})
		require.NotEqual(t, of(base), of(inner(t, macA, macVirtual, unknown4, f4, 9)))
	}
}

// Transit, called for a packet between endpoints, delivers to those that are here still.
func TestLocalEndpointThatLeft(t *testing.T) {
	r := newRig(t)
	for _, p := range []*ebpf.Program{r.p.TransitXDP, r.p.TransitTCX} {
		r.resetCounters()
		act, _ := r.run(p, r.agents[0], inner(t, macA, macVirtual, a4, f4, 9))
		require.Equal(t, drop, act)
		require.Equal(t, map[TableReason]uint64{TableReasonDROP_NO_ENDPOINT: 1}, r.counters())
	}
}

// A remote endpoint of its own MAC gets that one.
func TestRemoteMAC(t *testing.T) {
	r := newRig(t)
	in := inner(t, macA, macVirtual, a4, f4, 9)
	r.endpoint(vni, f4, TableEndpoint{Host: address(far4), Mac: [6]byte(macFar)})
	r.check(packetCase{name: "mac", in: in, reason: TableReasonREASON_SEND_DIRECT,
		out: tunnel(t, host4, far4, vni, nil, mutate(sent(in), func(b []byte) { copy(b, macFar) }))})
}

// traffic is what a slot has counted.
func (r *rig) traffic(slot uint32) (sum TableTraffic) {
	var all []TableTraffic
	require.NoError(r.t, r.tables.Traffic.Lookup(slot, &all))
	for _, one := range all {
		sum.RxPackets += one.RxPackets
		sum.RxBytes += one.RxBytes
		sum.TxPackets += one.TxPackets
		sum.TxBytes += one.TxBytes
	}
	return sum
}

// Each interface counts the frames that it took and gave.
func TestTrafficIsCounted(t *testing.T) {
	r := newRig(t)
	const droplet, endpointA, endpointB = 1, 2, 3
	mine, local := inner(t, macA, macVirtual, a4, f4, 100), inner(t, macA, macVirtual, a4, b4, 100)
	theirs := inner(t, macFar, macVirtual, f4, a4, 100)
	in := tunnel(t, far4, host4, vni, nil, theirs)
	bounce := tunnel(t, bouncer4, host4, vni, rts(bouncer4, 4, false), inner(t, macFar, macVirtual, unknown4, f4, 100))
	ask := tunnel(t, far4, host4, vni, nil, arp(t, 1, macFar, broadcast, macFar, f4, make([]byte, 6), a4))
	rx := func(b []byte) TableTraffic { return TableTraffic{RxPackets: 1, RxBytes: uint64(len(b))} }
	tx := func(n int) TableTraffic { return TableTraffic{TxPackets: 1, TxBytes: uint64(n)} }
	both := func(b []byte) TableTraffic {
		return TableTraffic{RxPackets: 1, RxBytes: uint64(len(b)), TxPackets: 1, TxBytes: uint64(len(b))}
	}
	for _, c := range []struct {
		name string
		from int
		in   []byte
		want map[uint32]TableTraffic
	}{
		{"sent", 0, mine, map[uint32]TableTraffic{endpointA: tx(len(mine)), droplet: tx(len(mine) + 50)}},
		{"local", 0, local, map[uint32]TableTraffic{endpointA: tx(len(local)), endpointB: rx(local)}},
		{"delivered", -1, in, map[uint32]TableTraffic{endpointA: rx(theirs), droplet: rx(in)}},
		{"bounced", -1, bounce, map[uint32]TableTraffic{droplet: both(bounce)}},
		{"asked", -1, ask, map[uint32]TableTraffic{droplet: both(ask)}},
		{"forged", 0, inner(t, macA, macVirtual, b4, f4, 9), nil},
	} {
		for _, hook := range []string{"xdp", "tcx"} {
			for slot := range uint32(4) {
				r.put(r.tables.Traffic, slot, make([]TableTraffic, ebpf.MustPossibleCPU()))
			}
			p, ifindex := r.program(hook, c.from)
			r.run(p, ifindex, c.in)
			for slot := range uint32(4) {
				require.Equal(t, c.want[slot], r.traffic(slot), "%s %s: slot %d", hook, c.name, slot)
			}
		}
	}
}

// ICMP that is cut, split, of another kind or version, or quotes such packets, changes no path (T12).
func TestT12RareICMP(t *testing.T) {
	r := newRig(t)
	router4, router6 := netip.MustParseAddr("192.0.2.250"), netip.MustParseAddr("2001:db8:1::fa")
	ok4 := icmpTooBig(t, router4, host4, 1400, tunnel(t, host4, far4, vni, nil, inner(t, macA, macVirtual, a4, f4, 100)))
	ok6 := icmpTooBig(t, router6, host6, 1400, tunnel(t, host6, far6, vni, nil, inner(t, macA, macVirtual, a4, f4, 100)))
	const quoted4, quoted6 = 14 + 20 + 8, 14 + 40 + 8
	set := func(at int, v byte) func([]byte) { return func(b []byte) { b[at] = v } }
	mapped := func(at int, v4 netip.Addr) func([]byte) {
		return func(b []byte) { a := v4.As16(); copy(b[at:], a[:]) }
	}
	for _, c := range []struct {
		name   string
		change func([]byte)
	}{
		{"as it is", func([]byte) {}},
		{"first fragment", set(20, 0x20)},
		{"later fragment", set(21, 1)},
		{"version", set(14, 0x65)},
		{"ihl", set(14, 0x44)},
		{"no icmp", set(23, 17)},
		{"code", set(35, 3)},
		{"type", set(34, 11)},
		{"quotes a first fragment", set(quoted4+6, 0x20)},
		{"quotes a later fragment", set(quoted4+7, 1)},
		{"quotes another version", set(quoted4, 0x65)},
		{"quotes a short header", set(quoted4, 0x44)},
	} {
		r.learnsPath(c.name, mutate(ok4, c.change), far4, c.name == "as it is")
	}
	for _, c := range []struct {
		name   string
		change func([]byte)
	}{
		{"as it is", func([]byte) {}},
		{"version", set(14, 0x40)},
		{"no icmp", set(20, 17)},
		{"type", set(54, 3)},
		{"code", set(55, 1)},
		{"quotes another version", set(quoted6, 0x40)},
		{"quotes tcp", set(quoted6+6, 6)},
		{"quotes what went to a mapped address", mapped(quoted6+24, far4)},
		{"quotes what came from a mapped address", mapped(quoted6+8, host4)},
		{"to a mapped address", mapped(14+24, host4)},
	} {
		r.learnsPath(c.name+" 6", mutate(ok6, c.change), far6, c.name == "as it is")
	}
	// What is told counts for its time.
	p := r.path(far4)
	require.Zero(t, p.Mtu)
	r.run(r.p.TransitXDP, r.droplet, ok4)
	p = r.path(far4)
	require.InDelta(t, now(t)+60e9, p.Expires, 5e9)
}

// learnsPath runs ICMP in both programs, and tells whether any path changed.
func (r *rig) learnsPath(name string, in []byte, host netip.Addr, want bool) {
	r.t.Helper()
	hosts := []netip.Addr{far4, far6}
	for _, hook := range []string{"xdp", "tcx"} {
		for _, h := range hosts {
			r.put(r.tables.Paths, address(h), TablePath{Refreshed: 1, Host: address(h)})
		}
		p, ifindex := r.program(hook, -1)
		act, _ := r.run(p, ifindex, in)
		require.Equal(r.t, pass, act, "%s %s", hook, name)
		for _, h := range hosts {
			require.Equal(r.t, want && h == host, r.path(h).Mtu != 0, "%s %s: %v", hook, name, h)
		}
	}
	for _, h := range hosts {
		r.put(r.tables.Paths, address(h), TablePath{Refreshed: 1, Host: address(h)})
	}
}

// Flows spread over a set's members, each by one of them, and by the same in either program.
func TestFlowsSpread(t *testing.T) {
	r := newRig(t)
	r.set(1, 0, bouncer4, divider4)
	seen := map[netip.Addr]int{}
	for i := range 64 {
		in := mutate(inner(t, macA, macVirtual, a4, unknown4, 9), func(b []byte) { b[35] = byte(i) })
		var to [2]netip.Addr
		for n, hook := range []string{"xdp", "tcx"} {
			p, ifindex := r.program(hook, 0)
			act, out := r.run(p, ifindex, in)
			require.Equal(t, transmit, act)
			to[n] = netip.AddrFrom4([4]byte(out[30:34]))
		}
		require.Equal(t, to[0], to[1])
		seen[to[0]]++
	}
	require.Len(t, seen, 2)
	require.Greater(t, min(seen[bouncer4], seen[divider4]), 10)
}
