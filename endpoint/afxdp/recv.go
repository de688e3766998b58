// SPDX-License-Identifier: Apache-2.0

package afxdp

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// Recv waits for packets, and gives as many as there are and frames has room for. Those of the Recv before
// that were neither sent nor released it releases. The error is [net.ErrClosed], [os.ErrDeadlineExceeded],
// or [maps.ErrNotFound] where the interface is gone.
func (s *Socket) Recv(frames []Frame) (n int, err error) {
	if len(frames) == 0 {
		return 0, nil
	}
	s.receiving.Lock()
	defer s.receiving.Unlock()
	s.into, s.got = frames, 0
	err = s.raw.Read(s.onReadable)
	s.into = nil
	if err == nil && s.got > 0 {
		return s.got, nil
	}
	return 0, s.ended(err)
}

// ended is why waiting ended: that the interface is gone also ends it by way of the deadline.
func (s *Socket) ended(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone != nil && !errors.Is(waited(err), net.ErrClosed) {
		return s.gone
	}
	return waited(err)
}

// receiveStep takes what is there. False: nothing is.
func (s *Socket) receiveStep(fd uintptr) bool {
	s.mu.Lock()
	s.release()
	s.got = s.receive(s.into)
	s.refill()
	wake := s.fill.wantsWakeup()
	done := s.got > 0 || s.gone != nil
	s.mu.Unlock()
	if wake {
		_ = startReceiving(fd) // a queue that is down says so; it may come up
	}
	return done
}

// release takes back the frames of the last Recv that are still the caller's.
func (s *Socket) release() {
	for i := range s.received {
		if f := &s.received[i]; s.owns(f) {
			s.umem.giveAll(f.chunk)
		}
	}
	s.received = s.received[:0]
}

// receive fills frames from the rx ring.
func (s *Socket) receive(frames []Frame) (n int) {
	there, ok := s.rx.filled()
	if !ok {
		s.count.invalid++
	}
	var used uint32
	for used < there && n < len(frames) {
		parts, whole := s.parts(used, there)
		if !whole {
			break
		}
		c, length, ok := s.packet(used, parts)
		used += parts
		if !ok {
			continue
		}
		frames[n] = Frame{s: s, chunk: c, lends: s.umem.chunks[c].lends, length: length}
		s.received = append(s.received, frames[n])
		s.count.received++
		s.count.receivedBytes += uint64(length)
		n++
	}
	if used > 0 {
		s.rx.consume(used)
	}
	return n
}

// parts is how many descriptors make the packet that begins at one. Not whole: the rest is yet to come.
func (s *Socket) parts(at, there uint32) (n uint32, whole bool) {
	for n = 1; s.rx.peek(at+n-1).Options&unix.XDP_PKT_CONTD != 0; n++ {
		if at+n == there {
			// Of what fills the ring there is no rest to come.
			return n, n == s.rx.mask+1
		}
	}
	return n, true
}

// packet makes a frame of n descriptors. What is wrong with one is wrong with all.
func (s *Socket) packet(at, n uint32) (first uint32, length int, ok bool) {
	ok = n == 1 || s.multi && n <= maxBuffers
	if !ok {
		s.count.invalid += uint64(n)
	}
	first, last := none, none
	for i := range n {
		d := s.rx.peek(at + i)
		c, good := s.umem.received(d.Addr, d.Len)
		switch {
		case !good:
			if ok {
				s.count.invalid++
			}
			ok = false
			continue
		case first == none:
			first = c
		default:
			s.umem.chunks[last].next = c
		}
		last = c
		length += int(d.Len)
	}
	if !ok {
		s.umem.giveAll(first)
	}
	return first, length, ok
}

// refill gives the kernel buffers to receive into, up to their share.
func (s *Socket) refill() {
	u, room := s.umem, s.fill.room()
	var n uint32
	for n < room && u.filling < u.share {
		c := u.take(filling)
		if c == none {
			break
		}
		s.fill.put(n, u.address(c))
		n++
	}
	if n > 0 {
		s.fill.produce(n)
	}
}
