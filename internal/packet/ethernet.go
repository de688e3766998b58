// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"encoding/binary"
	"fmt"
	"net"
)

// EtherTypes.
const (
	TypeIPv4  = 0x0800
	TypeARP   = 0x0806
	TypeVLAN  = 0x8100
	TypeQinQ  = 0x88a8
	TypeIPv6  = 0x86dd
	TypeFrame = 0x6558 // an Ethernet frame, in Geneve
	TypeLocal = 0x88b5 // for experiments; what bytes without a header get
)

// etherTyped is a layer that has an EtherType.
type etherTyped interface {
	// etherType may be the length of the layer instead.
	etherType(length int) uint16
}

func etherType(l layer, length int) uint16 {
	if t, ok := l.(etherTyped); ok {
		return t.etherType(length)
	}
	return TypeLocal
}

type ethernet struct {
	src, dst net.HardwareAddr
	typ      override[uint16]
	padding  int
	keep     override[int]
}

// EthField is a field of an Ethernet header, or of the whole frame.
type EthField = fieldOf[ethernet]

// EthSource sets the source.
func EthSource(a net.HardwareAddr) EthField { return func(h *ethernet) { h.src = a } }

// EthDestination sets the destination.
func EthDestination(a net.HardwareAddr) EthField { return func(h *ethernet) { h.dst = a } }

// EtherType sets the type of what is inside.
func EtherType(t uint16) EthField { return func(h *ethernet) { h.typ.to(t) } }

// Padding adds n zeros at the end of the frame, which no header inside it counts.
func Padding(n int) EthField { return func(h *ethernet) { h.padding = n } }

// Keep leaves only the first n bytes of the frame. Headers inside it do not know; those outside do.
func Keep(n int) EthField { return func(h *ethernet) { h.keep.to(n) } }

// Eth begins a packet with an Ethernet header.
func Eth(src, dst net.HardwareAddr, fields ...EthField) Packet {
	return Packet{}.Eth(src, dst, fields...)
}

// Eth is an Ethernet header.
func (p Packet) Eth(src, dst net.HardwareAddr, fields ...EthField) Packet {
	h := &ethernet{src: src, dst: dst}
	for _, f := range fields {
		f(h)
	}
	return p.add(h)
}

func (h *ethernet) clone() layer { c := *h; return &c }

func (h *ethernet) etherType(int) uint16 { return TypeFrame }

func (h *ethernet) encode(at place, inside []byte) ([]byte, error) {
	if len(h.src) != 6 || len(h.dst) != 6 {
		return nil, fmt.Errorf("ethernet: MACs of %d and %d bytes", len(h.src), len(h.dst))
	}
	b := make([]byte, 0, 14+len(inside)+h.padding)
	b = append(b, h.dst...)
	b = append(b, h.src...)
	b = binary.BigEndian.AppendUint16(b, h.typ.or(etherType(at.next(), len(inside))))
	b = append(b, inside...)
	b = append(b, make([]byte, h.padding)...)
	keep := h.keep.or(len(b))
	if keep < 0 || keep > len(b) {
		return nil, fmt.Errorf("ethernet: keep %d bytes of %d", keep, len(b))
	}
	return b[:keep], nil
}
