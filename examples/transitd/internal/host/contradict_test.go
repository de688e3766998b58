// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/internal/lab"
)

// testContradictions: an address that an endpoint of this host was asked for with is taken, also while that is not
// there: it comes back when it can.
func testContradictions(t *testing.T, w *world) {
	one, ns := named(t, "one")
	two, _ := named(t, "two")
	require.NoError(t, errors.Join(lab.RemoveNamed(one), ns.Close()))
	w.close(t)
	s := state(t, `{"localEndpoints":[{"vni":7,"addresses":["10.0.0.5/24","10.0.0.6/24"],"netns":%q}]}`, one)
	w.pend(t, s)
	h := w.open(t)
	was, etag := w.kernel(t), h.Etag()

	elsewhere := []*pb.Endpoint{{Vni: 7, Address: "10.0.0.9", Host: "192.0.2.2"}, {Vni: 7, Address: "10.0.0.6", Host: "192.0.2.2"}}
	_, err := h.AddEndpoints(t.Context(), elsewhere, true, "test")
	require.ErrorIs(t, err, dataplane.ErrExists)
	require.ErrorContains(t, err, "7/10.0.0.5")
	_, err = h.Apply(t.Context(), &pb.ApplyRequest{State: &pb.State{Endpoints: elsewhere}, Kinds: []pb.Kind{pb.Kind_KIND_ENDPOINT}}, "test")
	require.ErrorIs(t, err, dataplane.ErrExists)
	_, err = h.Apply(t.Context(), &pb.ApplyRequest{State: &pb.State{Endpoints: elsewhere}, Kinds: []pb.Kind{pb.Kind_KIND_ENDPOINT}, Etag: "old"}, "test")
	require.ErrorIs(t, err, ErrEtag, "that comes first: the state may have been right when it was made")
	other := state(t, `{"localEndpoints":[{"vni":7,"addresses":["10.0.0.6/24","10.0.0.7/24"],"netns":%q}]}`, two)
	_, _, err = h.Put(t.Context(), with(other.LocalEndpoints[0], anyEtag), "test")
	require.ErrorIs(t, err, dataplane.ErrExists)
	require.ErrorContains(t, err, "7/10.0.0.5")
	require.Equal(t, was, w.kernel(t))
	require.Equal(t, etag, h.Etag())
	_, err = h.AddEndpoints(t.Context(), []*pb.Endpoint{{Vni: 8, Address: "10.0.0.6", Host: "192.0.2.2"}}, false, "test")
	require.NoError(t, err, "another VPC's")

	ns, err = lab.NewNamed(one) // which the test takes away
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ns.Close()) })
	w.requireHealed(t)
	_, err = h.AddEndpoints(t.Context(), elsewhere, true, "test")
	require.ErrorIs(t, err, dataplane.ErrExists, "and so it is now")
	// Apply knows both, and moves it.
	moved := state(t, `{"endpoints":[{"vni":7,"address":"10.0.0.6","host":"192.0.2.2"}]}`)
	w.apply(t, moved)
	w.requireState(t, moved)
}
