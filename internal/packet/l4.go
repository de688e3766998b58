// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"fmt"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

func (f *Frame) decodeL4() error {
	f.l4 = f.Payload
	if f.Fragment != nil && f.Fragment.Offset != 0 {
		return nil
	}
	switch f.Protocol {
	case ProtocolUDP:
		f.UDP = new(layers.UDP)
		err := f.decodeUDP()
		f.Payload = f.UDP.Payload
		return err
	case ProtocolTCP:
		f.TCP = new(layers.TCP)
		err := decode(f.TCP, f.l4)
		f.Payload = f.TCP.Payload
		return err
	case ProtocolSCTP:
		f.SCTP = new(layers.SCTP)
		err := decode(f.SCTP, f.l4)
		f.Payload = f.SCTP.Payload
		return err
	case ProtocolICMP:
		f.ICMP = new(layers.ICMPv4)
		err := decode(f.ICMP, f.l4)
		f.Payload = f.ICMP.Payload
		return err
	case ProtocolICMPv6:
		return f.decodeICMPv6()
	}
	return nil
}

// decodeUDP allows a first fragment to be shorter than the datagram.
func (f *Frame) decodeUDP() error {
	if f.partial() {
		return f.UDP.DecodeFromBytes(f.l4, gopacket.NilDecodeFeedback)
	}
	return decode(f.UDP, f.l4)
}

// decodeICMPv6 gives as payload what follows eight bytes, as with ICMP, or all of neighbour discovery.
func (f *Frame) decodeICMPv6() error {
	f.ICMPv6 = new(layers.ICMPv6)
	if err := decode(f.ICMPv6, f.l4); err != nil {
		return err
	}
	f.Payload = f.ICMPv6.Payload
	if f.partial() && isDiscovery(f.ICMPv6.TypeCode.Type()) {
		return nil // its options may be in another
	}
	switch f.ICMPv6.TypeCode.Type() {
	case layers.ICMPv6TypeNeighborSolicitation:
		f.Solicit = new(layers.ICMPv6NeighborSolicitation)
		return decode(f.Solicit, f.Payload)
	case layers.ICMPv6TypeNeighborAdvertisement:
		f.Advert = new(layers.ICMPv6NeighborAdvertisement)
		return decode(f.Advert, f.Payload)
	}
	if isDiscovery(f.ICMPv6.TypeCode.Type()) {
		return nil
	}
	if len(f.Payload) < 4 {
		return fmt.Errorf("ICMPv6: %d bytes", len(f.l4))
	}
	f.Payload = f.Payload[4:]
	return nil
}

func isDiscovery(typ uint8) bool { return typ >= RouterSolicitType && typ <= RedirectType }

// partial tells whether only a part of L4 is here.
func (f *Frame) partial() bool {
	return f.Fragment != nil && (f.Fragment.Offset != 0 || f.Fragment.More)
}
