// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"net"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/require"
)

var broadcast = net.HardwareAddr{255, 255, 255, 255, 255, 255}

func arp(t testing.TB, op uint16, ethSource, ethDest, sender net.HardwareAddr, from netip.Addr, target net.HardwareAddr, to netip.Addr) []byte {
	return frame(t, &layers.Ethernet{SrcMAC: ethSource, DstMAC: ethDest, EthernetType: layers.EthernetTypeARP},
		&layers.ARP{AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6,
			ProtAddressSize: 4, Operation: op, SourceHwAddress: sender, SourceProtAddress: from.AsSlice(),
			DstHwAddress: target, DstProtAddress: to.AsSlice()})
}

func discovery(t testing.TB, ethSource net.HardwareAddr, src, dst netip.Addr, hop byte, typ uint8, message gopacket.SerializableLayer) []byte {
	ip := &layers.IPv6{Version: 6, HopLimit: hop, NextHeader: layers.IPProtocolICMPv6, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
	icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(typ, 0)}
	require.NoError(t, icmp.SetNetworkLayerForChecksum(ip))
	return frame(t, &layers.Ethernet{SrcMAC: ethSource, DstMAC: net.HardwareAddr{0x33, 0x33, 0xff, 0, 0, 0x10},
		EthernetType: layers.EthernetTypeIPv6}, ip, icmp, message)
}

func solicit(t testing.TB, src, target netip.Addr, link net.HardwareAddr) []byte {
	m := &layers.ICMPv6NeighborSolicitation{TargetAddress: target.AsSlice()}
	if link != nil {
		m.Options = layers.ICMPv6Options{{Type: layers.ICMPv6OptSourceAddress, Data: link}}
	}
	return discovery(t, macA, src, netip.MustParseAddr("ff02::1:ff00:10"), 255, 135, m)
}

// advert is what answers a solicitation.
func advert(t testing.TB, ethSource, to net.HardwareAddr, target, dst netip.Addr, flags uint8) []byte {
	ip := &layers.IPv6{Version: 6, HopLimit: 255, NextHeader: layers.IPProtocolICMPv6, SrcIP: target.AsSlice(), DstIP: dst.AsSlice()}
	icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(136, 0)}
	require.NoError(t, icmp.SetNetworkLayerForChecksum(ip))
	return frame(t, &layers.Ethernet{SrcMAC: ethSource, DstMAC: to, EthernetType: layers.EthernetTypeIPv6}, ip, icmp,
		&layers.ICMPv6NeighborAdvertisement{Flags: flags, TargetAddress: target.AsSlice(),
			Options: layers.ICMPv6Options{{Type: layers.ICMPv6OptTargetAddress, Data: ethSource}}})
}

