// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/internal/netns"
)

// EchoTCP serves in a namespace until the test ends: every connection gets back what it sends. Port 0
// is any; the address returned has the one that was taken.
func EchoTCP(t testing.TB, ns *netns.Handle, addr netip.AddrPort) netip.AddrPort {
	t.Helper()
	var l net.Listener
	In(t, ns, func() (err error) {
		var config net.ListenConfig
		config.SetMultipathTCP(false)
		l, err = config.Listen(context.Background(), "tcp", addr.String())
		return err
	})
	var served sync.WaitGroup
	var mu sync.Mutex
	open := make(map[net.Conn]bool)
	served.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			served.Go(func() {
				_, _ = io.Copy(c, c) // what went wrong, the other end sees
				mu.Lock()
				delete(open, c)
				mu.Unlock()
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() {
		require.NoError(t, l.Close())
		mu.Lock()
		for c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		served.Wait()
	})
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// EchoUDP serves in a namespace until the test ends: every datagram comes back from where it went.
func EchoUDP(t testing.TB, ns *netns.Handle, addr netip.AddrPort) netip.AddrPort {
	t.Helper()
	var c *net.UDPConn
	In(t, ns, func() (err error) {
		c, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
		return err
	})
	var served sync.WaitGroup
	served.Go(func() {
		buffer := make([]byte, 1<<16)
		for {
			n, from, err := c.ReadFromUDPAddrPort(buffer)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				_, _ = c.WriteToUDPAddrPort(buffer[:n], from)
			}
		}
	})
	t.Cleanup(func() {
		require.NoError(t, c.Close())
		served.Wait()
	})
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

// DialTCP connects from a namespace. The source may be zero. The connection is closed with the test, if
// it is open then.
func DialTCP(t testing.TB, ns *netns.Handle, src netip.Addr, dst netip.AddrPort, timeout time.Duration) (*net.TCPConn, error) {
	t.Helper()
	d := net.Dialer{Timeout: timeout}
	if src.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(src, 0))
	}
	c, err := dial(t, ns, &d, "tcp", dst)
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// DialUDP makes a connected UDP socket in a namespace. The source may be zero, its port too. It is closed
// with the test, if it is open then.
func DialUDP(t testing.TB, ns *netns.Handle, src, dst netip.AddrPort) (*net.UDPConn, error) {
	t.Helper()
	var d net.Dialer
	if src.IsValid() {
		d.LocalAddr = net.UDPAddrFromAddrPort(src)
	}
	c, err := dial(t, ns, &d, "udp", dst)
	if err != nil {
		return nil, err
	}
	return c.(*net.UDPConn), nil
}

func dial(t testing.TB, ns *netns.Handle, d *net.Dialer, network string, dst netip.AddrPort) (c net.Conn, err error) {
	t.Helper()
	Root(t)
	// net makes the socket in the calling goroutine, as the address is no name.
	err = ns.Do(func() error {
		c, err = d.DialContext(context.Background(), network, dst.String())
		return err
	})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, nil
}

// Exchange sends size bytes to an echo and waits for the same to come back. Over UDP they are one
// datagram.
func Exchange(c net.Conn, size int, timeout time.Duration) (err error) {
	if err := c.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.SetDeadline(time.Time{})) }()
	sent := make([]byte, size)
	for i := range sent {
		sent[i] = byte(i * 7 >> 3)
	}
	written := make(chan error, 1)
	// At once with reading, or both ends wait for room once much is under way.
	go func() {
		_, err := c.Write(sent)
		written <- err
	}()
	got := make([]byte, size+1) // one more: a longer datagram shows
	var n int
	if _, datagrams := c.(*net.UDPConn); datagrams {
		n, err = c.Read(got)
	} else {
		n, err = io.ReadFull(c, got[:size])
	}
	if err := errors.Join(err, <-written); err != nil {
		return fmt.Errorf("exchange %d bytes with %s: %w", size, c.RemoteAddr(), err)
	}
	if !bytes.Equal(got[:n], sent) {
		return fmt.Errorf("exchange %d bytes with %s: what came back is different", size, c.RemoteAddr())
	}
	return nil
}
