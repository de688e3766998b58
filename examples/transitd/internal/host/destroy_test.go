// SPDX-License-Identifier: Apache-2.0

package host

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/internal/snapshot"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// TestDestroy: a host is as it was before the daemon came, with what others put into the data-plane gone, too.
func TestDestroy(t *testing.T) {
	w := newWorld(t)
	testutil.Veth(t, w.ns, "p1", w.ns, "p2")
	ns, _ := named(t, "one")
	seen := func() []string {
		return append(snapshot.Network(t, w.ns), snapshot.Pins(t, w.options.Dataplane.BPFFS)...)
	}
	before := seen()
	s := full(t, ns)
	more := state(t, `{"bridges":[{"name":"br0","ports":["p1"]}],"addresses":[{"interface":"br0","address":"198.51.100.1/24"}],
		"routes":[{"destination":"203.0.113.0/24","via":"198.51.100.2"}],
		"localEndpoints":[{"vni":7,"addresses":["10.0.0.3/24"],"bridge":{"bridge":"br0"},"mac":"02:00:00:00:00:03"}]}`)
	s.Bridges, s.Addresses, s.Routes = more.Bridges, more.Addresses, more.Routes
	s.LocalEndpoints = append(s.LocalEndpoints, more.LocalEndpoints...)
	w.open(t)
	w.apply(t, s)
	require.ErrorIs(t, Destroy(t.Context(), w.options), dataplane.ErrLocked)
	w.requireWhole(t)
	w.library(t, func(dp *dataplane.Dataplane) {
		require.NoError(t, dp.Endpoint.Add(t.Context(), maps.Endpoint{VNI: 8, Addr: netip.MustParseAddr("10.0.0.66"), Host: netip.MustParseAddr("192.0.2.6")}))
	})

	// What is in the way of one thing keeps the rest from nothing, and is said.
	p2 := testutil.Link(t, w.ns, "p2")
	testutil.In(t, w.ns, func() error { return netlink.LinkSetMasterByIndex(p2, testutil.Ifindex(t, w.ns, "br0")) })
	err := Destroy(t.Context(), w.options)
	require.ErrorContains(t, err, "bridge br0: remove bridge br0: port p2 is at it")
	testutil.In(t, w.ns, func() error { return netlink.LinkSetNoMaster(p2) })
	require.NoError(t, Destroy(t.Context(), w.options))
	require.Equal(t, before, seen())
	files, err := os.ReadDir(w.options.StateDir)
	require.NoError(t, err)
	require.Empty(t, files)
	require.NoError(t, Destroy(t.Context(), w.options), "there is nothing")
	require.Equal(t, before, seen())
	require.NoFileExists(t, filepath.Join(w.options.StateDir, "state"))
}
