// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// changes are those that a watcher has got so far, in no order.
func changes(w *Watcher) (all []string) {
	for {
		select {
		case e := <-w.Events():
			c := e.GetChange()
			all = append(all, fmt.Sprintf("%s %s %s %d by %s",
				strings.ToLower(strings.TrimPrefix(c.Outcome.String(), "OUTCOME_")), KindName(c.Kind), c.Key, c.Count, c.By))
		default:
			return sorted(all)
		}
	}
}

// testEvents: who watches is told of every change, by whatever call, and of nothing that failed or was so already.
func testEvents(t *testing.T, w *world) {
	h, ctx := w.h, t.Context()
	one, _ := named(t, "one")
	only, err := EventFilter(&pb.EventFilter{NoDrops: true})
	require.NoError(t, err)
	watcher := h.Watch(only)
	defer watcher.Close()
	told := func(what string, want ...string) {
		t.Helper()
		require.Equal(t, sorted(want), changes(watcher), what)
	}
	put := func(m proto.Message) {
		t.Helper()
		_, _, err := h.Put(ctx, m, "alice")
		require.NoError(t, err)
	}

	put(&pb.Vpc{Vni: 7})
	told("put", "added vpc 7 1 by alice")
	put(&pb.Vpc{Vni: 7})
	_, _, err = h.Put(ctx, &pb.Vpc{Vni: 7, Cookie: 1}, "alice")
	require.ErrorIs(t, err, ErrDiffers)
	told("the same, and one that is refused")
	put(with(&pb.Vpc{Vni: 7, Cookie: 1}, anyEtag))
	told("another", "replaced vpc 7 1 by alice")
	_, err = h.AddEndpoints(ctx, []*pb.Endpoint{{Vni: 7, Address: "10.0.0.1", Host: "192.0.2.2"}}, false, "bob")
	require.NoError(t, err)
	told("an endpoint", "added endpoint 7/10.0.0.1 1 by bob")
	_, err = h.AddEndpoints(ctx, []*pb.Endpoint{
		{Vni: 7, Address: "10.0.0.1", Host: "192.0.2.2"}, {Vni: 7, Address: "10.0.0.8", Host: "192.0.2.2"}, {Vni: 7, Address: "10.0.0.9", Host: "192.0.2.2"},
	}, false, "bob")
	require.NoError(t, err)
	told("in bulk", "added endpoint  2 by bob")

	local := &pb.LocalEndpoint{Vni: 7, Addresses: []string{"10.0.0.1/24"}, Place: &pb.LocalEndpoint_Netns{Netns: one}}
	put(local)
	told("one that comes here", "added local endpoint 7/10.0.0.1 1 by alice", "removed endpoint 7/10.0.0.1 1 by alice")
	put(&pb.Function{Name: "log", Object: object(t, "droplog")})
	put(&pb.Stage{Scope: &pb.StageScope{Point: pb.StagePoint_STAGE_POINT_DROP, Vni: 7, Address: "10.0.0.1"}, Functions: []string{"log"}})
	changes(watcher)
	_, err = h.Remove(ctx, local, "", false, "alice")
	require.NoError(t, err)
	told("its chain goes along", "removed local endpoint 7/10.0.0.1 1 by alice", "removed stage drop/7/10.0.0.1 1 by alice")

	// The same by Apply, of all kinds and of some.
	s := state(t, `{"vpcs":[{"vni":7,"cookie":"1"}],"localEndpoints":[{"vni":7,"addresses":["10.0.0.8/24"],"netns":%q}],
		"endpoints":[{"vni":7,"address":"10.0.0.9","host":"192.0.2.3"}],"functions":[{"name":"log","object":%q}],
		"stages":[{"scope":{"point":"STAGE_POINT_DROP","vni":7,"address":"10.0.0.8"},"functions":["log"]}]}`, one, file("droplog"))
	_, err = h.Apply(ctx, &pb.ApplyRequest{State: s, DryRun: true}, "test")
	require.NoError(t, err)
	told("a dry run")
	w.apply(t, s)
	told("apply", "added local endpoint 7/10.0.0.8 1 by test", "removed endpoint 7/10.0.0.8 1 by test", "replaced endpoint  1 by test",
		"added stage drop/7/10.0.0.8 1 by test")
	w.apply(t, &pb.State{}, pb.Kind_KIND_LOCAL_ENDPOINT)
	told("apply of nothing here", "removed local endpoint 7/10.0.0.8 1 by test", "removed stage drop/7/10.0.0.8 1 by test")
	s.LocalEndpoints[0].Addresses = []string{"10.0.0.9/24"}
	w.apply(t, &pb.State{LocalEndpoints: s.LocalEndpoints}, pb.Kind_KIND_LOCAL_ENDPOINT)
	told("apply of what comes here", "added local endpoint 7/10.0.0.9 1 by test", "removed endpoint 7/10.0.0.9 1 by test")
	bad := &pb.State{}
	for i := range 30 {
		bad.Peers = append(bad.Peers, &pb.Peer{Prefix: fmt.Sprintf("10.1.%d.0/24", i)})
	}
	_, err = h.Apply(ctx, &pb.ApplyRequest{State: bad}, "test")
	require.ErrorIs(t, err, dataplane.ErrFull)
	told("what was undone")

	// Who is too slow loses the newest, and is told how many.
	for i := range backlog + 10 {
		h.changed(pb.Kind_KIND_VPC, fmt.Sprint(i), pb.Outcome_OUTCOME_ADDED, 1, "test")
	}
	require.Equal(t, uint64(10), watcher.Lost())
	require.Equal(t, "0", (<-watcher.Events()).GetChange().Key)
	require.Len(t, changes(watcher), backlog-1)
	watcher.Close()
	put(&pb.Vpc{Vni: 9})
	require.Empty(t, changes(watcher), "nobody watches any more")
}

