// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/internal/testutil"
)

// TestKilledHolder: the lock is free at once, all is there, traffic flows, and Destroy by another process
// leaves the host as the first one found it.
func TestKilledHolder(t *testing.T) {
	a, b := newHosts(t)
	beforeA, beforeB := interfaces(t, a.ns), interfaces(t, b.ns)
	web, far := testutil.NewNS(t), testutil.NewNS(t)
	dpB := b.open(t)
	require.NoError(t, contentsOf(b, a, 2, 1).fill(t.Context(), dpB, droplet.TCX, endpoint.FD(far.FD())))
	a.killed(t, hold, web)

	p := testutil.StartPing(t, web, testutil.PingConfig{
		Dst: netip.MustParseAddr("10.0.0.2"), Interval: 2 * time.Millisecond, Timeout: 5 * time.Second, Count: 100,
	})
	dp := a.open(t)
	r := p.Wait()
	require.Zero(t, r.Lost, r.Errors)
	report := dp.Report()
	require.True(t, report.Adopted)
	require.False(t, report.Upgraded || report.Gone())
	require.Len(t, report.Droplets, 1)
	require.Equal(t, "eth0", report.Droplets[0].Interface)
	require.Equal(t, uint64(5), report.Droplets[0].Cookie)
	require.Len(t, report.Endpoints, 1)
	require.Equal(t, "mzworkload", report.Endpoints[0].HostInterface)
	require.Len(t, report.Links, 2)
	contentsOf(a, b, 1, 2).requireFilled(t, dp)

	require.NoError(t, dp.Destroy(t.Context()))
	require.NoError(t, dpB.Destroy(t.Context()))
	require.Equal(t, beforeA, interfaces(t, a.ns))
	require.Equal(t, beforeB, interfaces(t, b.ns))
	require.Empty(t, a.files(t))
	require.False(t, testutil.Exists(t, web, "eth0"))
}

// TestReportOfWhatIsGone: interfaces that somebody removed while no process ran.
func TestReportOfWhatIsGone(t *testing.T) {
	h, other := newHosts(t)
	workload := testutil.NewNS(t)
	dp := h.open(t)
	require.NoError(t, contentsOf(h, other, 1, 2).fill(t.Context(), dp, droplet.TCX, endpoint.FD(workload.FD())))
	require.NoError(t, dp.Close())
	testutil.Delete(t, h.ns, "eth0", "mzworkload")

	dp = h.open(t)
	r := dp.Report()
	require.True(t, r.Gone())
	require.Len(t, r.Droplets, 1)
	require.True(t, r.Droplets[0].Gone)
	require.Equal(t, "eth0", r.Droplets[0].Interface)
	require.Len(t, r.Endpoints, 1)
	require.True(t, r.Endpoints[0].Gone)
	require.Len(t, r.Links, 2)
	for _, l := range r.Links {
		require.True(t, l.Gone, l.Hook)
	}
	require.NoError(t, dp.Destroy(t.Context()))
	require.Empty(t, h.files(t))
}

// TestFailedDestroyCanBeRepeated: what it takes to put things back stays pinned.
func TestFailedDestroyCanBeRepeated(t *testing.T) {
	h, other := newHosts(t)
	before := interfaces(t, h.ns)
	workload := testutil.NewNS(t)
	c := contentsOf(h, other, 1, 2)
	dp := h.open(t)
	require.NoError(t, c.fill(t.Context(), dp, droplet.Native, endpoint.FD(workload.FD())))
	ended, end := context.WithCancel(t.Context())
	end()
	require.ErrorIs(t, dp.Destroy(ended), context.Canceled)
	require.ErrorIs(t, dp.Destroy(t.Context()), ErrClosed)

	dp = h.open(t)
	c.requireFilled(t, dp)
	require.NoError(t, dp.Destroy(t.Context()))
	require.Empty(t, h.files(t))
	require.Equal(t, before, interfaces(t, h.ns))
}
