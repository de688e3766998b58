// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"fmt"
	"net/netip"

	"github.com/gopacket/gopacket/layers"
)

// Frame is an Ethernet frame and the headers in it. Those that are not there are nil.
type Frame struct {
	// Bytes is the whole frame.
	Bytes []byte
	Eth   *layers.Ethernet
	// VLAN are the tags, outermost first.
	VLAN []*layers.Dot1Q
	ARP  *layers.ARP
	IPv4 *layers.IPv4
	IPv6 *layers.IPv6
	// Source and Destination are the IP header's addresses, or sender and target of ARP. Invalid: neither.
	Source, Destination netip.Addr
	// Extensions are the numbers of IPv6 extension headers, outermost first.
	Extensions []uint8
	// Fragment is the place of one; nil: it is none.
	Fragment *Piece
	// Protocol is the IP protocol behind all extension headers.
	Protocol uint8
	UDP      *layers.UDP
	TCP      *layers.TCP
	SCTP     *layers.SCTP
	ICMP     *layers.ICMPv4
	ICMPv6   *layers.ICMPv6
	Solicit  *layers.ICMPv6NeighborSolicitation
	Advert   *layers.ICMPv6NeighborAdvertisement
	// Payload is what follows the last of these headers, without the frame's padding. In an ICMP error it
	// begins with the quoted IP header. In a fragment that is not the first no L4 header is looked for.
	Payload []byte
	// Padding is what follows the IP or ARP packet.
	Padding []byte

	l4 []byte // L4 header and payload
}

// Piece is a fragment's place.
type Piece struct {
	Offset int // bytes
	More   bool
	ID     uint32
}

func decodeFrame(b []byte) (Frame, error) {
	f := Frame{Bytes: b, Eth: new(layers.Ethernet)}
	if err := decode(f.Eth, b); err != nil {
		return f, err
	}
	typ := f.Eth.EthernetType
	f.Payload = f.Eth.Payload
	for typ == layers.EthernetTypeDot1Q || typ == layers.EthernetTypeQinQ {
		tag := new(layers.Dot1Q)
		if err := decode(tag, f.Payload); err != nil {
			return f, err
		}
		f.VLAN = append(f.VLAN, tag)
		typ = tag.Type
		f.Payload = tag.Payload
	}
	switch typ {
	case layers.EthernetTypeARP:
		return f, f.decodeARP()
	case layers.EthernetTypeIPv4:
		return f, f.decodeIPv4()
	case layers.EthernetTypeIPv6:
		return f, f.decodeIPv6()
	}
	return f, nil
}

func (f *Frame) decodeARP() error {
	f.ARP = new(layers.ARP)
	if err := decode(f.ARP, f.Payload); err != nil {
		return err
	}
	f.Source, _ = netip.AddrFromSlice(f.ARP.SourceProtAddress)
	f.Destination, _ = netip.AddrFromSlice(f.ARP.DstProtAddress)
	f.Padding, f.Payload = f.ARP.Payload, nil
	return nil
}

func (f *Frame) decodeIPv4() error {
	h := new(layers.IPv4)
	if err := decode(h, f.Payload); err != nil {
		return err
	}
	if h.Version != 4 {
		return fmt.Errorf("IPv4: version %d", h.Version)
	}
	f.IPv4 = h
	f.Source, _ = netip.AddrFromSlice(h.SrcIP.To4())
	f.Destination, _ = netip.AddrFromSlice(h.DstIP.To4())
	f.Protocol = uint8(h.Protocol)
	f.Padding = f.Payload[len(h.Contents)+len(h.Payload):]
	f.Payload = h.Payload
	if h.FragOffset != 0 || h.Flags&layers.IPv4MoreFragments != 0 {
		f.Fragment = &Piece{int(h.FragOffset) * 8, h.Flags&layers.IPv4MoreFragments != 0, uint32(h.Id)}
	}
	return f.decodeL4()
}

func (f *Frame) decodeIPv6() error {
	h := new(layers.IPv6)
	if err := decode(h, f.Payload); err != nil {
		return err
	}
	if h.Version != 6 {
		return fmt.Errorf("IPv6: version %d", h.Version)
	}
	f.IPv6 = h
	f.Source, _ = netip.AddrFromSlice(h.SrcIP)
	f.Destination, _ = netip.AddrFromSlice(h.DstIP)
	f.Protocol = uint8(h.NextHeader)
	f.Padding = f.Payload[40+int(h.Length):]
	f.Payload = h.Payload
	if h.HopByHop != nil { // which gopacket takes for a part of the header
		f.Extensions = append(f.Extensions, ProtocolHopByHop)
		f.Protocol = uint8(h.HopByHop.NextHeader)
	}
	for {
		more, err := f.decodeExtension()
		if err != nil {
			return err
		}
		if !more {
			return f.decodeL4()
		}
	}
}

// decodeExtension reads an extension header if there is one, and tells so. What follows one of a later
// fragment is data.
func (f *Frame) decodeExtension() (bool, error) {
	if f.Fragment != nil && f.Fragment.Offset != 0 {
		return false, nil
	}
	number := f.Protocol
	switch number {
	case ProtocolHopByHop, ProtocolRouting, ProtocolDestination:
		var h layers.IPv6ExtensionSkipper
		if err := h.DecodeFromBytes(f.Payload, new(truncated)); err != nil {
			return false, fmt.Errorf("IPv6 extension %d: %w", number, err)
		}
		f.Protocol, f.Payload = uint8(h.NextHeader), h.Payload
	case ProtocolAH:
		var h layers.IPSecAH
		if err := decode(&h, f.Payload); err != nil {
			return false, err
		}
		f.Protocol, f.Payload = uint8(h.NextHeader), h.Payload
	case ProtocolFragment:
		var h layers.IPv6Fragment
		if err := decode(&h, f.Payload); err != nil {
			return false, err
		}
		f.Fragment = &Piece{int(h.FragmentOffset) * 8, h.MoreFragments, h.Identification}
		f.Protocol, f.Payload = uint8(h.NextHeader), h.Payload
	default:
		return false, nil
	}
	f.Extensions = append(f.Extensions, number)
	return true, nil
}