// What passes a filter, and what is none.
func TestEventFilter(t *testing.T) {
	drop := &pb.Event{Event: &pb.Event_Drop{Drop: &pb.Drop{Reason: "DROP_SPOOF_ADDRESS", Vni: 7, Source: "10.0.0.1", Destination: "2001:db8::1"}}}
	nameless := &pb.Event{Event: &pb.Event_Drop{Drop: &pb.Drop{Reason: "DROP_PEER"}}} // nothing of it is known yet
	change := &pb.Event{Event: &pb.Event_Change{Change: &pb.Change{Kind: pb.Kind_KIND_VPC, Key: "7"}}}
	for _, c := range []struct {
		filter                 *pb.EventFilter
		drop, nameless, change bool
	}{
		{nil, true, true, true},
		{&pb.EventFilter{NoDrops: true}, false, false, true},
		{&pb.EventFilter{NoChanges: true}, true, true, false},
		{&pb.EventFilter{Vnis: []uint32{8, 7}}, true, false, true},
		{&pb.EventFilter{Vnis: []uint32{8}}, false, false, true},
		{&pb.EventFilter{Reasons: []string{"DROP_PEER"}}, false, true, true},
		{&pb.EventFilter{Prefixes: []string{"10.0.0.0/24"}}, true, false, true},
		{&pb.EventFilter{Prefixes: []string{"192.0.2.0/24", "2001:DB8::/32"}}, true, false, true},
		{&pb.EventFilter{Prefixes: []string{"10.0.1.0/24"}}, false, false, true},
		{&pb.EventFilter{Kinds: []pb.Kind{pb.Kind_KIND_PEER}}, true, true, false},
		{&pb.EventFilter{Kinds: []pb.Kind{pb.Kind_KIND_PEER, pb.Kind_KIND_VPC}, Vnis: []uint32{7}, Reasons: []string{"DROP_SPOOF_ADDRESS"}}, true, false, true},
	} {
		pass, err := EventFilter(c.filter)
		require.NoError(t, err)
		require.Equal(t, []bool{c.drop, c.nameless, c.change}, []bool{pass(drop), pass(nameless), pass(change)}, "%v", c.filter)
	}
	for field, f := range map[string]*pb.EventFilter{
		"filter.vnis[1]":     {Vnis: []uint32{7, 0}},
		"filter.prefixes[0]": {Prefixes: []string{"10.0.0.1/24"}},
		// Writers wait until all filters are asked.
		"filter.vnis":     {Vnis: slices.Repeat([]uint32{7}, 257)},
		"filter.reasons":  {Reasons: slices.Repeat([]string{"DROP_PEER"}, 257)},
		"filter.prefixes": {Prefixes: slices.Repeat([]string{"10.0.0.0/24"}, 257)},
		"filter.kinds":    {Kinds: slices.Repeat([]pb.Kind{pb.Kind_KIND_VPC}, 257)},
	} {
		_, err := EventFilter(f)
		require.ErrorIs(t, err, dataplane.ErrInvalid)
		var of *Error
		require.ErrorAs(t, err, &of)
		require.Equal(t, field, of.Field)
	}
}
