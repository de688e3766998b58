// SPDX-License-Identifier: Apache-2.0

package afxdp

import (
	"errors"
	"os"
	"sync"
	"time"
)

// lookInterval is how often who waits to send looks for himself.
const lookInterval = time.Millisecond

// writeWait is how Send and Alloc wait. Not all that they wait for is an event of the socket: buffers that
// another goroutine releases, and with zero copy those that were sent. So they also look from time to time,
// by a deadline of their own before the caller's.
type writeWait struct {
	mu      sync.Mutex
	by      time.Time // the caller's deadline; zero: none
	looking bool
}

// SetDeadline is SetReadDeadline and SetWriteDeadline.
func (s *Socket) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

// SetReadDeadline is when Recv gives up with [os.ErrDeadlineExceeded], also one that waits already. Zero:
// never.
func (s *Socket) SetReadDeadline(t time.Time) error {
	return waited(s.file.SetReadDeadline(t))
}

// SetWriteDeadline is when Send and Alloc give up with [os.ErrDeadlineExceeded], also such as wait
// already. Zero: never.
func (s *Socket) SetWriteDeadline(t time.Time) error {
	w := &s.writing
	w.mu.Lock()
	defer w.mu.Unlock()
	w.by = t
	return waited(s.file.SetWriteDeadline(w.next()))
}

// next is when to wake who waits.
func (w *writeWait) next() time.Time {
	if !w.looking {
		return w.by
	}
	soon := time.Now().Add(lookInterval)
	if !w.by.IsZero() && w.by.Before(soon) {
		return w.by
	}
	return soon
}

// lookSoon has who waits wake soon, or only by the caller's deadline again.
func (s *Socket) lookSoon(yes bool) {
	w := &s.writing
	w.mu.Lock()
	defer w.mu.Unlock()
	if yes || w.looking {
		w.looking = yes
		_ = s.file.SetWriteDeadline(w.next()) // of a closed socket; waiting says so
	}
}

// late tells whether the caller's own deadline is over.
func (w *writeWait) late() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.by.IsZero() && !time.Now().Before(w.by)
}

// write runs a step until it is done. A step that is not has called lookSoon.
func (s *Socket) write(step func(fd uintptr) bool) error {
	defer s.lookSoon(false)
	for {
		err := s.raw.Write(step)
		if !errors.Is(err, os.ErrDeadlineExceeded) || s.writing.late() {
			return err
		}
		s.lookSoon(true)
	}
}
