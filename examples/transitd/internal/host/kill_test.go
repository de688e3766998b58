// SPDX-License-Identifier: Apache-2.0

package host_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/host"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// How often the daemon is killed, and the seed of when: MIZAR_KILLS=200 MIZAR_SEED=1 go test -run TestKilledDuringApply
const (
	killsEnv = "MIZAR_KILLS"
	seedEnv  = "MIZAR_SEED"
)

// between are two states that differ in whatever they can, but for what the flood needs.
func between(t testing.TB, flooded, other string) (a, b *pb.State) {
	t.Helper()
	common := fmt.Sprintf(`"droplets":[{"interface":"eth0"}], "networks":[{"vni":7,"prefix":"10.0.0.0/24","bouncers":["192.0.2.2"],"cookie":"%%d"}, %%s],
		"localEndpoints":[{"vni":7,"addresses":["10.0.0.1/24"],"netns":%q}, %%s], "functions":[{"name":"log","object":%q}, %%s]`, flooded, host.File("droplog"))
	second := func(addresses, mac string) string {
		return fmt.Sprintf(`{"vni":7,"addresses":[%s],"netns":%q,"mac":%q,"hostInterface":"mzsecond"}`, addresses, other, mac)
	}
	remotes := func(from int) (all string) {
		for i := range 40 {
			all += fmt.Sprintf(`,{"vni":7,"address":"10.0.0.%d","host":"192.0.2.%d"}`, 100+from+i, 2+(from+i)%2)
		}
		return all
	}
	peers := func(n int) (all string) { // too many of one state and of the other for the table
		for i := range 40 {
			all += fmt.Sprintf(`,{"prefix":"198.18.%d.0/24"}`, n+i)
		}
		return all
	}
	scope := func(point, more, functions string) string {
		return fmt.Sprintf(`{"scope":{"point":"STAGE_POINT_%s"%s},"functions":[%s]}`, point, more, functions)
	}
	a = host.State(t, `{`+common+`, "peers":[{"prefix":"192.0.2.0/24"}%s],
		"vpcs":[{"vni":7,"dividers":["192.0.2.2"],"cookie":"1"},{"vni":8}],
		"endpoints":[{"vni":7,"address":"10.0.0.9","host":"192.0.2.2"},{"vni":7,"address":"10.0.0.3","host":"192.0.2.2"}%s],
		"stages":[%s,%s,%s], "bridges":[{"name":"br0","ports":["p1"]},{"name":"br1","ports":["p2"]},{"name":"br2"}],
		"addresses":[{"interface":"eth0","address":"198.51.100.1/24"},{"interface":"br0","address":"2001:db8::1/64"}]}`,
		1, `{"vni":8,"prefix":"10.1.0.0/16","blackhole":true}`, second(`"10.0.0.2/24"`, "02:00:00:00:00:02"),
		fmt.Sprintf(`{"name":"lim","object":%q}`, host.File("limiter")), peers(0), remotes(0),
		scope("DROP", "", `"log"`), scope("SEND", `,"vni":8`, `"lim"`), scope("DROP", `,"vni":7,"address":"10.0.0.2"`, `"log"`))
	b = host.State(t, `{`+common+`, "peers":[{"prefix":"192.0.2.0/24","cookie":"4"}%s],
		"vpcs":[{"vni":7,"dividers":["192.0.2.2","192.0.2.3"],"cookie":"2"},{"vni":9}],
		"endpoints":[{"vni":7,"address":"10.0.0.9","host":"192.0.2.2"},{"vni":7,"address":"10.0.0.2","host":"192.0.2.2"}%s],
		"stages":[%s,%s], "routes":[{"destination":"203.0.113.0/24","via":"192.0.2.2"}],
		"bridges":[{"name":"br0","ports":["p2"]},{"name":"br1","ports":["p1"]}],
		"addresses":[{"interface":"eth0","address":"198.51.100.2/24"},{"interface":"br0","address":"2001:db8::1/48"}]}`,
		2, `{"vni":9,"prefix":"10.1.0.0/16","via":"10.1.0.1"}`, second(`"10.0.0.3/24","10.0.0.4/24"`, "02:00:00:00:00:03"),
		fmt.Sprintf(`{"name":"more","object":%q}`, host.File("droplog")), peers(40), remotes(20),
		scope("DROP", `,"vni":7`, `"log","more"`), scope("DROP", `,"vni":7,"address":"10.0.0.1"`, `"more"`))
	return a, b
}

