// SPDX-License-Identifier: Apache-2.0

package afxdp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/packet"
	"github.com/mizar-go/mizar/internal/testutil"
)

// patience is for what happens at once, on a machine that may be busy.
const patience = 10 * time.Second

// rig is a veth: fn0 is the function's end, host0 the other, each in a namespace of its own.
type rig struct {
	t        testing.TB
	fn, host *netns.Handle
}

// newRig makes a veth of an MTU; zero: the usual one.
func newRig(t testing.TB, mtu int) *rig {
	t.Helper()
	testutil.Root(t)
	testutil.Leaks(t)
	r := &rig{t: t, fn: testutil.NewNS(t), host: testutil.NewNS(t)}
	// Without IPv6, nobody but the test sends.
	testutil.Sysctl(t, r.fn, "net/ipv6/conf/default/disable_ipv6", "1")
	testutil.Sysctl(t, r.host, "net/ipv6/conf/default/disable_ipv6", "1")
	testutil.Veth(t, r.host, "host0", r.fn, "fn0")
	if mtu != 0 {
		testutil.MTU(t, r.host, mtu, "host0")
		testutil.MTU(t, r.fn, mtu, "fn0")
	}
	testutil.Up(t, r.host, "host0")
	testutil.Up(t, r.fn, "fn0")
	testutil.Ready(t, r.host, "host0")
	testutil.Ready(t, r.fn, "fn0")
	return r
}

func path(ns *netns.Handle) string { return fmt.Sprintf("/proc/self/fd/%d", ns.FD()) }

// config is the rig's function, but for what the test says.
func (r *rig) config(c Config) Config {
	if c.Interface == "" {
		c.Interface, c.NetNS = "fn0", path(r.fn)
	}
	if c.RingSize == 0 {
		c.RingSize = 64
	}
	return c
}

// open opens the function, closed with the test.
func (r *rig) open(c Config) (*Port, *Socket) {
	r.t.Helper()
	p, err := Open(context.Background(), r.config(c))
	require.NoError(r.t, err)
	r.t.Cleanup(func() { require.NoError(r.t, p.Close()) })
	s := p.Sockets()[0]
	require.NoError(r.t, s.SetDeadline(time.Now().Add(patience)))
	return p, s
}

// wire is a packet socket at an interface.
type wire struct {
	t  testing.TB
	fd int
}

// wire opens one at the host's end, with room for what comes in.
func (r *rig) wire() *wire {
	r.t.Helper()
	w := &wire{t: r.t}
	ifindex := testutil.Ifindex(r.t, r.host, "host0")
	testutil.In(r.t, r.host, func() (err error) {
		all := int(packet16(unix.ETH_P_ALL))
		w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all)
		if err != nil {
			return err
		}
		timeout := unix.NsecToTimeval(int64(patience))
		return errors.Join(
			unix.Bind(w.fd, &unix.SockaddrLinklayer{Protocol: packet16(unix.ETH_P_ALL), Ifindex: ifindex}),
			unix.SetsockoptInt(w.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
			unix.SetsockoptInt(w.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20),
			unix.SetsockoptTimeval(w.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout))
	})
	r.t.Cleanup(func() { require.NoError(r.t, unix.Close(w.fd)) })
	return w
}

func packet16(n uint16) uint16 { return n<<8 | n>>8 } // to network order; the tests' machines are little-endian

func (w *wire) send(b []byte) {
	w.t.Helper()
	_, err := unix.Write(w.fd, b)
	require.NoError(w.t, err)
}

func (w *wire) receive() []byte {
	w.t.Helper()
	b := make([]byte, 1<<16)
	for {
		n, err := unix.Read(w.fd, b)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		require.NoError(w.t, err, "receive")
		return b[:n]
	}
}

// numbered is a frame that tells itself from others.
func numbered(t testing.TB, n int, size int) []byte {
	t.Helper()
	payload := bytes.Repeat([]byte{byte(n), byte(n >> 8)}, size/2)
	return packet.Eth(packet.MAC(1), packet.MAC(2)).IPv4(packet.Endpoint4(1), packet.Endpoint4(2)).
		UDP(uint16(n), 9).Raw(payload).Build(t)
}

// collect receives n packets, each whole.
func collect(t testing.TB, s *Socket, n int) (all [][]byte) {
	t.Helper()
	frames := make([]Frame, 16)
	for len(all) < n {
		got, err := s.Recv(frames)
		require.NoError(t, err, "after %d of %d", len(all), n)
		for i := range frames[:got] {
			b := frames[i].AppendTo(nil)
			require.Len(t, b, frames[i].Len())
			all = append(all, b)
		}
	}
	return all
}
