// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/internal/testutil"
)

// testNewBridge: one Apply makes a bridge and moves an endpoint there, and back while the bridge goes. To a bridge that
// nobody makes it is refused, and nothing is done.
func testNewBridge(t *testing.T, w *world) {
	one, _ := named(t, "one")
	const format = `{"bridges":[%s], "localEndpoints":[{"vni":7,"addresses":["10.0.0.1/24"],"mac":"02:00:00:00:00:01",%s}]}`
	at := func(bridge string) *pb.State {
		return state(t, format, fmt.Sprintf(`{"name":%q}`, bridge), fmt.Sprintf(`"bridge":{"bridge":%q}`, bridge))
	}
	inside := state(t, format, "", fmt.Sprintf(`"netns":%q`, one))
	for _, s := range []*pb.State{inside, at("br0"), at("br1"), at("br0"), inside} {
		w.apply(t, s)
		w.requireState(t, s)
		w.requireWhole(t)
	}
	require.False(t, testutil.Exists(t, w.ns, "br0"))
	none := state(t, format, `{"name":"br1"}`, `"bridge":{"bridge":"none"}`)
	_, err := w.h.Apply(t.Context(), &pb.ApplyRequest{State: none}, "test")
	require.ErrorIs(t, err, dataplane.ErrNotFound)
	w.requireState(t, inside)
	w.apply(t, &pb.State{})
}
