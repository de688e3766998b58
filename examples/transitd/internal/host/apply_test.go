// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/droplet"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/internal/snapshot"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// before tells whether one step comes before another.
func requireOrder(t *testing.T, r *pb.ApplyResponse, ordered ...string) {
	t.Helper()
	all := steps(r)
	last := -1
	for _, s := range ordered {
		i := slices.Index(all, s)
		require.GreaterOrEqual(t, i, 0, "%q in %q", s, all)
		require.Greater(t, i, last, "%q in %q", s, all)
		last = i
	}
}

// testApply is what Apply does when nothing goes wrong.
func testApply(t *testing.T, w *world) {
	h := w.h
	one, _ := named(t, "one")
	two, _ := named(t, "two")
	s := full(t, one)
	empty := w.kernel(t)

	t.Run("order", func(t *testing.T) {
		dry, err := h.Apply(t.Context(), &pb.ApplyRequest{State: s, DryRun: true}, "test")
		require.NoError(t, err)
		got := w.apply(t, s)
		require.Equal(t, steps(dry), steps(got))
		require.True(t, got.Changed)
		requireOrder(t, got, "add function log", "add droplet eth0", "add stage drop/7/-", "add endpoint 7/10.0.0.8", "add endpoint 7/10.0.0.9",
			"add network 7/10.0.0.0/24", "add vpc 7", "add local endpoint 7/10.0.0.1", "add stage drop/7/10.0.0.1", "add peer 192.0.2.0/24")
		w.requireState(t, s)
		w.requireWhole(t)
		there := w.kernel(t)
		got = w.apply(t, &pb.State{})
		requireOrder(t, got, "remove peer 192.0.2.0/24", "remove stage drop/7/10.0.0.1", "remove local endpoint 7/10.0.0.1", "remove vpc 7",
			"remove network 7/10.0.0.0/24", "remove endpoint 7/10.0.0.8", "remove stage drop/7/-", "remove droplet eth0", "remove function log")
		require.Equal(t, empty, w.kernel(t))
		w.apply(t, s)
		require.Len(t, w.kernel(t), len(there))
	})
	t.Run("least", func(t *testing.T) {
		was := links(t, w)
		etag := h.Etag()
		again := w.apply(t, s)
		require.False(t, again.Changed)
		require.Empty(t, again.Steps)
		require.Equal(t, etag, again.Etag)
		other := proto.CloneOf(s)
		other.Vpcs[0].Cookie = 9
		other.Endpoints = append(other.Endpoints[:1], &pb.Endpoint{Vni: 7, Address: "10.0.0.77", Host: "192.0.2.2"})
		other.Endpoints[0].Host = "192.0.2.3"
		got := w.apply(t, other)
		require.ElementsMatch(t, []string{"update vpc 7", "update endpoint 7/10.0.0.9", "add endpoint 7/10.0.0.77", "remove endpoint 7/10.0.0.8"}, steps(got))
		w.requireState(t, other)
		require.Equal(t, was, links(t, w), "no interface was touched")
		w.apply(t, s)
		require.Equal(t, etag, h.Etag())
	})
	t.Run("dry run", func(t *testing.T) {
		network, kernel, pins, etag := snapshot.Network(t, w.ns), w.kernel(t), snapshot.Pins(t, w.options.Dataplane.BPFFS), h.Etag()
		size, err := journaledSize(w)
		require.NoError(t, err)
		for _, other := range []*pb.State{{}, full(t, two)} {
			got, err := h.Apply(t.Context(), &pb.ApplyRequest{State: other, DryRun: true}, "test")
			require.NoError(t, err)
			require.True(t, got.Changed)
			require.Equal(t, etag, got.Etag)
		}
		require.Equal(t, network, snapshot.Network(t, w.ns))
		require.Equal(t, kernel, w.kernel(t))
		require.Equal(t, pins, snapshot.Pins(t, w.options.Dataplane.BPFFS))
		after, err := journaledSize(w)
		require.NoError(t, err)
		require.Equal(t, size, after)
		w.requireState(t, s)
	})
	t.Run("etag", func(t *testing.T) {
		_, err := h.Apply(t.Context(), &pb.ApplyRequest{State: &pb.State{}, Etag: "stale"}, "test")
		require.ErrorIs(t, err, ErrEtag)
		var of *Error
		require.ErrorAs(t, err, &of)
		require.Equal(t, h.Etag(), of.Etag)
		_, err = h.Apply(t.Context(), &pb.ApplyRequest{State: s, Etag: h.Etag()}, "test")
		require.NoError(t, err)
	})
	t.Run("kinds", func(t *testing.T) {
		got := w.apply(t, &pb.State{Vpcs: []*pb.Vpc{{Vni: 7}, {Vni: 12}}}, pb.Kind_KIND_VPC)
		require.ElementsMatch(t, []string{"update vpc 7", "add vpc 12"}, steps(got))
		_, err := h.Apply(t.Context(), &pb.ApplyRequest{State: s, Kinds: []pb.Kind{pb.Kind_KIND_VPC}}, "test")
		require.ErrorIs(t, err, dataplane.ErrInvalid)
		got = w.apply(t, &pb.State{}, pb.Kind_KIND_LOCAL_ENDPOINT)
		require.Equal(t, []string{"remove local endpoint 7/10.0.0.1"}, steps(got))
		w.requireWhole(t) // its chain went along
		w.apply(t, s)
		w.requireState(t, s)
	})
	t.Run("nonsense", func(t *testing.T) {
		for _, bad := range []*pb.ApplyRequest{
			{}, {State: &pb.State{}, Kinds: []pb.Kind{99}},
			{State: &pb.State{Vpcs: []*pb.Vpc{{Vni: 7}, {Vni: 7}}}},
			{State: &pb.State{Endpoints: []*pb.Endpoint{{Vni: 7, Address: "10.0.0.1", Host: "192.0.2.2"}}, LocalEndpoints: s.LocalEndpoints}},
			{State: &pb.State{LocalEndpoints: s.LocalEndpoints, Functions: s.Functions, Stages: []*pb.Stage{
				{Scope: &pb.StageScope{Point: pb.StagePoint_STAGE_POINT_DROP, Vni: 7, Address: "10.0.0.1"}, Functions: []string{"log"}},
				{Scope: &pb.StageScope{Point: pb.StagePoint_STAGE_POINT_DROP, Vni: 7, Address: "10.0.0.2"}, Functions: []string{"log"}},
			}}},
			{State: &pb.State{Stages: s.Stages}},
		} {
			_, err := h.Apply(t.Context(), bad, "test")
			require.ErrorIs(t, err, dataplane.ErrInvalid, "%v", bad)
		}
		w.requireState(t, s)
	})
}

