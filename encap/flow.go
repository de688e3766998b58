// SPDX-License-Identifier: Apache-2.0

package encap

import "encoding/binary"

// The outer source ports that carry a hash.
const (
	firstSourcePort = 49152
	sourcePortMask  = 1<<14 - 1
)

// Numbers of the IANA.
const (
	etherTypeIPv4 = 0x0800
	etherTypeIPv6 = 0x86dd
	etherTypeVLAN = 0x8100
	etherTypeQinQ = 0x88a8

	protocolHopByHop = 0
	protocolTCP      = 6
	protocolUDP      = 17
	protocolRouting  = 43
	protocolFragment = 44
	protocolAH       = 51
	protocolOptions  = 60
	protocolSCTP     = 132
	protocolUDPLite  = 136

	maxExtensions = 8 // IPv6 extension headers that are looked behind
)

// SourcePort is the outer UDP source port for an Ethernet frame: from 49152 up, by a hash of the flow, so
// that the underlay spreads flows over its links and keeps each of them in order. It is the port that the
// host's programs choose for the same frame. A frame that is cut short or is neither IPv4 nor IPv6 has one
// for its kind.
func SourcePort(frame []byte) uint16 {
	return firstSourcePort + uint16(flowHash(frame)&sourcePortMask)
}

// flow is what the hash is of.
type flow struct {
	source, destination [16]byte // IPv4 as ::ffff:a.b.c.d
	protocol            uint8
	fragment            bool // also the first one, which has ports that others lack
	rest                []byte
}

// flowHash is flow_hash of bpf/lib/inner.h. Words are in the order of the host there.
func flowHash(frame []byte) uint32 {
	f := parseFlow(frame)
	var h uint32
	if !f.fragment {
		h = uint32(f.protocol)
	}
	for i := 0; i < 16; i += 4 {
		h = mix(h, binary.NativeEndian.Uint32(f.source[i:]))
		h = mix(h, binary.NativeEndian.Uint32(f.destination[i:]))
	}
	switch f.protocol {
	case protocolTCP, protocolUDP, protocolSCTP, protocolUDPLite:
		if !f.fragment && len(f.rest) >= 4 {
			h = mix(h, binary.NativeEndian.Uint32(f.rest))
		}
	}
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	return h ^ h>>16
}

func mix(h, v uint32) uint32 {
	h ^= v * 0xcc9e2d51
	h = h<<13 | h>>19
	return h*5 + 0xe6546b64
}

// parseFlow gives the zero flow for what it cannot read.
func parseFlow(b []byte) (f flow) {
	const macs = 12
	if len(b) < macs+2 {
		return f
	}
	etherType, rest := binary.BigEndian.Uint16(b[macs:]), b[macs+2:]
	if (etherType == etherTypeVLAN || etherType == etherTypeQinQ) && len(rest) >= 4 {
		etherType, rest = binary.BigEndian.Uint16(rest[2:]), rest[4:]
	}
	switch etherType {
	case etherTypeIPv4:
		return parseFlow4(rest)
	case etherTypeIPv6:
		return parseFlow6(rest)
	}
	return f
}

func parseFlow4(b []byte) (f flow) {
	if len(b) < 20 {
		return f
	}
	header := int(b[0]&0xf) * 4
	total := int(binary.BigEndian.Uint16(b[2:]))
	if b[0]>>4 != 4 || header < 20 || total < header || total > len(b) {
		return f
	}
	f.source[10], f.source[11] = 0xff, 0xff
	f.destination[10], f.destination[11] = 0xff, 0xff
	copy(f.source[12:], b[12:16])
	copy(f.destination[12:], b[16:20])
	f.protocol = b[9]
	f.fragment = binary.BigEndian.Uint16(b[6:])&0x3fff != 0
	f.rest = b[header:total]
	return f
}

func parseFlow6(b []byte) (f flow) {
	const header = 40
	if len(b) < header {
		return f
	}
	end := header + int(binary.BigEndian.Uint16(b[4:]))
	if b[0]>>4 != 6 || end > len(b) {
		return f
	}
	copy(f.source[:], b[8:24])
	copy(f.destination[:], b[24:40])
	f.protocol, f.rest = b[6], b[header:end]
	for range maxExtensions {
		var n int
		switch f.protocol {
		case protocolHopByHop, protocolRouting, protocolOptions, protocolAH, protocolFragment:
		default:
			return f
		}
		if len(f.rest) < 8 {
			return f
		}
		later := false
		switch f.protocol {
		case protocolFragment:
			offset := binary.BigEndian.Uint16(f.rest[2:])
			f.fragment = f.fragment || offset&0xfff9 != 0 // one that is whole has neither offset nor more
			later = offset&0xfff8 != 0
			n = 8
		case protocolAH:
			n = (int(f.rest[1]) + 2) * 4
		default:
			n = (int(f.rest[1]) + 1) * 8
		}
		f.protocol, f.rest = f.rest[0], f.rest[min(n, len(f.rest)):]
		if later {
			return f
		}
	}
	return f
}
