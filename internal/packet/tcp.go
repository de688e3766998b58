// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
)

// TCP's flags.
const (
	FIN = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

type tcp struct {
	src, dst uint16
	seq, ack uint32
	flags    uint8
	window   uint16
	urgent   uint16
	offset   override[uint8]
	checksum override[uint16]
	options  []byte
}

// TCPField is a field of a TCP header.
type TCPField = fieldOf[tcp]

// TCPFlags sets the flags, [ACK] otherwise.
func TCPFlags(flags uint8) TCPField { return func(h *tcp) { h.flags = flags } }

// Seq sets the sequence number, 1 otherwise.
func Seq(n uint32) TCPField { return func(h *tcp) { h.seq = n } }

// Ack sets the acknowledged number, 1 otherwise.
func Ack(n uint32) TCPField { return func(h *tcp) { h.ack = n } }

// Window sets the window, 0xffff otherwise.
func Window(n uint16) TCPField { return func(h *tcp) { h.window = n } }

// Urgent sets the urgent pointer, 0 otherwise.
func Urgent(n uint16) TCPField { return func(h *tcp) { h.urgent = n } }

// DataOffset sets the header's length in words of 4 bytes. The header stays as long as it is.
func DataOffset(words uint8) TCPField { return func(h *tcp) { h.offset.to(words) } }

// TCPChecksum sets the checksum.
func TCPChecksum(sum uint16) TCPField { return func(h *tcp) { h.checksum.to(sum) } }

// TCPOptions sets the options, filled up to whole words.
func TCPOptions(b ...byte) TCPField { return func(h *tcp) { h.options = b } }

// TCP is a TCP header.
func (p Packet) TCP(src, dst uint16, fields ...TCPField) Packet {
	h := &tcp{src: src, dst: dst, seq: 1, ack: 1, flags: ACK, window: 0xffff}
	for _, f := range fields {
		f(h)
	}
	return p.add(h)
}

func (h *tcp) clone() layer { c := *h; return &c }

func (h *tcp) protocol() uint8 { return ProtocolTCP }

func (h *tcp) setPorts(src, dst uint16) { h.src, h.dst = src, dst }

func (h *tcp) encode(at place, inside []byte) ([]byte, error) {
	header := 20 + (len(h.options)+3)/4*4
	if header > 60 {
		return nil, fmt.Errorf("tcp: %d bytes of options", len(h.options))
	}
	b := make([]byte, header)
	binary.BigEndian.PutUint16(b, h.src)
	binary.BigEndian.PutUint16(b[2:], h.dst)
	binary.BigEndian.PutUint32(b[4:], h.seq)
	binary.BigEndian.PutUint32(b[8:], h.ack)
	b[12] = h.offset.or(uint8(header/4)) << 4
	b[13] = h.flags
	binary.BigEndian.PutUint16(b[14:], h.window)
	binary.BigEndian.PutUint16(b[18:], h.urgent)
	copy(b[20:], h.options)
	b = slices.Concat(b, inside)
	binary.BigEndian.PutUint16(b[16:], h.checksum.or(l4Checksum(at.network(), ProtocolTCP, b)))
	return b, nil
}

type sctp struct {
	src, dst uint16
	tag      uint32
	checksum override[uint32]
}

// SCTPField is a field of an SCTP header.
type SCTPField = fieldOf[sctp]

// SCTPTag sets the verification tag, 1 otherwise.
func SCTPTag(n uint32) SCTPField { return func(h *sctp) { h.tag = n } }

// SCTPChecksum sets the checksum.
func SCTPChecksum(sum uint32) SCTPField { return func(h *sctp) { h.checksum.to(sum) } }

// SCTP is an SCTP header. Chunks are the payload's.
func (p Packet) SCTP(src, dst uint16, fields ...SCTPField) Packet {
	h := &sctp{src: src, dst: dst, tag: 1}
	for _, f := range fields {
		f(h)
	}
	return p.add(h)
}

func (h *sctp) clone() layer { c := *h; return &c }

func (h *sctp) protocol() uint8 { return ProtocolSCTP }

func (h *sctp) setPorts(src, dst uint16) { h.src, h.dst = src, dst }

func (h *sctp) encode(_ place, inside []byte) ([]byte, error) {
	b := make([]byte, 12)
	binary.BigEndian.PutUint16(b, h.src)
	binary.BigEndian.PutUint16(b[2:], h.dst)
	binary.BigEndian.PutUint32(b[4:], h.tag)
	b = slices.Concat(b, inside)
	sum := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
	binary.LittleEndian.PutUint32(b[8:], h.checksum.or(sum))
	return b, nil
}