// links are the interfaces, with all that hangs on them.
func links(t *testing.T, w *world) []string {
	t.Helper()
	return slices.DeleteFunc(snapshot.Network(t, w.ns), func(line string) bool { return !strings.HasPrefix(line, "link ") })
}

func journaledSize(w *world) (string, error) {
	raw, err := readJournal(w.options.StateDir)
	return fmt.Sprintf("%x", raw), err
}

// testForeign: what the library made before the daemon came stays, until somebody asks for it or for its removal.
func testForeign(t *testing.T, w *world) {
	one, _ := named(t, "one")
	s := full(t, one)
	w.open(t)
	w.apply(t, s)
	w.close(t)
	require.NoError(t, removeAll(w.options.StateDir)) // all of it is foreign now
	was := w.kernel(t)
	h := w.open(t)
	w.requireWhole(t)
	require.Equal(t, was, w.kernel(t))
	require.Zero(t, h.sum)
	got := w.apply(t, &pb.State{})
	require.False(t, got.Changed)
	require.Equal(t, was, w.kernel(t))
	for _, sum := range got.Summary {
		require.NotZero(t, sum.Foreign, sum.Kind)
	}
	require.Len(t, got.Summary, 8)

	// Asked for, and the same: it is adopted without a change.
	part := &pb.State{Peers: s.Peers, Vpcs: s.Vpcs, Endpoints: s.Endpoints[:1], LocalEndpoints: s.LocalEndpoints, Stages: s.Stages[:1], Networks: s.Networks, Droplets: s.Droplets}
	got = w.apply(t, part)
	require.False(t, got.Changed, "%v", steps(got))
	_, outcome, err := h.Put(t.Context(), s.Stages[1], "test")
	require.NoError(t, err)
	require.Equal(t, pb.Outcome_OUTCOME_UNCHANGED, outcome)
	require.Equal(t, was, w.kernel(t))
	w.open(t)
	h = w.h
	require.Equal(t, was, w.kernel(t))

	// What differs is not replaced by accident, and removed if somebody says so.
	_, err = h.AddEndpoints(t.Context(), []*pb.Endpoint{{Vni: 7, Address: "10.0.0.8", Host: "192.0.2.5"}}, false, "test")
	require.ErrorIs(t, err, ErrDiffers)
	gone, err := h.RemoveEndpoint(t.Context(), &pb.EndpointKey{Vni: 7, Address: "10.0.0.8"}, "", false, "test")
	require.NoError(t, err)
	require.Equal(t, pb.Outcome_OUTCOME_REMOVED, gone)
	w.apply(t, &pb.State{})
	require.Equal(t, []string{"log"}, functionNames(t, h), "what was not asked for is left")
	_, err = h.Remove(t.Context(), &pb.Function{Name: "log"}, "", false, "test")
	require.NoError(t, err)
	w.requireState(t, &pb.State{})
}

