// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// icmp is a message of either family: its first eight bytes, a body, and options of neighbour discovery.
type icmp struct {
	v6        bool
	typ, code uint8
	rest      uint32
	body      []byte
	options   []ndOption
	checksum  override[uint16]
	err       error
}

// ICMPField is a field of an ICMP or ICMPv6 message.
type ICMPField = fieldOf[icmp]

// ICMPType sets the type.
func ICMPType(n uint8) ICMPField { return func(h *icmp) { h.typ = n } }

// ICMPCode sets the code.
func ICMPCode(n uint8) ICMPField { return func(h *icmp) { h.code = n } }

// ICMPRest sets the four bytes behind the checksum: identifier and sequence, MTU, or flags.
func ICMPRest(n uint32) ICMPField { return func(h *icmp) { h.rest = n } }

// ICMPChecksum sets the checksum.
func ICMPChecksum(sum uint16) ICMPField { return func(h *icmp) { h.checksum.to(sum) } }

// ICMP is an ICMP message of IPv4.
func (p Packet) ICMP(typ, code uint8, fields ...ICMPField) Packet {
	return p.icmp(icmp{typ: typ, code: code}, fields)
}

// Echo is a ping of IPv4.
func (p Packet) Echo(id, seq uint16, fields ...ICMPField) Packet {
	return p.icmp(icmp{typ: 8, rest: uint32(id)<<16 | uint32(seq)}, fields)
}

// EchoReply is the answer to a ping of IPv4.
func (p Packet) EchoReply(id, seq uint16, fields ...ICMPField) Packet {
	return p.icmp(icmp{typ: 0, rest: uint32(id)<<16 | uint32(seq)}, fields)
}

// FragmentationNeeded says that a packet with DF set was too big. What it was is for [Packet.Quote].
func (p Packet) FragmentationNeeded(mtu uint16, fields ...ICMPField) Packet {
	return p.icmp(icmp{typ: 3, code: 4, rest: uint32(mtu)}, fields)
}

// ICMPv6 is an ICMPv6 message.
func (p Packet) ICMPv6(typ, code uint8, fields ...ICMPField) Packet {
	return p.icmp(icmp{v6: true, typ: typ, code: code}, fields)
}

// Echo6 is a ping of IPv6.
func (p Packet) Echo6(id, seq uint16, fields ...ICMPField) Packet {
	return p.icmp(icmp{v6: true, typ: 128, rest: uint32(id)<<16 | uint32(seq)}, fields)
}

// EchoReply6 is the answer to a ping of IPv6.
func (p Packet) EchoReply6(id, seq uint16, fields ...ICMPField) Packet {
	return p.icmp(icmp{v6: true, typ: 129, rest: uint32(id)<<16 | uint32(seq)}, fields)
}

// PacketTooBig says that a packet was too big. What it was is for [Packet.Quote].
func (p Packet) PacketTooBig(mtu uint32, fields ...ICMPField) Packet {
	return p.icmp(icmp{v6: true, typ: 2, rest: mtu}, fields)
}

func (p Packet) icmp(h icmp, fields []ICMPField) Packet {
	for _, f := range fields {
		f(&h)
	}
	return p.add(&h)
}

func (h *icmp) clone() layer {
	c := *h
	c.options = slices.Clone(h.options)
	return &c
}

func (h *icmp) protocol() uint8 {
	if h.v6 {
		return ProtocolICMPv6
	}
	return ProtocolICMP
}

// discovery tells whether the message is of neighbour discovery.
func (h *icmp) discovery() bool {
	return h.v6 && isDiscovery(h.typ)
}

func (h *icmp) encode(at place, inside []byte) ([]byte, error) {
	if h.err != nil {
		return nil, fmt.Errorf("icmp: %w", h.err)
	}
	b := []byte{h.typ, h.code, 0, 0}
	b = binary.BigEndian.AppendUint32(b, h.rest)
	b = append(b, h.body...)
	for _, o := range h.options {
		b = append(b, o.encode()...)
	}
	b = slices.Concat(b, inside)
	computed := ^fold(sum(0, b))
	if h.v6 {
		computed = l4Checksum(at.network(), ProtocolICMPv6, b)
	}
	binary.BigEndian.PutUint16(b[2:], h.checksum.or(computed))
	return b, nil
}
