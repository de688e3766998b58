// SPDX-License-Identifier: Apache-2.0

package afxdp

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// entry is what lies in a ring: an address in fill and completion, a descriptor in the other two.
type entry interface{ uint64 | unix.XDPDesc }

// ring is one of the four that a socket shares with the kernel. One side produces, the other consumes;
// where this side stands is known here, and only told to the kernel. Where the kernel stands is read from
// memory and believed as far as it can be: it is never further ahead than the ring is long.
type ring[T entry] struct {
	memory   []byte // mapped; nil where it is not, in tests
	producer *uint32
	consumer *uint32
	flags    *uint32
	entries  []T
	mask     uint32
	next     uint32 // the entry that this side produces or consumes next
}

// layout finds a ring's parts in its memory. The kernel says where they are.
func layout[T entry](memory []byte, at unix.XDPRingOffset, size uint32) (*ring[T], error) {
	var e T
	length := uint64(len(memory))
	end := at.Desc + uint64(size)*uint64(unsafe.Sizeof(e))
	for _, word := range []uint64{at.Producer, at.Consumer, at.Flags} {
		if word%4 != 0 || word > length || length-word < 4 {
			return nil, fmt.Errorf("ring of %d bytes: a word at %d: %w", length, word, ErrRing)
		}
	}
	if at.Desc%uint64(unsafe.Alignof(e)) != 0 || at.Desc > length || end > length {
		return nil, fmt.Errorf("ring of %d bytes: %d entries at %d: %w", length, size, at.Desc, ErrRing)
	}
	word := func(at uint64) *uint32 { return (*uint32)(unsafe.Pointer(&memory[at])) }
	return &ring[T]{
		memory:   memory,
		producer: word(at.Producer),
		consumer: word(at.Consumer),
		flags:    word(at.Flags),
		entries:  unsafe.Slice((*T)(unsafe.Pointer(&memory[at.Desc])), size),
		mask:     size - 1,
	}, nil
}

// filled is how many entries the kernel has produced for us. What cannot be, as more than there are, is
// skipped: then ok is false.
func (r *ring[T]) filled() (n uint32, ok bool) {
	at := atomic.LoadUint32(r.producer)
	if n = at - r.next; n > r.mask+1 {
		r.next = at
		atomic.StoreUint32(r.consumer, at)
		return 0, false
	}
	return n, true
}

// peek copies the entry that is i ahead: one that is looked at twice may be two different ones.
func (r *ring[T]) peek(i uint32) T {
	return r.entries[(r.next+i)&r.mask]
}

// consume gives n entries back to the kernel.
func (r *ring[T]) consume(n uint32) {
	r.next += n
	atomic.StoreUint32(r.consumer, r.next)
}

// room is how many entries can be produced.
func (r *ring[T]) room() uint32 {
	n := r.next - atomic.LoadUint32(r.consumer)
	if n > r.mask+1 {
		return 0
	}
	return r.mask + 1 - n
}

// put writes the entry that is i ahead.
func (r *ring[T]) put(i uint32, e T) {
	r.entries[(r.next+i)&r.mask] = e
}

// produce hands n entries to the kernel.
func (r *ring[T]) produce(n uint32) {
	r.next += n
	atomic.StoreUint32(r.producer, r.next)
}

// taken is where the kernel stands in what was produced.
func (r *ring[T]) taken() uint32 {
	return atomic.LoadUint32(r.consumer)
}

// wantsWakeup tells whether the kernel goes on only after a call.
func (r *ring[T]) wantsWakeup() bool {
	return atomic.LoadUint32(r.flags)&unix.XDP_RING_NEED_WAKEUP != 0
}
