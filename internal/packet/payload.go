// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"bytes"
	"slices"
)

// raw is bytes. It may stand where a header was expected: it names no protocol.
type raw struct {
	bytes []byte
}

func (r *raw) clone() layer { c := *r; return &c }

func (r *raw) encode(_ place, inside []byte) ([]byte, error) {
	return slices.Concat(r.bytes, inside), nil
}

// Payload is n bytes that differ from one to the next.
func (p Packet) Payload(n int) Packet {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return p.add(&raw{b})
}

// Raw is bytes as they are given.
func (p Packet) Raw(b []byte) Packet {
	return p.add(&raw{bytes.Clone(b)})
}

// Quote is another packet from its IP header on, as an ICMP error carries it: the first n bytes, or all
// where it has fewer.
func (p Packet) Quote(other Packet, n int) Packet {
	if other.err != nil {
		return p.fail(other.err)
	}
	i := other.network()
	if i < 0 {
		return p.fail(errNoNetwork)
	}
	b, err := encodeFrom(other.layers, i)
	if err != nil {
		return p.fail(err)
	}
	return p.add(&raw{b[:min(n, len(b))]})
}
