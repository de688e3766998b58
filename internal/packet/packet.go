// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

// Packet is a packet in the making. The zero value has no headers yet.
type Packet struct {
	layers []layer
	pokes  []poke
	err    error
}

type poke struct {
	off   int
	bytes []byte
}

// layer is a header, or bytes. One that is in a Packet is never written to.
type layer interface {
	clone() layer
	// encode puts the layer before (some: around) the bytes that it carries.
	encode(at place, inside []byte) ([]byte, error)
}

// place is where a layer stands.
type place struct {
	layers []layer
	i      int
}

// next is the layer inside; nil: none.
func (p place) next() layer {
	if p.i+1 < len(p.layers) {
		return p.layers[p.i+1]
	}
	return nil
}

// network is the IP header that the layer's checksum covers; nil: none.
func (p place) network() *ip {
	for i := p.i - 1; i >= 0; i-- {
		switch l := p.layers[i].(type) {
		case *ip:
			return l
		case *ethernet:
			return nil
		}
	}
	return nil
}

// Field changes one field of one kind of header.
type Field interface {
	// apply reports whether l is of that kind.
	apply(l layer) bool
}

// fieldOf is a field of headers of type L.
type fieldOf[L any] func(*L)

func (f fieldOf[L]) apply(l layer) bool {
	h, ok := any(l).(*L)
	if ok {
		f(h)
	}
	return ok
}

// override is a value that stands instead of the computed one.
type override[T any] struct {
	set bool
	v   T
}

func (o *override[T]) to(v T) { *o = override[T]{true, v} }

func (o override[T]) or(computed T) T {
	if o.set {
		return o.v
	}
	return computed
}

func (p Packet) add(l layer) Packet {
	p.layers = append(slices.Clip(p.layers), l)
	return p
}

func (p Packet) fail(err error) Packet {
	p.err = errors.Join(p.err, err)
	return p
}

// Packet puts a whole packet inside: a frame into a tunnel.
func (p Packet) Packet(inner Packet) Packet {
	if inner.err != nil {
		return p.fail(inner.err)
	}
	if len(inner.pokes) == 0 {
		p.layers = slices.Concat(p.layers, inner.layers)
		return p
	}
	b, err := inner.encode()
	if err != nil {
		return p.fail(err)
	}
	return p.add(&raw{bytes: b})
}

// With changes fields, each of the first header of its kind in the packet.
func (p Packet) With(fields ...Field) Packet {
	return p.change(0, len(p.layers), fields)
}

// Outer changes fields of the headers up to Geneve, that included.
func (p Packet) Outer(fields ...Field) Packet {
	return p.change(0, p.inside(), fields)
}

// Inner changes fields of the headers behind Geneve.
func (p Packet) Inner(fields ...Field) Packet {
	return p.change(p.inside(), len(p.layers), fields)
}

// inside is the index of the first layer behind Geneve.
func (p Packet) inside() int {
	for i, l := range p.layers {
		if _, ok := l.(*geneve); ok {
			return i + 1
		}
	}
	return len(p.layers)
}

func (p Packet) change(from, to int, fields []Field) Packet {
	p.layers = slices.Clone(p.layers)
next:
	for n, f := range fields {
		for i := from; i < to; i++ {
			l := p.layers[i].clone()
			if f.apply(l) {
				p.layers[i] = l
				continue next
			}
		}
		return p.fail(fmt.Errorf("change packet: no header for field %d", n))
	}
	return p
}

// Poke writes over bytes of the finished packet, from offset off on. It is what remains where no field
// does it.
func (p Packet) Poke(off int, b ...byte) Packet {
	p.pokes = append(slices.Clip(p.pokes), poke{off, b})
	return p
}

func (p Packet) encode() ([]byte, error) {
	if p.err != nil {
		return nil, p.err
	}
	b, err := encodeFrom(p.layers, 0)
	if err != nil {
		return nil, err
	}
	for _, k := range p.pokes {
		if k.off < 0 || k.off+len(k.bytes) > len(b) {
			return nil, fmt.Errorf("poke packet: %d bytes at %d of %d", len(k.bytes), k.off, len(b))
		}
		copy(b[k.off:], k.bytes)
	}
	return b, nil
}

// encodeFrom encodes the layers from the i-th on.
func encodeFrom(layers []layer, i int) (b []byte, err error) {
	for n := len(layers) - 1; n >= i; n-- {
		if b, err = layers[n].encode(place{layers, n}, b); err != nil {
			return nil, fmt.Errorf("encode layer %d: %w", n, err)
		}
	}
	return b, nil
}

// Bytes is the packet. Nil: it cannot be made, and Err says why. Every call makes it anew.
func (p Packet) Bytes() []byte {
	b, err := p.encode()
	if err != nil {
		return nil
	}
	return b
}

// Err is what is wrong with the fixture itself. Nil: nothing.
func (p Packet) Err() error {
	_, err := p.encode()
	return err
}

// Build is the packet, or the end of the test.
func (p Packet) Build(t testing.TB) []byte {
	t.Helper()
	b, err := p.encode()
	if err != nil {
		t.Fatalf("build packet: %v", err)
	}
	return b
}
