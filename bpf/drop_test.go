// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// droppedTunnels are tunnel packets: each is a good one, but for one thing.
func droppedTunnels(t testing.TB) []packetCase {
	in := inner(t, macFar, macVirtual, f4, a4, 100)
	in6 := inner(t, macFar, macVirtual, f6, a6, 100)
	tun := tunnel(t, far4, host4, vni, nil, in)
	tun6 := tunnel(t, far6, host6, vni, nil, in6)
	opt := tunnel(t, bouncer4, host4, vni, rts(far4, 4, false), in)
	const geneve = 14 + 20 + 8
	set := func(off int, v byte) func([]byte) { return func(b []byte) { b[off] = v } }
	all := []packetCase{
		{name: "outer short", in: tun[:geneve+4], reason: TableReasonDROP_OUTER_LENGTH},
		{name: "outer total length", in: mutate(tun, set(16, 0xff)), reason: TableReasonDROP_OUTER_LENGTH},
		{name: "outer udp length", in: mutate(tun, set(14+20+4, 0xff)), reason: TableReasonDROP_OUTER_LENGTH},
		{name: "outer udp too short", in: mutate(tun, func(b []byte) { b[38], b[39] = 0, 7 }), reason: TableReasonDROP_OUTER_LENGTH},
		{name: "outer ends in geneve", in: mutate(tun, func(b []byte) { b[38], b[39] = 0, 15 }), reason: TableReasonDROP_OUTER_SHORT},
		{name: "outer ends in geneve of another version", in: mutate(tun, func(b []byte) { b[38], b[39], b[geneve] = 0, 15, 0x40 }), reason: TableReasonDROP_OUTER_SHORT},
		{name: "outer fragment", in: mutate(tun, set(20, 0x20)), reason: TableReasonDROP_OUTER_FRAGMENT},
		{name: "outer source own", in: tunnel(t, host4, host4, vni, nil, in), reason: TableReasonDROP_OUTER_SOURCE},
		{name: "outer source multicast", in: tunnel(t, netip.MustParseAddr("224.0.0.9"), host4, vni, nil, in), reason: TableReasonDROP_OUTER_SOURCE},
		{name: "no peer", in: tunnel(t, stranger4, host4, vni, nil, in), reason: TableReasonDROP_PEER},
		{name: "version", in: mutate(tun, set(geneve, 0x40)), reason: TableReasonDROP_GENEVE_VERSION},
		{name: "control", in: mutate(tun, set(geneve+1, 0x80)), reason: TableReasonDROP_GENEVE_CONTROL},
		{name: "protocol", in: mutate(tun, set(geneve+2, 0x08)), reason: TableReasonDROP_GENEVE_PROTOCOL},
		{name: "options beyond", in: mutate(tun, set(geneve, 0x3f)), reason: TableReasonDROP_OUTER_SHORT},
		{name: "option length", in: mutate(opt, set(geneve+8+3, 0x1f)), reason: TableReasonDROP_OPTION_LENGTH},
		{name: "option critical", in: mutate(opt, set(geneve+8+2, 0xee)), reason: TableReasonDROP_OPTION_CRITICAL},
		{name: "option critical of others", in: mutate(opt, func(b []byte) { b[geneve+8], b[geneve+10] = 1, 0x81 }), reason: TableReasonDROP_OPTION_CRITICAL},
		{name: "rts hops", in: mutate(opt, set(geneve+8+4, 5)), reason: TableReasonDROP_OPTION_RTS},
		{name: "rts bad host", in: tunnel(t, far4, host4, vni, rts(netip.MustParseAddr("0.0.0.0"), 4, false), in), reason: TableReasonDROP_OPTION_RTS},
		{name: "rts twice", in: tunnel(t, far4, host4, vni, append(rts(far4, 4, false), rts(far4, 4, false)...), in), reason: TableReasonDROP_OPTION_RTS},
		{name: "rts size", in: tunnel(t, far4, host4, vni, []byte{class >> 8, class & 0xff, 1, 1, 0, 0, 0, 0}, in), reason: TableReasonDROP_OPTION_RTS},
		{name: "ecn", in: mutate(tun, func(b []byte) { b[15] = 3 }), reason: TableReasonDROP_ECN},
		{name: "inner empty", in: tunnel(t, far4, host4, vni, nil, in[:10]), reason: TableReasonDROP_INNER_SHORT},
		{name: "inner ends in ipv4", in: tunnel(t, far4, host4, vni, nil, in[:14+19]), reason: TableReasonDROP_INNER_SHORT},
		{name: "inner ends in ipv6", in: tunnel(t, far4, host4, vni, nil, in6[:14+39]), reason: TableReasonDROP_INNER_SHORT},
		{name: "inner ethertype", in: tunnel(t, far4, host4, vni, nil, mutate(in, set(12, 0x88))), reason: TableReasonDROP_INNER_ETHERTYPE},
		{name: "inner version", in: tunnel(t, far4, host4, vni, nil, mutate(in, set(14, 0x55))), reason: TableReasonDROP_INNER_IPV4},
		{name: "inner ihl", in: tunnel(t, far4, host4, vni, nil, mutate(in, set(14, 0x44))), reason: TableReasonDROP_INNER_IPV4},
		{name: "inner ihl beyond", in: tunnel(t, far4, host4, vni, nil, mutate(in, func(b []byte) { b[14], b[16], b[17] = 0x4f, 0, 40 })), reason: TableReasonDROP_INNER_IPV4},
		{name: "inner total", in: tunnel(t, far4, host4, vni, nil, mutate(in, set(16, 9))), reason: TableReasonDROP_INNER_IPV4},
		{name: "inner v6 version", in: tunnel(t, far4, host4, vni, nil, mutate(in6, set(14, 0x50))), reason: TableReasonDROP_INNER_IPV6},
		{name: "inner v6 length", in: tunnel(t, far4, host4, vni, nil, mutate(in6, set(18, 9))), reason: TableReasonDROP_INNER_IPV6},
		{name: "inner mapped", in: tunnel(t, far4, host4, vni, nil, mutate(in6, func(b []byte) {
			m := netip.AddrFrom16(a4.As16()).As16()
			copy(b[14+24:], m[:])
		})), reason: TableReasonDROP_INNER_MAPPED},
		{name: "inner extension", in: tunnel(t, far4, host4, vni, nil, mutate(in6, func(b []byte) { b[14+6], b[54], b[55] = 0, 17, 0xff })), reason: TableReasonDROP_INNER_EXTENSION},
		{name: "inner extensions", in: tunnel(t, far4, host4, vni, nil, mutate(in6, func(b []byte) {
			b[14+6] = 60
			for i := range 12 {
				b[54+i*8], b[55+i*8] = 60, 0
			}
		})), reason: TableReasonDROP_INNER_EXTENSION},
		{name: "inner source bad", in: tunnel(t, far4, host4, vni, nil, inner(t, macFar, macVirtual, netip.MustParseAddr("127.0.0.1"), a4, 9)), reason: TableReasonDROP_INNER_ADDRESS},
		{name: "inner multicast", in: tunnel(t, far4, host4, vni, nil, inner(t, macFar, macVirtual, f4, netip.MustParseAddr("224.0.0.1"), 9)), reason: TableReasonDROP_MULTICAST},
		{name: "source elsewhere", in: tunnel(t, bouncer4, host4, vni, nil, in), reason: TableReasonDROP_SOURCE_HOST},
		{name: "source is here", in: tunnel(t, far4, host4, vni, nil, inner(t, macFar, macVirtual, b4, a4, 9)), reason: TableReasonDROP_SOURCE_HOST},
		{name: "no vpc", in: tunnel(t, far4, host4, 99, rts(far4, 4, false), in), reason: TableReasonDROP_NO_VPC},
		{name: "hops", in: tunnel(t, bouncer4, host4, vni, rts(bouncer4, 0, false), inner(t, macFar, macVirtual, unknown4, f4, 9)), reason: TableReasonDROP_HOPS},
		{name: "loop", in: tunnel(t, far4, host4, vni, rts(far4, 4, false), inner(t, macFar, macVirtual, unknown4, f4, 9)), reason: TableReasonDROP_LOOP},
		{name: "black hole", in: tunnel(t, far4, host4, vni, rts(far4, 4, false), inner(t, macFar, macVirtual, f4, hole4, 9)), reason: TableReasonDROP_BLACKHOLE},
		{name: "return not ours", in: tunnel(t, far4, host4, vni, rts(far4, 4, true), inner(t, macA, macVirtual, unknown4, f4, 9)), reason: TableReasonDROP_RETURN},
		{name: "return of another host's", in: tunnel(t, far4, host4, vni, rts(far4, 4, true), inner(t, macA, macVirtual, f4, unknown4, 9)), reason: TableReasonDROP_RETURN},
		{name: "return by another", in: tunnel(t, bouncer4, host4, vni, rts(far4, 4, true), inner(t, macA, macVirtual, a4, unknown4, 9)), reason: TableReasonDROP_RETURN},
		{name: "outer source loopback", in: tunnel(t, netip.MustParseAddr("127.0.0.1"), host4, vni, nil, in), reason: TableReasonDROP_OUTER_SOURCE},
		{name: "rts multicast host", in: tunnel(t, far4, host4, vni, rts(netip.MustParseAddr("224.0.0.9"), 4, false), in), reason: TableReasonDROP_OPTION_RTS},
		// The datagram ends in a header; what follows in the frame is no part of it.
		{name: "ends in inner ethernet", in: udpEnd(mutate(tun, set(62, 0x88)), 16+13), reason: TableReasonDROP_INNER_SHORT},
		{name: "ends in inner tag", in: udpEnd(tunnel(t, far4, host4, vni, nil, tagged(in, 0x8100, 5, 6)), 16+17), reason: TableReasonDROP_INNER_SHORT},
		{name: "ends in inner ipv4", in: udpEnd(mutate(tun, set(64, 0x55)), 16+33), reason: TableReasonDROP_INNER_SHORT},
		{name: "ends in inner ipv6", in: udpEnd(mutate(tunnel(t, far4, host4, vni, nil, in6), set(64, 0x55)), 16+53), reason: TableReasonDROP_INNER_SHORT},
		{name: "ends in inner arp", in: udpEnd(tunnel(t, far4, host4, vni, nil, arp(t, 1, macFar, broadcast, macFar, f4, make([]byte, 6), a4)), 16+14+27), reason: TableReasonDROP_INNER_SHORT},
		{name: "ends in a fragment header", in: tunnel(t, far4, host4, vni, nil, mutate(behindHeader(in6, 44), func(b []byte) {
			b[18], b[19], b[56] = 0, 4, 0x10
		})), reason: TableReasonDROP_INNER_EXTENSION},
		{name: "inner mapped source", in: tunnel(t, far4, host4, vni, nil, mutate(in6, func(b []byte) { m := f4.As16(); copy(b[14+8:], m[:]) })), reason: TableReasonDROP_INNER_MAPPED},
		{name: "inner source multicast", in: tunnel(t, far4, host4, vni, nil, inner(t, macFar, macVirtual, netip.MustParseAddr("224.0.0.1"), a4, 9)), reason: TableReasonDROP_INNER_ADDRESS},
		{name: "inner destination loopback", in: tunnel(t, far4, host4, vni, nil, inner(t, macFar, macVirtual, f4, netip.MustParseAddr("127.0.0.1"), 9)), reason: TableReasonDROP_INNER_ADDRESS},
		{name: "inner destination unspecified", in: tunnel(t, far4, host4, vni, nil, inner(t, macFar, macVirtual, f6, netip.IPv6Unspecified(), 9)), reason: TableReasonDROP_INNER_ADDRESS},
		{name: "v6 outer length", in: mutate(tun6, set(18, 9)), reason: TableReasonDROP_OUTER_LENGTH},
		{name: "no set", prepare: func(r *rig) { require.NoError(r.t, r.tables.Sets.Delete(uint32(3))) },
			in: tunnel(t, far4, host4, vni, rts(far4, 4, false), inner(t, macFar, macVirtual, f4, elsewhere4, 9)), reason: TableReasonDROP_SET},
	}
	for i := range all {
		all[i].from = -1
	}
	return all
}

