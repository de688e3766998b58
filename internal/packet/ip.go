// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// IP protocols.
const (
	ProtocolHopByHop    = 0
	ProtocolICMP        = 1
	ProtocolIPv4        = 4
	ProtocolTCP         = 6
	ProtocolUDP         = 17
	ProtocolIPv6        = 41
	ProtocolRouting     = 43
	ProtocolFragment    = 44
	ProtocolAH          = 51
	ProtocolICMPv6      = 58
	ProtocolNone        = 59
	ProtocolDestination = 60
	ProtocolSCTP        = 132
	ProtocolRaw         = 253 // for experiments; what bytes without a header get
)

var errNoNetwork = errors.New("no IP header in the packet")

// protocolled is a layer that has an IP protocol.
type protocolled interface {
	protocol() uint8
}

func protocol(l layer) uint8 {
	if h, ok := l.(protocolled); ok {
		return h.protocol()
	}
	if l == nil {
		return ProtocolNone
	}
	return ProtocolRaw
}

// ip is a header of either family.
type ip struct {
	v6           bool
	src, dst     netip.Addr
	version      override[uint8]
	tos          uint8
	length       override[uint16]
	ttl          override[uint8]
	proto        override[uint8]
	flowLabel    uint32
	ihl          override[uint8]
	id           uint16
	reserved     bool
	dontFragment bool
	more         bool
	offset       int
	checksum     override[uint16]
	options      []byte
}

// IPField is a field of IP headers, of one family or both. In With, Outer and Inner it goes to the first
// header of a family that has it.
type IPField struct {
	only uint8 // 4, 6; 0: both
	set  func(*ip)
}

func (f IPField) apply(l layer) bool {
	h, ok := l.(*ip)
	if !ok || f.only == 4 && h.v6 || f.only == 6 && !h.v6 {
		return false
	}
	f.set(h)
	return true
}

// Source sets the source address.
func Source(a netip.Addr) IPField { return IPField{0, func(h *ip) { h.src = a }} }

// Destination sets the destination address.
func Destination(a netip.Addr) IPField { return IPField{0, func(h *ip) { h.dst = a }} }

// Version sets the version.
func Version(n uint8) IPField { return IPField{0, func(h *ip) { h.version.to(n) }} }

// TOS sets the type of service or traffic class, 0 otherwise: six bits of DSCP, two of ECN.
func TOS(n uint8) IPField { return IPField{0, func(h *ip) { h.tos = n }} }

// TTL sets the time to live or hop limit, 64 otherwise, and 255 for neighbour discovery.
func TTL(n uint8) IPField { return IPField{0, func(h *ip) { h.ttl.to(n) }} }

// Protocol sets the protocol or next header.
func Protocol(n uint8) IPField { return IPField{0, func(h *ip) { h.proto.to(n) }} }

// IP is an IPv4 or IPv6 header, by the family of its addresses.
func (p Packet) IP(src, dst netip.Addr, fields ...IPField) Packet {
	return p.ip(!src.Is4(), src, dst, fields)
}

func (p Packet) ip(v6 bool, src, dst netip.Addr, fields []IPField) Packet {
	h := &ip{v6: v6, src: src, dst: dst}
	for i, f := range fields {
		if !f.apply(h) {
			return p.fail(fmt.Errorf("field %d is not of IPv%d", i, h.family()))
		}
	}
	return p.add(h)
}

// network is the index of the first IP header, or negative.
func (p Packet) network() int {
	return slices.IndexFunc(p.layers, func(l layer) bool { _, ok := l.(*ip); return ok })
}

func (h *ip) family() uint8 {
	if h.v6 {
		return 6
	}
	return 4
}

func (h *ip) clone() layer { c := *h; return &c }

func (h *ip) etherType(int) uint16 {
	if h.v6 {
		return TypeIPv6
	}
	return TypeIPv4
}

func (h *ip) protocol() uint8 {
	if h.v6 {
		return ProtocolIPv6
	}
	return ProtocolIPv4
}

func (h *ip) encode(at place, inside []byte) ([]byte, error) {
	if h.v6 {
		return h.encode6(at, inside)
	}
	return h.encode4(at, inside)
}

// hops is the TTL. Neighbour discovery that a router passed on has to be ignored, so it begins with 255.
func (h *ip) hops(inside []layer) uint8 {
	for _, l := range inside {
		if _, ok := l.(*extension); ok {
			continue
		}
		if m, ok := l.(*icmp); ok && m.discovery() {
			return h.ttl.or(255)
		}
		break
	}
	return h.ttl.or(64)
}

// length16 is a length that a header has 16 bits for.
func length16(o override[uint16], computed int, header string) (uint16, error) {
	if !o.set && computed > 0xffff {
		return 0, fmt.Errorf("%s: a length of %d does not fit: set it", header, computed)
	}
	return o.or(uint16(computed)), nil
}
