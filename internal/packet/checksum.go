// SPDX-License-Identifier: Apache-2.0

package packet

import "encoding/binary"

// sum adds b in words of 16 bits to what was summed up so far.
func sum(so uint64, b []byte) uint64 {
	for ; len(b) >= 2; b = b[2:] {
		so += uint64(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		so += uint64(b[0]) << 8
	}
	return so
}

// fold adds the carries.
func fold(s uint64) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

// l4Checksum is the checksum over a segment and its IP addresses. Without an IP header there is none.
func l4Checksum(h *ip, protocol uint8, segment []byte) uint16 {
	if h == nil {
		return 0
	}
	s := sum(sum(0, h.src.AsSlice()), h.dst.AsSlice())
	return ^fold(sum(s+uint64(protocol)+uint64(len(segment)), segment))
}
