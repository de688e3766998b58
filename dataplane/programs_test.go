// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/internal/testutil"
)

// TestProgramStats: once somebody has asked the kernel to count, each ping shows in the programs that it runs
// through, and in no other. That nothing is counted before is no test: it is one switch for all of the host.
func TestProgramStats(t *testing.T) {
	testutil.Leaks(t)
	a, b := newHosts(t)
	web, far := testutil.NewNS(t), testutil.NewNS(t)
	ctx := t.Context()
	dpA, dpB := a.open(t), b.open(t)
	require.NoError(t, contentsOf(a, b, 1, 2).fill(ctx, dpA, droplet.TCX, endpoint.FD(web.FD())))
	require.NoError(t, contentsOf(b, a, 2, 1).fill(ctx, dpB, droplet.TCX, endpoint.FD(far.FD())))
	dst := netip.MustParseAddr("10.0.0.2")
	requireReachable(t, web, dst)

	stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	require.NoError(t, err)
	defer stats.Close()
	runs := func() map[bpf.Hook]ProgramStats {
		all := make(map[bpf.Hook]ProgramStats)
		for _, p := range collect(t, dpA.Stats.Programs(ctx)) {
			all[p.Hook] = p
		}
		return all
	}
	before := runs()
	r := testutil.Ping(t, web, netip.Addr{}, dst, 10, patience)
	require.Zero(t, r.Lost, r.Errors)
	after := runs()
	require.Len(t, after, 2, "%v", after)
	for _, hook := range []bpf.Hook{bpf.TableHookHOOK_AGENT_TCX, bpf.TableHookHOOK_TRANSIT_TCX} {
		require.GreaterOrEqual(t, after[hook].Runs-before[hook].Runs, uint64(r.Sent), hook)
		require.Positive(t, after[hook].RunTime-before[hook].RunTime, hook)
	}

	require.NoError(t, dpB.Destroy(ctx))
	require.NoError(t, dpA.Destroy(ctx))
	_, err = first(dpA.Stats.Programs(ctx))
	require.ErrorIs(t, err, ErrClosed)
}
