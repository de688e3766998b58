// SPDX-License-Identifier: Apache-2.0

package afxdp

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Send sends frames of this socket: such as were received, as they are or changed, and such as Alloc gave.
// Nothing is copied. It waits until the kernel has taken all. Frames that were taken are the zero Frame
// after, and are passed over in another call; n is how many at the front were. Beside [net.ErrClosed] and
// [os.ErrDeadlineExceeded] the error may be [ErrFrame], of the frame at n, or what the kernel says of the
// interface; [maps.ErrNotFound] where that is gone.
//
// What is sent leaves by the interface: from a veth it comes in at the other end.
func (s *Socket) Send(frames []Frame) (n int, err error) {
	s.transmitting.Lock()
	defer s.transmitting.Unlock()
	s.out, s.done, s.failure = frames, 0, nil
	err = s.write(s.onWritable)
	s.out = nil
	if err != nil {
		return s.done, s.ended(err)
	}
	return s.done, s.failure
}

// Alloc gives empty frames to write and to send, as many as are free and frames has room for, and waits
// until it is one. Half of all buffers are for sending: who keeps them waits for himself, here and in Send.
// Errors are those of Send.
func (s *Socket) Alloc(frames []Frame) (n int, err error) {
	if len(frames) == 0 {
		return 0, nil
	}
	s.transmitting.Lock()
	defer s.transmitting.Unlock()
	s.out, s.done, s.failure = frames, 0, nil
	err = s.write(s.onFree)
	s.out = nil
	if err != nil {
		return 0, s.ended(err)
	}
	return s.done, s.failure
}

// sendStep hands over what there is room for. False: there is more.
func (s *Socket) sendStep(fd uintptr) bool {
	for {
		s.mu.Lock()
		moved := s.reap() + s.place()
		gone := s.gone
		s.mu.Unlock()
		if gone != nil {
			s.failure = gone
			return true
		}
		taken, err := s.push(fd)
		switch {
		case err != nil:
			s.failure = fmt.Errorf("send: %w", explain(err))
			return true
		case s.failure != nil, s.done == len(s.out) && taken:
			return true
		case moved == 0:
			s.lookSoon(true)
			return false
		}
	}
}

// allocStep takes what is free. False: nothing is.
func (s *Socket) allocStep(fd uintptr) bool {
	for {
		s.mu.Lock()
		moved := s.reap()
		s.alloc()
		s.failure = s.gone
		s.mu.Unlock()
		if s.done > 0 || s.failure != nil {
			return true
		}
		// Nothing comes back of what the kernel has not taken.
		if _, err := s.push(fd); err != nil {
			s.failure = fmt.Errorf("send: %w", explain(err))
			return true
		}
		if moved == 0 {
			s.lookSoon(true)
			return false
		}
	}
}

func (s *Socket) alloc() {
	u := s.umem
	for s.done < len(s.out) && u.reserved < u.share {
		c := u.take(lent)
		if c == none {
			return
		}
		u.reserve(c)
		s.out[s.done] = Frame{s: s, chunk: c, lends: u.chunks[c].lends}
		s.done++
	}
}

// reap takes back what was sent, and says how much: what the kernel invents is no progress.
func (s *Socket) reap() (moved uint32) {
	there, ok := s.completion.filled()
	if !ok {
		s.count.invalid++
	}
	for i := range there {
		if s.umem.sent(s.completion.peek(i)) {
			moved++
		} else {
			s.count.invalid++
		}
	}
	if there > 0 {
		s.completion.consume(there)
	}
	return moved
}

// place puts frames into the tx ring.
func (s *Socket) place() (n uint32) {
	room := s.tx.room()
	for s.done < len(s.out) && s.failure == nil {
		f := &s.out[s.done]
		if *f != (Frame{}) {
			parts, fits := s.placeable(f, room-n)
			if !fits {
				break
			}
			s.placeFrame(f, n, parts)
			n += parts
			*f = Frame{}
		}
		s.done++
	}
	if n > 0 {
		s.tx.produce(n)
	}
	return n
}

// placeable tells how many descriptors a frame takes, and whether there is room for them now.
func (s *Socket) placeable(f *Frame, room uint32) (parts uint32, fits bool) {
	u, unreserved := s.umem, 0
	switch {
	case !s.owns(f):
		s.failure = ErrFrame
		return 0, false
	case f.length == 0:
		s.failure = errEmpty
		return 0, false
	}
	for c := f.chunk; c != none; c = u.chunks[c].next {
		parts++
		if !u.chunks[c].reserved {
			unreserved++
		}
	}
	return parts, parts <= room && u.reserved+unreserved <= u.share
}

func (s *Socket) placeFrame(f *Frame, at, parts uint32) {
	u := s.umem
	s.count.sent++
	s.count.sentBytes += uint64(f.length)
	c := f.chunk
	for i := range parts {
		part := &u.chunks[c]
		d := unix.XDPDesc{Addr: u.address(c) + uint64(part.off), Len: part.len}
		if part.next != none {
			d.Options = unix.XDP_PKT_CONTD
		}
		s.tx.put(at+i, d)
		u.reserve(c)
		next := part.next
		part.owner, part.next = sending, none // they come back one by one
		c = next
	}
}

// push has the kernel take what is in the tx ring, where it waits for a call. Not taken: it could not take
// all.
func (s *Socket) push(fd uintptr) (taken bool, err error) {
	// Each call that makes no progress ends it, so that no more are made than there are entries.
	for range s.tx.mask + 1 {
		before := s.tx.taken()
		if before == s.tx.next || !s.tx.wantsWakeup() {
			return true, nil
		}
		switch err := startSending(fd); {
		case err == nil && s.tx.taken() == before:
			return true, nil // a driver that goes on by itself
		case err == nil, err == unix.EINTR:
		case err == unix.EAGAIN, err == unix.EBUSY, err == unix.ENOBUFS:
			if s.tx.taken() == before {
				return false, nil
			}
		default:
			return false, err
		}
	}
	return false, nil
}
