// SPDX-License-Identifier: Apache-2.0

package fill

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/internal/probe"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// open makes an instance in a namespace that has an uplink.
func open(t testing.TB, limits bpf.Limits) (*dataplane.Dataplane, Config) {
	t.Helper()
	ns := testutil.NewNS(t)
	testutil.Veth(t, ns, "eth0", testutil.NewNS(t), "eth0")
	testutil.Addr(t, ns, "eth0", "192.0.2.1/24")
	testutil.Up(t, ns, "eth0")
	c := dataplane.Config{Name: "fill", NetNS: fmt.Sprintf("/proc/self/fd/%d", ns.FD()), BPFFS: testutil.BPFFS(t), Limits: limits}
	dp, err := dataplane.Open(t.Context(), c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, dp.Close()) })
	return dp, Config{Instance: c.Name, BPFFS: c.BPFFS, Age: time.Nanosecond}
}

// remote is the nth endpoint that lives elsewhere.
func remote(n int) maps.Endpoint {
	return maps.Endpoint{VNI: 7, Addr: netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}),
		Host: netip.MustParseAddr("192.0.2.2")}
}

// Each table has as many rows as were put there, and room for as many as it was made for.
func TestTables(t *testing.T) {
	testutil.Root(t)
	testutil.Leaks(t)
	limits := bpf.Limits{Endpoints: 101, Networks: 102, VPCs: 103, Sets: 104, Peers: 105, Agents: 106, Allowed: 107,
		Directs: 1024, Paths: 64, Traffic: 110}
	dp, c := open(t, limits)
	ctx := t.Context()
	tables := func() map[string]Table {
		m := New(c)
		defer m.Close()
		all, err := m.Tables(ctx)
		require.NoError(t, err)
		of := make(map[string]Table)
		for i, x := range all {
			of[x.Name] = x
			require.True(t, i == 0 || all[i-1].Name < x.Name, "%v", all)
		}
		return of
	}
	want := map[string]Table{
		"agents": {"agents", 0, 106}, "allowed": {"allowed", 0, 107}, "chains": {"chains", 0, 16384},
		"directs": {"directs", 0, 1024}, "droplets": {"droplets", 0, 256}, "endpoints": {"endpoints", 0, 101},
		"networks": {"networks", 0, 102}, "paths": {"paths", 0, 64}, "peers": {"peers", 0, 105},
		"restore": {"restore", 0, 65536}, "traffic": {"traffic", 0, 109}, "vpcs": {"vpcs", 0, 103},
	}
	require.Equal(t, want, tables())

	_, err := dp.Droplet.Attach(ctx, droplet.Config{Interface: "eth0", Mode: droplet.TCX})
	require.NoError(t, err)
	workload := testutil.NewNS(t)
	_, err = dp.Endpoint.Create(ctx, endpoint.Config{VNI: 7, Addrs: []netip.Prefix{netip.MustParsePrefix("10.9.0.1/24"), netip.MustParsePrefix("2001:db8::1/64")},
		NetNS: endpoint.FD(workload.FD()), Allowed: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}})
	require.NoError(t, err)
	for n := range 4 {
		host := netip.AddrFrom4([4]byte{192, 0, 2, byte(10 + n)})
		require.NoError(t, dp.Peer.Add(ctx, maps.Peer{Prefix: netip.PrefixFrom(host, 32)}))
		require.NoError(t, dp.Endpoint.Add(ctx, remote(n)))
	}
	for vni := range uint32(3) {
		hosts := []netip.Addr{netip.MustParseAddr("192.0.2.2")}
		require.NoError(t, dp.VPC.Add(ctx, maps.VPC{VNI: 7 + vni, Dividers: hosts}))
		for n := range byte(2) {
			prefix := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, n, 0, 0}), 16)
			require.NoError(t, dp.Network.Add(ctx, maps.Network{VNI: 7 + vni, Prefix: prefix, Bouncers: hosts}))
		}
	}
	f, err := dp.Function.Load(ctx, "next", probe.Spec(t, probe.Next, nil))
	require.NoError(t, err)
	require.NoError(t, f.Close())
	for _, scope := range []dataplane.Scope{{}, {VNI: 7}} {
		require.NoError(t, dp.Stage.Set(ctx, dataplane.StageSend, scope, "next"))
		require.NoError(t, dp.Stage.Set(ctx, dataplane.StageDeliver, scope, "next", "next"))
	}
	for name, n := range map[string]uint64{"agents": 1, "allowed": 1, "chains": 2, "droplets": 1, "endpoints": 2 + 4,
		"networks": 6, "peers": 4, "restore": 2, "traffic": 2, "vpcs": 3} {
		row := want[name]
		row.Entries = n
		want[name] = row
	}
	got := tables()
	delete(got, "paths") // of the hosts that the kernel was asked for
	delete(want, "paths")
	require.Equal(t, want, got)
	require.NoError(t, dp.Destroy(ctx))
}

// Where there is no instance, that is what it says; also of one that was there.
func TestNoInstance(t *testing.T) {
	testutil.Root(t)
	testutil.Leaks(t)
	dp, c := open(t, bpf.Limits{Directs: 1024})
	m := New(c)
	defer m.Close()
	none, at := m.Last()
	require.Empty(t, none)
	require.Zero(t, at)
	first, err := m.Tables(t.Context())
	require.NoError(t, err)
	last, at := m.Last()
	require.Equal(t, first, last)
	require.WithinDuration(t, time.Now(), at, time.Minute)
	require.NoError(t, dp.Destroy(t.Context()))
	require.Eventually(t, func() bool { // the count before is good for a moment
		_, err = m.Tables(t.Context())
		return err != nil
	}, 10*time.Second, 10*time.Millisecond)
	require.ErrorIs(t, err, dataplane.ErrNotFound)
	require.NoError(t, m.Close())
	_, err = m.Tables(t.Context())
	require.ErrorIs(t, err, dataplane.ErrClosed)
}

// What a count of a million endpoints takes.
func BenchmarkCount(b *testing.B) {
	testutil.Root(b)
	dp, c := open(b, bpf.Limits{})
	var rows []maps.Endpoint
	for n := range 1_000_000 {
		rows = append(rows, remote(n+1))
	}
	require.NoError(b, dp.Endpoint.AddAll(b.Context(), rows))
	for b.Loop() {
		tables, err := count(b.Context(), c.BPFFS, c.Instance)
		require.NoError(b, err)
		require.NotEmpty(b, tables)
	}
}