// neighbourPackets are ARP and neighbour discovery, of an endpoint and of a plain Geneve peer.
func neighbourPackets(t testing.TB) []packetCase {
	zero := make(net.HardwareAddr, 6)
	zero4, zero6 := netip.IPv4Unspecified(), netip.IPv6Unspecified()
	ask := arp(t, 1, macA, broadcast, macA, a4, zero, f4)
	ns := solicit(t, a6, f6, macA)
	local := netip.MustParseAddr("fe80::1")
	options := func(b []byte, n int) []byte { // so many nonces more
		c := append([]byte(nil), b...)
		for range n {
			c = append(c, 14, 1, 0, 0, 0, 0, 0, 0)
		}
		c[19] += byte(8 * n)
		return c
	}
	ra := &layers.ICMPv6RouterAdvertisement{HopLimit: 64, RouterLifetime: 1800}
	return []packetCase{
		{name: "arp", in: ask, reason: TableReasonREASON_ANSWER, out: arp(t, 2, macVirtual, macA, macVirtual, f4, macA, a4)},
		{name: "arp for nobody", in: arp(t, 1, macA, broadcast, macA, a4, zero, elsewhere4), reason: TableReasonREASON_ANSWER,
			out: arp(t, 2, macVirtual, macA, macVirtual, elsewhere4, macA, a4)},
		{name: "arp probe of its own", in: arp(t, 1, macA, broadcast, macA, zero4, zero, a4), reason: TableReasonDROP_NEIGHBOUR_UNUSED},
		{name: "arp gratuitous", in: arp(t, 1, macA, broadcast, macA, a4, zero, a4), reason: TableReasonDROP_NEIGHBOUR_UNUSED},
		{name: "arp reply", in: arp(t, 2, macA, broadcast, macA, a4, zero, f4), reason: TableReasonDROP_NEIGHBOUR_UNUSED},
		{name: "arp sender", in: arp(t, 1, macA, broadcast, macA, b4, zero, f4), reason: TableReasonDROP_SPOOF_NEIGHBOUR},
		{name: "arp sender mac", in: arp(t, 1, macA, broadcast, macB, a4, zero, f4), reason: TableReasonDROP_SPOOF_NEIGHBOUR},
		{name: "arp ethernet source", in: arp(t, 1, macB, broadcast, macA, a4, zero, f4), reason: TableReasonDROP_SPOOF_MAC},
		{name: "arp of another kind", in: mutate(ask, func(b []byte) { b[15] = 6 }), reason: TableReasonDROP_ARP},
		{name: "arp for another protocol", in: mutate(ask, func(b []byte) { b[16] = 9 }), reason: TableReasonDROP_ARP},
		{name: "arp operation", in: mutate(ask, func(b []byte) { b[21] = 3 }), reason: TableReasonDROP_ARP},
		{name: "arp short", in: ask[:14+27], reason: TableReasonDROP_INNER_SHORT},
		{name: "nd", in: ns, reason: TableReasonREASON_ANSWER, out: advert(t, macVirtual, macA, f6, a6, 0x60)},
		{name: "nd probe of its own", in: solicit(t, zero6, a6, nil), reason: TableReasonDROP_NEIGHBOUR_UNUSED},
		{name: "nd probe of another's", in: solicit(t, zero6, b6, nil), reason: TableReasonREASON_ANSWER,
			out: advert(t, macVirtual, macA, b6, netip.MustParseAddr("ff02::1"), 0x20)},
		{name: "nd source", in: solicit(t, b6, f6, macA), reason: TableReasonDROP_SPOOF_NEIGHBOUR},
		{name: "nd link address", in: solicit(t, a6, f6, macB), reason: TableReasonDROP_SPOOF_NEIGHBOUR},
		{name: "nd hop limit", in: mutate(ns, func(b []byte) { b[21] = 64 }), reason: TableReasonDROP_NEIGHBOUR},
		{name: "nd option length", in: mutate(ns, func(b []byte) { b[14+40+24+1] = 0 }), reason: TableReasonDROP_NEIGHBOUR},
		{name: "nd option beyond", in: mutate(ns, func(b []byte) { b[14+40+24+1] = 9 }), reason: TableReasonDROP_SPOOF_NEIGHBOUR},
		{name: "nd code", in: mutate(ns, func(b []byte) { b[14+41] = 1 }), reason: TableReasonDROP_NEIGHBOUR},
		{name: "nd multicast target", in: mutate(ns, func(b []byte) { b[14+48] = 0xff }), reason: TableReasonDROP_NEIGHBOUR},
		{name: "nd mapped target", in: mutate(ns, func(b []byte) { m := f4.As16(); copy(b[14+48:], m[:]) }), reason: TableReasonDROP_NEIGHBOUR},
		{name: "nd ends in the target", in: mutate(ns, func(b []byte) { b[19] = 20 }), reason: TableReasonDROP_INNER_SHORT},
		{name: "icmp without a type", in: mutate(ns, func(b []byte) { b[19], b[54] = 0, 128 }), reason: TableReasonDROP_INNER_SHORT},
		{name: "nd long link address", in: mutate(append(ns[:len(ns):len(ns)], make([]byte, 8)...), func(b []byte) { b[19] += 8; b[79] = 2 }),
			reason: TableReasonDROP_SPOOF_NEIGHBOUR},
		{name: "nd options", in: options(ns, 3), reason: TableReasonREASON_ANSWER, out: advert(t, macVirtual, macA, f6, a6, 0x60)},
		{name: "nd too many options", in: options(ns, 4), reason: TableReasonDROP_NEIGHBOUR},
		{name: "nd from a link-local address", in: solicit(t, local, f6, macA), reason: TableReasonREASON_ANSWER,
			out: advert(t, macVirtual, macA, f6, local, 0x60)},
		{name: "nd for a link-local address", in: solicit(t, a6, local, macA), reason: TableReasonDROP_NEIGHBOUR_UNUSED},
		{name: "na of another's", in: discovery(t, macA, a6, f6, 255, 136, &layers.ICMPv6NeighborAdvertisement{TargetAddress: b6.AsSlice()}), reason: TableReasonDROP_SPOOF_NEIGHBOUR},
		{name: "na of its own", in: discovery(t, macA, a6, f6, 255, 136, &layers.ICMPv6NeighborAdvertisement{TargetAddress: a6.AsSlice()}), reason: TableReasonDROP_NEIGHBOUR_UNUSED},
		{name: "ra", in: discovery(t, macA, a6, f6, 255, 134, ra), reason: TableReasonDROP_ROUTER_ADVERT},
		{name: "ra behind a header", in: mutate(discovery(t, macA, a6, f6, 255, 134, ra), func(b []byte) {
			// An extension header that the ICMP message then hides behind.
			copy(b[14+48:], append([]byte(nil), b[14+40:14+48]...))
			b[14+6] = 60
			copy(b[14+40:], []byte{58, 0, 1, 4, 0, 0, 0, 0})
		}), reason: TableReasonDROP_NEIGHBOUR},
		{name: "redirect", in: discovery(t, macA, a6, f6, 255, 137, &layers.ICMPv6Redirect{TargetAddress: b6.AsSlice(), DestinationAddress: f6.AsSlice()}), reason: TableReasonDROP_ROUTER_ADVERT},
		{name: "rs", in: discovery(t, macA, a6, netip.MustParseAddr("ff02::2"), 255, 133, &layers.ICMPv6RouterSolicitation{}), reason: TableReasonDROP_NEIGHBOUR_UNUSED},
		// A plain Geneve peer asks.
		{name: "arp from a peer", from: -1, in: tunnel(t, far4, host4, vni, nil, arp(t, 1, macFar, broadcast, macFar, f4, zero, a4)),
			reason: TableReasonREASON_ANSWER, out: tunnel(t, host4, far4, vni, nil, arp(t, 2, macA, macFar, macA, a4, macFar, f4))},
		{name: "arp from a peer for nobody", from: -1, in: tunnel(t, far4, host4, vni, nil, arp(t, 1, macFar, broadcast, macFar, f4, zero, unknown4)),
			reason: TableReasonDROP_NO_ENDPOINT},
		{name: "arp reply from a peer", from: -1, in: tunnel(t, far4, host4, vni, nil, arp(t, 2, macFar, macA, macFar, f4, macA, a4)),
			reason: TableReasonDROP_NEIGHBOUR_UNUSED},
		{name: "arp bounced", from: -1, in: tunnel(t, far4, host4, vni, rts(far4, 4, false), arp(t, 1, macFar, broadcast, macFar, f4, zero, a4)),
			reason: TableReasonDROP_NEIGHBOUR_UNUSED},
		{name: "nd bounced", from: -1, in: tunnel(t, far4, host4, vni, rts(far4, 4, false), solicit(t, f6, a6, macA)),
			reason: TableReasonDROP_NEIGHBOUR_UNUSED},
		{name: "na from a peer", from: -1, reason: TableReasonDROP_NEIGHBOUR_UNUSED, in: tunnel(t, far4, host4, vni, nil,
			discovery(t, macFar, f6, a6, 255, 136, &layers.ICMPv6NeighborAdvertisement{TargetAddress: a6.AsSlice()}))},
		{name: "nd from a peer", from: -1, in: tunnel(t, far6, host6, vni, nil, solicit(t, f6, a6, macA)),
			reason: TableReasonREASON_ANSWER, out: tunnel(t, host6, far6, vni, nil, advert(t, macA, macA, a6, f6, 0x60))},
		{name: "ra from a peer", from: -1, in: tunnel(t, far4, host4, vni, nil, discovery(t, macFar, f6, a6, 255, 134, ra)),
			reason: TableReasonDROP_ROUTER_ADVERT},
	}
}

func TestNeighbours(t *testing.T) { newRig(t).table(neighbourPackets(t)) }