func functionNames(t *testing.T, h *Host) (all []string) {
	t.Helper()
	for n, err := range h.dp.Function.List(t.Context()) {
		require.NoError(t, err)
		all = append(all, n)
	}
	return all
}

// testRollback: what fails midway is undone, and all is as it was: in the kernel, in what the daemon says, in the journal.
func testRollback(t *testing.T, w *world) {
	one, _ := named(t, "one")
	two, _ := named(t, "two")
	s := full(t, one)
	s.Functions = append(s.Functions, &pb.Function{Name: "spare", Object: object(t, "droplog")})
	s.LocalEndpoints = append(s.LocalEndpoints, state(t, `{"localEndpoints":[{"vni":7,"addresses":["10.0.0.4/24"],"netns":%q}]}`, two).LocalEndpoints...)
	w.apply(t, s)
	// Foreign ones, which have to survive, too: a row that an endpoint covers, and a chain of an endpoint that goes.
	w.library(t, func(dp *dataplane.Dataplane) {
		require.NoError(t, dp.Endpoint.Add(t.Context(), maps.Endpoint{VNI: 7, Addr: netip.MustParseAddr("10.0.0.66"), Host: netip.MustParseAddr("192.0.2.6")}))
		require.NoError(t, dp.Stage.Set(t.Context(), dataplane.StageSend, dataplane.Scope{VNI: 7, Addr: netip.MustParseAddr("10.0.0.4")}, "log"))
	})
	h := w.open(t)
	w.requireWhole(t)
	was, etag, said := w.kernel(t), h.Etag(), textsOf(w.state(t))

	// All that can change does, before what fails.
	changed := func(t *testing.T) *pb.State {
		c := proto.CloneOf(s)
		c.Peers = []*pb.Peer{{Prefix: "198.51.100.0/24"}}
		c.Droplets[0].Cookie = 3
		c.Vpcs = []*pb.Vpc{{Vni: 7, Cookie: 1}, {Vni: 8}}
		c.Networks = []*pb.Network{{Vni: 7, Prefix: "10.0.0.0/16", Blackhole: true}}
		c.Endpoints = []*pb.Endpoint{{Vni: 7, Address: "10.0.0.9", Host: "192.0.2.7"}, {Vni: 7, Address: "10.0.0.2", Host: "192.0.2.7"}}
		c.LocalEndpoints[0].Addresses = []string{"10.0.0.1/24", "10.0.0.66/24", "10.0.0.8/24"} // both were elsewhere; 10.0.0.2 leaves
		c.LocalEndpoints = c.LocalEndpoints[:1]
		c.Functions[1].Object = object(t, "limiter")
		c.Stages = []*pb.Stage{{Scope: &pb.StageScope{Point: pb.StagePoint_STAGE_POINT_SEND, Vni: 7}, Functions: []string{"spare"}}}
		return c
	}
	for what, fail := range map[string]struct {
		with func(c *pb.State)
		err  error
	}{
		"no interface": {func(c *pb.State) { c.Droplets = append(c.Droplets, &pb.Droplet{Interface: "nosuch0"}) }, droplet.ErrNoInterface},
		"no namespace": {func(c *pb.State) {
			c.LocalEndpoints = append(c.LocalEndpoints, &pb.LocalEndpoint{Vni: 7, Addresses: []string{"10.0.9.9/24"}, Place: &pb.LocalEndpoint_Netns{Netns: "mztd-no-such"}})
		}, dataplane.ErrNotFound},
		"a table that is full": {func(c *pb.State) {
			for i := range 100 {
				c.Endpoints = append(c.Endpoints, &pb.Endpoint{Vni: 7, Address: fmt.Sprintf("10.0.1.%d", i), Host: "192.0.2.2"})
			}
		}, dataplane.ErrFull},
		"peers that are full": {func(c *pb.State) {
			for i := range 30 {
				c.Peers = append(c.Peers, &pb.Peer{Prefix: fmt.Sprintf("10.1.%d.0/24", i)})
			}
		}, dataplane.ErrFull},
		"an endpoint that is not here": {func(c *pb.State) {
			c.Stages = append(c.Stages, &pb.Stage{Scope: &pb.StageScope{Point: pb.StagePoint_STAGE_POINT_DROP, Vni: 7, Address: "10.0.9.9"}, Functions: []string{"log"}})
		}, dataplane.ErrNotFound},
		"a name that is taken": {func(c *pb.State) {
			c.LocalEndpoints = append(c.LocalEndpoints, &pb.LocalEndpoint{Vni: 7, Addresses: []string{"10.0.9.9/24"}, HostInterface: "eth0", Place: &pb.LocalEndpoint_Netns{Netns: two}})
		}, dataplane.ErrExists},
		"the verifier": {func(c *pb.State) { c.Functions[1].Object = hostile(t) }, nil},
	} {
		t.Run(what, func(t *testing.T) {
			c := changed(t)
			fail.with(c)
			_, err := h.Apply(t.Context(), &pb.ApplyRequest{State: c}, "test")
			require.Error(t, err)
			if fail.err != nil {
				require.ErrorIs(t, err, fail.err)
			}
			require.NotContains(t, err.Error(), "undo")
			var of *Error
			require.ErrorAs(t, err, &of)
			require.Equal(t, what == "a table that is full", of.Key == "", "which one it is, but for many endpoints")
			require.Equal(t, was, w.kernel(t))
			require.Equal(t, etag, h.Etag())
			require.Equal(t, said, textsOf(w.state(t)))
			w.requireWhole(t)
		})
	}
	// And so it is for the next daemon.
	h = w.open(t)
	require.Equal(t, was, w.kernel(t))
	require.Equal(t, etag, h.Etag())
	require.Empty(t, h.repairs)
	// Without what failed it works.
	w.apply(t, changed(t))
	w.requireWhole(t)
	w.close(t)
	kept := w.journaled(t)
	requireSame(t, changed(t), kept)
}

