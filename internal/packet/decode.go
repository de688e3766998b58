// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"fmt"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/mizar-go/mizar/encap"
)

// Decoded is what gopacket reads in a packet.
type Decoded struct {
	// Outer is the packet itself: up to UDP where it is a tunnel packet, else up to L4.
	Outer Frame
	// Geneve is the header of a tunnel packet; nil: it is none.
	Geneve *layers.Geneve
	// VNI of a tunnel packet.
	VNI uint32
	// Options of a tunnel packet, in the order of the wire. Their data are never nil.
	Options []encap.Option
	// Inner is the frame in a tunnel packet.
	Inner Frame
}

// Tunnel tells whether there is a frame inside.
func (d Decoded) Tunnel() bool { return d.Geneve != nil }

// Known reads our options, of the usual class.
func (d Decoded) Known() (encap.Known, error) {
	return encap.Header{Options: d.Options}.Known(encap.OptionClass)
}

// Decode reads a frame, and the frame inside where UDP goes to Geneve's port. What ends inside a header, or
// before a length in one, is an error; whether all is right is for [Decoded.Verify].
func Decode(b []byte) (Decoded, error) { return DecodePort(b, encap.Port) }

// DecodePort is Decode for tunnels at another UDP port.
func DecodePort(b []byte, port uint16) (Decoded, error) {
	var d Decoded
	var err error
	if d.Outer, err = decodeFrame(b); err != nil {
		return Decoded{}, fmt.Errorf("decode packet: %w", err)
	}
	if d.Outer.UDP == nil || uint16(d.Outer.UDP.DstPort) != port {
		return d, nil
	}
	g := new(layers.Geneve)
	if err := decode(g, d.Outer.UDP.Payload); err != nil {
		return Decoded{}, fmt.Errorf("decode packet: geneve: %w", err)
	}
	d.Geneve, d.VNI = g, g.VNI
	size := 0
	for _, o := range g.Options {
		d.Options = append(d.Options, encap.Option{Class: o.Class, Type: o.Type, Data: o.Data})
		size += int(o.Length)
	}
	// gopacket lets the last option go on into the frame, and counts what it has read in eight bits.
	if size != int(g.OptionsLength) || size > 244 {
		return Decoded{}, fmt.Errorf("decode packet: geneve: %d bytes of options in %d", size, g.OptionsLength)
	}
	if d.Inner, err = decodeFrame(g.Payload); err != nil {
		return Decoded{}, fmt.Errorf("decode packet: inner: %w", err)
	}
	return d, nil
}

// truncated is gopacket's word that a length goes beyond the bytes.
type truncated bool

func (t *truncated) SetTruncated() { *t = true }

func decode(l interface {
	DecodeFromBytes(b []byte, df gopacket.DecodeFeedback) error
	LayerType() gopacket.LayerType
}, b []byte) error {
	var cut truncated
	if err := l.DecodeFromBytes(b, &cut); err != nil {
		return fmt.Errorf("%v: %w", l.LayerType(), err)
	}
	if cut {
		return fmt.Errorf("%v: cut short", l.LayerType())
	}
	return nil
}
