// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// IHL sets the header's length in words of 4 bytes. The header stays as long as it is.
func IHL(words uint8) IPField { return IPField{4, func(h *ip) { h.ihl.to(words) }} }

// TotalLength sets the packet's length in bytes.
func TotalLength(n uint16) IPField { return IPField{4, func(h *ip) { h.length.to(n) }} }

// ID sets the identification, 0 otherwise.
func ID(n uint16) IPField { return IPField{4, func(h *ip) { h.id = n }} }

// ReservedFlag sets the first of the three flags.
func ReservedFlag() IPField { return IPField{4, func(h *ip) { h.reserved = true }} }

// DontFragment sets the flag.
func DontFragment() IPField { return IPField{4, func(h *ip) { h.dontFragment = true }} }

// MoreFragments sets the flag. For fragments that fit together see [Packet.Split].
func MoreFragments() IPField { return IPField{4, func(h *ip) { h.more = true }} }

// FragmentOffset sets where the fragment belongs, in bytes: a multiple of 8.
func FragmentOffset(bytes int) IPField { return IPField{4, func(h *ip) { h.offset = bytes }} }

// IPOptions adds options, filled up to whole words.
func IPOptions(b ...byte) IPField { return IPField{4, func(h *ip) { h.options = b }} }

// HeaderChecksum sets the checksum of the header.
func HeaderChecksum(sum uint16) IPField { return IPField{4, func(h *ip) { h.checksum.to(sum) }} }

// IPv4 is an IPv4 header.
func (p Packet) IPv4(src, dst netip.Addr, fields ...IPField) Packet {
	return p.ip(false, src, dst, fields)
}

func (h *ip) encode4(at place, inside []byte) ([]byte, error) {
	header := 20 + (len(h.options)+3)/4*4
	switch {
	case !h.src.Is4() || !h.dst.Is4():
		return nil, fmt.Errorf("ipv4: addresses %v and %v", h.src, h.dst)
	case header > 60:
		return nil, fmt.Errorf("ipv4: %d bytes of options", len(h.options))
	case h.offset%8 != 0 || h.offset < 0 || h.offset > 0xfff8:
		return nil, fmt.Errorf("ipv4: fragment offset %d", h.offset)
	}
	length, err := length16(h.length, header+len(inside), "ipv4")
	if err != nil {
		return nil, err
	}
	fragment := uint16(h.offset / 8)
	if h.reserved {
		fragment |= 0x8000
	}
	if h.dontFragment {
		fragment |= 0x4000
	}
	if h.more {
		fragment |= 0x2000
	}
	b := make([]byte, header, header+len(inside))
	b[0] = h.version.or(4)<<4 | h.ihl.or(uint8(header/4))&0xf
	b[1] = h.tos
	binary.BigEndian.PutUint16(b[2:], length)
	binary.BigEndian.PutUint16(b[4:], h.id)
	binary.BigEndian.PutUint16(b[6:], fragment)
	b[8] = h.hops(at.layers[at.i+1:])
	b[9] = h.proto.or(protocol(at.next()))
	copy(b[12:], h.src.AsSlice())
	copy(b[16:], h.dst.AsSlice())
	copy(b[20:], h.options)
	binary.BigEndian.PutUint16(b[10:], h.checksum.or(^fold(sum(0, b))))
	return append(b, inside...), nil
}