// TestKilledDuringApply: wherever in an Apply the daemon is killed, and the next ones as they start, one that lives has the host in the old state or in the
// new, as a whole: so it says itself, so says the kernel, and so does the journal. A flood of packets between endpoints
// of both loses none.
func TestKilledDuringApply(t *testing.T) {
	w := host.NewWorld(t)
	testutil.Veth(t, w.Here(), "p1", w.Here(), "p2")
	kills := 12
	if n, err := strconv.Atoi(os.Getenv(killsEnv)); err == nil {
		kills = n
	}
	seed := rand.Uint64()
	if n, err := strconv.ParseUint(os.Getenv(seedEnv), 10, 64); err == nil {
		seed = n
	}
	random := rand.New(rand.NewPCG(seed, 0))
	bpffs := w.Options().Dataplane.BPFFS

	// The other host.
	far := testutil.NewNS(t)
	there, err := dataplane.Open(t.Context(), dataplane.Config{
		Name: "b", BPFFS: bpffs, NetNS: fmt.Sprintf("/proc/self/fd/%d", w.There().FD()), Limits: w.Options().Dataplane.Limits,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, there.Close()) })
	farSide(t, there, endpoint.FD(far.FD()))

	flooded, near := host.Named(t, "flooded")
	other, _ := host.Named(t, "other")
	a, b := between(t, flooded, other)
	p := newProcess(t)
	p.start(t, w.Here(), bpffs)
	require.NoError(t, p.apply(t.Context(), a))
	p.kill(t)
	began := time.Now()
	p.start(t, w.Here(), bpffs)
	starts := time.Since(began)

	// What each is like, done in peace, and how long it takes.
	var states [2]*pb.State
	var kernels [2][]string
	var takes [2]time.Duration
	const rounds = 3
	for range rounds {
		for i, s := range []*pb.State{b, a} {
			began := time.Now()
			require.NoError(t, p.apply(t.Context(), s))
			takes[i] += time.Since(began) / rounds
			states[i], kernels[i] = s, w.Kernel(t)
			require.Equal(t, host.TextsOf(s), host.TextsOf(p.state(t)))
		}
	}
	t.Logf("%d kills, %s=%d, an Apply takes %v, one way and the other, a start %v", kills, seedEnv, seed, takes, starts)

	f := startFlood(t, near, far, "10.0.0.1", "10.0.0.9")
	now := 1         // states[1] is what was applied last
	var ended [2]int // in the old state, in the new
	var mended, answered, more int
	for i := range kills {
		next := 1 - now
		delay := time.Duration(random.Int64N(int64(takes[next]) * 11 / 10))
		applied := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { applied <- p.apply(ctx, states[next]) }()
		time.Sleep(delay)
		p.kill(t)
		done := <-applied == nil
		cancel()
		for random.IntN(3) == 0 { // and again, while the next one repairs
			p.launch(t, w.Here(), bpffs)
			time.Sleep(time.Duration(random.Int64N(int64(starts))))
			p.kill(t)
			more++
		}
		p.start(t, w.Here(), bpffs)
		what := fmt.Sprintf("kill %d, after %v", i, delay)
		is, repaired := p.requireOne(t, w.Kernel(t), states, kernels, what)
		if done {
			answered++
			require.Equal(t, next, is, "%s: it was answered", what)
		}
		if repaired {
			mended++
		}
		ended[map[bool]int{false: 0, true: 1}[is == next]]++
		now = is
	}
	sent, lost := f.end(t)
	t.Logf("%d ended in the old state, %d in the new, of which %d were answered before and %d were repaired; "+
		"%d were killed again as they started; %d datagrams there, %d back",
		ended[0], ended[1], answered, mended, more, sent[0], sent[1])
	require.Empty(t, lost[0], "there")
	require.Empty(t, lost[1], "back")
	require.Greater(t, min(sent[0], sent[1]), uint64(kills*10))
	if kills >= 12 {
		require.NotZero(t, mended)
	}
	require.NoError(t, p.apply(t.Context(), &pb.State{}))
	require.NoError(t, there.Destroy(t.Context()))
}

// farSide is what the library makes on the other host.
func farSide(t *testing.T, dp *dataplane.Dataplane, workload endpoint.NetNS) {
	t.Helper()
	ctx := t.Context()
	addrs := func(s string) []netip.Addr { return []netip.Addr{netip.MustParseAddr(s)} }
	_, err := dp.Droplet.Attach(ctx, droplet.Config{Interface: "eth0"})
	require.NoError(t, err)
	require.NoError(t, dp.Peer.Add(ctx, maps.Peer{Prefix: netip.MustParsePrefix("192.0.2.0/24")}))
	require.NoError(t, dp.VPC.Add(ctx, maps.VPC{VNI: 7, Dividers: addrs("192.0.2.2")}))
	require.NoError(t, dp.Network.Add(ctx, maps.Network{VNI: 7, Prefix: netip.MustParsePrefix("10.0.0.0/24"), Bouncers: addrs("192.0.2.2")}))
	require.NoError(t, dp.Endpoint.Add(ctx, maps.Endpoint{VNI: 7, Addr: addrs("10.0.0.1")[0], Host: addrs("192.0.2.1")[0]}))
	_, err = dp.Endpoint.Create(ctx, endpoint.Config{VNI: 7, Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.9/24")}, NetNS: workload})
	require.NoError(t, err)
}

// requireOne tells which of two states the host is in, of which all witnesses have to agree.
func (p *process) requireOne(t *testing.T, kernel []string, states [2]*pb.State, kernels [2][]string, what string) (is int, repaired bool) {
	t.Helper()
	says := host.TextsOf(p.state(t))
	is = slices.IndexFunc(states[:], func(s *pb.State) bool { return slices.Equal(host.TextsOf(s), says) })
	if is < 0 {
		require.Equal(t, host.TextsOf(states[0]), says, "%s: neither the one nor the other", what)
	}
	require.Equal(t, kernels[is], kernel, what)
	health, err := p.hosts.GetHealth(t.Context(), connect.NewRequest(&pb.GetHealthRequest{}))
	require.NoError(t, err)
	require.Empty(t, health.Msg.Problems, what)
	for _, r := range health.Msg.Repairs {
		require.Empty(t, r.Error, "%s: %v", what, r.Step)
	}
	// The journal, of which the daemon has one open.
	raw, err := os.ReadFile(filepath.Join(p.dir, "state", "state"))
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "state"), raw, 0o600))
	kept, err := host.Journaled(dir)
	require.NoError(t, err)
	require.Equal(t, says, host.TextsOf(kept), what)
	return is, len(health.Msg.Repairs) > 0
}
