// SPDX-License-Identifier: Apache-2.0

package host

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/ovs/ovstest"
	"github.com/mizar-go/mizar/internal/testutil"
)

// diesOver has the daemon die over the deletion of the endpoint of a state, when only its port is left. Wanted is what
// that change comes to.
func (w *world) diesOver(t *testing.T, wanted *pb.State) {
	t.Helper()
	h := w.h
	g, err := h.goal(&pb.ApplyRequest{State: wanted})
	require.NoError(t, err)
	p, err := h.compare(t.Context(), g)
	require.NoError(t, err)
	var e *pb.LocalEndpoint
	for _, m := range h.asked[pb.Kind_KIND_LOCAL_ENDPOINT] {
		e = m.(*pb.LocalEndpoint)
	}
	require.NoError(t, h.journal.Begin(h.forward(p.change)))
	require.NoError(t, h.plumber.ShutPort(t.Context(), e.Status.HostInterface))
	require.NoError(t, h.dp.Endpoint.Delete(t.Context(), e.Status.HostInterface))
}

// testStrayPort: a port whose endpoint is deleted is not in the way of what the next start makes, or removes.
func testStrayPort(t *testing.T, w *world) {
	one, _ := named(t, "one")
	for what, wanted := range map[string]*pb.State{
		"its bridge goes": {},
		"its name is taken": state(t, `{"bridges":[{"name":"br0"}], "localEndpoints":[
			{"vni":7,"addresses":["10.0.0.2/24"],"netns":%q,"hostInterface":"mzmade"}]}`, one),
	} {
		t.Run(what, func(t *testing.T) {
			w.apply(t, state(t, `{"bridges":[{"name":"br0"}], "localEndpoints":[
				{"vni":7,"addresses":["10.0.0.1/24"],"mac":"02:00:00:00:00:01","bridge":{"bridge":"br0"},"hostInterface":"mzmade"}]}`))
			w.diesOver(t, wanted)
			w.open(t)
			for _, r := range w.h.repairs {
				require.Empty(t, r.Error, "%v", r.Step)
			}
			w.requireState(t, wanted)
			w.requireWhole(t)
			ports, err := w.h.plumber.Ports(t.Context())
			require.NoError(t, err)
			require.Empty(t, ports)
			w.apply(t, &pb.State{})
		})
	}
}

// TestStrayPortOfSwitchAway: one at Open vSwitch that does not answer at the start goes when it does.
func TestStrayPortOfSwitchAway(t *testing.T) {
	w := newWorld(t)
	sw := ovstest.Start(t, w.ns.Do)
	sw.Bridge("ovs0")
	w.options.OVS = sw.Socket()
	w.open(t)
	before := sw.Vsctl("show")
	w.apply(t, state(t, `{"localEndpoints":[{"vni":7,"addresses":["10.0.0.1/24"],"mac":"02:00:00:00:00:01","ovs":{"bridge":"ovs0"},"hostInterface":"mzmade"}]}`))
	w.diesOver(t, &pb.State{})
	sw.StopServer()
	w.open(t)
	require.True(t, testutil.Exists(t, w.ns, "mzmade"))
	require.Len(t, w.h.repairs, 1)
	require.NotEmpty(t, w.h.repairs[0].Error)
	sw.StartServer()
	require.Eventually(t, func() bool {
		w.h.writer.Lock()
		defer w.h.writer.Unlock()
		return !testutil.Exists(t, w.ns, "mzmade")
	}, 20*time.Second, 50*time.Millisecond)
	require.Equal(t, before, sw.Vsctl("show"))
	last := w.h.repairs[len(w.h.repairs)-1]
	require.Empty(t, last.Error)
	require.True(t, proto.Equal(w.h.repairs[0].Step, last.Step))
	w.requireState(t, &pb.State{})
}
