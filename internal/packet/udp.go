// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"encoding/binary"
	"slices"
)

type udp struct {
	src, dst uint16
	length   override[uint16]
	checksum override[uint16]
	summed   bool
}

// UDPField is a field of a UDP header.
type UDPField = fieldOf[udp]

// UDPLength sets the length in bytes of header and payload.
func UDPLength(n uint16) UDPField { return func(h *udp) { h.length.to(n) } }

// UDPChecksum sets the checksum; 0 says that there is none.
func UDPChecksum(sum uint16) UDPField { return func(h *udp) { h.checksum.to(sum) } }

// Checksummed computes the checksum also where UDP carries a tunnel.
func Checksummed() UDPField { return func(h *udp) { h.summed = true } }

// UDP is a UDP header. Its checksum is computed, but 0 where it carries Geneve or VXLAN.
func (p Packet) UDP(src, dst uint16, fields ...UDPField) Packet {
	h := &udp{src: src, dst: dst}
	for _, f := range fields {
		f(h)
	}
	return p.add(h)
}

func (h *udp) clone() layer { c := *h; return &c }

func (h *udp) protocol() uint8 { return ProtocolUDP }

func (h *udp) setPorts(src, dst uint16) { h.src, h.dst = src, dst }

func (h *udp) encode(at place, inside []byte) ([]byte, error) {
	length, err := length16(h.length, 8+len(inside), "udp")
	if err != nil {
		return nil, err
	}
	var b []byte
	for _, n := range []uint16{h.src, h.dst, length, 0} {
		b = binary.BigEndian.AppendUint16(b, n)
	}
	b = slices.Concat(b, inside)
	var checksum uint16
	if h.summed || !isTunnel(at.next()) {
		checksum = l4Checksum(at.network(), ProtocolUDP, b)
		if checksum == 0 && at.network() != nil {
			checksum = 0xffff // 0 would say that there is none
		}
	}
	binary.BigEndian.PutUint16(b[6:], h.checksum.or(checksum))
	return b, nil
}

func isTunnel(l layer) bool {
	switch l.(type) {
	case *geneve, *vxlan:
		return true
	}
	return false
}

// ported is a header with ports.
type ported interface {
	setPorts(src, dst uint16)
}

type portField struct{ src, dst uint16 }

func (f portField) apply(l layer) bool {
	h, ok := l.(ported)
	if ok {
		h.setPorts(f.src, f.dst)
	}
	return ok
}

// Ports sets the ports of UDP, TCP or SCTP, whichever comes first.
func Ports(src, dst uint16) Field { return portField{src, dst} }
