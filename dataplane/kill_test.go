// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// TestKilledHolder: the lock is free at once and all is there; a ping and a TCP stream that run all the
// while notice nothing; and Destroy by another process leaves the host as the first one found it.
func TestKilledHolder(t *testing.T) {
	inEachMode(t, testKilledHolder)
}

func testKilledHolder(t *testing.T, mode droplet.Mode) {
	a, b := newHosts(t)
	beforeA, beforeB := interfaces(t, a.ns), interfaces(t, b.ns)
	web, far := testutil.NewNS(t), testutil.NewNS(t)
	dpB := b.open(t)
	require.NoError(t, contentsOf(b, a, 2, 1).fill(t.Context(), dpB, mode, endpoint.FD(far.FD())))
	kill := a.held(t, hold, web, fmt.Sprintf("%s=%d", childDroplet, mode))
	attached, settings := a.running(t), interfaces(t, a.ns)
	dst := netip.MustParseAddr("10.0.0.2")
	requireReachable(t, web, dst)

	s := startStream(t, web, far, dst)
	p := testutil.StartPing(t, web, testutil.PingConfig{Dst: dst, Interval: 2 * time.Millisecond, Timeout: patience})
	s.flows(t)
	kill()
	s.flows(t)
	dp := a.open(t)
	s.flows(t)
	require.Equal(t, attached, a.running(t))
	require.Equal(t, settings, interfaces(t, a.ns))
	s.end(t)
	r := p.Stop()
	if r.Lost != 0 {
		logCounters(t, a, b)
	}
	require.Zero(t, r.Lost, r.Errors)
	require.Greater(t, r.Sent, 10)

	report := dp.Report()
	require.True(t, report.Adopted)
	require.False(t, report.Upgraded || report.Gone())
	require.Len(t, report.Droplets, 1)
	require.Equal(t, "eth0", report.Droplets[0].Interface)
	require.Equal(t, mode, report.Droplets[0].Mode)
	require.Equal(t, uint64(5), report.Droplets[0].Cookie)
	require.Len(t, report.Endpoints, 1)
	require.Equal(t, "mzworkload", report.Endpoints[0].HostInterface)
	require.Equal(t, agentMode(mode), report.Endpoints[0].Mode)
	require.Equal(t, uint64(6), report.Endpoints[0].Cookie)
	require.Len(t, report.Links, map[bool]int{false: 2, true: 4}[mode.XDP()])
	c := contentsOf(a, b, 1, 2)
	c.requireFilled(t, dp)
	// And nothing else.
	require.Equal(t, []maps.Peer{c.peer}, collect(t, dp.Peer.List(t.Context())))
	require.Equal(t, []maps.VPC{c.vpc}, collect(t, dp.VPC.List(t.Context())))
	require.Equal(t, []maps.Network{c.network}, collect(t, dp.Network.List(t.Context())))
	require.Len(t, collect(t, dp.Endpoint.List(t.Context())), 2)

	require.NoError(t, dp.Destroy(t.Context()))
	require.NoError(t, dpB.Destroy(t.Context()))
	require.Equal(t, beforeA, interfaces(t, a.ns))
	require.Equal(t, beforeB, interfaces(t, b.ns))
	require.Empty(t, a.files(t))
	require.False(t, testutil.Exists(t, web, "eth0"))
}

// requireReachable waits until a workload reaches an address: a first packet may be lost for want of a
// neighbour.
func requireReachable(t testing.TB, from *netns.Handle, dst netip.Addr) {
	t.Helper()
	testutil.Eventually(t, patience, func() error {
		if r := testutil.Ping(t, from, netip.Addr{}, dst, 1, time.Second); r.Lost != 0 {
			return fmt.Errorf("%s does not answer: %v", dst, r.Errors)
		}
		return nil
	})
}
