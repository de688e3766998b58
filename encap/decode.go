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
	if len(b) < HeaderSize {
		return Header{}, nil, fmt.Errorf("decode geneve header: %w: %d bytes, at least %d", ErrShort, len(b), HeaderSize)
	}
	if version := b[0] >> 6; version != 0 {
		return Header{}, nil, fmt.Errorf("decode geneve header: %w: %d", ErrVersion, version)
	}
	end := HeaderSize + int(b[0]&0x3f)*4
	if len(b) < end {
		return Header{}, nil, fmt.Errorf("decode geneve header: %w: %d bytes, at least %d", ErrShort, len(b), end)
	}
	h = Header{
		VNI:      binary.BigEndian.Uint32(b[4:]) >> 8,
		Critical: b[1]&flagCritical != 0,
		Control:  b[1]&flagControl != 0,
		Protocol: binary.BigEndian.Uint16(b[2:]),
	}
	if h.Protocol == 0 {
		return Header{}, nil, fmt.Errorf("decode geneve header: %w", ErrProtocol)
	}
	for rest := b[HeaderSize:end]; len(rest) > 0; {
		// Options and their sum are of whole words, so that an option's first one is always there.
		n := optionSize + int(rest[3]&0x1f)*4
		if n > len(rest) {
			return Header{}, nil, fmt.Errorf("decode geneve option %d: %w: %d bytes, %d left",
				len(h.Options), ErrOptionLength, n, len(rest))
		}
		h.Options = append(h.Options, Option{
			Class: binary.BigEndian.Uint16(rest),
			Type:  rest[2],
			Data:  rest[optionSize:n:n],
		})
		rest = rest[n:]
	}
	return h, b[end:], nil
}
