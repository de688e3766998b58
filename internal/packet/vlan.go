// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"encoding/binary"
	"fmt"
)

type vlan struct {
	id       uint16
	priority uint8
	tpid     uint16
	typ      override[uint16]
}

// VLANField is a field of a VLAN tag.
type VLANField = fieldOf[vlan]

// VLANID sets the identifier.
func VLANID(id uint16) VLANField { return func(h *vlan) { h.id = id } }

// TPID sets the type that announces the tag, [TypeVLAN] otherwise. It stands in the header before.
func TPID(t uint16) VLANField { return func(h *vlan) { h.tpid = t } }

// VLANPriority sets the priority, 0 to 7.
func VLANPriority(n uint8) VLANField { return func(h *vlan) { h.priority = n } }

// VLANType sets the type of what is inside.
func VLANType(t uint16) VLANField { return func(h *vlan) { h.typ.to(t) } }

// VLAN is a VLAN tag.
func (p Packet) VLAN(id uint16, fields ...VLANField) Packet {
	h := &vlan{id: id, tpid: TypeVLAN}
	for _, f := range fields {
		f(h)
	}
	return p.add(h)
}

func (h *vlan) clone() layer { c := *h; return &c }

func (h *vlan) etherType(int) uint16 { return h.tpid }

func (h *vlan) encode(at place, inside []byte) ([]byte, error) {
	if h.id > 0xfff || h.priority > 7 {
		return nil, fmt.Errorf("vlan: identifier %d, priority %d", h.id, h.priority)
	}
	b := binary.BigEndian.AppendUint16(nil, uint16(h.priority)<<13|h.id)
	b = binary.BigEndian.AppendUint16(b, h.typ.or(etherType(at.next(), len(inside))))
	return append(b, inside...), nil
}

// snap is LLC with SNAP: the header before has the frame's length where a type is expected.
type snap struct {
	typ override[uint16]
}

// SNAPField is a field of an LLC and SNAP header.
type SNAPField = fieldOf[snap]

// SNAPType sets the type of what is inside.
func SNAPType(t uint16) SNAPField { return func(h *snap) { h.typ.to(t) } }

// SNAP is an LLC and SNAP header. The header before it has a length instead of a type.
func (p Packet) SNAP(fields ...SNAPField) Packet {
	h := &snap{}
	for _, f := range fields {
		f(h)
	}
	return p.add(h)
}

func (h *snap) clone() layer { c := *h; return &c }

func (h *snap) etherType(length int) uint16 { return uint16(length) }

func (h *snap) encode(at place, inside []byte) ([]byte, error) {
	if len(inside) > 1500-8 {
		return nil, fmt.Errorf("snap: %d bytes inside, at most 1492", len(inside))
	}
	b := []byte{0xaa, 0xaa, 0x03, 0, 0, 0}
	b = binary.BigEndian.AppendUint16(b, h.typ.or(etherType(at.next(), len(inside))))
	return append(b, inside...), nil
}
