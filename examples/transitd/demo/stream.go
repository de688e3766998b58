// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// pace is the time between two packets of a stream.
const pace = time.Millisecond

// stream is packets, each with a number, to a server that sends them back. It counts both.
type stream struct {
	conn *net.UDPConn
	stop context.CancelFunc
	done sync.WaitGroup

	sent   uint64
	back   map[uint64]bool
	sendEr error
}

func (w *workload) dial(from, to netip.AddrPort) (conn *net.UDPConn, err error) {
	err = w.Do(func() (err error) {
		conn, err = net.DialUDP("udp", net.UDPAddrFromAddrPort(from), net.UDPAddrFromAddrPort(to))
		return err
	})
	return conn, err
}

// stream begins one to the echo server of another workload.
func (w *workload) stream(ctx context.Context, to *workload) (*stream, error) {
	conn, err := w.dial(netip.AddrPortFrom(w.v4, 0), netip.AddrPortFrom(to.v4, 7))
	if err != nil {
		return nil, err
	}
	s := &stream{conn: conn, back: make(map[uint64]bool)}
	ctx, s.stop = context.WithCancel(ctx)
	s.done.Go(func() { s.send(ctx) })
	s.done.Go(s.receive)
	return s, nil
}

func (s *stream) send(ctx context.Context) {
	// The last ones have time to come back.
	defer func() { s.sendEr = errors.Join(s.sendEr, s.conn.SetReadDeadline(time.Now().Add(time.Second))) }()
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for ctx.Err() == nil {
		if _, err := s.conn.Write(binary.BigEndian.AppendUint64(nil, s.sent)); err != nil {
			s.sendEr = err
			return
		}
		s.sent++
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

func (s *stream) receive() {
	b := make([]byte, 64)
	for {
		n, err := s.conn.Read(b)
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil && n == 8 {
			s.back[binary.BigEndian.Uint64(b)] = true
		}
	}
}

// end stops sending, waits for what is under way, and gives how many were sent. One that did not come back is an error.
func (s *stream) end() (sent uint64, err error) {
	s.stop()
	s.done.Wait()
	err = errors.Join(s.sendEr, s.conn.Close())
	if lost := s.sent - uint64(len(s.back)); err == nil && lost > 0 {
		err = fmt.Errorf("%d of %d packets did not come back", lost, s.sent)
	}
	return s.sent, err
}
