// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
)

const (
	// patience is for what takes milliseconds on a machine that has nothing else to do.
	patience = 60 * time.Second

	// A stream goes slowly enough that pings beside it are not lost for want of room in a queue.
	streamChunk    = 8 << 10
	streamInterval = 4 * time.Millisecond
)

// stream is a TCP connection to an echo, on which bytes keep going round, every one of them checked.
type stream struct {
	conn   *net.TCPConn
	server net.Listener
	stop   chan struct{}
	ended  chan error
	byteAt func(int64) byte // of the stream
	back   atomic.Int64     // bytes that came back as they were sent
}

// startStream begins one from a workload to the address of another.
func startStream(t testing.TB, from, to *netns.Handle, addr netip.Addr) *stream {
	t.Helper()
	return startStreamOf(t, from, to, addr, streamByte)
}

// startStreamOf is startStream with the bytes that the caller wants.
func startStreamOf(t testing.TB, from, to *netns.Handle, addr netip.Addr, byteAt func(int64) byte) *stream {
	t.Helper()
	s := &stream{stop: make(chan struct{}), ended: make(chan error, 3), byteAt: byteAt}
	testutil.In(t, to, func() (err error) {
		var config net.ListenConfig
		config.SetMultipathTCP(false)
		s.server, err = config.Listen(context.Background(), "tcp", netip.AddrPortFrom(addr, 0).String())
		return err
	})
	go func() { s.ended <- s.echo() }()
	t.Cleanup(func() { _ = s.server.Close() })
	var err error
	s.conn, err = testutil.DialTCP(t, from, netip.Addr{}, s.server.Addr().(*net.TCPAddr).AddrPort(), patience)
	require.NoError(t, err)
	require.NoError(t, s.conn.SetDeadline(time.Now().Add(2*patience)))
	go func() { s.ended <- s.write() }()
	go func() { s.ended <- s.read() }()
	s.flows(t)
	return s
}

// echo serves the one connection, until the other end has sent all.
func (s *stream) echo() error {
	c, err := s.server.Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(2 * patience)); err != nil {
		return err
	}
	_, err = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
	return err
}

// streamByte is the one at a place of the stream: none that is left out, doubled or moved goes unseen.
func streamByte(at int64) byte { return byte(at ^ at>>8*31 ^ at>>16*17) }

func (s *stream) write() error {
	tick := time.NewTicker(streamInterval)
	defer tick.Stop()
	buffer := make([]byte, streamChunk)
	for at := int64(0); ; {
		select {
		case <-s.stop:
			return s.conn.CloseWrite()
		case <-tick.C:
		}
		for i := range buffer {
			buffer[i] = s.byteAt(at + int64(i))
		}
		n, err := s.conn.Write(buffer)
		if at += int64(n); err != nil {
			return fmt.Errorf("stream, after %d bytes: %w", at, err)
		}
	}
}

func (s *stream) read() error {
	buffer := make([]byte, 8*streamChunk)
	for at := int64(0); ; s.back.Store(at) {
		n, err := s.conn.Read(buffer)
		for i, b := range buffer[:n] {
			if b != s.byteAt(at+int64(i)) {
				return fmt.Errorf("stream: byte %d came back as another", at+int64(i))
			}
		}
		at += int64(n)
		switch {
		case errors.Is(err, io.EOF):
			s.back.Store(at)
			return nil
		case err != nil:
			return fmt.Errorf("stream, after %d bytes came back: %w", at, err)
		}
	}
}

// flows waits until more has gone round than is ever under way, counted from now.
func (s *stream) flows(t testing.TB) {
	t.Helper()
	begin := s.back.Load()
	testutil.Eventually(t, patience, func() error {
		select {
		case err := <-s.ended:
			t.Fatalf("the stream ended: %v", err)
		default:
		}
		if now := s.back.Load(); now < begin+256<<10 {
			return fmt.Errorf("%d bytes came back, %d more", begin, now-begin)
		}
		return nil
	})
}

// end closes the stream in order: all that was sent comes back.
func (s *stream) end(t testing.TB) {
	t.Helper()
	close(s.stop)
	for range cap(s.ended) {
		require.NoError(t, <-s.ended)
	}
	require.NoError(t, s.conn.Close())
	require.NoError(t, s.server.Close())
}
