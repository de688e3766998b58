// SPDX-License-Identifier: Apache-2.0

package host

import (
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/endpoint"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/internal/testutil"
)

// testOtherPlace: an endpoint that was asked for at a bridge, and is in a namespace, as where a change could not be undone,
// is made anew at the bridge.
func testOtherPlace(t *testing.T, w *world) {
	one, _ := named(t, "one")
	s := state(t, `{"bridges":[{"name":"br0"}], "localEndpoints":[
		{"vni":7,"addresses":["10.0.0.1/24"],"mac":"02:00:00:00:00:01","bridge":{"bridge":"br0"},"hostInterface":"mzmade"}]}`)
	w.apply(t, s)
	was := w.kernel(t)
	require.NoError(t, w.h.dp.Endpoint.Delete(t.Context(), "mzmade"))
	require.NoError(t, w.h.plumber.RemovePort(t.Context(), "mzmade"))
	_, err := w.h.dp.Endpoint.Create(t.Context(), endpoint.Config{
		VNI: 7, Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1},
		NetNS: endpoint.Path("/run/netns/" + one), HostInterface: "mzinside",
	})
	require.NoError(t, err)
	w.open(t)
	require.Len(t, w.h.repairs, 1)
	require.Empty(t, w.h.repairs[0].Error)
	require.False(t, testutil.Exists(t, w.ns, "mzinside"))
	require.Equal(t, was, w.kernel(t))
	w.requireState(t, s)
	w.requireWhole(t)
	w.apply(t, &pb.State{})
}
