// SPDX-License-Identifier: Apache-2.0

package host

import (
	"testing"

	"github.com/stretchr/testify/require"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/internal/testutil"
)

// testLatePort: the port of a bridge that went with its VM is a problem that says something, and is healed after a start
// at which it was still away; what was at the bridge beside is there meanwhile.
func testLatePort(t *testing.T, w *world) {
	testutil.Veth(t, w.ns, "tap1", w.ns, "tap1x")
	s := state(t, `{"bridges":[{"name":"br0","ports":["p1","tap1"]}],
		"localEndpoints":[{"vni":7,"addresses":["10.0.0.1/24"],"mac":"02:00:00:00:00:01","bridge":{"bridge":"br0"}}]}`)
	w.apply(t, s)
	w.requireWhole(t)
	testutil.Delete(t, w.ns, "tap1")
	problems := func() []*pb.Problem {
		t.Helper()
		w.h.problems.forget()
		health, err := w.h.Health(t.Context())
		require.NoError(t, err)
		require.Len(t, health.Problems, 1)
		require.Equal(t, pb.Kind_KIND_BRIDGE, health.Problems[0].Kind)
		require.NotEmpty(t, health.Problems[0].Message)
		return health.Problems
	}
	problems()
	w.open(t)
	require.Len(t, w.h.repairs, 1)
	require.Contains(t, w.h.repairs[0].Error, "tap1")
	problems()
	require.Equal(t, testutil.Link(t, w.ns, "br0").Attrs().Index, testutil.Link(t, w.ns, "p1").Attrs().MasterIndex)

	// After a boot the bridge is not there, either. Who would make the port may wait for it.
	w.reboot(t)
	testutil.Delete(t, w.ns, "br0")
	w.open(t)
	require.Len(t, w.h.repairs, 2)
	require.Contains(t, w.h.repairs[0].Error, "tap1")
	require.Empty(t, w.h.repairs[1].Error, "the endpoint needs no more than the bridge")
	problems()
	require.Equal(t, testutil.Link(t, w.ns, "br0").Attrs().Index, testutil.Link(t, w.ns, "p1").Attrs().MasterIndex)

	testutil.Veth(t, w.ns, "tap1", w.ns, "tap1x")
	t.Cleanup(func() { testutil.Delete(t, w.ns, "tap1") })
	w.requireHealed(t)
	require.Equal(t, testutil.Link(t, w.ns, "br0").Attrs().Index, testutil.Link(t, w.ns, "tap1").Attrs().MasterIndex)
	w.open(t)
	require.Empty(t, w.h.repairs)
	w.requireState(t, s)
	w.apply(t, &pb.State{})
}
