// SPDX-License-Identifier: Apache-2.0

package encap

import (
	"encoding/binary"
	"fmt"
)

// Decode reads the header that b begins with, and gives the bytes that follow it. Options are checked
// for their lengths only; [Header.Known] tells what they mean. Reserved bits are ignored, as the RFC has
// it. Payload and the options' data are parts of b. The error is [ErrShort], [ErrVersion], [ErrProtocol]
// or [ErrOptionLength].
func Decode(b []byte) (h Header, payload []byte, err error) {
	payload, err = DecodeInto(&h, b)
	switch {
	case err == nil:
		return h, payload, nil
	case len(h.Options) > 0:
		err = fmt.Errorf("decode geneve header of %d bytes, after option %d: %w", len(b), len(h.Options)-1, err)
	default:
		err = fmt.Errorf("decode geneve header of %d bytes: %w", len(b), err)
	}
	return Header{}, nil, err
}

// DecodeInto is [Decode] for who reads packet after packet: it writes over h, and uses the room of its
// Options again, so that it allocates only where a packet has more of them than any before. Errors are
// bare, for a flood of malformed packets not to cost more than good ones; of h, nothing can be said then.
func DecodeInto(h *Header, b []byte) (payload []byte, err error) {
	*h = Header{Options: h.Options[:0]}
	if len(b) < HeaderSize {
		return nil, ErrShort
	}
	if version := b[0] >> 6; version != 0 {
		return nil, ErrVersion
	}
	end := HeaderSize + int(b[0]&0x3f)*4
	if len(b) < end {
		return nil, ErrShort
	}
	h.VNI = binary.BigEndian.Uint32(b[4:]) >> 8
	h.Critical = b[1]&flagCritical != 0
	h.Control = b[1]&flagControl != 0
	h.Protocol = binary.BigEndian.Uint16(b[2:])
	if h.Protocol == 0 {
		return nil, ErrProtocol
	}
	for rest := b[HeaderSize:end]; len(rest) > 0; {
		// Options and their sum are of whole words, so that an option's first one is always there.
		n := optionSize + int(rest[3]&0x1f)*4
		if n > len(rest) {
			return nil, ErrOptionLength
		}
		h.Options = append(h.Options, Option{
			Class: binary.BigEndian.Uint16(rest),
			Type:  rest[2],
			Data:  rest[optionSize:n:n],
		})
		rest = rest[n:]
	}
	return b[end:], nil
}
