// SPDX-License-Identifier: Apache-2.0

package host

import (
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/mizar-go/mizar/endpoint"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// testInPlace: what of droplets and endpoints are rows changes in place, by Apply and one by one, and whatever else is
// wrong with an endpoint has it made anew.
func testInPlace(t *testing.T, w *world) {
	one, ns := named(t, "one")
	s := full(t, one)
	s.Bridges = []*pb.Bridge{{Name: "br0"}}
	s.LocalEndpoints = append(s.LocalEndpoints, state(t, `{"localEndpoints":[{"vni":7,"addresses":["10.0.0.3/24"],"bridge":{"bridge":"br0"},"mac":"02:00:00:00:00:03"}]}`).LocalEndpoints...)
	w.apply(t, s)
	interfaces := func() []string { // with what is attached to them
		return slices.DeleteFunc(links(t, w), func(line string) bool { return strings.Contains(line, "lo ") })
	}
	inside := func() (index int) {
		require.NoError(t, ns.Do(func() error {
			i, err := net.InterfaceByName("eth0")
			if err == nil {
				index = i.Index
			}
			return err
		}))
		return index
	}
	was, eth0 := interfaces(), inside()
	other := proto.CloneOf(s)
	other.Droplets[0].Cookie, other.Droplets[0].Addresses = 9, []string{"192.0.2.1", "192.0.2.200"}
	for _, e := range other.LocalEndpoints {
		e.Cookie, e.Allowed = 8, []string{"10.9.0.0/16"}
	}
	for _, to := range []*pb.State{other, s, other} {
		got := w.apply(t, to)
		require.ElementsMatch(t, []string{"update droplet eth0", "update local endpoint 7/10.0.0.1", "update local endpoint 7/10.0.0.3"}, steps(got))
		w.requireState(t, to)
		w.requireWhole(t)
		require.Equal(t, was, interfaces())
	}
	e := proto.CloneOf(other.LocalEndpoints[0])
	e.Allowed, e.Etag = nil, anyEtag
	_, outcome, err := w.h.Put(t.Context(), e, "test")
	require.NoError(t, err)
	require.Equal(t, pb.Outcome_OUTCOME_REPLACED, outcome)
	require.Equal(t, was, interfaces())
	w.open(t)
	require.Empty(t, w.h.repairs)
	require.Equal(t, was, interfaces())
	require.Equal(t, eth0, inside())

	// Changed behind its back, a row is put right in place; what is not a row takes the endpoint anew.
	st, err := w.h.FindLocal(t.Context(), &pb.EndpointKey{Vni: 7, Address: "10.0.0.1"}, "")
	require.NoError(t, err)
	_, err = w.h.dp.Endpoint.Update(t.Context(), st.Status.HostInterface, endpoint.Change{Cookie: 77})
	require.NoError(t, err)
	to := proto.CloneOf(other)
	to.LocalEndpoints[0].Allowed = nil
	require.Equal(t, []string{"update local endpoint 7/10.0.0.1"}, steps(w.apply(t, to)))
	require.Equal(t, was, interfaces())
	w.requireWhole(t)
	to.LocalEndpoints[0].Mtu, to.LocalEndpoints[0].Cookie = 1300, 5
	require.Equal(t, []string{"replace local endpoint 7/10.0.0.1"}, steps(w.apply(t, to)))
	require.NotEqual(t, was, interfaces())
	w.requireState(t, to)
	w.requireWhole(t)
}
