// SPDX-License-Identifier: Apache-2.0

package packet_test

import "github.com/mizar-go/mizar/internal/packet"

// Endpoints' frames, without their L4.
func frame4() packet.Packet {
	return packet.Eth(packet.MAC(1), packet.MAC(2)).IPv4(packet.Endpoint4(1), packet.Endpoint4(2))
}

func frame6() packet.Packet {
	return packet.Eth(packet.MAC(1), packet.MAC(2)).IPv6(packet.Endpoint6(1), packet.Endpoint6(2))
}

func tunnel4(fields ...packet.GeneveField) packet.Packet {
	return packet.Eth(packet.MAC(3), packet.MAC(4)).Tunnel(packet.Host4(1), packet.Host4(2), 7, fields...)
}

func tunnel6(fields ...packet.GeneveField) packet.Packet {
	return packet.Eth(packet.MAC(3), packet.MAC(4)).Tunnel(packet.Host6(1), packet.Host6(2), 7, fields...)
}

func solicit(fields ...packet.ICMPField) packet.Packet {
	to := packet.SolicitedNode(packet.Endpoint6(2))
	return packet.Eth(packet.MAC(1), packet.MulticastMAC(to)).
		IPv6(packet.Endpoint6(1), to).
		NeighbourSolicit(packet.Endpoint6(2), append([]packet.ICMPField{packet.SourceLink(packet.MAC(1))}, fields...)...)
}

