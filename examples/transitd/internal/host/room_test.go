// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// testRoom: tables that are full are replaced whole: what goes makes room for what comes. What fails after that is
// undone, too.
func testRoom(t *testing.T, w *world) {
	one, _ := named(t, "one")
	two, _ := named(t, "two")
	fill := func(nets, vnis, hosts, netns, address string) *pb.State {
		s := state(t, `{"localEndpoints":[{"vni":7,"addresses":[%q],"netns":%q}]}`, address, netns)
		for i := range 16 {
			s.Peers = append(s.Peers, &pb.Peer{Prefix: fmt.Sprintf("198.51.%s%d.0/24", nets, i)})
			s.Networks = append(s.Networks, &pb.Network{Vni: 7, Prefix: fmt.Sprintf("10.%s%d.0.0/16", nets, i), Blackhole: true})
			s.Vpcs = append(s.Vpcs, &pb.Vpc{Vni: uint32(len(vnis)*100 + i), Dividers: []string{fmt.Sprintf("192.0.2.%s%d", hosts, i)}})
		}
		for i := range 63 {
			s.Endpoints = append(s.Endpoints, &pb.Endpoint{Vni: 7, Address: fmt.Sprintf("10.0.%s.%d", nets, i+100), Host: "192.0.2.2"})
		}
		return s
	}
	a, b := fill("1", "-", "1", one, "10.0.0.1/24"), fill("2", "--", "2", two, "10.0.0.2/24")
	w.apply(t, a)
	was := w.kernel(t)
	for what, bad := range map[string]func(*pb.State){
		"one more than there is room for": func(s *pb.State) { s.Peers = append(s.Peers, &pb.Peer{Prefix: "198.51.99.0/24"}) },
		"a table with others": func(s *pb.State) {
			s.LocalEndpoints = append(s.LocalEndpoints, state(t, `{"localEndpoints":[{"vni":7,"addresses":["10.0.0.3/24"],"netns":%q}]}`, one).LocalEndpoints...)
		},
	} {
		c := proto.CloneOf(b)
		bad(c)
		_, err := w.h.Apply(t.Context(), &pb.ApplyRequest{State: c}, "test")
		require.ErrorIs(t, err, dataplane.ErrFull, what)
		require.NotContains(t, err.Error(), "undo", what)
		require.Equal(t, len(was), len(w.kernel(t)), what)
		w.requireState(t, a)
		w.requireWhole(t)
	}
	for _, s := range []*pb.State{b, a, b} {
		got := w.apply(t, s)
		require.True(t, got.Changed)
		w.requireState(t, s)
		w.requireWhole(t)
		require.False(t, w.apply(t, s).Changed)
	}
	// Half of it stays, and is not touched.
	half := proto.CloneOf(b)
	half.Peers = append(half.Peers[:8:8], a.Peers[8:]...)
	sum := w.apply(t, half).Summary[0]
	require.Equal(t, []uint64{uint64(pb.Kind_KIND_PEER), 8, 8, 8}, []uint64{uint64(sum.Kind), sum.Add, sum.Remove, sum.Unchanged})
	w.requireState(t, half)
}

// testRelease: what the host's plumbing can have only once goes from one place to another in one Apply.
func testRelease(t *testing.T, w *world) {
	states := []*pb.State{
		{},
		state(t, `{"bridges":[{"name":"br0","ports":["p1"]},{"name":"br1","ports":["p2"]}],"addresses":[{"interface":"br0","address":"2001:db8::1/64"},{"interface":"eth0","address":"198.51.100.1/24"}]}`),
		state(t, `{"bridges":[{"name":"br0","ports":["p2"]},{"name":"br1","ports":["p1"]}],"addresses":[{"interface":"br0","address":"2001:db8::1/48"},{"interface":"eth0","address":"198.51.100.2/24"}]}`),
		state(t, `{"bridges":[{"name":"br0"},{"name":"br1","ports":["p1","p2"]}],"addresses":[{"interface":"br1","address":"2001:db8::1/48"},{"interface":"eth0","address":"198.51.100.1/24"}]}`),
		state(t, `{"bridges":[{"name":"br0","ports":["p1","p2"]}],"addresses":[{"interface":"br0","address":"2001:db8::1/52"}]}`),
		state(t, `{"bridges":[{"name":"br1","ports":["p1"]}],"addresses":[{"interface":"br1","address":"2001:db8::1/64"},{"interface":"eth0","address":"198.51.100.1/16"}]}`),
		state(t, `{"bridges":[{"name":"br2","ports":["p1","p2"]}],"addresses":[{"interface":"eth0","address":"198.51.100.2/24"}]}`),
	}
	for i, from := range states {
		for _, j := range []int{(i + 1) % len(states), (i + 3) % len(states)} {
			to := states[j]
			w.apply(t, from)
			was := w.kernel(t)
			bad := proto.CloneOf(to)
			for k := range 30 {
				bad.Peers = append(bad.Peers, &pb.Peer{Prefix: fmt.Sprintf("10.1.%d.0/24", k)})
			}
			_, err := w.h.Apply(t.Context(), &pb.ApplyRequest{State: bad}, "test")
			require.ErrorIs(t, err, dataplane.ErrFull)
			require.NotContains(t, err.Error(), "undo", "%d to %d", i, j)
			require.Equal(t, was, w.kernel(t), "%d to %d", i, j)
			w.requireState(t, from)
			got := w.apply(t, to)
			w.requireState(t, to)
			w.requireWhole(t)
			again := w.apply(t, to)
			require.False(t, again.Changed, "%d to %d: %v, then %v", i, j, steps(got), steps(again))
		}
	}
	w.apply(t, states[1])
	dry, err := w.h.Apply(t.Context(), &pb.ApplyRequest{State: states[2], DryRun: true}, "test")
	require.NoError(t, err)
	requireOrder(t, dry, "update bridge br0", "remove address br0/2001:db8::1/64", "add address br0/2001:db8::1/48")
	require.Equal(t, "lets go of p1", dry.Steps[0].Detail)
	_, err = w.h.Apply(t.Context(), &pb.ApplyRequest{State: state(t, `{"bridges":[{"name":"br0","ports":["p1"]},{"name":"br1","ports":["p1"]}]}`)}, "test")
	require.ErrorIs(t, err, dataplane.ErrInvalid)
	_, _, err = w.h.Put(t.Context(), &pb.Bridge{Name: "br2", Ports: []string{"p1"}}, "test")
	require.Error(t, err, "one at a time, nobody says that br0 has it no more")
	w.requireState(t, states[1])
	w.apply(t, states[0])
}
