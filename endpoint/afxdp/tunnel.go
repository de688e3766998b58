// SPDX-License-Identifier: Apache-2.0

package afxdp

import (
	"encoding/binary"
	"net/netip"

	"github.com/mizar-go/mizar/encap"
)

// Tunnel is what the headers of a tunnel packet say. To be used again for packet after packet: Decode
// writes over all of it, and allocates only where a packet has more options than any before.
type Tunnel struct {
	// SourceMAC and DestinationMAC are those of the outer Ethernet header.
	SourceMAC, DestinationMAC [6]byte
	// Source and Destination are the outer addresses, of hosts; both IPv4 or both IPv6.
	Source, Destination netip.Addr
	// SourcePort is the outer UDP source port. Encap computes it from the inner frame.
	SourcePort uint16
	// TOS is the outer type of service or traffic class. Encap takes that of the inner packet.
	TOS uint8
	// Header is the Geneve header. What its options hold lies in the frame.
	Header encap.Header
	// ReturnToSender is what the option says. The zero Host: the packet came straight from its endpoint's
	// host. Encap does not look at it, but at Header.
	ReturnToSender encap.ReturnToSender
	// Offset is where in the frame the inner one begins, and Length how many bytes it has.
	Offset, Length int
	// Inner is the inner frame, or what of it is in the frame's first buffer.
	Inner []byte
}

const (
	ethernetSize = 14
	ipv4Size     = 20
	ipv6Size     = 40
	udpSize      = 8

	etherTypeIPv4 = 0x0800
	etherTypeIPv6 = 0x86dd
	protocolUDP   = 17
)

// Decode reads the frame's headers, up to the inner frame, as strictly as transit does. Checksums it does
// not check either. The error is [ErrNotTunnel], [ErrMalformed], or one of package encap's, also for
// unknown critical options; of t nothing can be said then.
func (f *Frame) Decode(t *Tunnel) error {
	if f.s == nil {
		return ErrFrame
	}
	return t.decode(f.Bytes(), f.length, f.s.port, f.s.class)
}

// decode reads a packet of length bytes that begins with b.
func (t *Tunnel) decode(b []byte, length int, port, class uint16) error {
	*t = Tunnel{Header: t.Header}
	if len(b) < ethernetSize {
		return ErrNotTunnel
	}
	t.DestinationMAC, t.SourceMAC = [6]byte(b), [6]byte(b[6:])
	var l4, end int
	var err error
	switch binary.BigEndian.Uint16(b[12:]) {
	case etherTypeIPv4:
		l4, end, err = t.ipv4(b)
	case etherTypeIPv6:
		l4, end, err = t.ipv6(b)
	default:
		err = ErrNotTunnel
	}
	if err != nil {
		return err
	}
	if len(b) < l4+udpSize || binary.BigEndian.Uint16(b[l4+2:]) != port {
		return ErrNotTunnel
	}
	t.SourcePort = binary.BigEndian.Uint16(b[l4:])
	udpEnd := l4 + int(binary.BigEndian.Uint16(b[l4+4:]))
	if end > length || udpEnd > end || udpEnd < l4+udpSize || !host(t.Source) {
		return ErrMalformed
	}
	return t.geneve(b[:min(udpEnd, len(b))], l4+udpSize, udpEnd, class)
}

func (t *Tunnel) ipv4(b []byte) (l4, end int, err error) {
	ip := b[ethernetSize:]
	if len(ip) < ipv4Size {
		return 0, 0, ErrNotTunnel
	}
	header := int(ip[0]&0xf) * 4
	if ip[0]>>4 != 4 || header < ipv4Size || ip[9] != protocolUDP {
		return 0, 0, ErrNotTunnel
	}
	fragment := binary.BigEndian.Uint16(ip[6:])
	if fragment&0x1fff != 0 {
		return 0, 0, ErrNotTunnel // it has no ports
	}
	if fragment&0x2000 != 0 {
		return 0, 0, ErrMalformed
	}
	t.TOS = ip[1]
	t.Source, t.Destination = netip.AddrFrom4([4]byte(ip[12:])), netip.AddrFrom4([4]byte(ip[16:]))
	return ethernetSize + header, ethernetSize + int(binary.BigEndian.Uint16(ip[2:])), nil
}

func (t *Tunnel) ipv6(b []byte) (l4, end int, err error) {
	ip := b[ethernetSize:]
	if len(ip) < ipv6Size || ip[0]>>4 != 6 || ip[6] != protocolUDP {
		return 0, 0, ErrNotTunnel
	}
	t.TOS = ip[0]<<4 | ip[1]>>4
	t.Source, t.Destination = netip.AddrFrom16([16]byte(ip[8:])), netip.AddrFrom16([16]byte(ip[24:]))
	if t.Source.Is4In6() || t.Destination.Is4In6() {
		return 0, 0, ErrNotTunnel
	}
	l4 = ethernetSize + ipv6Size
	return l4, l4 + int(binary.BigEndian.Uint16(ip[4:])), nil
}

// geneve reads the header at an offset of b, whose packet ends at end.
func (t *Tunnel) geneve(b []byte, at, end int, class uint16) (err error) {
	if t.Inner, err = encap.DecodeInto(&t.Header, b[at:]); err != nil {
		return err
	}
	if t.Header.Control || t.Header.Protocol != encap.ProtocolEthernet {
		return ErrNotTunnel
	}
	t.Offset = len(b) - len(t.Inner)
	t.Length = end - t.Offset
	t.ReturnToSender, _, err = t.Header.ReturnToSender(class)
	return err
}

// host tells whether packets of a host can have this source.
func host(a netip.Addr) bool {
	if a.Is4() {
		first := a.As4()[0]
		return first != 0 && first != 127 && first < 224
	}
	return a.IsValid() && a.Zone() == "" && !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast()
}

// Reply is the way back: to the host that return-to-sender names, else to where the packet came from, from
// the address that it was sent to, in the same network and without options. MACs are those of the packet,
// swapped.
//
// A bouncer is not where an answer goes: it would take a packet without options for one on the direct path
// that came to the wrong host.
func (t *Tunnel) Reply() Tunnel {
	back := Tunnel{
		SourceMAC: t.DestinationMAC, DestinationMAC: t.SourceMAC,
		Source: t.Destination, Destination: t.Source,
		Header: encap.Header{VNI: t.Header.VNI, Protocol: encap.ProtocolEthernet},
	}
	if h := t.ReturnToSender.Host; h.IsValid() && h.Is4() == t.Source.Is4() {
		back.Destination = h
	}
	return back
}