// valid are packets with nothing wrong about them.
var valid = []struct {
	name string
	p    packet.Packet
}{
	{"udp4", frame4().UDP(1000, 2000).Payload(100)},
	{"udp6", frame6().UDP(1000, 2000).Payload(101)},
	{"udp without payload", frame4().UDP(1000, 2000)},
	{"tcp4", frame4().TCP(1000, 80, packet.TCPFlags(packet.SYN), packet.TCPOptions(2, 4, 5, 180)).Payload(0)},
	{"tcp6", frame6().TCP(1000, 80).Payload(1400)},
	{"sctp4", frame4().SCTP(1000, 2000).Payload(16)},
	{"sctp6", frame6().SCTP(1000, 2000).Payload(16)},
	{"ping4", frame4().Echo(1, 2).Payload(56)},
	{"ping reply4", frame4().EchoReply(1, 2).Payload(56)},
	{"ping6", frame6().Echo6(1, 2).Payload(56)},
	{"ping reply6", frame6().EchoReply6(1, 2).Payload(57)},
	{"options", frame4().With(packet.IPOptions(0x94, 4, 0, 0)).UDP(1000, 2000).Payload(8)},
	{"too big4", frame4().FragmentationNeeded(1400).Quote(frame4().UDP(1, 2).Payload(2000), 28)},
	{"too big6", frame6().PacketTooBig(1400).Quote(tunnel6().Packet(frame4().UDP(1, 2)), 1232)},
	{"unreachable4", frame4().ICMP(3, 1).Quote(frame4().TCP(1, 2), 28)},
	{"unreachable6", frame6().ICMPv6(1, 4).Quote(frame6().TCP(1, 2), 1232)},
	{"4 in 4 without a tunnel", frame4().IPv4(packet.Other4(1), packet.Other4(2)).UDP(1, 2)},
	{"6 in 4 without a tunnel", frame4().IPv6(packet.Other6(1), packet.Other6(2)).UDP(1, 2)},
	{"vlan", packet.Eth(packet.MAC(1), packet.MAC(2)).VLAN(9, packet.VLANPriority(3)).
		IPv4(packet.Endpoint4(1), packet.Endpoint4(2)).UDP(1000, 2000).Payload(8)},
	{"two tags", packet.Eth(packet.MAC(1), packet.MAC(2)).VLAN(9, packet.TPID(packet.TypeQinQ)).VLAN(10).
		IPv6(packet.Endpoint6(1), packet.Endpoint6(2)).UDP(1000, 2000).Payload(8)},
	{"snap", packet.Eth(packet.MAC(1), packet.MAC(2)).SNAP().
		IPv4(packet.Endpoint4(1), packet.Endpoint4(2)).UDP(1000, 2000).Payload(8)},
	{"arp request", packet.Eth(packet.MAC(1), packet.Broadcast(), packet.Padding(18)).
		ARPRequest(packet.MAC(1), packet.Endpoint4(1), packet.Endpoint4(2))},
	{"arp reply", packet.Eth(packet.MAC(2), packet.MAC(1)).
		ARPReply(packet.MAC(2), packet.Endpoint4(2), packet.MAC(1), packet.Endpoint4(1))},
	{"solicit", solicit()},
	{"advert", frame6().NeighbourAdvert(packet.Endpoint6(1), packet.TargetLink(packet.MAC(1)))},
	{"router solicit", frame6().RouterSolicit()},
	{"router advert", frame6().RouterAdvert(packet.SourceLink(packet.MAC(1)))},
	{"redirect", frame6().Redirect(packet.Endpoint6(3), packet.Other6(1))},
	{"extensions", frame6().HopByHop().DestinationOptions().Routing(4).AH().DestinationOptions().TCP(1, 2).Payload(9)},
	{"whole in a fragment header", frame6().Fragment(0, false, 5).UDP(1, 2).Payload(8)},
	{"first fragment4", frame4().With(packet.MoreFragments(), packet.ID(5)).UDP(1, 2).Payload(1400)},
	{"later fragment4", frame4().With(packet.FragmentOffset(1408), packet.ID(5), packet.Protocol(packet.ProtocolUDP)).Payload(99)},
	{"later fragment6", frame6().Fragment(1408, true, 5, packet.ExtensionNext(packet.ProtocolUDP)).Payload(96)},
	{"unknown protocol", frame4().Payload(8)},
	{"nothing in IPv4", frame4()},
	{"unknown ethertype", packet.Eth(packet.MAC(1), packet.MAC(2)).Payload(50)},
	{"padded", packet.Eth(packet.MAC(1), packet.MAC(2), packet.Padding(10)).
		IPv4(packet.Endpoint4(1), packet.Endpoint4(2)).UDP(1, 2).Payload(8)},
	{"4 in 4", tunnel4().Packet(frame4().UDP(1000, 2000).Payload(100))},
	{"6 in 4", tunnel4().Packet(frame6().TCP(1000, 80).Payload(100))},
	{"4 in 6", tunnel6().Packet(frame4().Echo(1, 2).Payload(100))},
	{"6 in 6", tunnel6(packet.RTS(packet.Host6(1), 4)).Packet(solicit())},
	{"summed tunnel", tunnel6().Outer(packet.Checksummed()).Packet(frame4().UDP(1000, 2000))},
	{"return-to-sender", tunnel4(packet.RTS(packet.Host4(1), 4)).Packet(frame4().UDP(1000, 2000).Payload(100))},
	{"coming back", tunnel4(packet.CriticalRTS(packet.Host4(1), 4)).Packet(frame4().UDP(1000, 2000).Payload(100))},
	{"other options", tunnel4(packet.Option(0x0102, 3, 1, 2, 3, 4, 5), packet.RTS(packet.Host4(1), 4)).
		Packet(frame4().UDP(1000, 2000))},
	{"tag inside", tunnel4().Eth(packet.MAC(1), packet.MAC(2)).VLAN(9).
		IPv6(packet.Endpoint6(1), packet.Endpoint6(2)).Echo6(1, 1)},
	{"padded inside", tunnel4().Packet(frame4().With(packet.Padding(18)).UDP(1, 2))},
	{"vxlan inside", tunnel4().Packet(frame4().UDP(1000, 4789).VXLAN(9).Packet(frame4().TCP(1, 2)))},
}
