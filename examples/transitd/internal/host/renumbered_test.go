// SPDX-License-Identifier: Apache-2.0

package host

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/internal/testutil"
)

// testRenumbered: a droplet that was to have its interface's own addresses has them also when they are others by now:
// told by Health, mended by who applies the same again, and by the next start.
func testRenumbered(t *testing.T, w *world) {
	change := func(add bool, address string) {
		t.Helper()
		testutil.In(t, w.ns, func() error {
			l, err := netlink.LinkByName("eth0")
			if err != nil {
				return err
			}
			a, err := netlink.ParseAddr(address)
			if err != nil {
				return err
			}
			if add {
				return netlink.AddrAdd(l, a)
			}
			return netlink.AddrDel(l, a)
		})
	}
	has := func() []string {
		t.Helper()
		d, err := w.h.Get(t.Context(), &pb.Droplet{Interface: "eth0"})
		require.NoError(t, err)
		return d.(*pb.Droplet).Status.Addresses
	}
	s := state(t, `{"droplets":[{"interface":"eth0"}]}`)
	w.apply(t, s)
	require.Equal(t, []string{"192.0.2.1"}, has())

	// Another one beside, and none at all, are no reason to cut what it carries.
	change(true, "192.0.2.77/32")
	w.requireWhole(t)
	change(false, "192.0.2.77/32")
	change(false, "192.0.2.1/24")
	w.requireWhole(t)
	w.open(t)
	require.Empty(t, w.h.repairs)
	require.Equal(t, []string{"192.0.2.1"}, has())

	change(true, "192.0.2.77/24")
	w.h.problems.forget()
	health, err := w.h.Health(t.Context())
	require.NoError(t, err)
	require.Len(t, health.Problems, 1)
	require.Contains(t, health.Problems[0].Message, "192.0.2.1")
	got := w.apply(t, s)
	require.Equal(t, []string{"update droplet eth0"}, steps(got))
	require.Equal(t, []string{"192.0.2.77"}, has())
	w.requireWhole(t)

	change(false, "192.0.2.77/24")
	change(true, "192.0.2.1/24")
	w.open(t)
	require.Len(t, w.h.repairs, 1)
	require.Empty(t, w.h.repairs[0].Error)
	require.Equal(t, []string{"192.0.2.1"}, has())
	w.requireState(t, s)
	w.requireWhole(t)

	// Those that were asked for are nobody else's business.
	asked := state(t, `{"droplets":[{"interface":"eth0","addresses":["192.0.2.99"]}]}`)
	w.apply(t, asked)
	w.requireWhole(t)

	// Its MTU is the interface's in any case.
	mtu := func(want int) {
		t.Helper()
		d, err := w.h.Get(t.Context(), &pb.Droplet{Interface: "eth0"})
		require.NoError(t, err)
		require.Equal(t, uint32(want), d.(*pb.Droplet).Status.Mtu)
	}
	testutil.MTU(t, w.ns, 1450, "eth0")
	t.Cleanup(func() { testutil.MTU(t, w.ns, 1500, "eth0") })
	w.h.problems.forget()
	health, err = w.h.Health(t.Context())
	require.NoError(t, err)
	require.Len(t, health.Problems, 1)
	require.Contains(t, health.Problems[0].Message, "1450")
	require.Equal(t, []string{"update droplet eth0"}, steps(w.apply(t, asked)))
	mtu(1450)
	w.requireWhole(t)
	testutil.MTU(t, w.ns, 1500, "eth0")
	w.open(t)
	mtu(1500)
	w.requireState(t, asked)
	w.requireWhole(t)
}
