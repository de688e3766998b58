// SPDX-License-Identifier: Apache-2.0

// Package packet makes and reads packets for tests. Only tests import it.
//
// A fixture is written as the packet is on the wire, outermost header first:
//
//	packet.Eth(src, dst).IPv4(a, b).UDP(49152, 6081).Geneve(7, packet.RTS(a, 4)).
//		Eth(mac1, mac2).VLAN(9).IPv6(c, d, packet.TTL(1)).TCP(1000, 80, packet.TCPFlags(packet.SYN)).Payload(100)
//
// Types, protocols, lengths and checksums are computed, unless a field given to a header says otherwise:
// that field is then wrong alone. [Packet.With], [Packet.Outer] and [Packet.Inner] do the same to a packet
// that is made already, so that a table of mutations starts from one that is valid. A [Packet] is a value:
// every call returns another one, and what it was called on stays good for the next case.
//
// [Decode] reads a packet with gopacket, which shares no code with the builder or the library, and
// [Decoded.Verify] checks every length and checksum in it. [Diff] says where two packets differ.
//
// Nothing here holds a resource or needs a kernel or a capability. Addresses come from the ranges kept for
// documentation: [Host4], [Endpoint4], [Other4] and their twins for IPv6, and [MAC].
package packet
