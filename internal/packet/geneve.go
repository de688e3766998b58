// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/mizar-go/mizar/encap"
)

// geneveOption is an option that may be wrong, as encap's may not.
type geneveOption struct {
	class  uint16
	typ    uint8
	data   []byte
	length override[uint8]
}

type geneve struct {
	vni      uint32
	version  uint8
	words    override[uint8]
	control  bool
	critical override[bool]
	protocol override[uint16]
	options  []geneveOption
	keep     override[int]
	err      error
}

// GeneveField is a field of a Geneve header, or an option.
type GeneveField = fieldOf[geneve]

// VNI sets the network identifier.
func VNI(n uint32) GeneveField { return func(h *geneve) { h.vni = n } }

// GeneveVersion sets the version, 0 otherwise.
func GeneveVersion(n uint8) GeneveField { return func(h *geneve) { h.version = n } }

// GeneveLength sets the length of the options in words of 4 bytes. They stay as long as they are.
func GeneveLength(words uint8) GeneveField { return func(h *geneve) { h.words.to(words) } }

// Control sets the O bit.
func Control() GeneveField { return func(h *geneve) { h.control = true } }

// CriticalBit sets the C bit, or not; otherwise it is there with any critical option.
func CriticalBit(is bool) GeneveField { return func(h *geneve) { h.critical.to(is) } }

// GeneveProtocol sets the EtherType of what is inside.
func GeneveProtocol(t uint16) GeneveField { return func(h *geneve) { h.protocol.to(t) } }

// GeneveKeep ends the packet behind the first n bytes from the Geneve header on. The headers before know.
func GeneveKeep(n int) GeneveField { return func(h *geneve) { h.keep.to(n) } }

// Option adds an option; data is filled up to whole words.
func Option(class uint16, typ uint8, data ...byte) GeneveField {
	return func(h *geneve) {
		h.options = append(h.options, geneveOption{class: class, typ: typ, data: data})
	}
}

// OptionLength sets the length of the last option's data, in words of 4 bytes. It stays as long as it is.
func OptionLength(words uint8) GeneveField {
	return func(h *geneve) {
		if len(h.options) == 0 {
			h.err = errors.New("no option to set the length of")
			return
		}
		h.options[len(h.options)-1].length.to(words)
	}
}

// NoOptions takes away all options that were there.
func NoOptions() GeneveField { return func(h *geneve) { h.options = nil } }

// RTS adds return-to-sender, of the usual class.
func RTS(host netip.Addr, hops uint8) GeneveField { return returnToSender(host, hops, 0) }

// CriticalRTS adds return-to-sender of a packet that comes back, of the usual class.
func CriticalRTS(host netip.Addr, hops uint8) GeneveField {
	return returnToSender(host, hops, encap.OptionCritical)
}

// returnToSender is written by hand, so that host and hops may be such as encap refuses.
func returnToSender(host netip.Addr, hops uint8, critical uint8) GeneveField {
	a := host.As16()
	return Option(encap.OptionClass, 0x01|critical, append([]byte{hops, 0, 0, 0}, a[:]...)...)
}

// Geneve is a Geneve header with options in the order given.
func (p Packet) Geneve(vni uint32, fields ...GeneveField) Packet {
	h := &geneve{vni: vni}
	for _, f := range fields {
		f(h)
	}
	return p.add(h)
}

// Tunnel is what a host of ours puts before an endpoint's frame: IP with DF set, UDP without checksum
// from port 49152, and Geneve.
func (p Packet) Tunnel(src, dst netip.Addr, vni uint32, fields ...GeneveField) Packet {
	var df []IPField
	if src.Is4() {
		df = append(df, DontFragment())
	}
	return p.IP(src, dst, df...).UDP(49152, encap.Port).Geneve(vni, fields...)
}

func (h *geneve) clone() layer {
	c := *h
	c.options = slices.Clone(h.options)
	return &c
}

func (h *geneve) encode(at place, inside []byte) ([]byte, error) {
	if h.err != nil {
		return nil, fmt.Errorf("geneve: %w", h.err)
	}
	var options []byte
	critical := false
	for _, o := range h.options {
		words := (len(o.data) + 3) / 4
		options = binary.BigEndian.AppendUint16(options, o.class)
		options = append(options, o.typ, o.length.or(uint8(words)))
		options = append(options, o.data...)
		options = append(options, make([]byte, words*4-len(o.data))...)
		critical = critical || o.typ&encap.OptionCritical != 0
	}
	words := h.words.or(uint8(len(options) / 4))
	if h.vni > encap.MaxVNI || h.version > 3 || words > 63 || len(options) > encap.MaxOptions {
		return nil, fmt.Errorf("geneve: VNI %d, version %d, %d words, %d bytes of options",
			h.vni, h.version, words, len(options))
	}
	var flags byte
	if h.control {
		flags |= 0x80
	}
	if h.critical.or(critical) {
		flags |= 0x40
	}
	typ := uint16(TypeFrame)
	if l, ok := at.next().(etherTyped); ok {
		typ = l.etherType(len(inside))
	}
	b := []byte{h.version<<6 | words, flags}
	b = binary.BigEndian.AppendUint16(b, h.protocol.or(typ))
	b = binary.BigEndian.AppendUint32(b, h.vni<<8)
	b = slices.Concat(b, options, inside)
	keep := h.keep.or(len(b))
	if keep < 0 || keep > len(b) {
		return nil, fmt.Errorf("geneve: keep %d bytes of %d", keep, len(b))
	}
	return b[:keep], nil
}
