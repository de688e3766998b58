// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/stretchr/testify/require"
)

// Two hosts on a switch, fit for XDP or not: what the examples measure with, measures.
func TestTraffic(t *testing.T) {
	testutil.Root(t)
	testutil.Leaks(t)
	for name, xdp := range map[string]bool{"as it is": false, "fit for XDP": true} {
		t.Run(name, func(t *testing.T) {
			sw, err := NewSwitch(xdp)
			require.NoError(t, err)
			defer sw.Close()
			a, err := sw.Host("a", netip.MustParsePrefix("192.0.2.1/24"))
			require.NoError(t, err)
			defer a.Close()
			b, err := sw.Host("b", netip.MustParsePrefix("192.0.2.2/24"))
			require.NoError(t, err)
			defer b.Close()
			sniffer, err := b.Sniff(Uplink)
			require.NoError(t, err)
			defer sniffer.Close()
			heard, err := sniffer.Heard()
			require.NoError(t, err)
			require.Zero(t, heard)

			trips, err := a.Ping(t.Context(), b.Addr, 3)
			require.NoError(t, err)
			require.Len(t, trips, 3)
			heard, err = sniffer.Heard()
			require.NoError(t, err)
			require.GreaterOrEqual(t, heard, 3)

			s, err := b.Serve(b.Addr)
			require.NoError(t, err)
			defer s.Close()
			udp, err := a.UDP(t.Context(), s, 3, 50*time.Millisecond)
			require.NoError(t, err)
			require.Positive(t, udp.Trip)
			require.Positive(t, udp.Bits)
			tcp, err := a.TCP(t.Context(), s, 50*time.Millisecond)
			require.NoError(t, err)
			require.Positive(t, tcp.Trip)
			require.Positive(t, tcp.Bits)
			_, err = a.Ping(t.Context(), netip.MustParseAddr("192.0.2.3"), 1)
			require.Error(t, err)
			trips, err = a.Ping(t.Context(), netip.IPv6Loopback(), 2)
			require.NoError(t, err)
			require.Len(t, trips, 2)
			require.NoError(t, b.Remove(Uplink))
			_, err = a.Ping(t.Context(), b.Addr, 1)
			require.Error(t, err)
		})
	}
}

// A namespace with a name stays when it is closed, until it is removed; also one of which only the file is
// left. A name is taken once.
func TestNamed(t *testing.T) {
	testutil.Root(t)
	testutil.Leaks(t)
	name := fmt.Sprintf("mizar-lab-%d", os.Getpid())
	n, err := NewNamed(name)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, RemoveNamed(name)) })
	require.NoError(t, n.Bridge("br"))
	require.NoError(t, n.Close())
	_, err = NewNamed(name)
	require.ErrorIs(t, err, os.ErrExist)

	found, err := netns.FromPath(NamePath(name))
	require.NoError(t, err)
	testutil.Link(t, found, "br")
	require.NoError(t, found.Close())
	require.NoError(t, RemoveNamed(name))
	require.NoFileExists(t, NamePath(name))
	require.NoError(t, RemoveNamed(name), "it is gone already")

	require.NoError(t, os.WriteFile(NamePath(name), nil, 0o444))
	require.NoError(t, RemoveNamed(name))
	require.NoFileExists(t, NamePath(name))
}
