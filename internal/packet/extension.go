// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// extension is an IPv6 extension header.
type extension struct {
	number uint8
	data   []byte // behind next header and length
	length override[uint8]
	next   override[uint8]
}

// ExtensionField is a field of an IPv6 extension header.
type ExtensionField = fieldOf[extension]

// ExtensionNext sets the protocol of what follows.
func ExtensionNext(protocol uint8) ExtensionField { return func(h *extension) { h.next.to(protocol) } }

// ExtensionLength sets the length as it is on the wire: units of 8 bytes less one, AH's of 4 less two. A
// fragment header has none: there it is the reserved byte. The header stays as long as it is.
func ExtensionLength(n uint8) ExtensionField { return func(h *extension) { h.length.to(n) } }

// ExtensionData sets what is behind next header and length. It is filled up with zeros.
func ExtensionData(b ...byte) ExtensionField { return func(h *extension) { h.data = b } }

// HopByHop is a header of hop-by-hop options; padding only, unless its data is set.
func (p Packet) HopByHop(fields ...ExtensionField) Packet {
	return p.extension(ProtocolHopByHop, []byte{1, 4, 0, 0, 0, 0}, fields)
}

// DestinationOptions is a header of destination options; padding only, unless its data is set.
func (p Packet) DestinationOptions(fields ...ExtensionField) Packet {
	return p.extension(ProtocolDestination, []byte{1, 4, 0, 0, 0, 0}, fields)
}

// Routing is a routing header that has no segments left.
func (p Packet) Routing(kind uint8, fields ...ExtensionField) Packet {
	return p.extension(ProtocolRouting, []byte{kind, 0, 0, 0, 0, 0}, fields)
}

// AH is an authentication header, with 12 bytes of zeros as proof.
func (p Packet) AH(fields ...ExtensionField) Packet {
	return p.extension(ProtocolAH, make([]byte, 22), fields)
}

// Fragment is a fragment header. The offset is in bytes, a multiple of 8. For fragments that fit together
// see [Packet.Split].
func (p Packet) Fragment(offset int, more bool, id uint32, fields ...ExtensionField) Packet {
	if offset%8 != 0 || offset < 0 || offset > 0xfff8 {
		return p.fail(fmt.Errorf("fragment offset %d", offset))
	}
	place := uint16(offset)
	if more {
		place |= 1
	}
	data := binary.BigEndian.AppendUint16(nil, place)
	return p.extension(ProtocolFragment, binary.BigEndian.AppendUint32(data, id), fields)
}

func (p Packet) extension(number uint8, data []byte, fields []ExtensionField) Packet {
	h := &extension{number: number, data: data}
	for _, f := range fields {
		f(h)
	}
	return p.add(h)
}

func (h *extension) clone() layer { c := *h; return &c }

func (h *extension) protocol() uint8 { return h.number }

func (h *extension) encode(at place, inside []byte) ([]byte, error) {
	size := (2 + len(h.data) + 7) / 8 * 8
	if size > 256*8 {
		return nil, fmt.Errorf("extension header: %d bytes", size)
	}
	var length int
	switch h.number {
	case ProtocolFragment:
	case ProtocolAH:
		length = size/4 - 2
	default:
		length = size/8 - 1
	}
	if length > 0xff {
		return nil, fmt.Errorf("extension header: %d bytes", size)
	}
	b := make([]byte, size)
	b[0] = h.next.or(protocol(at.next()))
	b[1] = h.length.or(uint8(length))
	copy(b[2:], h.data)
	return slices.Concat(b, inside), nil
}
