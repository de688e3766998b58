// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"
)

// streams are the calls under way that may never end by themselves.
type streams struct {
	mu     sync.Mutex
	open   map[*stream]struct{}
	closed bool
}

// stream is a call that can be ended from outside, with a reason for the client.
type stream struct {
	cancel context.CancelCauseFunc
	wire   *http.ResponseController
	judge  func() *connect.Error
	last   time.Duration // for the client to take why it ends

	mu   sync.Mutex
	done bool
	why  *connect.Error
}

// add takes a stream in, unless there shall be no more.
func (s *streams) add(st *stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.open[st] = struct{}{}
	return true
}

func (s *streams) remove(st *stream) {
	s.mu.Lock()
	delete(s.open, st)
	s.mu.Unlock()
	st.mu.Lock()
	st.done = true
	st.mu.Unlock()
	st.cancel(nil)
}

func (s *streams) all() (all []*stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for st := range s.open {
		all = append(all, st)
	}
	return all
}

// close ends all, and takes no more.
func (s *streams) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	for _, st := range s.all() {
		st.end(closing())
	}
}

func (s *streams) closing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// review ends those whose clients would not be let in any more.
func (s *streams) review() {
	for _, st := range s.all() {
		if err := st.judge(); err != nil {
			st.end(err)
		}
	}
}

// end has the handler's context end, and what it waits to read as well, and the client get why. One that takes nothing,
// and has the handler wait to write, has some time for that.
func (st *stream) end(why *connect.Error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.done || st.why != nil {
		return // after its end the connection may be another call's
	}
	st.why = why
	st.cancel(why)
	_ = st.wire.SetReadDeadline(time.Unix(1, 0))
	_ = st.wire.SetWriteDeadline(time.Now().Add(st.last))
}

func (st *stream) ended() *connect.Error {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.why
}
