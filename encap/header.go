// SPDX-License-Identifier: Apache-2.0

package encap

import (
	"encoding/binary"
	"fmt"
)

const (
	// Port is the UDP port that Geneve was given.
	Port = 6081
	// ProtocolEthernet is the EtherType for an Ethernet frame inside, "transparent Ethernet bridging".
	ProtocolEthernet uint16 = 0x6558
	// MaxVNI is the greatest network identifier.
	MaxVNI = 1<<24 - 1
	// HeaderSize is the size in bytes of a header without options.
	HeaderSize = 8
	// MaxOptions is the most bytes that all options of a header take.
	MaxOptions = 63 * 4
)

const (
	flagControl  = 0x80
	flagCritical = 0x40
)

// Header is a Geneve header.
type Header struct {
	// VNI is the network identifier, at most [MaxVNI]. Mizar uses no 0, Geneve may.
	VNI uint32
	// Critical is the C bit: a reader that does not read options has to drop the packet. Decode gives it as
	// it came. In a written header it is also set where an option is critical.
	Critical bool
	// Control is the O bit: a control message, not a packet of the network's.
	Control bool
	// Protocol is the EtherType of what follows. Zero is written as [ProtocolEthernet].
	Protocol uint16
	// Options in the order of the wire. Nil: none.
	Options []Option
}

// Size is the size of the header in bytes, options included.
func (h Header) Size() int {
	n := HeaderSize
	for _, o := range h.Options {
		n += o.Size()
	}
	return n
}

// AppendBinary appends the header to b. It implements [encoding.BinaryAppender]. Where the header cannot
// be written it returns b as it was, and [ErrVNI], [ErrOptionLength] or [ErrTooLong].
func (h Header) AppendBinary(b []byte) ([]byte, error) {
	if h.VNI > MaxVNI {
		return b, fmt.Errorf("encode geneve header: %w: %d", ErrVNI, h.VNI)
	}
	var flags byte
	if h.Control {
		flags |= flagControl
	}
	if h.Critical {
		flags |= flagCritical
	}
	for i, o := range h.Options {
		if err := o.validate(); err != nil {
			return b, fmt.Errorf("encode geneve option %d: %w", i, err)
		}
		if o.Critical() {
			flags |= flagCritical
		}
	}
	length := h.Size() - HeaderSize
	if length > MaxOptions {
		return b, fmt.Errorf("encode geneve header: %w: %d bytes, at most %d", ErrTooLong, length, MaxOptions)
	}
	protocol := h.Protocol
	if protocol == 0 {
		protocol = ProtocolEthernet
	}
	b = append(b, byte(length/4), flags)
	b = binary.BigEndian.AppendUint16(b, protocol)
	b = binary.BigEndian.AppendUint32(b, h.VNI<<8)
	for _, o := range h.Options {
		b = o.append(b)
	}
	return b, nil
}

// MarshalBinary gives the header's bytes. It implements [encoding.BinaryMarshaler].
func (h Header) MarshalBinary() ([]byte, error) {
	b, err := h.AppendBinary(make([]byte, 0, h.Size()))
	if err != nil {
		return nil, err
	}
	return b, nil
}
