// SPDX-License-Identifier: Apache-2.0

package packet

import "testing"

// Split makes fragments of the packet, by its outermost IP header: each carries size bytes, a multiple of
// 8, the last one what is left. Checksums inside are those of the whole packet. To split an inner packet,
// split it before it is put into the tunnel.
func (p Packet) Split(t testing.TB, size int, id uint16) []Packet {
	t.Helper()
	if p.err != nil {
		t.Fatalf("split packet: %v", p.err)
	}
	i := p.network()
	if i < 0 || size <= 0 || size%8 != 0 || len(p.pokes) > 0 {
		t.Fatalf("split packet: %d bytes each, IP header at %d, %d pokes", size, i, len(p.pokes))
	}
	inside, err := encodeFrom(p.layers, i+1)
	if err != nil {
		t.Fatalf("split packet: %v", err)
	}
	h := p.layers[i].(*ip).clone().(*ip)
	h.ttl.to(h.hops(p.layers[i+1:]))
	h.proto.to(h.proto.or(protocol(place{p.layers, i}.next())))
	var fragments []Packet
	for off := 0; off < len(inside); off += size {
		end := min(off+size, len(inside))
		f := Packet{layers: p.layers[:i:i]}
		fragments = append(fragments, f.fragment(*h, off, end < len(inside), id).Raw(inside[off:end]))
	}
	return fragments
}

// fragment adds the header of one fragment.
func (p Packet) fragment(h ip, off int, more bool, id uint16) Packet {
	if h.v6 {
		next := h.proto.v
		h.proto.to(ProtocolFragment)
		return p.add(&h).Fragment(off, more, uint32(id), ExtensionNext(next))
	}
	h.offset, h.more, h.id = off, more, id
	return p.add(&h)
}
