// SPDX-License-Identifier: Apache-2.0

package host

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/ovs"
	"github.com/mizar-go/mizar/examples/transitd/internal/ovs/ovstest"
	"github.com/mizar-go/mizar/internal/testutil"
)

// TestSwitchDead: while ovs-vswitchd is dead, and OVSDB is not, an endpoint at its bridge is refused at once, and who
// else writes does not wait. One that was to move there stays where it was, untouched; one that is there can go.
func TestSwitchDead(t *testing.T) {
	w := newWorld(t)
	sw := ovstest.Start(t, w.ns.Do)
	sw.Bridge("ovs0")
	w.options.OVS = sw.Socket()
	w.open(t)
	one, _ := named(t, "one")
	const there = `{"vni":7,"addresses":["10.0.0.2/24"],"mac":"02:00:00:00:00:02","ovs":{"bridge":"ovs0"},"hostInterface":"mzthere"}`
	inside := state(t, `{"localEndpoints":[{"vni":7,"addresses":["10.0.0.1/24"],"netns":%q,"hostInterface":"mzinside"},%s]}`, one, there)
	w.apply(t, inside)
	index := testutil.Ifindex(t, w.ns, "mzinside")
	sw.StopDaemon()
	rows := sw.Rows()
	h, err := w.h.Health(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, h.Problems)

	began := time.Now()
	refused := make(chan error, 3)
	go func() {
		e := &pb.LocalEndpoint{Vni: 7, Addresses: []string{"10.0.0.3/24"}, Mac: "02:00:00:00:00:03", Place: &pb.LocalEndpoint_Ovs{Ovs: &pb.OvsPort{Bridge: "ovs0"}}}
		_, _, err := w.h.Put(t.Context(), e, "test")
		refused <- err
	}()
	go func() {
		moved := state(t, `{"localEndpoints":[{"vni":7,"addresses":["10.0.0.1/24"],"mac":"02:00:00:00:00:01","ovs":{"bridge":"ovs0"}},%s]}`, there)
		_, err := w.h.Apply(t.Context(), &pb.ApplyRequest{State: moved}, "test")
		refused <- err
	}()
	go func() { // one that keeps its name
		moved := proto.CloneOf(inside)
		moved.LocalEndpoints[0].Mac, moved.LocalEndpoints[0].Place = "02:00:00:00:00:01", &pb.LocalEndpoint_Ovs{Ovs: &pb.OvsPort{Bridge: "ovs0"}}
		_, err := w.h.Apply(t.Context(), &pb.ApplyRequest{State: moved}, "test")
		refused <- err
	}()
	for range 3 {
		require.ErrorIs(t, <-refused, ovs.ErrUnavailable)
	}
	_, _, err = w.h.Put(t.Context(), &pb.Vpc{Vni: 9}, "test")
	require.NoError(t, err)
	_, err = w.h.Remove(t.Context(), inside.LocalEndpoints[1], "", false, "test")
	require.NoError(t, err)
	require.Less(t, time.Since(began), 5*time.Second)

	require.Equal(t, index, testutil.Ifindex(t, w.ns, "mzinside"), "it was never taken away")
	require.NotEqual(t, rows, sw.Rows())
	inside.LocalEndpoints, inside.Vpcs = inside.LocalEndpoints[:1], []*pb.Vpc{{Vni: 9}}
	w.requireState(t, inside)
	sw.StartDaemon()
	sw.Await()
	w.apply(t, state(t, `{"localEndpoints":[%s]}`, there)) // now, and not when somebody has forgotten that it was away
	w.requireWhole(t)
	w.apply(t, &pb.State{})
	require.NotContains(t, sw.Rows(), "td")
}
