// SPDX-License-Identifier: Apache-2.0

package host

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/internal/testutil"
)

// testLateNIC: after a boot the uplink has its address later than the daemon starts. Endpoints are there before, and
// have the MTU that they had: no default for an underlay that nobody knows.
func testLateNIC(t *testing.T, w *world) {
	one, _ := named(t, "one")
	two, _ := named(t, "two")
	testutil.MTU(t, w.ns, 9000, "eth0")
	t.Cleanup(func() { testutil.MTU(t, w.ns, 1500, "eth0") })
	s := state(t, `{"droplets":[{"interface":"eth0"}],"localEndpoints":[{"vni":7,"addresses":["10.0.0.1/24"],"netns":%q},
		{"vni":7,"addresses":["10.0.0.2/24"],"netns":%q,"mtu":1300}]}`, one, two)
	w.apply(t, s)
	was := w.kernel(t)
	w.reboot(t)
	address := func(change func(netlink.Link, *netlink.Addr) error) {
		t.Helper()
		testutil.In(t, w.ns, func() error {
			l, err := netlink.LinkByName("eth0")
			if err != nil {
				return err
			}
			a, err := netlink.ParseAddr("192.0.2.1/24")
			if err != nil {
				return err
			}
			return change(l, a)
		})
	}
	address(netlink.AddrDel)
	h := w.open(t)
	health, err := h.Health(t.Context())
	require.NoError(t, err)
	require.Len(t, health.Problems, 1)
	require.Equal(t, pb.Kind_KIND_DROPLET, health.Problems[0].Kind)
	address(netlink.AddrAdd)
	w.requireHealed(t)
	require.Equal(t, was, w.kernel(t))
	w.requireState(t, s)
}
