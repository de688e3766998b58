// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// PayloadLength sets the length in bytes of what follows the header.
func PayloadLength(n uint16) IPField { return IPField{6, func(h *ip) { h.length.to(n) }} }

// FlowLabel sets the flow label, 20 bits; 0 otherwise.
func FlowLabel(n uint32) IPField { return IPField{6, func(h *ip) { h.flowLabel = n }} }

// IPv6 is an IPv6 header. For an address of IPv4 in it see [Mapped].
func (p Packet) IPv6(src, dst netip.Addr, fields ...IPField) Packet {
	return p.ip(true, src, dst, fields)
}

func (h *ip) encode6(at place, inside []byte) ([]byte, error) {
	if !h.src.Is6() || !h.dst.Is6() {
		return nil, fmt.Errorf("ipv6: addresses %v and %v", h.src, h.dst)
	}
	if h.flowLabel > 0xfffff {
		return nil, fmt.Errorf("ipv6: flow label %#x", h.flowLabel)
	}
	length, err := length16(h.length, len(inside), "ipv6")
	if err != nil {
		return nil, err
	}
	b := make([]byte, 40, 40+len(inside))
	binary.BigEndian.PutUint32(b, uint32(h.version.or(6))<<28|uint32(h.tos)<<20|h.flowLabel)
	binary.BigEndian.PutUint16(b[4:], length)
	b[6] = h.proto.or(protocol(at.next()))
	b[7] = h.hops(at.layers[at.i+1:])
	copy(b[8:], h.src.AsSlice())
	copy(b[24:], h.dst.AsSlice())
	return append(b, inside...), nil
}
