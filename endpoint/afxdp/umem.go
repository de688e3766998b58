// SPDX-License-Identifier: Apache-2.0

package afxdp

import (
	"math/bits"
	"os"
	"unsafe"
)

// owner says who may touch a chunk.
type owner uint8

const (
	free    owner = iota // nobody
	filling              // the kernel, to receive into it
	lent                 // the caller, as part of a frame
	sending              // the kernel, to send it
)

// none is no chunk.
const none = ^uint32(0)

// chunk is a piece of the memory that is shared with the kernel.
type chunk struct {
	owner    owner
	reserved bool   // counts among those for sending, also while the caller writes it
	lends    uint32 // how often it was lent: tells a frame from one of the same chunk before
	off, len uint32 // where in the chunk its part of the frame is
	next     uint32 // the chunk with the frame's next part, or none
}

// umem is the memory that frames lie in, and who has which of its chunks. It is of Go's heap, not mapped:
// slices of it that a caller holds stay good after Close, as memory, and the kernel pins what it uses.
type umem struct {
	mem    []byte
	shift  int // the size of a chunk is a power of two
	chunks []chunk
	idle   []uint32 // the free ones; the last is used next, as it is most likely cached

	filling  int // chunks that the kernel receives into
	reserved int // chunks for sending
	share    int // most of either
}

func newUmem(chunks, size int) *umem {
	page := os.Getpagesize()
	mem := make([]byte, chunks*size+page-1)
	skip := int(-uintptr(unsafe.Pointer(&mem[0])) & uintptr(page-1))
	u := &umem{
		mem:    mem[skip : skip+chunks*size : skip+chunks*size],
		shift:  bits.TrailingZeros(uint(size)),
		chunks: make([]chunk, chunks),
		idle:   make([]uint32, 0, chunks),
		share:  chunks / 2,
	}
	for i := chunks - 1; i >= 0; i-- {
		u.idle = append(u.idle, uint32(i))
	}
	return u
}

func (u *umem) size() uint32 { return 1 << u.shift }

// address is where a chunk begins, as the kernel counts.
func (u *umem) address(c uint32) uint64 { return uint64(c) << u.shift }

// bytes are those of a frame that lie in a chunk. The clamps are for who uses a frame that is not his any
// more, while its chunk changes.
func (u *umem) bytes(c uint32) []byte {
	at := u.chunks[c]
	off := min(at.off, u.size())
	n := min(at.len, u.size()-off)
	start := int(c)<<u.shift + int(off)
	return u.mem[start : start+int(n) : start+int(n)]
}

// whole is all of a chunk.
func (u *umem) whole(c uint32) []byte {
	start := int(c) << u.shift
	return u.mem[start : start+1<<u.shift]
}

// take gives a free chunk to somebody, or none.
func (u *umem) take(to owner) uint32 {
	last := len(u.idle) - 1
	if last < 0 {
		return none
	}
	c := u.idle[last]
	u.idle = u.idle[:last]
	u.chunks[c] = chunk{owner: to, lends: u.chunks[c].lends, next: none}
	switch to {
	case filling:
		u.filling++
	case lent:
		u.chunks[c].lends++
	}
	return c
}

// give takes a chunk back.
func (u *umem) give(c uint32) {
	at := &u.chunks[c]
	if at.reserved {
		at.reserved = false
		u.reserved--
	}
	if at.owner == filling {
		u.filling--
	}
	at.owner = free
	u.idle = append(u.idle, c)
}

// giveAll takes a frame's chunks back.
func (u *umem) giveAll(c uint32) {
	for c != none {
		next := u.chunks[c].next
		u.give(c)
		c = next
	}
}

// reserve counts a chunk among those for sending.
func (u *umem) reserve(c uint32) {
	if at := &u.chunks[c]; !at.reserved {
		at.reserved = true
		u.reserved++
	}
}

// received takes a buffer that the kernel says it has filled. False: it is not the kernel's, or not a part
// of one chunk. A chunk of the kernel's whose numbers are wrong is free again.
func (u *umem) received(addr uint64, length uint32) (c uint32, ok bool) {
	c, off, ok := u.find(addr)
	if !ok || u.chunks[c].owner != filling {
		return none, false
	}
	if length == 0 || length > u.size()-off {
		u.give(c)
		return none, false
	}
	at := &u.chunks[c]
	u.filling--
	at.owner = lent
	at.lends++
	at.off, at.len, at.next = off, length, none
	return c, true
}

// sent takes a buffer back that the kernel says it has sent.
func (u *umem) sent(addr uint64) bool {
	c, _, ok := u.find(addr)
	if !ok || u.chunks[c].owner != sending {
		return false
	}
	u.give(c)
	return true
}

// find is the chunk that an address lies in, and how far from its start.
func (u *umem) find(addr uint64) (c, off uint32, ok bool) {
	if addr >= uint64(len(u.mem)) {
		return none, 0, false
	}
	return uint32(addr >> u.shift), uint32(addr) & (u.size() - 1), true
}
