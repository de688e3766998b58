// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// Types of neighbour discovery.
const (
	RouterSolicitType = 133 + iota
	RouterAdvertType
	NeighbourSolicitType
	NeighbourAdvertType
	RedirectType
)

// Flags of a neighbour advertisement, for [AdvertFlags].
const (
	Router    = 0x80000000
	Solicited = 0x40000000
	Override  = 0x20000000
)

// ndOption is an option of neighbour discovery, of whole units of 8 bytes.
type ndOption struct {
	typ    uint8
	data   []byte
	length override[uint8]
}

func (o ndOption) encode() []byte {
	size := (2 + len(o.data) + 7) / 8 * 8
	b := make([]byte, size)
	b[0] = o.typ
	b[1] = o.length.or(uint8(size / 8))
	copy(b[2:], o.data)
	return b
}

// SourceLink adds the sender's MAC.
func SourceLink(mac net.HardwareAddr) ICMPField { return NDOption(1, mac...) }

// TargetLink adds the target's MAC.
func TargetLink(mac net.HardwareAddr) ICMPField { return NDOption(2, mac...) }

// NDOption adds an option, filled up to whole units of 8 bytes.
func NDOption(typ uint8, data ...byte) ICMPField {
	return func(h *icmp) { h.options = append(h.options, ndOption{typ: typ, data: data}) }
}

// NDOptionLength sets the length of the last option, in units of 8 bytes. It stays as long as it is.
func NDOptionLength(units uint8) ICMPField {
	return func(h *icmp) {
		if len(h.options) == 0 {
			h.err = errors.New("no option to set the length of")
			return
		}
		h.options[len(h.options)-1].length.to(units)
	}
}

// NoNDOptions takes away all options that were there.
func NoNDOptions() ICMPField { return func(h *icmp) { h.options = nil } }

// NDTarget sets who is asked for, told of, or to be used instead.
func NDTarget(a netip.Addr) ICMPField {
	return func(h *icmp) {
		if len(h.body) < 16 || !a.Is6() {
			h.err = fmt.Errorf("target %v of a message of type %d", a, h.typ)
			return
		}
		b := a.As16()
		h.body = append(b[:], h.body[16:]...)
	}
}

// AdvertFlags sets the flags of a neighbour advertisement, [Solicited] and [Override] otherwise.
func AdvertFlags(flags uint32) ICMPField { return ICMPRest(flags) }

// NeighbourSolicit asks for target's MAC. Its hop limit is 255, its options are none unless given: see
// [SourceLink]. Where it is sent to is the caller's: see [SolicitedNode] and [MulticastMAC].
func (p Packet) NeighbourSolicit(target netip.Addr, fields ...ICMPField) Packet {
	return p.icmp(icmp{v6: true, typ: NeighbourSolicitType, body: address16(target)}, fields)
}

// NeighbourAdvert tells of target. Its hop limit is 255, its options are none unless given: see
// [TargetLink].
func (p Packet) NeighbourAdvert(target netip.Addr, fields ...ICMPField) Packet {
	return p.icmp(icmp{v6: true, typ: NeighbourAdvertType, rest: Solicited | Override,
		body: address16(target)}, fields)
}

// RouterSolicit asks for routers.
func (p Packet) RouterSolicit(fields ...ICMPField) Packet {
	return p.icmp(icmp{v6: true, typ: RouterSolicitType}, fields)
}

// RouterAdvert offers a router: hop limit 64, half an hour long.
func (p Packet) RouterAdvert(fields ...ICMPField) Packet {
	return p.icmp(icmp{v6: true, typ: RouterAdvertType, rest: 64<<24 | 1800, body: make([]byte, 8)}, fields)
}

// Redirect says that destination is better reached by target.
func (p Packet) Redirect(target, destination netip.Addr, fields ...ICMPField) Packet {
	return p.icmp(icmp{v6: true, typ: RedirectType,
		body: append(address16(target), address16(destination)...)}, fields)
}

func address16(a netip.Addr) []byte {
	b := a.As16()
	return b[:]
}
