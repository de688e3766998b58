// SPDX-License-Identifier: Apache-2.0

package afxdp

import (
	"encoding/binary"
	"fmt"

	"github.com/mizar-go/mizar/encap"
)

const (
	maxHeaders   = ethernetSize + ipv6Size + udpSize + encap.HeaderSize + encap.MaxOptions
	timeToLive   = 64
	dontFragment = 0x4000
)

// Answer makes the frame what a function endpoint answers to a tunnel packet: an IP packet, which may be a part of
// the packet itself. It goes through the endpoint's agent like all that endpoints send, which checks its source
// and finds the way. The frame may be the one that t was read from, or another.
func (f *Frame) Answer(t *Tunnel, ip []byte) error {
	var head [ethernetSize]byte
	copy(head[:], t.SourceMAC[:])
	copy(head[6:], t.DestinationMAC[:])
	switch {
	case len(ip) >= ipv4Size && ip[0]>>4 == 4:
		binary.BigEndian.PutUint16(head[12:], etherTypeIPv4)
	case len(ip) >= ipv6Size && ip[0]>>4 == 6:
		binary.BigEndian.PutUint16(head[12:], etherTypeIPv6)
	default:
		return invalid("answer %d bytes: no IP packet", len(ip))
	}
	return f.write(head[:], ip)
}

// Reply makes the frame the answer to a tunnel packet, for a function that is bound to a NIC, where nobody else
// writes tunnel headers: inner, behind the headers of t.Reply(). Inner is an Ethernet frame, and may be a part of
// the packet itself. The frame may be the one that t was read from, or another.
func (f *Frame) Reply(t *Tunnel, inner []byte) error {
	back := t.Reply()
	return f.Encap(&back, inner)
}

// Encap makes the frame a tunnel packet: inner, an Ethernet frame, behind headers of the MACs and addresses
// of t and of its Geneve header, with its options. All else follows from them and from inner. Inner may be a
// part of the frame. The error is [maps.ErrInvalid] for addresses that make no packet or an inner frame
// without Ethernet header, one of package encap's, or one of Set's; the frame is as it was then.
func (f *Frame) Encap(t *Tunnel, inner []byte) error {
	if f.s == nil {
		return ErrFrame
	}
	var room [maxHeaders]byte
	head, err := t.headers(room[:0], inner, f.s.port)
	if err != nil {
		return err
	}
	return f.write(head, inner)
}

// headers appends all headers for an inner frame.
func (t *Tunnel) headers(b, inner []byte, port uint16) ([]byte, error) {
	v4 := t.Source.Is4()
	switch {
	case !host(t.Source) || !host(t.Destination) || t.Source.Is4() != t.Destination.Is4() || t.Source.Is4In6() || t.Destination.Is4In6():
		return b, invalid("write tunnel packet from %s to %s: no such addresses", t.Source, t.Destination)
	case len(inner) < ethernetSize:
		return b, invalid("write tunnel packet: inner frame of %d bytes", len(inner))
	}
	length := udpSize + t.Header.Size() + len(inner) // of what IP carries
	if length+ipv4Size > 0xffff {
		return b, fmt.Errorf("write tunnel packet: inner frame of %d bytes: %w", len(inner), ErrTooBig)
	}
	b = append(b, t.DestinationMAC[:]...)
	b = append(b, t.SourceMAC[:]...)
	if v4 {
		b = t.appendIPv4(b, trafficClass(inner), length)
	} else {
		b = t.appendIPv6(b, trafficClass(inner), length)
	}
	b = binary.BigEndian.AppendUint16(b, encap.SourcePort(inner))
	b = binary.BigEndian.AppendUint16(b, port)
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	b = append(b, 0, 0) // no checksum, over IPv6 neither (RFC 6935)
	return t.Header.AppendBinary(b)
}

func (t *Tunnel) appendIPv4(b []byte, tos uint8, length int) []byte {
	source, destination := t.Source.As4(), t.Destination.As4()
	b = binary.BigEndian.AppendUint16(b, etherTypeIPv4)
	start := len(b)
	b = append(b, 0x45, tos)
	b = binary.BigEndian.AppendUint16(b, uint16(ipv4Size+length))
	b = append(b, 0, 0) // identification, of no use where nothing is fragmented
	b = binary.BigEndian.AppendUint16(b, dontFragment)
	b = append(b, timeToLive, protocolUDP, 0, 0)
	b = append(b, source[:]...)
	b = append(b, destination[:]...)
	binary.BigEndian.PutUint16(b[start+10:], checksum(b[start:]))
	return b
}

func (t *Tunnel) appendIPv6(b []byte, class uint8, length int) []byte {
	source, destination := t.Source.As16(), t.Destination.As16()
	b = binary.BigEndian.AppendUint16(b, etherTypeIPv6)
	b = append(b, 0x60|class>>4, class<<4, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	b = append(b, protocolUDP, timeToLive)
	b = append(b, source[:]...)
	return append(b, destination[:]...)
}

// trafficClass is the inner packet's: DSCP as by RFC 2983, ECN as by RFC 6040. Zero for what is not IP.
func trafficClass(frame []byte) uint8 {
	const tag = 4
	at := ethernetSize
	kind := binary.BigEndian.Uint16(frame[at-2:])
	if (kind == 0x8100 || kind == 0x88a8) && len(frame) >= at+tag {
		at += tag
		kind = binary.BigEndian.Uint16(frame[at-2:])
	}
	switch ip := frame[at:]; {
	case len(ip) < 2:
	case kind == etherTypeIPv4:
		return ip[1]
	case kind == etherTypeIPv6:
		return ip[0]<<4 | ip[1]>>4
	}
	return 0
}

// checksum is the Internet's, of an even number of bytes.
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) >= 2; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
