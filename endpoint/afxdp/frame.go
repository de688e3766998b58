// SPDX-License-Identifier: Apache-2.0

package afxdp

import "iter"

// maxBuffers is how many buffers a packet has at most: MAX_SKB_FRAGS as it mostly is, and one.
const maxBuffers = 18

// Frame is a packet in the memory that a socket shares with the kernel. The zero value is none.
//
// It is the caller's from Recv or Alloc on, until it is sent or released; one of Recv at most until the
// next Recv of the same socket, which releases what is left but for what was kept. After that its bytes are
// other packets'. One goroutine at a time may use it. Copies are the same frame.
type Frame struct {
	s      *Socket
	chunk  uint32 // the first
	lends  uint32 // of the chunk, when it was lent
	length int
}

// Len is the packet's length in bytes, over all buffers.
func (f *Frame) Len() int { return f.length }

// Bytes are the packet, or what of it lies in the first buffer, to read and to write. Headers are there: a
// buffer has more than 1,700 bytes. They cannot be extended; Set replaces them.
func (f *Frame) Bytes() []byte {
	if f.s == nil {
		return nil
	}
	return f.s.umem.bytes(f.chunk)
}

// Buffers are all parts of the packet in turn; only where MultiBuffer is on can there be more than one.
func (f *Frame) Buffers() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if f.s == nil {
			return
		}
		c := f.chunk
		for range maxBuffers {
			if c == none || !yield(f.s.umem.bytes(c)) {
				return
			}
			c = f.s.umem.chunks[c].next
		}
	}
}

// AppendTo appends the whole packet to b.
func (f *Frame) AppendTo(b []byte) []byte {
	for part := range f.Buffers() {
		b = append(b, part...)
	}
	return b
}

// Set makes b the packet. It may be a part of what the frame holds. The error is [ErrTooBig], [ErrNoFrame]
// where there is no buffer left for what the first does not hold, or [ErrFrame]; the frame is as it was
// then.
func (f *Frame) Set(b []byte) error {
	return f.write(nil, b)
}

// Keep makes a frame of Recv the caller's beyond the next Recv, until it is sent or released: to hand it to
// another goroutine, or to wait for more. Copies made before are worth nothing any more. As long as frames
// are kept, there are fewer buffers to receive into. The error is [ErrFrame].
func (f *Frame) Keep() error {
	s := f.s
	if s == nil {
		return ErrFrame
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.owns(f) {
		return ErrFrame
	}
	// The next Recv takes it for one that was sent since.
	s.umem.chunks[f.chunk].lends++
	f.lends++
	return nil
}

// Release gives the frame back, not to be sent. One that is not the caller's (any more) it leaves alone.
func (f *Frame) Release() {
	if s := f.s; s != nil {
		s.mu.Lock()
		if s.owns(f) {
			s.umem.giveAll(f.chunk)
		}
		s.mu.Unlock()
	}
	*f = Frame{}
}

// owns tells whether the frame is the caller's. With s.mu held.
func (s *Socket) owns(f *Frame) bool {
	if f.s != s {
		return false
	}
	at := &s.umem.chunks[f.chunk]
	return at.owner == lent && at.lends == f.lends
}

// write makes head and body the packet. Body may lie in the frame, head not.
func (f *Frame) write(head, body []byte) error {
	s := f.s
	if s == nil {
		return ErrFrame
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.owns(f) {
		return ErrFrame
	}
	u := s.umem
	whole := u.whole(f.chunk)
	first := min(len(body), len(whole)-len(head))
	// What follows goes first, to buffers that are new: nothing of body is written over.
	next, err := s.tail(body[first:], u.chunks[f.chunk].reserved)
	if err != nil {
		return err
	}
	copy(whole[len(head):], body[:first])
	copy(whole, head)
	at := &u.chunks[f.chunk]
	u.giveAll(at.next)
	at.off, at.len, at.next = 0, uint32(len(head)+first), next
	f.length = len(head) + len(body)
	return nil
}

// tail writes b to as many chunks as it takes, and gives the first of them.
func (s *Socket) tail(b []byte, reserve bool) (next uint32, err error) {
	u, next := s.umem, none
	size := int(u.size())
	n := (len(b) + size - 1) / size
	if n > 0 && (!s.multi || n+1 > maxBuffers) {
		return none, ErrTooBig
	}
	for n--; n >= 0; n-- {
		c := none
		if !reserve || u.reserved < u.share {
			c = u.take(lent)
		}
		if c == none {
			u.giveAll(next)
			return none, ErrNoFrame
		}
		at := &u.chunks[c]
		at.len = uint32(copy(u.whole(c), b[n*size:]))
		at.next = next
		if reserve {
			u.reserve(c)
		}
		next = c
	}
	return next, nil
}
