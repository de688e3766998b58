// SPDX-License-Identifier: Apache-2.0

package host

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// lose has the daemon forget all: what is there is foreign now.
func (w *world) lose(t *testing.T) *Host {
	t.Helper()
	w.close(t)
	require.NoError(t, removeAll(w.options.StateDir))
	return w.open(t)
}

// testForeignAdopted: what is foreign, and as it is wanted, is kept as it was asked for, not as the kernel tells it.
func testForeignAdopted(t *testing.T, w *world) {
	one, _ := named(t, "one")
	s := state(t, `{"localEndpoints":[{"vni":7,"addresses":["10.0.0.1/24"],"netns":%q}],"functions":[{"name":"log","object":%q}]}`, one, file("droplog"))
	w.apply(t, s)
	h := w.lose(t)
	was := w.kernel(t)
	_, outcome, err := h.Put(t.Context(), s.LocalEndpoints[0], "test")
	require.NoError(t, err)
	require.Equal(t, pb.Outcome_OUTCOME_UNCHANGED, outcome)
	_, outcome, err = h.Put(t.Context(), s.LocalEndpoints[0], "test")
	require.NoError(t, err, "the same again")
	require.Equal(t, pb.Outcome_OUTCOME_UNCHANGED, outcome)
	require.Equal(t, was, w.kernel(t))
	requireSame(t, &pb.State{LocalEndpoints: s.LocalEndpoints}, h.everything())
	w.open(t)
	requireSame(t, &pb.State{LocalEndpoints: s.LocalEndpoints}, w.h.everything())

	// What a foreign function does, nobody knows.
	_, _, err = w.h.Put(t.Context(), s.Functions[0], "test")
	require.ErrorIs(t, err, ErrDiffers)
	other := with(&pb.Function{Name: "log", Object: object(t, "limiter")}, anyEtag)
	_, outcome, err = w.h.Put(t.Context(), other, "test")
	require.NoError(t, err)
	require.Equal(t, pb.Outcome_OUTCOME_REPLACED, outcome)
	requireSame(t, &pb.State{LocalEndpoints: s.LocalEndpoints, Functions: []*pb.Function{{Name: "log", Object: object(t, "limiter")}}}, w.h.everything())

	// One that is replaced, and then undone, is where it was.
	h = w.lose(t)
	changed := state(t, `{"localEndpoints":[{"vni":7,"addresses":["10.0.0.1/24"],"netns":%q,"mtu":1300}],"droplets":[{"interface":"eth0"}]}`, one)
	for range 30 {
		changed.Peers = append(changed.Peers, &pb.Peer{Prefix: "10.1.0.0/16"})
	}
	for i, p := range changed.Peers {
		p.Prefix = []string{"10.", "172."}[i%2] + string(rune('0'+i/10)) + string(rune('0'+i%10)) + ".0.0/16"
		if i < 10 {
			p.Prefix = []string{"10.", "172."}[i%2] + string(rune('0'+i)) + ".0.0/16"
		}
	}
	before := w.kernel(t)
	_, err = h.Apply(t.Context(), &pb.ApplyRequest{State: changed}, "test")
	require.ErrorIs(t, err, dataplane.ErrFull)
	require.NotContains(t, err.Error(), "undo")
	require.Equal(t, before, w.kernel(t))
}

