// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
)

// asker asks an endpoint for a secret, over and over, and the endpoint answers. Both check what they get.
type asker struct {
	stopping chan struct{}
	done     sync.WaitGroup
	server   *net.UDPConn
	client   *net.UDPConn

	mu       sync.Mutex
	asked    uint64
	answered map[uint64]bool
	bad      []error
}

// startAsker asks from one workload to another. The other may also get what holds one of the marks.
func startAsker(t testing.TB, from, to *netns.Handle, addr netip.Addr, secret string, marks ...string) *asker {
	t.Helper()
	a := &asker{stopping: make(chan struct{}), answered: make(map[uint64]bool)}
	at := netip.AddrPortFrom(addr, askPort)
	testutil.In(t, to, func() (err error) {
		a.server, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		return err
	})
	t.Cleanup(func() { _ = a.server.Close() })
	var err error
	a.client, err = testutil.DialUDP(t, from, netip.AddrPort{}, at)
	require.NoError(t, err)
	for _, c := range []*net.UDPConn{a.server, a.client} {
		require.NoError(t, c.SetReadBuffer(4<<20))
	}
	a.done.Go(func() { a.serve(secret, marks) })
	a.done.Go(func() { a.ask(secret) })
	a.done.Go(func() { a.listen(secret) })
	return a
}

func (a *asker) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.bad) < 5 {
		a.bad = append(a.bad, err)
	}
}

func (a *asker) serve(secret string, marks []string) {
	buffer := make([]byte, 1<<16)
	for {
		n, from, err := a.server.ReadFromUDPAddrPort(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		b := buffer[:n]
		switch {
		case err != nil: // an ICMP error
		case bytes.HasPrefix(b, []byte(secret)):
			_, _ = a.server.WriteToUDPAddrPort(b, from)
		case !containsAny(b, marks):
			a.fail(fmt.Errorf("asked by %s without the secret: %x", from, b))
		}
	}
}

func containsAny(b []byte, marks []string) bool {
	for _, m := range marks {
		if bytes.Contains(b, []byte(m)) {
			return true
		}
	}
	return false
}

func (a *asker) ask(secret string) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		a.mu.Lock()
		n := a.asked
		a.asked++
		a.mu.Unlock()
		// An error may be an ICMP error about an earlier one: that has no answer then.
		_, _ = a.client.Write(binary.BigEndian.AppendUint64([]byte(secret), n))
		select {
		case <-a.stopping:
			return
		case <-tick.C:
		}
	}
}

func (a *asker) listen(secret string) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := a.client.Read(buffer)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
		case n != len(secret)+8 || string(buffer[:len(secret)]) != secret:
			a.fail(fmt.Errorf("answered without the secret: %x", buffer[:n]))
		default:
			a.mu.Lock()
			a.answered[binary.BigEndian.Uint64(buffer[len(secret):])] = true
			a.mu.Unlock()
		}
	}
}

// answers waits for some more.
func (a *asker) answers(t testing.TB, more int) {
	t.Helper()
	count := func() int {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.answered)
	}
	before := count()
	testutil.Eventually(t, patience, func() error {
		if n := count(); n < before+more {
			return fmt.Errorf("%d answers, before %d", n, before)
		}
		return nil
	})
}

// stop asks no more. Where nothing may be lost, it waits for the last answers.
func (a *asker) stop(t testing.TB, lossless bool) {
	t.Helper()
	close(a.stopping)
	if lossless {
		testutil.Eventually(t, patience, func() error {
			a.mu.Lock()
			defer a.mu.Unlock()
			if lost := int(a.asked) - len(a.answered); lost != 0 {
				return fmt.Errorf("%d of %d questions are not answered", lost, a.asked)
			}
			return nil
		})
	}
	_, _ = a.client.Close(), a.server.Close()
	a.done.Wait()
	require.NoError(t, errors.Join(a.bad...))
}
