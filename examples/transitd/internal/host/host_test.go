// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/internal/testutil"
)

// TestHost is what the engine does, on one data-plane: to make one takes seconds. Each begins with an empty host.
func TestHost(t *testing.T) {
	w := newWorld(t)
	w.open(t)
	testutil.Veth(t, w.ns, "p1", w.ns, "p2") // for a bridge
	empty := w.kernel(t)
	for _, part := range []struct {
		name string
		test func(*testing.T, *world)
	}{
		{"each kind", testEachKind}, {"address", testAddress}, {"chains", testChainsGoWithTheirEndpoint},
		{"function in use", testFunctionInUse}, {"map of each CPU", testMapOfEachCPU}, {"many endpoints", testManyEndpoints},
		{"apply", testApply}, {"foreign", testForeign}, {"rollback", testRollback}, {"moves", testMoves},
		{"in place", testInPlace}, {"room", testRoom}, {"release", testRelease},
		{"drift", testDrift}, {"lost namespace", testLostNamespace}, {"pending", testPending}, {"journal on a full disk", testFullDisk},
		{"foreign ones adopted", testForeignAdopted}, {"intact", testIntact}, {"heal and health", testHealAndHealth},
		{"half deleted", testHalfDeleted}, {"readers", testReaders}, {"foreign function", testForeignFunctionLost},
		{"some kinds", testSomeKinds}, {"chain without its endpoint", testChainWithoutItsEndpoint}, {"healed chains", testHealedChains},
		{"going", testGoing}, {"put back", testPutBack}, {"alternative names", testAlternativeNames},
		{"plumbing order", testPlumbingOrder}, {"endpoints of", testEndpointsOf}, {"renumbered", testRenumbered},
		{"contradictions", testContradictions}, {"fresh function", testFreshFunction}, {"events", testEvents}, {"function values", testFunctionValues}, {"late NIC", testLateNIC}, {"late port", testLatePort}, {"new bridge", testNewBridge}, {"stray port", testStrayPort}, {"other place", testOtherPlace}, {"read, modify, apply", testReadModifyApply},
	} {
		t.Run(part.name, func(t *testing.T) {
			w.reset(t)
			require.Equal(t, empty, w.kernel(t))
			part.test(t, w)
		})
	}
	t.Run("reboot", func(t *testing.T) { // a data-plane of its own, so to speak
		w.reset(t)
		testReboot(t, w)
	})
}

// reset leaves nothing, whoever made it.
func (w *world) reset(t *testing.T) {
	t.Helper()
	h := w.open(t)
	ctx := t.Context()
	for _, id := range []pb.Kind{
		pb.Kind_KIND_STAGE, pb.Kind_KIND_LOCAL_ENDPOINT, pb.Kind_KIND_DROPLET, pb.Kind_KIND_PEER, pb.Kind_KIND_VPC, pb.Kind_KIND_NETWORK,
		pb.Kind_KIND_FUNCTION, pb.Kind_KIND_ROUTE, pb.Kind_KIND_ADDRESS, pb.Kind_KIND_BRIDGE,
	} {
		all, err := h.List(ctx, id)
		require.NoError(t, err)
		for _, m := range all {
			_, err := h.Remove(ctx, m, "", true, "test")
			require.NoError(t, err)
		}
	}
	var keys []*pb.EndpointKey
	for e, err := range h.Endpoints(ctx) {
		require.NoError(t, err)
		keys = append(keys, &pb.EndpointKey{Vni: e.Vni, Address: e.Address})
	}
	_, _, err := h.RemoveEndpoints(ctx, keys, "test")
	require.NoError(t, err)
	w.close(t)
	// Not the part's own: that would be gone when the next one opens it.
	w.states++
	w.options.StateDir = filepath.Join(w.dir, fmt.Sprint(w.states))
	w.open(t)
	w.requireState(t, &pb.State{})
}