// testIntact: what cannot work leaves what is there alone, and what is gone can be put and removed.
func testIntact(t *testing.T, w *world) {
	one, _ := named(t, "one")
	s := state(t, `{"localEndpoints":[{"vni":7,"addresses":["10.0.0.1/24"],"netns":%q}]}`, one)
	w.apply(t, s)
	there, err := w.h.FindLocal(t.Context(), &pb.EndpointKey{Vni: 7, Address: "10.0.0.1"}, "")
	require.NoError(t, err)
	for what, change := range map[string]func(e *pb.LocalEndpoint){
		"no such namespace": func(e *pb.LocalEndpoint) { e.Place = &pb.LocalEndpoint_Netns{Netns: "mztd-no-such"} },
		"no such interface": func(e *pb.LocalEndpoint) { e.Place = &pb.LocalEndpoint_Adopt{Adopt: "nosuch0"} },
		"no such bridge": func(e *pb.LocalEndpoint) {
			e.Place, e.Mac = &pb.LocalEndpoint_Bridge{Bridge: &pb.BridgePort{Bridge: "nosuch0"}}, "02:00:00:00:00:01"
		},
		"an MTU too small": func(e *pb.LocalEndpoint) { e.Mtu = 100 },
		"a multicast MAC":  func(e *pb.LocalEndpoint) { e.Mac = "01:00:00:00:00:01" },
		"another family's route": func(e *pb.LocalEndpoint) {
			e.Routes = []*pb.WorkloadRoute{{Destination: "2001:db8::/64"}}
		},
	} {
		e := bare(there)
		change(e)
		_, _, err := w.h.Put(t.Context(), with(e, there.Etag), "test")
		require.Error(t, err, what)
		now, err := w.h.FindLocal(t.Context(), &pb.EndpointKey{Vni: 7, Address: "10.0.0.1"}, "")
		require.NoError(t, err)
		require.Equal(t, there.Status.Ifindex, now.Status.Ifindex, "%s: it was never taken away", what)
	}

	// A state that is read while it changes has the etag of before.
	tag, parts := "", 0
	for part, err := range w.h.State(t.Context(), nil, false, 1) {
		require.NoError(t, err)
		if parts++; parts == 1 {
			_, _, err = w.h.Put(t.Context(), &pb.Vpc{Vni: 9}, "test")
			require.NoError(t, err)
		}
		tag = part.Etag
	}
	require.Greater(t, parts, 1)
	_, err = w.h.Apply(t.Context(), &pb.ApplyRequest{State: s, Etag: tag}, "test")
	require.ErrorIs(t, err, ErrEtag)

	// Two ask for one interface; the one that is not there goes, the other stays.
	w.apply(t, &pb.State{})
	w.close(t)
	lost := state(t, `{"localEndpoints":[{"vni":7,"addresses":["10.0.0.5/24"],"netns":"mztd-no-such","hostInterface":"mzsame"}]}`)
	w.pend(t, lost)
	w.open(t)
	_, _, err = w.h.Put(t.Context(), state(t, `{"localEndpoints":[{"vni":7,"addresses":["10.0.0.6/24"],"netns":%q,"hostInterface":"mzsame"}]}`, one).LocalEndpoints[0], "test")
	require.NoError(t, err)
	missing, err := w.h.FindLocal(t.Context(), &pb.EndpointKey{Vni: 7, Address: "10.0.0.5"}, "")
	require.NoError(t, err)
	other := proto.CloneOf(lost.LocalEndpoints[0])
	other.Cookie = 3
	_, _, err = w.h.Put(t.Context(), with(other, missing.Etag), "test")
	require.ErrorIs(t, err, dataplane.ErrNotFound, "its etag counts: it is the namespace that is missing")
	was := w.kernel(t)
	outcome, err := w.h.Remove(t.Context(), missing, "", false, "test")
	require.NoError(t, err)
	require.Equal(t, pb.Outcome_OUTCOME_REMOVED, outcome)
	require.Equal(t, was, w.kernel(t))

	// One at a bridge that never was.
	w.close(t)
	w.pend(t, state(t, `{"localEndpoints":[{"vni":7,"addresses":["10.0.0.7/24"],"mac":"02:00:00:00:00:07","bridge":{"bridge":"nosuch0"}}]}`))
	w.open(t)
	missing, err = w.h.FindLocal(t.Context(), &pb.EndpointKey{Vni: 7, Address: "10.0.0.7"}, "")
	require.NoError(t, err)
	_, err = w.h.Remove(t.Context(), missing, "", false, "test")
	require.NoError(t, err)

	// However it is written.
	_, _, err = w.h.Put(t.Context(), &pb.Address{Interface: "eth0", Address: "2001:db8:77::1/64"}, "test")
	require.NoError(t, err)
	outcome, err = w.h.Remove(t.Context(), &pb.Address{Interface: "eth0", Address: "2001:DB8:77:0::1/64"}, "", true, "test")
	require.NoError(t, err)
	require.Equal(t, pb.Outcome_OUTCOME_REMOVED, outcome)
	_, _, err = w.h.Put(t.Context(), &pb.Route{Destination: "2001:db8:78::/64", Interface: "eth0"}, "test")
	require.NoError(t, err)
	outcome, err = w.h.Remove(t.Context(), &pb.Route{Destination: "2001:DB8:78:0::/64"}, "", true, "test")
	require.NoError(t, err)
	require.Equal(t, pb.Outcome_OUTCOME_REMOVED, outcome)
}

// testHealAndHealth: who heals and who asks how the host is do not wait for each other for ever.
func testHealAndHealth(t *testing.T, w *world) {
	w.close(t)
	w.pend(t, state(t, `{"localEndpoints":[{"vni":7,"addresses":["10.0.0.5/24"],"netns":"mztd-no-such"}]}`))
	h := w.open(t)
	// What was asked for is told while it is away, as such.
	away := &pb.LocalEndpoint{Vni: 7, Addresses: []string{"10.0.0.5/24"}, Place: &pb.LocalEndpoint_Netns{Netns: "mztd-no-such"}}
	all, err := h.List(t.Context(), pb.Kind_KIND_LOCAL_ENDPOINT)
	require.NoError(t, err)
	require.Len(t, all, 1)
	got, err := h.Get(t.Context(), away)
	require.NoError(t, err)
	for _, m := range append(all, got) {
		require.Empty(t, cmpProto(away, bare(m)))
		require.Nil(t, m.(*pb.LocalEndpoint).Status)
		require.NotEmpty(t, etagOf(m))
	}
	done := make(chan struct{})
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			for range 50 {
				_, _ = h.healOnce(t.Context())
			}
		})
		both.Go(func() {
			for range 50 {
				h.problems.forget()
				_, _ = h.Health(t.Context())
			}
		})
	}
	go func() { both.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		go panic("they wait for each other") // not by failing: cleaning up would wait, too
		select {}
	}
	require.NoError(t, h.Alive(t.Context()))

	// What a write mends is a problem no more, at once.
	w.apply(t, state(t, `{"vpcs":[{"vni":7}]}`))
	require.NoError(t, h.dp.VPC.Remove(t.Context(), 7))
	problems := func() int {
		health, err := h.Health(t.Context())
		require.NoError(t, err)
		return len(health.Problems)
	}
	h.problems.forget()
	require.Equal(t, 1, problems())
	_, _, err = h.Put(t.Context(), &pb.Vpc{Vni: 7}, "test")
	require.NoError(t, err)
	require.Zero(t, problems())
	w.apply(t, &pb.State{})
}