// testMoves: endpoints whose addresses and interfaces go to others, here or on another host, in one Apply.
func testMoves(t *testing.T, w *world) {
	one, _ := named(t, "one")
	two, _ := named(t, "two")
	local := func(netns, iface string, addresses string) string {
		return fmt.Sprintf(`{"vni":7,"addresses":[%s],"netns":%q,"hostInterface":%q}`, addresses, netns, iface)
	}
	states := []*pb.State{
		state(t, `{"localEndpoints":[%s,%s]}`, local(one, "mzx", `"10.0.0.1/24","10.0.0.2/24"`), local(two, "mzy", `"10.0.0.3/24"`)),
		state(t, `{"localEndpoints":[%s,%s]}`, local(one, "mzx", `"10.0.0.1/24"`), local(two, "mzy", `"10.0.0.2/24","10.0.0.3/24"`)),
		state(t, `{"localEndpoints":[%s,%s]}`, local(two, "mzy", `"10.0.0.1/24"`), local(one, "mzx", `"10.0.0.2/24"`)),
		state(t, `{"localEndpoints":[%s,%s]}`, local(one, "mzx", `"10.0.0.1/24"`), local(two, "mzy", `"10.0.0.2/24"`)),
		state(t, `{"localEndpoints":[%s],"endpoints":[{"vni":7,"address":"10.0.0.2","host":"192.0.2.2"}]}`, local(one, "mzx", `"10.0.0.1/24"`)),
		state(t, `{"localEndpoints":[%s],"endpoints":[{"vni":7,"address":"10.0.0.1","host":"192.0.2.2"}]}`, local(one, "mzx", `"10.0.0.2/24"`)),
		state(t, `{"endpoints":[{"vni":7,"address":"10.0.0.1","host":"192.0.2.2"},{"vni":7,"address":"10.0.0.2","host":"192.0.2.2"}]}`),
		state(t, `{"localEndpoints":[%s],"functions":[{"name":"log","object":%q}],"stages":[{"scope":{"point":"STAGE_POINT_DROP","vni":7,"address":"10.0.0.2"},"functions":["log"]}]}`,
			local(one, "mzx", `"10.0.0.1/24","10.0.0.2/24"`), file("droplog")),
		state(t, `{"localEndpoints":[%s],"endpoints":[{"vni":7,"address":"10.0.0.1","host":"192.0.2.2"}],"functions":[{"name":"log","object":%q}],"stages":[{"scope":{"point":"STAGE_POINT_DROP","vni":7,"address":"10.0.0.2"},"functions":["log"]}]}`,
			local(one, "mzx", `"10.0.0.2/24"`), file("droplog")),
	}
	seed, few := rand.Uint64(), 4
	if n, err := strconv.Atoi(os.Getenv("MIZAR_MOVES")); err == nil {
		few = n
	}
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("%d moves of %d, of seed %d", few, len(states)*(len(states)-1), seed)
	for i, from := range states {
		for j, to := range states {
			if i == j || random.IntN(len(states)*(len(states)-1)) >= few {
				continue
			}
			w.apply(t, from)
			w.apply(t, to)
			want := proto.CloneOf(to)
			for _, s := range want.Stages { // it is told by the lowest
				if len(want.LocalEndpoints[0].Addresses) == 2 {
					s.Scope.Address = "10.0.0.1"
				}
			}
			w.requireState(t, want)
			w.requireWhole(t)
			again := w.apply(t, to)
			require.False(t, again.Changed, "%d to %d: %v", i, j, steps(again))
			// And back, failing at the last: nothing has changed.
			was := w.kernel(t)
			bad := proto.CloneOf(from)
			for k := range 30 {
				bad.Peers = append(bad.Peers, &pb.Peer{Prefix: fmt.Sprintf("10.1.%d.0/24", k)})
			}
			_, err := w.h.Apply(t.Context(), &pb.ApplyRequest{State: bad}, "test")
			require.ErrorIs(t, err, dataplane.ErrFull)
			require.NotContains(t, err.Error(), "undo")
			require.Equal(t, was, w.kernel(t), "%d to %d and back", i, j)
		}
	}
	w.apply(t, &pb.State{})
	require.False(t, testutil.Exists(t, w.ns, "mzx") || testutil.Exists(t, w.ns, "mzy"))
}
