// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestEcho(t *testing.T) {
	a, b := pair(t)
	for _, addr := range []string{"192.0.2.2", "2001:db8::2"} {
		to := netip.AddrPortFrom(netip.MustParseAddr(addr), 0)
		server := EchoTCP(t, b, to)
		require.Equal(t, to.Addr(), server.Addr())
		require.NotZero(t, server.Port())
		for range 2 {
			c, err := DialTCP(t, a, netip.Addr{}, server, 5*time.Second)
			require.NoError(t, err)
			for _, size := range []int{1, 1000, 1 << 22} { // the last more than all buffers hold
				require.NoError(t, Exchange(c, size, 10*time.Second))
			}
		}

		datagrams := EchoUDP(t, b, to)
		u, err := DialUDP(t, a, netip.AddrPort{}, datagrams)
		require.NoError(t, err)
		for _, size := range []int{0, 1, 1000, 5000} {
			require.NoError(t, Exchange(u, size, 5*time.Second), "%d", size)
		}
	}
}

func TestDialSource(t *testing.T) {
	a, b := pair(t)
	src := netip.MustParseAddr("192.0.2.11")
	c, err := DialTCP(t, a, src, EchoTCP(t, b, netip.MustParseAddrPort("192.0.2.2:7")), 5*time.Second)
	require.NoError(t, err)
	require.Equal(t, src, netip.MustParseAddrPort(c.LocalAddr().String()).Addr())
	u, err := DialUDP(t, a, netip.AddrPortFrom(src, 4000), netip.MustParseAddrPort("192.0.2.2:7"))
	require.NoError(t, err)
	require.Equal(t, "192.0.2.11:4000", u.LocalAddr().String())
}

func TestEchoFails(t *testing.T) {
	a, b := pair(t)
	nobody := netip.MustParseAddrPort("192.0.2.2:9")
	_, err := DialTCP(t, a, netip.Addr{}, nobody, 5*time.Second)
	require.ErrorIs(t, err, unix.ECONNREFUSED)
	u, err := DialUDP(t, a, netip.AddrPort{}, nobody)
	require.NoError(t, err)
	require.ErrorIs(t, Exchange(u, 10, 5*time.Second), unix.ECONNREFUSED)

	// One that answers something else.
	shout, err := DialUDP(t, b, netip.MustParseAddrPort("192.0.2.2:7"), netip.MustParseAddrPort("192.0.2.1:7000"))
	require.NoError(t, err)
	u, err = DialUDP(t, a, netip.MustParseAddrPort("192.0.2.1:7000"), netip.MustParseAddrPort("192.0.2.2:7"))
	require.NoError(t, err)
	_, err = shout.Write([]byte("something else"))
	require.NoError(t, err)
	require.ErrorContains(t, Exchange(u, 10, 5*time.Second), "different")

	// A namespace has its own sockets.
	_, err = DialTCP(t, a, netip.Addr{}, EchoTCP(t, b, netip.MustParseAddrPort("127.0.0.1:0")), 5*time.Second)
	require.ErrorIs(t, err, unix.ECONNREFUSED)
}
