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
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// How often the daemon is killed, and the seed of when: MIZAR_KILLS=200 MIZAR_SEED=1 go test -run TestKilled
const (
	killsEnv = "MIZAR_KILLS"
	seedEnv  = "MIZAR_SEED"
)

// killer has a daemon change from one state to another and back, and kills it over that.
type killer struct {
	w      *host.World
	p      *process
	bpffs  string
	kills  int
	rounds int // in peace, before
	seed   uint64
	random *rand.Rand

	there    *dataplane.Dataplane // the other host's
	workload *netns.Handle        // of the other host

	near *netns.Handle // behind a bridge of this host

	// links are what there is to see of interfaces as ports, and before all began; nil: nobody looks.
	links func() []string
	empty []string

	// What each state is like, done in peace, and how long it takes.
	states  [2]*pb.State
	kernels [2][]string
	takes   [2]time.Duration
	starts  time.Duration
	now     int // the state that the host is in
}

func newKiller(t *testing.T, kills int) *killer {
	t.Helper()
	k := &killer{w: host.NewWorld(t), kills: kills, rounds: 3, seed: rand.Uint64()}
	if n, err := strconv.Atoi(os.Getenv(killsEnv)); err == nil {
		k.kills = n
	}
	if n, err := strconv.ParseUint(os.Getenv(seedEnv), 10, 64); err == nil {
		k.seed = n
	}
	k.random = rand.New(rand.NewPCG(k.seed, 0))
	k.bpffs = k.w.Options().Dataplane.BPFFS
	k.links = func() []string { return nil }
	k.workload = testutil.NewNS(t)
	there, err := dataplane.Open(t.Context(), dataplane.Config{
		Name: "b", BPFFS: k.bpffs, NetNS: fmt.Sprintf("/proc/self/fd/%d", k.w.There().FD()), Limits: k.w.Options().Dataplane.Limits,
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, there.Close()) })
	k.there = there
	k.p = newProcess(t)
	return k
}

// kernel is what there is to see without the daemon.
func (k *killer) kernel(t *testing.T) []string {
	t.Helper()
	return append(k.w.Kernel(t), k.links()...)
}

// begin does each change in peace, and ends in state a.
func (k *killer) begin(t *testing.T, a, b *pb.State) {
	t.Helper()
	farSide(t, k.there, endpoint.FD(k.workload.FD()))
	k.empty = k.links()
	k.p.start(t, k.w.Here(), k.bpffs)
	require.NoError(t, k.p.apply(t.Context(), a))
	k.p.kill(t)
	began := time.Now()
	k.p.start(t, k.w.Here(), k.bpffs)
	k.starts = time.Since(began)
	for range k.rounds {
		for i, s := range []*pb.State{b, a} {
			began := time.Now()
			require.NoError(t, k.p.apply(t.Context(), s))
			k.takes[i] += time.Since(began) / time.Duration(k.rounds)
			k.states[i], k.kernels[i] = s, k.kernel(t)
			require.Equal(t, host.TextsOf(s), host.TextsOf(k.p.state(t)))
		}
	}
	k.now = 1
	t.Logf("%d kills, %s=%d, an Apply takes %v, one way and the other, a start %v", k.kills, seedEnv, k.seed, k.takes, k.starts)
}

// run kills the daemon over and over, and tells how often the next one had something to repair.
func (k *killer) run(t *testing.T) (mended int) {
	t.Helper()
	var ended [2]int // in the old state, in the new
	var answered, more int
	for i := range k.kills {
		next := 1 - k.now
		delay := time.Duration(k.random.Int64N(int64(k.takes[next]) * 11 / 10))
		applied := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { applied <- k.p.apply(ctx, k.states[next]) }()
		time.Sleep(delay)
		k.p.kill(t)
		done := <-applied == nil
		cancel()
		for k.random.IntN(3) == 0 { // and again, while the next one repairs
			k.p.launch(t, k.w.Here(), k.bpffs)
			time.Sleep(time.Duration(k.random.Int64N(int64(k.starts))))
			k.p.kill(t)
			more++
		}
		k.p.start(t, k.w.Here(), k.bpffs)
		what := fmt.Sprintf("kill %d, after %v", i, delay)
		is, repaired := k.requireOne(t, what)
		if done {
			answered++
			require.Equal(t, next, is, "%s: it was answered", what)
		}
		if repaired {
			mended++
		}
		ended[map[bool]int{false: 0, true: 1}[is == next]]++
		k.now = is
	}
	t.Logf("%d ended in the old state, %d in the new, of which %d were answered before and %d were repaired; %d were killed again as they started",
		ended[0], ended[1], answered, mended, more)
	return mended
}

// noneLost ends a flood.
func (k *killer) noneLost(t *testing.T, f *flood) {
	t.Helper()
	sent, lost := f.end(t)
	t.Logf("%d datagrams there, %d back", sent[0], sent[1])
	require.Empty(t, lost[0], "there")
	require.Empty(t, lost[1], "back")
	require.Greater(t, min(sent[0], sent[1]), uint64(k.kills*10))
}

// end leaves nothing.
func (k *killer) end(t *testing.T) {
	t.Helper()
	require.NoError(t, k.p.apply(t.Context(), &pb.State{}))
	require.Equal(t, k.empty, k.links())
	require.NoError(t, k.there.Destroy(t.Context()))
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
func (k *killer) requireOne(t *testing.T, what string) (is int, repaired bool) {
	t.Helper()
	p, states := k.p, k.states
	says := host.TextsOf(p.state(t))
	is = slices.IndexFunc(states[:], func(s *pb.State) bool { return slices.Equal(host.TextsOf(s), says) })
	if is < 0 {
		require.Equal(t, host.TextsOf(states[0]), says, "%s: neither the one nor the other", what)
	}
	require.Equal(t, k.kernels[is], k.kernel(t), what)
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
