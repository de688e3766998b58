// SPDX-License-Identifier: Apache-2.0

package host_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/internal/testutil"
)

// namespace is where sockets are made.
type namespace interface{ Do(f func() error) error }

// interval is between two datagrams of one direction.
const interval = 500 * time.Microsecond

// flood sends numbered datagrams from one workload to the other and back, until it is stopped.
type flood struct {
	conns [2]*net.UDPConn
	sent  [2]uint64
	got   [2]map[uint64]time.Time // at the other end
	when  [2][]time.Time          // they were sent
	stop  chan struct{}
	sends sync.WaitGroup
	reads sync.WaitGroup
}

func startFlood(t testing.TB, a, b namespace, addrA, addrB string) *flood {
	t.Helper()
	f := &flood{stop: make(chan struct{})}
	ends := [2]netip.AddrPort{netip.MustParseAddrPort(addrA + ":4000"), netip.MustParseAddrPort(addrB + ":4000")}
	for i, ns := range []namespace{a, b} {
		require.NoError(t, ns.Do(func() (err error) {
			f.conns[i], err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(ends[i]))
			return err
		}))
		raw, err := f.conns[i].SyscallConn()
		require.NoError(t, err)
		// This machine may be busy for a while with everything else.
		require.NoError(t, raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20)
		}))
		require.NoError(t, err)
		f.got[i] = make(map[uint64]time.Time)
	}
	hello := func(from, to int) error {
		if _, err := f.conns[from].WriteToUDPAddrPort(make([]byte, 1), ends[to]); err != nil {
			return err
		}
		_ = f.conns[to].SetReadDeadline(time.Now().Add(time.Second))
		_, err := f.conns[to].Read(make([]byte, 9))
		return errors.Join(err, f.conns[to].SetReadDeadline(time.Time{}))
	}
	testutil.Eventually(t, 10*time.Second, func() error { return errors.Join(hello(0, 1), hello(1, 0)) })
	for i, c := range f.conns {
		f.sends.Go(func() {
			tick := time.NewTicker(interval)
			defer tick.Stop()
			var b [8]byte
			for {
				select {
				case <-f.stop:
					return
				case <-tick.C:
				}
				binary.BigEndian.PutUint64(b[:], f.sent[i])
				f.when[i] = append(f.when[i], time.Now())
				f.sent[i]++
				_, _ = c.WriteToUDPAddrPort(b[:], ends[1-i]) // one that is not sent is one that is lost
			}
		})
		f.reads.Go(func() {
			var b [9]byte
			for {
				n, err := c.Read(b[:])
				if errors.Is(err, net.ErrClosed) || errors.Is(err, unix.EBADF) {
					return
				}
				var timeout net.Error
				if errors.As(err, &timeout) && timeout.Timeout() {
					return
				}
				if n == 8 {
					f.got[1-i][binary.BigEndian.Uint64(b[:])] = time.Now()
				}
			}
		})
	}
	return f
}

// end counts what was sent and what came.
func (f *flood) end(t testing.TB) (sent [2]uint64, lost [2][]string) {
	t.Helper()
	close(f.stop)
	f.sends.Wait()
	for _, c := range f.conns {
		require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Second)))
	}
	f.reads.Wait()
	for i, c := range f.conns {
		require.NoError(t, c.Close())
		for n := range f.sent[i] {
			if _, ok := f.got[i][n]; !ok {
				lost[i] = append(lost[i], fmt.Sprintf("%d, sent at %s", n, f.when[i][n].Format("15:04:05.000000")))
			}
		}
	}
	return f.sent, lost
}
