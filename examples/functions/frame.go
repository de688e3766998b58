// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// packet is what sockets would not send: of a forged address, a fragment, another protocol.
type packet struct {
	from, to netip.Addr // of one family
	proto    uint8      // zero: UDP
	port     uint16     // of the destination, where a UDP or TCP header would have it
	offset   uint16     // of a fragment, in bytes
	more     bool       // fragments follow
	fragment bool       // of IPv6: has the header, also where it is the only one
	load     []byte     // behind 8 bytes of header; nil: 32 bytes
}

// frame is the packet as this workload would send it. UDP checksums are left out, or wrong where there has to be one.
func (w *workload) frame(p packet) []byte {
	if p.proto == 0 {
		p.proto = unix.IPPROTO_UDP
	}
	if p.load == nil {
		p.load = make([]byte, 32)
	}
	l4 := binary.BigEndian.AppendUint16(nil, 5000)
	l4 = binary.BigEndian.AppendUint16(l4, p.port)
	l4 = binary.BigEndian.AppendUint16(l4, uint16(8+len(p.load)))
	l4 = append(append(l4, 0, 0), p.load...)
	bits := p.offset // of both families, but not at the same place
	b := append([]byte{0xfe, 0x6d, 0x69, 0x7a, 0x61, 0x72}, w.endpoint.MAC...)
	if p.from.Is4() {
		bits /= 8
		if p.more {
			bits |= 0x2000
		}
		ip := []byte{0x45, 0, 0, 0, 0, 1, 0, 0, 64, p.proto, 0, 0}
		binary.BigEndian.PutUint16(ip[2:], uint16(20+len(l4)))
		binary.BigEndian.PutUint16(ip[6:], bits)
		ip = append(append(ip, p.from.AsSlice()...), p.to.AsSlice()...)
		binary.BigEndian.PutUint16(ip[10:], sum(ip))
		return append(append(append(b, 0x08, 0x00), ip...), l4...)
	}
	next := p.proto
	if p.fragment || p.more || p.offset != 0 {
		if p.more {
			bits |= 1
		}
		l4 = append([]byte{p.proto, 0, byte(bits >> 8), byte(bits), 0, 0, 0, 1}, l4...)
		next = unix.IPPROTO_FRAGMENT
	}
	ip := []byte{0x60, 0, 0, 0, byte(len(l4) >> 8), byte(len(l4)), next, 64}
	ip = append(append(ip, p.from.AsSlice()...), p.to.AsSlice()...)
	return append(append(append(b, 0x86, 0xdd), ip...), l4...)
}

// sum is the checksum of a header.
func sum(b []byte) uint16 {
	var s uint32
	for i := 0; i < len(b); i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return ^uint16(s)
}