// udpEnd says that a tunnel packet's datagram is so long.
func udpEnd(b []byte, length byte) []byte {
	return mutate(b, func(b []byte) { b[38], b[39] = 0, length })
}

// droppedFrames are what an endpoint sends.
func droppedFrames(t testing.TB) []packetCase {
	ok := inner(t, macA, macVirtual, a4, f4, 100)
	ok6 := inner(t, macA, macVirtual, a6, f6, 100)
	set := func(off int, v byte) func([]byte) { return func(b []byte) { b[off] = v } }
	return []packetCase{
		{name: "mac", in: mutate(ok, set(11, 9)), reason: TableReasonDROP_SPOOF_MAC},
		{name: "address", in: inner(t, macA, macVirtual, b4, f4, 9), reason: TableReasonDROP_SPOOF_ADDRESS},
		{name: "address 6", in: inner(t, macA, macVirtual, b6, f6, 9), reason: TableReasonDROP_SPOOF_ADDRESS},
		{name: "broadcast", in: mutate(ok, func(b []byte) { copy(b, []byte{255, 255, 255, 255, 255, 255}) }), reason: TableReasonDROP_MULTICAST},
		{name: "multicast 6", in: inner(t, macA, macVirtual, a6, netip.MustParseAddr("ff02::1"), 9), reason: TableReasonDROP_MULTICAST},
		{name: "llc", in: mutate(ok, func(b []byte) { b[12], b[13] = 0, 50 }), reason: TableReasonDROP_INNER_ETHERTYPE},
		{name: "black hole", in: inner(t, macA, macVirtual, a4, hole4, 9), reason: TableReasonDROP_BLACKHOLE},
		{name: "short", only: "xdp" /* a run makes no such skb */, in: ok[:20], reason: TableReasonDROP_INNER_SHORT},
		{name: "kind", in: ok, reason: TableReasonDROP_KIND, prepare: func(r *rig) {
			r.put(r.tables.Endpoints, TableEndpointKey{Vni: vni, Addr: address(f4)}, TableEndpoint{Kind: 99})
		}},
		{name: "no route", in: ok6, reason: TableReasonDROP_NO_ROUTE, prepare: func(r *rig) {
			r.endpoint(vni, f6, TableEndpoint{Host: address(netip.MustParseAddr("2001:db8:ffff::1"))})
		}},
		{name: "loop", in: ok, reason: TableReasonDROP_LOOP, prepare: func(r *rig) {
			r.endpoint(vni, f4, TableEndpoint{Host: address(host4)})
		}},
		{name: "tenant", in: ok, reason: TableReasonDROP_TENANT, prepare: func(r *rig) {
			r.endpoint(vni, f4, TableEndpoint{Ifindex: uint32(r.agents[2])})
		}},
	}
}

func TestPacketsDropped(t *testing.T) {
	r := newRig(t)
	r.table(droppedTunnels(t))
	r.table(droppedFrames(t))
}
