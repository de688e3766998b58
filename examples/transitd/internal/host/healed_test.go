// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/internal/lab"
	"github.com/mizar-go/mizar/examples/transitd/internal/journal"
	"github.com/mizar-go/mizar/internal/testutil"
)

// testHealedChains: an endpoint whose namespace comes later than the daemon has its chains when it is there again.
func testHealedChains(t *testing.T, w *world) {
	one, ns := named(t, "one")
	s := full(t, one)
	w.apply(t, s)
	was := textsWithoutNames(w.kernel(t))
	e, err := w.h.FindLocal(t.Context(), &pb.EndpointKey{Vni: 7, Address: "10.0.0.1"}, "")
	require.NoError(t, err)
	w.close(t)
	w.loseNamespace(t, one, ns, e)
	h := w.open(t)
	health, err := h.Health(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, health.Problems)
	ns, err = lab.NewNamed(one) // which the test takes away
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ns.Close()) })
	w.requireHealed(t)
	require.Equal(t, was, textsWithoutNames(w.kernel(t)))
	w.requireState(t, s)
	w.open(t)
	require.Empty(t, w.h.repairs, "it is on disk")
	w.apply(t, &pb.State{})
}

// requireHealed waits until the host is as it was asked for.
func (w *world) requireHealed(t *testing.T) {
	t.Helper()
	testutil.Eventually(t, 15*time.Second, func() error {
		w.h.problems.forget()
		health, err := w.h.Health(t.Context())
		if err == nil && len(health.Problems) > 0 {
			err = fmt.Errorf("%v", health.Problems)
		}
		return err
	})
}

// testGoing: what the daemon died over removing, and cannot be removed at the start, goes when it can, whatever is
// written meanwhile, and whoever of the next daemons gets to do it.
func testGoing(t *testing.T, w *world) {
	s := state(t, `{"functions":[{"name":"log","object":%q},{"name":"kept","object":%q}]}`, file("droplog"), file("droplog"))
	w.apply(t, s)
	// A foreign chain keeps it.
	w.library(t, func(dp *dataplane.Dataplane) {
		require.NoError(t, dp.Stage.Set(t.Context(), dataplane.StageDrop, dataplane.Scope{}, "log"))
	})
	j, _, err := journal.Open(w.options.StateDir, func(journal.Change, bool) error { return nil })
	require.NoError(t, err)
	require.NoError(t, j.Begin(journal.Change{Remove: &pb.State{Functions: s.Functions[:1]}}))
	require.NoError(t, j.Close())
	h := w.open(t)
	require.Len(t, h.repairs, 1)
	require.NotEmpty(t, h.repairs[0].Error)
	requireSame(t, &pb.State{Functions: s.Functions[1:]}, h.everything())

	for range 2 { // the first write, and the next daemon's; it dies in another one
		_, _, err = h.Put(t.Context(), &pb.Vpc{Vni: uint32(len(h.asked[pb.Kind_KIND_VPC]) + 1)}, "test")
		require.NoError(t, err)
		h = w.open(t)
		require.Equal(t, []string{"kept", "log"}, sorted(functionNames(t, h)))
		require.Len(t, h.going, 1)
		c := newChange()
		c.put[name{pb.Kind_KIND_PEER, "198.51.100.0/24"}] = &pb.Peer{Prefix: "198.51.100.0/24"}
		require.NoError(t, h.journal.Begin(h.forward(h.withGoing(c))))
		h = w.open(t)
		require.Len(t, h.going, 1)
	}
	_, err = h.Remove(t.Context(), &pb.Stage{Scope: &pb.StageScope{Point: pb.StagePoint_STAGE_POINT_DROP}}, "", false, "test")
	require.NoError(t, err)
	testutil.Eventually(t, 15*time.Second, func() error {
		if all := functionNames(t, h); slices.Contains(all, "log") {
			return fmt.Errorf("functions %q", all)
		}
		return nil
	})
	h = w.open(t)
	require.Empty(t, h.repairs)
	require.Equal(t, []string{"kept"}, functionNames(t, h))
	w.apply(t, &pb.State{})

	// One that is asked for again stays.
	w.apply(t, s)
	w.library(t, func(dp *dataplane.Dataplane) {
		require.NoError(t, dp.Stage.Set(t.Context(), dataplane.StageDrop, dataplane.Scope{}, "log"))
	})
	j, _, err = journal.Open(w.options.StateDir, func(journal.Change, bool) error { return nil })
	require.NoError(t, err)
	require.NoError(t, j.Begin(journal.Change{Remove: &pb.State{Functions: s.Functions[:1]}}))
	require.NoError(t, j.Close())
	h = w.open(t)
	_, err = h.Remove(t.Context(), &pb.Stage{Scope: &pb.StageScope{Point: pb.StagePoint_STAGE_POINT_DROP}}, "", false, "test")
	require.NoError(t, err)
	_, _, err = h.Put(t.Context(), with(s.Functions[0], anyEtag), "test")
	require.NoError(t, err)
	for range 2 {
		for range 3 {
			_, err = w.h.healOnce(t.Context())
			require.NoError(t, err)
		}
		require.Equal(t, []string{"kept", "log"}, sorted(functionNames(t, w.h)))
		w.requireWhole(t)
		w.open(t)
	}
	requireSame(t, s, w.h.everything())
}
